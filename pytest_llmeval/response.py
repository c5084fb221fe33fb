"""What a candidate answered, with what it took: tokens, time, money."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pytest_llmeval.errors import ProviderError

HALF = re.compile("[\ud800-\udfff]")
STRING_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', re.DOTALL)


def parse_json(text: str) -> Any:
    """Parse strict JSON: unlike `json.loads`, `NaN` and `Infinity` are refused, as JSON has none.

    Raises:
        json.JSONDecodeError: With position and reason.

    >>> parse_json('{"a": 1}')
    {'a': 1}
    """
    try:
        # `json.loads` gives what begins with a byte order mark a reason of its own.
        return json.loads(text, parse_constant=_refuse) if text.startswith("\ufeff") else _STRICT.decode(text)
    except _ConstantError as exc:
        # The parser does not tell the position: it is that of the first such word outside of strings.
        constant = str(exc)
        words = (match for match in STRING_OR_CONSTANT.finditer(text) if match[0] == constant)
        found = next(words, None)
        raise json.JSONDecodeError(f"{constant} is not JSON", text, found.start() if found else 0) from None


class _ConstantError(Exception):
    """`NaN` or `Infinity`."""


def _refuse(constant: str) -> Any:
    raise _ConstantError(constant)


# Made once: `json.loads` makes one for each call that has arguments.
_STRICT = json.JSONDecoder(parse_constant=_refuse)


def join_text(parts: Iterable[str]) -> str:
    r"""Put the parts of a streamed text together.

    Servers that count in UTF-16, as JavaScript does, may cut an emoji in two: each half alone is no text that could be
    printed or written to a file. A half whose other half is missing becomes U+FFFD.

    >>> join_text(["party \ud83c", "\udf89", " now"]) == "party \U0001f389 now"
    True
    """
    text = "".join(parts)
    if HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


CostStatus = Literal["priced", "estimated", "free", "unknown"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the provider counted them. None means that the provider did not say.

    `input_tokens` includes `cached_tokens` and `cache_write_tokens`, and `output_tokens` includes `reasoning_tokens`,
    for every provider (Anthropic's own counts, which leave the cached part out, are converted).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one call in USD. `amount` is None exactly when `status` is ``unknown``: unknown is never zero.

    `source` says who set the price (``provider``, ``user``, ``genai-prices``, ...) or why it is unknown, and `as_of`
    is the date whose price was taken.
    """

    amount: Decimal | None
    status: CostStatus
    source: str = ""
    as_of: str | None = None


UNKNOWN_COST = Cost(None, "unknown")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. `arguments` is the raw JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str

    def parsed(self) -> Any:
        """Return the arguments as data.

        Raises:
            json.JSONDecodeError: The model wrote something that is not JSON.
        """
        return json.loads(self.arguments)


@dataclass(slots=True)
class Timing:
    """Clock of one HTTP exchange, live or as it was recorded. Times are milliseconds from the start of the request.

    `position_ms` moves while the body is read: the offset of the chunk that was delivered last. Whoever parses a
    stream reads it to date what it just saw, and so gets the same figure live and in replay.
    """

    headers_ms: float | None = None
    latency_ms: float | None = None
    position_ms: float | None = None
    retries: int = 0
    replayed: bool = False
    recorded_at: str | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """A call of one candidate, on the way to the answer of a candidate that is made of several.

    Attributes:
        candidate: Name of who was asked.
        role: What it was asked for: ``answer``, ``classify`` (of a router), ``score`` (how sure it is of its answer).
        response: What it answered; None if it did not.
        error: Why it did not.
        why: Why its answer did not serve: the error's kind, ``refusal``, ``invalid_json``, ``schema``, ``cut_off`` or
            ``low_score``; None if it did.
        latency_ms: What it took, in milliseconds; of one that failed, with all that the SDK tried.
        cost: What it cost.
    """

    candidate: str
    role: str = "answer"
    response: Response | None = None
    error: ProviderError | None = None
    why: str | None = None
    latency_ms: float | None = None
    cost: Cost = UNKNOWN_COST


@dataclass(slots=True)
class Response:
    """One whole answer of a candidate.

    Attributes:
        content: The text. Empty when the model answered with tool calls only.
        usage: Tokens by class.
        model: What the server says answered; may be more exact than what was asked for.
        latency_ms: From the request to the last byte of the attempt that answered, in milliseconds, without the
            waits before earlier attempts; in replay, as measured when it was recorded.
        ttft_ms: Time to the first content token, in milliseconds; None where the answer was not streamed.
        cost: What the call cost in USD, or why that is unknown.
        finish_reason: The provider's word: ``stop``, ``length``, ``tool_calls``, ``end_turn``, ``max_tokens``, ...
        tool_calls: Tools that the model wants called.
        replayed: Whether the answer came from a cassette.
        recorded_at: When it was recorded (ISO 8601, UTC), if it was replayed.
        retries: How often the SDK tried again before this answer came.
        schema_mode: How a `schema=` was asked for: ``native`` (constrained by the provider), ``prompt`` (the
            endpoint lacks it, the schema was put into the system text), ``ignored`` (asked for as native, but the
            answer is no JSON at all: the endpoint passed it over), or None.
        raw: The object of the SDK.
        reported_cost: What the provider itself says that the call cost, in USD; few do.
        candidate: Name of the candidate.
        system_fingerprint: What the server calls the state of its side (OpenAI's `system_fingerprint`), if it says.
        served_by: Name of the one whose answer this is, if the candidate is made of several; else empty. Tokens, time
            and cost are then those of all that was tried.
        route: What a router took the question for: ``simple`` or ``complex``; None if the candidate is none.
        tries: What was tried on the way to this answer, in order; the last is not always the one that served.
    """

    content: str
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    cost: Cost = UNKNOWN_COST
    finish_reason: str | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    replayed: bool = False
    recorded_at: str | None = None
    retries: int = 0
    schema_mode: str | None = None
    raw: Any = field(default=None, repr=False)
    reported_cost: Decimal | None = None
    candidate: str = ""
    system_fingerprint: str | None = None
    served_by: str = ""
    route: str | None = None
    tries: Sequence[Try] = ()

    @property
    def input_tokens(self) -> int | None:
        """Tokens read, cached ones included; None if the provider did not say."""
        return self.usage.input_tokens

    @property
    def output_tokens(self) -> int | None:
        """Tokens written, reasoning included; None if the provider did not say."""
        return self.usage.output_tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens written after the first one, per second of streaming; None where the answer was not streamed.

        (output_tokens - 1) / (latency - TTFT), the inverse of the usual time per output token. Reasoning is over when
        the first content token comes, so that its tokens do not count.
        """
        if self.tries:
            answers = (tried.response for tried in self.tries if tried.role == "answer" and tried.why is None)
            served = next(answers, None)
            return served.tokens_per_second if served is not None else None
        if self.ttft_ms is None or self.latency_ms is None or self.output_tokens is None:
            return None
        written = self.output_tokens - (self.usage.reasoning_tokens or 0)
        seconds = (self.latency_ms - self.ttft_ms) / 1000
        return (written - 1) / seconds if written > 1 and seconds > 0 else None

    @property
    def cut(self) -> bool:
        """Whether the model stopped because it ran into `max_tokens`."""
        return self.finish_reason in ("length", "max_tokens")

    def json(self) -> Any:
        """Return the content parsed as strict JSON.

        Raises:
            ValueError: The content is not JSON. For a failure that explains itself use `assert_json`.

        >>> Response('{"name": "John"}').json()
        {'name': 'John'}
        """
        return parse_json(self.content)

    def __str__(self) -> str:
        return self.content
