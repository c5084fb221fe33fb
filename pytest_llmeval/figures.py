"""A run to the figures of each candidate that requirements and conditions are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_llmeval.prices import total_cost
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo
from pytest_llmeval.samples import CaseResult, cases_of, score_of
from pytest_llmeval.verdicts import Figures


def figures_of(run: Run, described: Mapping[str, CandidateInfo]) -> list[Figures]:
    """Return what is known of each candidate that has a test, in the order of `Run.by_candidate`.

    Quality is the mean over cases, the samples of a case averaged first; times and costs are those of each call.

    Args:
        run: The records.
        described: What is known of candidates beside their tests: hosting and context.

    >>> run = Run(tests=[TestRecord("test_x[a]", "a", score=1.0, calls=[Call("a", latency_ms=850.0, cost="0.01")])])
    >>> [figures] = figures_of(run, {"a": CandidateInfo("a", hosting="api")})
    >>> figures.quality.mean, figures.p95_ms, figures.call_costs, figures.hosting
    (1.0, 850.0, ((0.01,),), 'api')
    """
    return [
        _figures(name, tests, described.get(name, CandidateInfo(name))) for name, tests in run.by_candidate().items()
    ]


def _figures(name: str, tests: Sequence[TestRecord], info: CandidateInfo) -> Figures:
    cases = cases_of(tests)
    calls = [call for case in cases for test in case.tests for call in test.calls]
    answers = [call for call in calls if call.error is None]
    return Figures(
        name=name,
        quality=score_of(cases),
        cost=total_cost(calls),
        call_costs=_by_case(cases, lambda call: None if call.cost is None else float(call.cost)),
        latencies_ms=_by_case(cases, lambda call: None if call.error is not None else call.latency_ms),
        answers=len(answers),
        errors=len(calls) - len(answers),
        replayed=sum(call.replayed for call in answers),
        json_valid=sum(test.json_valid for case in cases for test in case.tests),
        json_checked=sum(test.json_checked for case in cases for test in case.tests),
        longest_tokens=_longest(answers),
        context=info.context,
        hosting="private" if info.hosting == "self-hosted" and info.private else info.hosting,
    )


def _by_case(cases: Iterable[CaseResult], of_call: Callable[[Call], float | None]) -> tuple[tuple[float, ...], ...]:
    """Return what the calls of each case have, of the cases that have any."""
    found = (tuple(of_call(call) for test in case.tests for call in test.calls) for case in cases)
    known = (tuple(value for value in values if value is not None) for values in found)
    return tuple(values for values in known if values)


def _longest(answers: Sequence[Call]) -> int | None:
    counted = [call for call in answers if call.input_tokens is not None]
    return max(((call.input_tokens or 0) + (call.output_tokens or 0) for call in counted), default=None)
