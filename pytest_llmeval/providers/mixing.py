"""What candidates that are made of others have in common: each member is asked at its own pace and price.

What a mix does is written once, as a generator that yields whom to ask and gets what came of it; it runs in a thread or
in an event loop.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from pytest_llmeval.breaker import CircuitBreaker
from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cassettes import detours
from pytest_llmeval.cassettes.detours import Detour, Failure, NotAskedError
from pytest_llmeval.cassettes.store import running_cassette
from pytest_llmeval.errors import ConfigError, ProviderError, brief
from pytest_llmeval.pacing import Pace, PacedCall, paced
from pytest_llmeval.prices import is_unbilled
from pytest_llmeval.providers.base import Provider, Request
from pytest_llmeval.response import Cost, Response, Try, Usage
from pytest_llmeval.tariffs import UNBILLED, Tariff, cost_together

#: Errors after which another candidate may do better. Any other would come again with a request like this, or is one of
#: the settings: to hide that would be no help.
PASSING = {"connection", "timeout", "rate_limit", "server", "malformed", "truncated", "unknown", "circuit_open"}


@dataclass(slots=True)
class Member:
    """One of the candidates that a mix is made of.

    Attributes:
        candidate: Who it is.
        provider: Who speaks for it.
        pace: How much its endpoint takes at once.
        breaker: Whether it is worth asking.
    """

    candidate: Candidate
    provider: Provider
    pace: Pace
    breaker: CircuitBreaker = field(default_factory=lambda: CircuitBreaker(0, 1.0))

    @property
    def name(self) -> str:
        """Its name."""
        return self.candidate.name

    @property
    def tariff(self) -> Tariff:
        """By what its calls are priced."""
        return Tariff(self.candidate, self.provider.billing, self.provider.hosting)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a mix wants to know next."""

    member: Member
    request: Request
    role: str = "answer"
    skip: bool = False


#: Yields whom to ask, gets what came of it, returns the answer.
Steps = Generator[Ask, Try, Response]


class Mix(ABC):
    """A candidate that is made of others. The subclasses say whom to ask when.

    Args:
        candidate: The mix.
        members: What it is made of, in order.
    """

    billing: str | None = None

    def __init__(self, candidate: Candidate, members: Sequence[Member]) -> None:
        self.candidate = candidate
        self.members = members
        places = {member.provider.hosting for member in members}
        self.hosting = next((place for place in ("api", "self-hosted", "local") if place in places), "api")

    @abstractmethod
    def steps(self, request: Request) -> Steps:
        """Yield whom to ask; return the answer.

        Raises:
            ProviderError: There is none.
        """

    def complete(self, request: Request) -> Response:
        """Return the whole answer, with what all calls cost.

        Raises:
            ProviderError: There is no whole answer.
        """
        with _detour() as detour:
            steps = self.steps(request)
            try:
                ask = next(steps)
                while True:
                    ask = steps.send(self._ask(ask, detour))
            except StopIteration as done:
                response: Response = done.value
                return response

    async def acomplete(self, request: Request) -> Response:
        """Do what `complete` does, in the running event loop."""
        with _detour() as detour:
            steps = self.steps(request)
            try:
                ask = next(steps)
                while True:
                    ask = steps.send(await self._aask(ask, detour))
            except StopIteration as done:
                response: Response = done.value
                return response

    def close(self) -> None:
        """Give nothing back, since whoever made the members closes them."""
        return

    def _ask(self, ask: Ask, detour: Detour) -> Try:
        course = _Course(ask, detour)
        if course.unasked:
            return course.open()
        with course.begun():
            try:
                course.response = ask.member.provider.complete(ask.request)
            except (Exception, NotAskedError) as exc:
                course.failure = exc
        return course.end()

    async def _aask(self, ask: Ask, detour: Detour) -> Try:
        course = _Course(ask, detour)
        if course.unasked:
            return course.open()
        with course.begun():
            try:
                course.response = await ask.member.provider.acomplete(ask.request)
            except (Exception, NotAskedError) as exc:
                course.failure = exc
        return course.end()


@contextmanager
def _detour() -> Iterator[Detour]:
    """Note what fails in this call, and in the calls within it."""
    outer = detours.current.get()
    if outer is not None:
        yield outer
        return
    call = paced.get()
    # A call that is tried again as a whole goes on with its recording.
    detour: Detour = Detour() if call is None or call.detour is None else call.detour
    detour.begin()
    if call is not None:
        call.detour = detour
    token = detours.current.set(detour)
    try:
        yield detour
    finally:
        detours.current.reset(token)


class _Course:
    """One call of a member, from when it is asked to what came of it."""

    def __init__(self, ask: Ask, detour: Detour) -> None:
        self.response: Response | None = None
        self.failure: BaseException | None = None
        self._ask = ask
        self._detour = detour
        self._call: PacedCall | None = None
        self._seconds = 0.0

    @property
    def unasked(self) -> bool:
        """Whether the member is skipped, and its request need not be looked at unsent."""
        # A recording has to know which request was skipped, or a replay would not know to skip it.
        return self._ask.skip and running_cassette.get() is None

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Make the call of this context one of the member's."""
        member = self._ask.member
        outer = paced.get()
        self._call = PacedCall(member.pace) if outer is None else outer.part(member.pace)
        self._detour.skip = self._ask.skip
        token, began = paced.set(self._call), time.perf_counter()
        try:
            with member.tariff.asked():
                yield
        finally:
            self._seconds = time.perf_counter() - began
            self._detour.skip = False
            paced.reset(token)
            self._call.leave()

    def open(self) -> Try:
        """Return what comes of a member that is not asked since its circuit is open."""
        return self._failed(self._circuit_open(), 0.0)

    def end(self) -> Try:
        """Return what came of it."""
        name, failure = self._ask.member.name, self.failure
        if isinstance(failure, Warning | ConfigError):
            # The user's own: of a warning filter, or of settings that no other candidate makes right.
            raise failure
        if self.response is not None:
            self._detour.answered()
            self.response.cost = self._cost(self.response)
            if not self.response.replayed:
                # In a recording, earlier requests are counted already.
                self.response.retries += self._call.earlier if self._call is not None else 0
                self._ask.member.breaker.succeeded()
            return Try(name, self._ask.role, self.response, None, None, self.response.latency_ms, self.response.cost)
        if isinstance(failure, NotAskedError):
            if failure.found is None:
                return self._failed(self._circuit_open(), 0.0)
            told = failure.found.failure
            self._detour.replayed(failure.found)
            return self._try(_replayed(told), told.latency_ms, unbilled=told.unbilled)
        assert self._call is not None
        error = failure
        if not isinstance(error, ProviderError):
            text = f"{name}: {type(failure).__name__}: {failure}"
            error = ProviderError(text, candidate=name, kind="unknown", cause=failure)
        if error.tries:
            # Of a mix within this one, whose members have breakers and clocks of their own.
            return self._try(error, sum_of([tried.latency_ms for tried in error.tries]), unbilled=False)
        if error.kind in PASSING:
            self._ask.member.breaker.failed()
        return self._failed(error, round((self._seconds - self._call.waited) * 1000, 3))

    def _circuit_open(self) -> ProviderError:
        name = self._ask.member.name
        return ProviderError(f"{name}: not asked: it has kept failing", candidate=name, kind="circuit_open")

    def _failed(self, error: ProviderError, latency_ms: float) -> Try:
        unbilled = is_unbilled(error)
        told = Failure(error.candidate, error.kind, error.status, error.retries, latency_ms, unbilled=unbilled)
        self._detour.failed(told)
        return self._try(error, latency_ms, unbilled=unbilled)

    def _try(self, error: ProviderError, latency_ms: float | None, *, unbilled: bool) -> Try:
        if error.tries:
            cost = cost_together(error.tries)
        else:
            cost = self._ask.member.tariff.cost(Usage(), when=datetime.now(UTC))
            cost = UNBILLED if cost.amount is None and unbilled else cost
        return Try(self._ask.member.name, self._ask.role, None, error, error.kind, latency_ms, cost)

    def _cost(self, response: Response) -> Cost:
        return response.cost if response.tries else self._ask.member.tariff.of_response(response)


def _replayed(told: Failure) -> ProviderError:
    text = brief(told.candidate, told.kind)
    return ProviderError(text, candidate=told.candidate, kind=told.kind, status=told.status, retries=told.retries)


def mixed(served: Try, tries: Sequence[Try]) -> Response:
    """Return the answer that serves, with what all that was tried took together."""
    answer = served.response
    assert answer is not None
    answers = [tried.response for tried in tries if tried.response is not None]
    before = [tried.latency_ms for tried in tries[: tries.index(served)]]
    latencies = [tried.latency_ms for tried in tries]
    return Response(
        content=answer.content,
        usage=_sum_usage([each.usage for each in answers]),
        model=answer.model,
        latency_ms=sum_of(latencies),
        ttft_ms=sum_of([*before, answer.ttft_ms]),
        cost=cost_together(tries),
        finish_reason=answer.finish_reason,
        tool_calls=answer.tool_calls,
        replayed=answer.replayed,
        recorded_at=answer.recorded_at,
        retries=sum(each.retries for each in answers) + sum(tried.error.retries for tried in tries if tried.error),
        schema_mode=answer.schema_mode,
        raw=answer.raw,
        served_by=answer.served_by or served.candidate,
        tries=tuple(tries),
    )


def none_served(name: str, tries: Sequence[Try]) -> ProviderError:
    """Return the error of a mix of which nobody has answered."""
    errors = [tried.error for tried in tries if tried.error is not None]
    last = errors[-1]
    # That one was asked too much may be over in a moment, whatever the others have.
    error = next((each for each in errors if each.kind == "rate_limit" and not each.final), last)
    told = "; ".join(str(each) for each in errors)
    found = ProviderError(
        f"{name}: no candidate has answered: {told}",
        candidate=name,
        kind=error.kind,
        cause=error.cause,
        status=error.status,
        retries=sum(each.retries for each in errors),
        final=error.final,
    )
    found.tries = tuple(tries)
    return found


def sum_of(values: Sequence[float | None]) -> float | None:
    """Add up times in milliseconds; None as soon as one is unknown."""
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if len(known) == len(values) else None


def _sum_usage(usages: Sequence[Usage]) -> Usage:
    """Add up tokens; what one did not say of those that all providers say is unknown."""
    sums: dict[str, int | None] = {}
    for each in fields(Usage):
        counts = [getattr(usage, each.name) for usage in usages]
        known = [count for count in counts if count is not None]
        needed = each.name in ("input_tokens", "output_tokens")
        sums[each.name] = sum(known) if known and (len(known) == len(counts) or not needed) else None
    return Usage(**sums)
