"""How much is asked of an endpoint at once: as much as it takes.

The limit follows AIMD, as TCP's does: each answer raises it by 1 / limit, so by about one a round trip, and a refusal
halves it (D. Chiu, R. Jain: Analysis of the increase and decrease algorithms for congestion avoidance, 1989).
Near the limit that was refused last it rises an eighth as fast, or an endpoint that takes one request at a time would
refuse one for each that it answers; CUBIC has such a plateau too (RFC 9438).
The SDKs try again on their own and hide refusals, so these are observed where requests are sent.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import ConfigError, ProviderError, nearest

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate

MOST = 8
#: Statuses that say "not now"; a 503 says so only if it names a time.
BUSY = {429, 529}
#: Seconds for which an endpoint may refuse everything before its calls are given up.
PATIENCE = 600.0
#: Most seconds between two tries, unless the endpoint names a time.
LONGEST_REST = 30.0
#: How much slower the limit rises near the one that was refused last.
CAUTION = 8
#: Seconds between two looks at whether an event loop's request may go out.
LOOK = 0.02


class AbandonedError(BaseException):
    """The run is over, or nobody waits for this call any more. No SDK swallows this or tries again."""


class Pace:
    """The pace of one endpoint. Safe to use from several threads.

    Args:
        most: Most requests in flight.
        patience: Seconds for which it may refuse everything before its calls are given up.
        clock: Returns the time in seconds.

    >>> pace = Pace(8)
    >>> pace.refused(pace.enter())
    >>> pace.limit
    4.0
    """

    def __init__(self, most: int = MOST, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic):
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._patience = patience
        self._clock = clock
        self._changed = threading.Condition()
        self._not_before = 0.0
        self._ceiling = float("inf")
        self._slowed_at = 0.0
        self._refusals = 0
        self._refusing_since: float | None = None

    def enter(self, abandoned: Callable[[], bool] = bool) -> float:
        """Wait until a request may go out; return when that was.

        Raises:
            AbandonedError: `abandoned` says that nobody wants it any more; see `wake`.
        """
        with self._changed:
            while (delay := self._delay()) != 0:
                if abandoned():
                    raise AbandonedError
                self._changed.wait(delay)
            return self._enter()

    def try_enter(self) -> float | None:
        """Do what `enter` does, if that can be done now."""
        with self._changed:
            return self._enter() if self._delay() == 0 else None

    def leave(self) -> None:
        """Note that a request is no longer in flight."""
        with self._changed:
            self.in_flight -= 1
            self._changed.notify()

    def answered(self) -> None:
        """Note an answer: a little more may be asked at once."""
        with self._changed:
            near = int(self.limit) + 1 >= self._ceiling
            self.limit = min(float(self.most), self.limit + 1 / self.limit / (CAUTION if near else 1))
            if int(self.limit) > self._ceiling:
                self._ceiling = float("inf")
            self._refusals, self._refusing_since = 0, None

    def refused(self, sent: float, wait: float | None = None) -> None:
        """Note that the endpoint was asked too much.

        Args:
            sent: When the refused request was sent, as `enter` returned it. What was under way when the limit was
                lowered says nothing of the new one.
            wait: Seconds for which the endpoint wants no requests.
        """
        with self._changed:
            now = self._clock()
            if sent >= self._slowed_at:
                if int(self.limit) == 1 and wait is None:
                    wait = _rest(self._refusals)
                self._refusals += 1
                self._slowed_at = now
                self._ceiling = int(self.limit)
                self.limit = max(1.0, self.limit / 2)
            if self._refusing_since is None:
                self._refusing_since = now
            self._not_before = max(self._not_before, now + (wait or 0.0))

    def gives_up(self) -> bool:
        """Whether the endpoint has refused everything for too long, or asks to wait for longer than that."""
        with self._changed:
            now = self._clock()
            since = now if self._refusing_since is None else self._refusing_since
            return max(now, self._not_before) - since > self._patience

    def rest(self, tries: int, abandoned: Callable[[], bool] = bool) -> None:
        """Wait before a call is tried again for the `tries`-th time.

        Raises:
            AbandonedError: See `enter`.
        """
        until = self._clock() + _rest(tries)
        with self._changed:
            while (left := until - self._clock()) > 0:
                if abandoned():
                    raise AbandonedError
                self._changed.wait(left)

    def wake(self) -> None:
        """Let all who wait look again at whether they are abandoned."""
        with self._changed:
            self._changed.notify_all()

    def _delay(self) -> float | None:
        """Return the seconds to wait: 0 for none, None until something changes."""
        left = self._not_before - self._clock()
        if left > 0:
            return left
        return 0 if self.in_flight < int(self.limit) else None

    def _enter(self) -> float:
        self.in_flight += 1
        if self._delay() == 0:
            # Who left woke one that waited, and there is room for another.
            self._changed.notify()
        return self._clock()


class Paces:
    """The paces of a run: one for each endpoint, and one for each alias that has a limit of its own.

    Args:
        most: Most requests in flight to an endpoint.
        named: Other limits, by provider or alias.
        known: Providers and aliases that there are.

    Raises:
        ConfigError: A limit for what there is not.
    """

    def __init__(self, most: int, named: Mapping[str, int], known: Collection[str]) -> None:
        for name in named:
            if name not in known:
                raise ConfigError(
                    f"concurrency.{name} in the settings: neither a provider nor an alias.{nearest(name, known)} "
                    f"Known: {', '.join(sorted(known))}."
                )
        self._most = most
        self._named = named
        self._paces: dict[tuple[str, str | None], Pace] = {}

    def of(self, candidate: Candidate) -> Pace:
        """Return the pace of a candidate's endpoint."""
        alias = candidate.name in self._named
        if candidate.members and not alias:
            # The first is asked by each call.
            return self.of(candidate.members[0])
        key = (candidate.name, None) if alias else (candidate.provider, candidate.base_url)
        if key not in self._paces:
            self._paces[key] = Pace(self._named.get(key[0], self._most))
        return self._paces[key]


def _rest(tries: int) -> float:
    # At random, or all that were refused together would come back together.
    return float(min(LONGEST_REST, 2.0 ** min(tries, 10)) * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


class PacedCall:
    """One call of a candidate: all requests that it takes, those that the SDK repeats among them.

    A request counts as in flight from when it is sent to when it is refused, or else the call ends.

    Attributes:
        earlier: How many requests were refused before the SDK began anew.
        place: Where the call stands in its test's record.
        waited: Seconds for which its requests waited for their turn.
        detour: What is noted of its candidates that failed, where there are several.
    """

    def __init__(self, pace: Pace, *, patient: bool = False, abandoned: Callable[[], bool] = bool) -> None:
        self._pace = pace
        self._patient = patient
        self._abandoned = abandoned
        self.earlier = 0
        self.place: int | None = None
        self.waited = 0.0
        self.detour: Any = None
        self._rounds = 0
        self._requests = 0
        self._sent: float | None = None
        self._busy = self._final = False

    def part(self, pace: Pace) -> PacedCall:
        """Return a call that is a part of this one: of one of several candidates."""
        part = PacedCall(pace, abandoned=self._abandoned)
        part.earlier = self.earlier
        return part

    def check(self) -> None:
        """Raise `AbandonedError` if nobody waits for this call any more."""
        if self._abandoned():
            raise AbandonedError

    def send(self) -> None:
        """Wait until a request may go out.

        Raises:
            AbandonedError: Nobody waits for it any more.
        """
        self.leave()
        began = time.perf_counter()
        self._sent = self._pace.enter(self._abandoned)
        self.waited += time.perf_counter() - began
        self._begun()

    async def asend(self) -> None:
        """Do what `send` does, in the running event loop."""
        self.leave()
        began = time.perf_counter()
        while (sent := self._pace.try_enter()) is None:
            self.check()
            await _sleep(LOOK)
        self.waited += time.perf_counter() - began
        self._sent = sent
        self._begun()

    def _begun(self) -> None:
        self._requests += 1
        self._busy = self._final = False

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the status and the headers (by lower-case name) of an answer."""
        wait = retry_after(headers)
        if status in BUSY or (status == 503 and wait is not None):
            self._busy, self._final = True, headers.get("x-should-retry") == "false"
            self._pace.refused(self._sent or 0.0, wait)
            self.leave()
        elif status >= 400:
            # Whatever it is, the SDK may try again, and wait before it does.
            self.leave()
        else:
            self._pace.answered()

    def leave(self) -> None:
        """Note that no request of this call is in flight any more."""
        if self._sent is not None:
            self._sent = None
            self._pace.leave()

    def again(self, error: Exception) -> bool:
        """Whether to ask anew after the SDK gave up; waits before it says so."""
        self.leave()
        if not self._asks_anew(error):
            return False
        self._pace.rest(self._rounds, self._abandoned)
        self._new_round()
        return True

    async def aagain(self, error: Exception) -> bool:
        """Do what `again` does, in the running event loop."""
        self.leave()
        if not self._asks_anew(error):
            return False
        await _sleep(_rest(self._rounds))
        self._new_round()
        return True

    def _asks_anew(self, error: Exception) -> bool:
        if not self._patient or self._final or not isinstance(error, ProviderError) or error.final:
            return False
        if not self._busy and error.kind == "rate_limit":
            # Sent by what is not observed, or said inside a stream.
            self._pace.refused(float("inf"))
        return (self._busy or error.kind == "rate_limit") and not self._pace.gives_up()

    def _new_round(self) -> None:
        self.earlier += max(1, self._requests)
        self._rounds += 1
        self._requests = 0


#: The call that requests of this context belong to.
paced: ContextVar[PacedCall | None] = ContextVar("llmeval_paced", default=None)


class Patience:
    """How calls of this context are made: whether they are tried again, and whether someone still waits for them."""

    def __init__(self, abandoned: Callable[[], bool] = bool) -> None:
        self.abandoned = abandoned


#: Set where calls are made for others, several at once.
patience: ContextVar[Patience | None] = ContextVar("llmeval_patience", default=None)


@contextmanager
def call_of(pace: Pace) -> Iterator[PacedCall]:
    """Make a call in this context, at the pace of its endpoint."""
    patient = patience.get()
    call = PacedCall(pace) if patient is None else PacedCall(pace, patient=True, abandoned=patient.abandoned)
    token = paced.set(call)
    try:
        yield call
    finally:
        paced.reset(token)
        call.leave()


def earlier_requests() -> int:
    """Return how many requests of this context's call were refused before the SDK began anew."""
    call = paced.get()
    return 0 if call is None else call.earlier


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds for which an endpoint wants no requests, or None if it names none.

    Args:
        headers: By lower-case name. Azure and OpenAI have a header in milliseconds beside the standard's.

    >>> retry_after({"retry-after": "20"}), retry_after({"retry-after-ms": "1500"}), retry_after({})
    (20.0, 1.5, None)
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is not None:
            try:
                seconds = float(text) / unit
            except ValueError:
                seconds = _until(text)
            if isfinite(seconds):
                return max(0.0, seconds)
    return None


def _until(text: str) -> float:
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return float("nan")
    return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


async def _sleep(seconds: float) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        trio: Any = sys.modules["trio"]
        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)
