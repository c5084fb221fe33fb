"""`Run` to figures: what each candidate did, as plain values. Every report shows these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_llmeval.prices import NOT_BILLED_SOURCE, TotalCost, is_unpriced, total_cost
from pytest_llmeval.records import DEFAULT_SCORE, Call, Run, TestRecord
from pytest_llmeval.samples import CaseResult, Repeats, cases_of, mean_score, repeats_of, score_of
from pytest_llmeval.stats import Interval, percentile


@dataclass(frozen=True, slots=True)
class Latency:
    """Clock of the answers of one candidate; None where no answer has the figure."""

    p50_ms: float | None
    p95_ms: float | None
    ttft_ms: float | None
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of all answers. `unknown` answers came without a count, so that `total` is a lower bound."""

    total: int | None
    unknown: int


@dataclass(frozen=True, slots=True)
class CandidateSummary:
    """What one candidate did in a run.

    Attributes:
        score: Mean score of the cases by their weights, repeats averaged first, with its 95% interval; None if no case
            has a score.
        scores: The same by name, without the unnamed one.
        known_failing: Cases that are known to fail, and do not count as cases.
        passed, tests: Cases that passed, of all that ran and were not skipped; a test that is not repeated is a case.
        other_errors: Tests without a verdict though no call failed: the setup did, or the recording.
        json_valid, json_checked: Answers that were valid JSON, of those that were checked.
        answers: Calls that got an answer.
        call_errors: Calls that got none, by kind.
        latency, ttft, ...: See `Latency`; medians and the 95th percentile over the answers.
        cost: Of all calls, those that failed included.
        cost_sources: How the cost of calls came about: number of calls by (status, source).
        replayed: Answers from recordings.
        recorded: First and last day of those recordings (``YYYY-MM-DD``).
        streamed: Answers that were streamed.
        schema_in_prompt: Answers whose schema the endpoint could not enforce.
        models: What the server says answered, by number of answers.
        weights: Least and greatest weight of its cases; None where they weigh the same.
        repeats: What the cases come to that were repeated; None if none was.
        served: Of a candidate that is made of several: answers by who gave them.
        passed_over: Calls of those that did not serve, by who was asked and why.
    """

    name: str
    score: Interval | None
    scores: dict[str, Interval]
    passed: int
    tests: int
    other_errors: int
    json_valid: int
    json_checked: int
    answers: int
    call_errors: Counter[str]
    latency: Latency
    input_tokens: Tokens
    output_tokens: Tokens
    cost: TotalCost
    cost_sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    replayed: int = 0
    recorded: tuple[str, str] | None = None
    streamed: int = 0
    schema_in_prompt: int = 0
    models: Counter[str] = field(default_factory=Counter)
    weights: tuple[float, float] | None = None
    known_failing: Sequence[CaseResult] = ()
    repeats: Repeats | None = None
    served: Counter[str] = field(default_factory=Counter)
    passed_over: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        """Calls without an answer, and tests without a verdict though no call failed."""
        return self.call_errors.total() + self.other_errors


def summarize(run: Run) -> list[CandidateSummary]:
    """Return a summary of each candidate that has a test, in the order of `Run.by_candidate`."""
    return [_summary(name, tests) for name, tests in run.by_candidate().items()]


def _summary(name: str, tests: Sequence[TestRecord]) -> CandidateSummary:
    calls = [call for test in tests for call in test.calls]
    answers = [call for call in calls if call.error is None]
    cases, known_failing = cases_of(tests), cases_of(tests, known_failing=True)
    counted = [test for test in tests if test.known_failing is None]
    weights = {case.weight for case in cases if case.score is not None}
    days = [call.recorded_at[:10] for call in answers if call.replayed and call.recorded_at]
    return CandidateSummary(
        name=name,
        score=score_of(cases),
        scores=_named_scores(cases),
        passed=sum(case.passed for case in cases),
        tests=sum(case.ran > 0 for case in cases),
        other_errors=sum(test.outcome == "error" and not any(call.error for call in test.calls) for test in counted),
        json_valid=sum(test.json_valid for test in counted),
        json_checked=sum(test.json_checked for test in counted),
        answers=len(answers),
        call_errors=Counter(call.error_kind or "unknown" for call in calls if call.error is not None),
        latency=_latency(answers),
        input_tokens=_tokens([call.input_tokens for call in answers]),
        output_tokens=_tokens([call.output_tokens for call in answers]),
        cost=total_cost(calls),
        cost_sources=_cost_sources(calls),
        replayed=sum(call.replayed for call in answers),
        recorded=(min(days), max(days)) if days else None,
        streamed=sum(call.ttft_ms is not None for call in answers),
        schema_in_prompt=sum(call.schema_mode == "prompt" for call in answers),
        models=Counter(call.model for call in answers if call.model),
        weights=(min(weights), max(weights)) if len(weights) > 1 else None,
        known_failing=known_failing,
        repeats=repeats_of(cases),
        served=Counter(call.served_by for call in answers if call.served_by is not None),
        passed_over=Counter((part.candidate, part.why) for part in _tries(calls) if part.why is not None),
    )


def _tries(calls: Iterable[Call]) -> Iterator[Call]:
    """Yield the calls that calls are made of, and those that these are made of."""
    for call in calls:
        yield from call.calls
        yield from _tries(call.calls)


def _named_scores(cases: Iterable[CaseResult]) -> dict[str, Interval]:
    values: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        for name, value in case.scores.items():
            if name != DEFAULT_SCORE:
                values.setdefault(name, []).append((value, case.weight))
    intervals = {name: mean_score(found) for name, found in values.items()}
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _latency(answers: Sequence[Call]) -> Latency:
    latencies = [call.latency_ms for call in answers if call.latency_ms is not None]
    return Latency(
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        ttft_ms=percentile([call.ttft_ms for call in answers if call.ttft_ms is not None], 50),
        tokens_per_second=percentile(
            [call.tokens_per_second for call in answers if call.tokens_per_second is not None], 50
        ),
    )


def _tokens(counts: Sequence[int | None]) -> Tokens:
    known = [count for count in counts if count is not None]
    return Tokens(sum(known) if known else None, len(counts) - len(known))


def _cost_sources(calls: Iterable[Call]) -> Counter[tuple[str, str]]:
    sources: Counter[tuple[str, str]] = Counter()
    for call in calls:
        if call.error is not None and call.cost_source == NOT_BILLED_SOURCE:
            continue
        if call.cost is not None:
            sources[call.cost_status, call.cost_source] += 1
        elif is_unpriced(call):
            why = call.cost_source or ("the call failed" if call.error is not None else "no reason given")
            sources["unknown", why] += 1
    return sources
