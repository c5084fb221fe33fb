"""A run to what the conditions of a gate are about: figures of each candidate with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_llmeval.casefigures import PERCENTILES, SHARES, CaseFigures, figures_of, known
from pytest_llmeval.comparison import Change, Comparison
from pytest_llmeval.gate import FIGURES, Measured
from pytest_llmeval.records import Run
from pytest_llmeval.samples import mean_score
from pytest_llmeval.stats import Interval, mean_interval
from pytest_llmeval.stats.differences import Estimate
from pytest_llmeval.stats.quantities import mean_of, percentile_of

NOT_COMPARED = "the baseline does not have the candidate"


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
        cases = [case for case in figures_of(tests).values() if case.counts]
        found[name] = {figure: _measured(figure, cases) for figure in wanted}
        if comparison is not None:
            changes = compared.get(name, {})
            found[name] = {figure: _with_change(each, changes.get(figure)) for figure, each in found[name].items()}
    return found


def _with_change(measured: Measured, change: Change | None) -> Measured:
    if change is None:
        return replace(measured, why=measured.why or NOT_COMPARED)
    return replace(
        measured,
        change=change.change,
        relative=change.relative or _of_nothing(change),
        separated=change.established,
        p=change.p,
        why=measured.why or change.why,
    )


def _of_nothing(change: Change) -> Estimate | None:
    """Return the relative change where a side is 0 and has no logarithm: the cost of a model that is or was free."""
    found = change.change
    if found is None or change.before is None or change.after is None:
        return None
    if not change.before:
        # From nothing to something there is no percentage that is large enough.
        ends = [end and math.copysign(math.inf, end) for end in (found.value, found.low, found.high)]
    elif not change.after:
        ends = [-1.0, found.low and -1.0, found.high and (-1.0 if found.high < 0 else 0.0)]
    else:
        return None
    return Estimate(ends[0] or 0.0, ends[1], ends[2], found.confidence)


def _measured(figure: str, cases: Sequence[CaseFigures]) -> Measured:
    if figure == "score":
        return Measured(_estimate(mean_score((case.score, case.weight) for case in cases)))
    if figure in SHARES:
        return Measured(_estimate(mean_interval(known(cases, SHARES[figure]))))
    if figure in PERCENTILES:
        name, q = PERCENTILES[figure]
        return Measured(percentile_of(known(cases, name), q))
    unpriced = sum(case.unpriced for case in cases)
    if unpriced:
        return Measured(why=f"{unpriced:,} call{'s' * (unpriced != 1)} unpriced")
    return Measured(mean_of(known(cases, "cost")))


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(interval.mean, interval.low, interval.high)
