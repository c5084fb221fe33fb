"""What each case of a candidate comes to, in the figures that runs are compared by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pytest_llmeval.prices import is_unpriced
from pytest_llmeval.records import Call, TestRecord
from pytest_llmeval.samples import PASSED, VERDICTS, case_key, cases_of

#: What one answer of a case took, or what each of several did; None where none has the figure.
Amount = float | list[float] | None
#: Outcome of a case that does not count (`llm_known_failing`).
KNOWN_FAILING = "known_failing"
#: What a case has of each figure of a gate, by its name in `CaseFigures`; and which percentile the figure is.
SHARES = {"pass": "passed", "json": "json", "availability": "availability"}
PERCENTILES = {"p50": ("latency", 50.0), "p95": ("latency", 95.0), "ttft": ("ttft", 50.0)}


@dataclass(slots=True)
class CaseFigures:
    """One case of one candidate. Of 100,000 there are two in memory for each, so that they are small.

    Attributes:
        tests: The records of its samples.
        weight: Weight of the case.
        score: Mean score of its samples, 0-1; None if none has one.
        passed: 1 if it passed, 0 if it failed; None without a verdict.
        json: Share of its checked answers that were valid JSON.
        availability: Share of its calls that got an answer.
        latency: Milliseconds of its answers.
        ttft: Milliseconds to the first token.
        cost: USD of its calls.
        unpriced: How many of them nobody knows the cost of.
    """

    tests: Sequence[TestRecord]
    weight: float
    score: float | None = None
    passed: float | None = None
    json: float | None = None
    availability: float | None = None
    latency: Amount = None
    ttft: Amount = None
    cost: Amount = None
    unpriced: int = 0

    @property
    def counts(self) -> bool:
        """Whether it counts: what is known to fail does not."""
        return self.tests[0].known_failing is None

    @property
    def outcome(self) -> str:
        """Its outcome: of several samples, the first that says why there is no score."""
        if not self.counts:
            return KNOWN_FAILING
        outcomes = [test.outcome for test in self.tests]
        return "error" if self.score is None and "error" in outcomes else outcomes[0]


Cases = dict[str, CaseFigures]


def figures_of(tests: Iterable[TestRecord]) -> Cases:
    """Return the cases of one candidate by what is the same of them for all candidates.

    >>> [(key, case)] = figures_of([TestRecord("test_x[mini-a]", "mini", score=0.5, json_checked=2)]).items()
    >>> key, case.score, case.passed, case.json, case.cost
    ('test_x[a]', 0.5, 1.0, 0.0, None)
    """
    found: Cases = {}
    others: list[TestRecord] = []
    for test in tests:
        if test.sample is None and test.known_failing is None:
            found[case_key(test.nodeid, test.candidate)] = _of_one(test)
        else:
            others.append(test)
    for case in cases_of(others, known_failing=True):
        found[case_key(case.nodeid, case.candidate)] = CaseFigures(case.tests, case.weight)
    for case in cases_of(others):
        passed = float(case.passed) if case.verdicts else None
        found[case_key(case.nodeid, case.candidate)] = _figures(case.tests, case.score, passed)
    return found


def known(cases: Iterable[CaseFigures], name: str) -> list[Any]:
    """Return what cases have of one figure, of those that have it.

    >>> known([CaseFigures((), 1.0, score=0.5), CaseFigures((), 1.0)], "score")
    [0.5]
    """
    return [value for value in map(attrgetter(name), cases) if value is not None]


def _of_one(test: TestRecord) -> CaseFigures:
    passed = 1.0 if test.outcome in PASSED else 0.0 if test.outcome in VERDICTS else None
    return _figures((test,), test.score, passed)


def _figures(tests: Sequence[TestRecord], score: float | None, passed: float | None) -> CaseFigures:
    calls = tests[0].calls if len(tests) == 1 else [call for test in tests for call in test.calls]
    valid, checked = sum([test.json_valid for test in tests]), sum([test.json_checked for test in tests])
    answered = sum([call.error is None for call in calls])
    return CaseFigures(
        tests=tests,
        weight=tests[0].weight,
        score=score,
        passed=passed,
        json=valid / checked if checked else None,
        availability=answered / len(calls) if calls else None,
        latency=_amounts(calls, _latency),
        ttft=_amounts(calls, _ttft),
        cost=_amounts(calls, _cost),
        unpriced=sum([call.cost is None and is_unpriced(call) for call in calls]),
    )


def _latency(call: Call) -> float | None:
    return call.latency_ms


def _ttft(call: Call) -> float | None:
    return call.ttft_ms


def _cost(call: Call) -> float | None:
    return None if call.cost is None else float(call.cost)


def _amounts(calls: Sequence[Call], amount: Callable[[Call], float | None]) -> Amount:
    if len(calls) == 1:
        return amount(calls[0])
    # In an order of their own: in a file, samples stand by their names, and in a run as they were done.
    return sorted(found for call in calls if (found := amount(call)) is not None) or None
