"""What is kept of a call that went from one candidate to the next: who was passed over, and why.

Only good answers are recorded, so the request of a candidate that failed is none of a recording's. The answer that came
in its place carries it: where it stood among equal requests, and what was the matter. So a replay goes the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cassettes.format import Interaction, number, readable
from pytest_llmeval.cassettes.matching import scrub_uri

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.exchange import Exchange
    from pytest_llmeval.cassettes.store import Cassette
    from pytest_llmeval.cassettes.turns import Equals

#: Under which an answer has them, beside when it was recorded.
KEY = "instead_of"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a candidate was passed over.

    What a server said is not kept: it may repeat what a redaction hook took out of the request.

    Attributes:
        candidate: Its name.
        kind: One of `errors.ERROR_KINDS`, or ``circuit_open``: it had failed so often that it was not asked.
        status: HTTP status, if an answer came at all.
        retries: How often the SDK had tried again.
        latency_ms: What that took.
        unbilled: Whether it is known to have cost nothing.
    """

    candidate: str
    kind: str
    status: int | None = None
    retries: int = 0
    latency_ms: float | None = None
    unbilled: bool = False


@dataclass(slots=True)
class PassedOver(Interaction):
    """A request that got no good answer, so that another candidate was asked.

    Attributes:
        failure: Why.
        place: Where it stands among equal requests.
        carrier: The answer that came instead.
    """

    failure: Failure = field(default_factory=lambda: Failure("", "unknown"))
    place: int = 0
    carrier: Interaction | None = None

    def to_meta(self) -> dict[str, Any]:
        """Return it as a recording has it."""
        said = {name: getattr(self.failure, name) for name in Failure.__slots__}
        body = readable(self.body, self.request_type)
        text = body if isinstance(body, str) else body.decode("utf-8", "backslashreplace")
        asked = {"method": self.method, "uri": self.uri, "type": self.request_type, "body": text}
        return {name: value for name, value in said.items() if value is not None} | {"place": self.place, **asked}


def passed_over(interactions: Iterable[Interaction]) -> list[PassedOver]:
    """Return what answers were recorded instead of, by places; what cannot be read is left out.

    >>> told = {"candidate": "a", "kind": "server", "method": "POST", "uri": "https://a", "body": "{}", "place": 1}
    >>> answer = Interaction("POST", "https://b", b"", {}, 200, "", {}, b"", {"instead_of": [told]})
    >>> [(each.failure.kind, each.place) for each in passed_over([answer])]
    [('server', 1)]
    """
    found: list[PassedOver] = []
    for interaction in interactions:
        told = interaction.meta.get(KEY)
        for each in told if isinstance(told, list) else ():
            over = _read(each, interaction) if isinstance(each, dict) else None
            found += [over] if over is not None else []
    return sorted(found, key=lambda each: each.place)


def _read(told: dict[str, Any], carrier: Interaction) -> PassedOver | None:
    if not all(isinstance(told.get(name), str) for name in ("candidate", "kind", "method", "uri", "body")):
        return None
    place, retries, status, kind = told.get("place", 0), told.get("retries", 0), told.get("status"), told.get("type")
    if not _is_count(place) or not _is_count(retries) or not (status is None or _is_count(status)):
        return None
    headers = {"content-type": [kind]} if isinstance(kind, str) else {}
    body = told["body"].encode("utf-8", "surrogatepass")
    over = PassedOver(told["method"], told["uri"], body, headers, 0, "", {}, b"")
    latency_ms, unbilled = number(told.get("latency_ms")), told.get("unbilled") is True
    over.failure = Failure(told["candidate"], told["kind"], status, retries, latency_ms, unbilled=unbilled)
    over.place, over.carrier = place, carrier
    over.meta = {name: carrier.meta[name] for name in ("recorded_at",) if name in carrier.meta}
    return over


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class NotAskedError(BaseException):
    """Stands in for an answer that is not asked for; no SDK may swallow this or try again.

    Attributes:
        found: What the recording says of it; None where it is not asked for now.
    """

    def __init__(self, found: PassedOver | None = None) -> None:
        super().__init__("not asked")
        self.found = found


class Detour:
    """One call that several candidates may be asked for, one after the other.

    Attributes:
        skip: Whether the next request is only to be looked at: its candidate is passed over unasked.
        later: Whether a candidate was asked before.
        carrier: In replay, the answer that came instead of one that was passed over.
    """

    def __init__(self) -> None:
        self.skip = self.later = False
        self.carrier: Interaction | None = None
        self._asked: list[_Asked] = []
        # What is passed over, with all requests that this took.
        self._waiting: list[tuple[PassedOver, list[_Asked]]] = []
        self._forgotten: list[_Asked] = []

    def begin(self) -> None:
        """Begin, or begin anew after all candidates have failed, as if that had not been."""
        self._forgotten += [asked for _, each in self._waiting for asked in each]
        self._asked, self._waiting = [], []
        self.skip = self.later = False
        self.carrier = None

    def asked(self, exchange: Exchange, equals: Equals, place: int) -> None:
        """Note a request whose answer is to be recorded, and where it stands among equal ones."""
        exchange.detour = self
        self._asked.append(_Asked(exchange, equals, place))

    def failed(self, failure: Failure) -> None:
        """Note that the candidate whose requests came last is passed over."""
        asked, self._asked = self._asked, []
        self.later = True
        without = [each for each in asked if each.failed]
        if without:
            self._waiting.append((_passed_over(without[-1], failure), without))

    def replayed(self, found: PassedOver) -> None:
        """Note that the recording says that a candidate was passed over."""
        self._asked, self.later, self.carrier = [], True, found.carrier

    def answered(self) -> None:
        """Note that the candidate whose requests came last has answered; it may be passed over for its answer."""
        self._asked, self.later = [], True

    def taken(self, cassette: Cassette, interaction: Interaction) -> None:
        """Have an answer that is recorded carry what was passed over before it came."""
        here = [each for each in self._waiting if each[1][0].exchange.cassette is cassette]
        if here:
            interaction.meta[KEY] = [over.to_meta() for over, _ in here]
        for asked in [*(asked for _, each in here for asked in each), *self._forgotten]:
            asked.excuse()
        self._waiting = [each for each in self._waiting if each not in here]
        self._forgotten = []


@dataclass(frozen=True, slots=True)
class _Asked:
    exchange: Exchange
    equals: Equals
    place: int

    @property
    def failed(self) -> bool:
        return self.exchange.slot in self.exchange.cassette.failed

    def excuse(self) -> None:
        """Have the recording hold without an answer to this."""
        self.exchange.cassette.failed.pop(self.exchange.slot, None)
        self.equals.keep(self.place)


def _passed_over(asked: _Asked, failure: Failure) -> PassedOver:
    request = asked.exchange.request
    headers = {name: list(values) for name, values in request.headers.items() if name.lower() == "content-type"}
    over = PassedOver(request.method, scrub_uri(request.uri), request.body, headers, 0, "", {}, b"")
    over.failure, over.place = failure, asked.place
    return over


#: The call that requests of this context belong to.
current: ContextVar[Detour | None] = ContextVar("llmeval_detour", default=None)


def refuse_skipped() -> None:
    """Refuse a request that is not to be sent.

    Raises:
        NotAskedError: It is one.
    """
    detour = current.get()
    if detour is not None and detour.skip:
        raise NotAskedError


def refuse_passed_over(recorded: Interaction) -> None:
    """Refuse a request of a candidate that was passed over when this was recorded.

    Raises:
        NotAskedError: It is one.
    """
    if isinstance(recorded, PassedOver):
        raise NotAskedError(recorded)


def recording(exchange: Exchange, equals: Equals, place: int) -> Exchange:
    """Return the exchange of a request whose answer is to be recorded, and that is to be sent.

    Raises:
        NotAskedError: It is not to be sent.
    """
    detour = current.get()
    if detour is not None:
        detour.asked(exchange, equals, place)
        if detour.skip:
            exchange.failed("not asked")
            raise NotAskedError
    return exchange


def taken(exchange: Exchange, interaction: Interaction) -> None:
    """Have an answer that is recorded carry what was passed over before it came."""
    if exchange.detour is not None:
        exchange.detour.taken(exchange.cassette, interaction)
