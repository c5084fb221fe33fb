"""A run to what the conditions of a gate are about: figures of each candidate with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_llmeval.comparison import Change, Comparison
from pytest_llmeval.gate import FIGURES, Measured
from pytest_llmeval.prices import is_unpriced
from pytest_llmeval.records import Call, Run
from pytest_llmeval.samples import CaseResult, cases_of, score_of
from pytest_llmeval.stats import Interval, mean_interval
from pytest_llmeval.stats.differences import Estimate
from pytest_llmeval.stats.quantities import mean_of, percentile_of

NOT_COMPARED = "the baseline does not have the candidate"
PERCENTILES = {"p50": 50.0, "p95": 95.0, "ttft": 50.0}


def measured_of(
    run: Run, figures: Iterable[str] = FIGURES, comparison: Comparison | None = None
) -> dict[str, dict[str, Measured]]:
    """Return figures of each candidate that has a test, by its name.

    What several samples of a case are, or several calls of a test, is averaged within the case first, or counts
    together: an interval is that of cases.

    Args:
        run: The records.
        figures: Which of `gate.FIGURES`.
        comparison: What became of them since the baseline, if there is one.

    >>> from pytest_llmeval.records import TestRecord
    >>> run = Run(tests=[TestRecord(f"test_x[a-{n}]", "a", score=1.0) for n in range(10)])
    >>> measured_of(run, ["pass"])["a"]["pass"].value.value
    1.0
    """
    wanted = list(dict.fromkeys(figures))
    compared = {each.name: each.changes for each in comparison.candidates} if comparison is not None else {}
    found = {}
    for name, tests in run.by_candidate().items():
        cases = cases_of(tests)
        found[name] = {figure: _measured(figure, cases) for figure in wanted}
        if comparison is not None:
            changes = compared.get(name, {})
            found[name] = {figure: _with_change(each, changes.get(figure)) for figure, each in found[name].items()}
    return found


def _with_change(measured: Measured, change: Change | None) -> Measured:
    if change is None:
        return replace(measured, why=measured.why or NOT_COMPARED)
    return replace(measured, change=change.change, relative=change.relative, why=measured.why or change.why)


def _measured(figure: str, cases: Sequence[CaseResult]) -> Measured:
    if figure == "score":
        return Measured(_estimate(score_of(cases)))
    if figure in SHARES:
        return Measured(_estimate(mean_interval(_known(map(SHARES[figure], cases)))))
    if figure in PERCENTILES:
        of_call = _ttft if figure == "ttft" else _latency
        return Measured(percentile_of(_values(cases, of_call), PERCENTILES[figure]))
    unpriced = sum(is_unpriced(call) for case in cases for call in _calls(case))
    if unpriced:
        return Measured(why=f"{unpriced:,} call{'s' * (unpriced != 1)} unpriced")
    return Measured(mean_of(_values(cases, _cost)))


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(interval.mean, interval.low, interval.high)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _values(cases: Iterable[CaseResult], of_call: Callable[[Call], float | None]) -> list[list[float]]:
    """Return what the calls of each case have, of the cases that have any."""
    found = (_known(map(of_call, _calls(case))) for case in cases)
    return [values for values in found if values]


def _calls(case: CaseResult) -> list[Call]:
    return [call for test in case.tests for call in test.calls]


def _latency(call: Call) -> float | None:
    return None if call.error is not None else call.latency_ms


def _ttft(call: Call) -> float | None:
    return call.ttft_ms


def _cost(call: Call) -> float | None:
    return None if call.cost is None else float(call.cost)


def _passed(case: CaseResult) -> float | None:
    return float(case.passed) if case.verdicts else None


def _valid_json(case: CaseResult) -> float | None:
    checked = sum(test.json_checked for test in case.tests)
    return sum(test.json_valid for test in case.tests) / checked if checked else None


def _answered(case: CaseResult) -> float | None:
    answered = [call.error is None for call in _calls(case)]
    return sum(answered) / len(answered) if answered else None


#: What a case has of each share but the score.
SHARES: Mapping[str, Callable[[CaseResult], float | None]] = {
    "pass": _passed,
    "json": _valid_json,
    "availability": _answered,
}
