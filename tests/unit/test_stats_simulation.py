"""A small part of `tests.simulations.statistics`, with fixed seeds; its bars allow for the few runs."""

from __future__ import annotations

import pytest

from pytest_llmeval.stats import signflips
from tests.simulations.statistics import Outcome, simulate
from tests.simulations.truths import Truth, quantity_truths, score_truths

TRUTHS = [*score_truths(), *quantity_truths()]
RUNS = 200


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signflips, "MOST_DRAWS", 499)
    monkeypatch.setattr(signflips, "FEWEST_DRAWS", 499)


def truth(kind: str, name: str, difference: float) -> Truth:
    (found,) = [
        one
        for one in TRUTHS
        if (one.kind, one.name) == (kind, name) and one.difference == pytest.approx(difference, abs=0.001)
    ]
    return found


CELLS = [
    ("score", "pass/fail, 40% change", 0.0, 40),
    ("score", "pass/fail, 40% change", -0.1, 100),
    ("score", "smooth", 0.0, 10),
    ("score", "fields, most tie", -0.05, 20),
    ("score", "1 in 10 changes", -0.05, 10),
    ("score", "skewed", 0.0, 10),
    ("score", "weights", 0.0, 20),
    ("score", "5 repeats, 80% alike", 0.0, 20),
    ("mean", "log-normal", 0.251, 10),
    ("mean", "other cases", 0.0, 10),
    ("p50", "cases much alike", 0.0, 10),
    ("p95", "log-normal", 0.504, 100),
]


@pytest.mark.parametrize(("kind", "name", "difference", "n"), CELLS)
def test_false_alarms_and_coverage_are_as_promised(kind: str, name: str, difference: float, n: int) -> None:
    outcomes = list(simulate(truth(kind, name, difference), n, RUNS))
    assert [row.covered is not None for row in outcomes] == [True] * (1 if kind == "score" else 2)
    assert [row.faults for row in outcomes] == [[]] * len(outcomes)


def test_the_bars_tell_what_is_out() -> None:
    null, effect = truth("score", "smooth", 0.0), truth("score", "smooth", -0.05)

    def faults(of: Truth, established: float, covered: float | None, *, strict: bool = True) -> list[str]:
        return Outcome("score", of, 40, 2000, established, covered, strict=strict, limit=False).faults

    assert faults(null, 0.058, 0.94) == []
    assert faults(null, 0.062, 0.94) == ["false alarms"]
    assert faults(effect, 0.9, 0.94) == []
    assert faults(effect, 0.9, 0.91) == ["covers too little"]
    assert faults(effect, 0.9, 0.985) == ["covers too much"]
    assert faults(effect, 0.9, 0.985, strict=False) == []
    assert faults(null, 1.0, None) == []


def test_what_most_samples_do_not_hold_is_a_limit() -> None:
    rare = truth("score", "1 in 10 loses much", 0.0)
    assert [row.limit for n in (10, 40) for row in simulate(rare, n, 2)] == [True, False]
