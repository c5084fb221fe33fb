"""What the candidates of a run used: tokens, cost and time of a request, for what a month comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.prices import total_cost
from pytest_llmeval.records import Call, Run


@dataclass(frozen=True, slots=True)
class Measured:
    """What the answers of one candidate used, on average.

    Attributes:
        name: Name of the candidate.
        answers: Answers with a count of tokens.
        tokens_in, tokens_out: Tokens of a request; None if no answer tells.
        per_request: USD for a request; None as soon as the cost of one call is unknown.
        tokens_per_second: Tokens in and out by the time that the answers took, one after the other; None if no
            answer tells. A server that answers several at once serves more.
    """

    name: str
    answers: int
    tokens_in: Decimal | None
    tokens_out: Decimal | None
    per_request: Decimal | None
    tokens_per_second: float | None

    @property
    def tokens(self) -> Decimal | None:
        """Tokens of a request, in and out together."""
        return None if self.tokens_in is None or self.tokens_out is None else self.tokens_in + self.tokens_out

    @property
    def blended(self) -> Decimal | None:
        """USD for 1M tokens, in and out mixed as they were; None where the cost is unknown."""
        if self.per_request is None or not self.tokens:
            return None
        return self.per_request / self.tokens * 1_000_000


def measure(run: Run) -> dict[str, Measured]:
    """Return what each candidate of a run used.

    >>> from pytest_llmeval.records import TestRecord
    >>> calls = [Call("a", input_tokens=1500, output_tokens=500, cost="0.00875", cost_status="priced", latency_ms=4000)]
    >>> found = measure(Run(tests=[TestRecord("test_x[a]", "a", calls=calls)]))["a"]
    >>> found.tokens, found.per_request, found.blended, found.tokens_per_second
    (Decimal('2000'), Decimal('0.00875'), Decimal('4.375000000'), 500.0)
    """
    return {
        name: _measured(name, [call for test in tests for call in test.calls])
        for name, tests in run.by_candidate().items()
    }


def candidate_in(run: Run, name: str) -> str:
    """Return the name of a candidate of a run.

    Raises:
        ConfigError: The run has none of that name; names the nearest.
    """
    known = list(run.by_candidate())
    if name not in known:
        raise ConfigError(f"{name}: not a candidate of the run.{nearest(name, known)} It has: {', '.join(known)}.")
    return name


def _measured(name: str, calls: Sequence[Call]) -> Measured:
    counted = [
        (call.input_tokens, call.output_tokens, call.latency_ms)
        for call in calls
        if call.error is None and call.input_tokens is not None and call.output_tokens is not None
    ]
    timed = [(read + written, ms) for read, written, ms in counted if ms]
    seconds = sum(ms for _, ms in timed) / 1000
    cost = total_cost(calls)
    n = len(counted)
    return Measured(
        name=name,
        answers=n,
        tokens_in=Decimal(sum(read for read, _, _ in counted)) / n if n else None,
        tokens_out=Decimal(sum(written for _, written, _ in counted)) / n if n else None,
        per_request=None if cost.unpriced else cost.per_request,
        tokens_per_second=sum(tokens for tokens, _ in timed) / seconds if seconds else None,
    )
