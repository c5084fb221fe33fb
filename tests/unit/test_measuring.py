"""A run to the figures of a gate."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmeval.comparing import compare_runs
from pytest_llmeval.comparison import Comparison
from pytest_llmeval.gate import FIGURES, Measured, hold, parse_conditions
from pytest_llmeval.measuring import measured_of
from pytest_llmeval.records import Call, Run, TestRecord


def call(**changes: Any) -> Call:
    return Call("a", **{"latency_ms": 800.0, "ttft_ms": 100.0, "cost": "0.01", "cost_status": "priced", **changes})


def record(n: int, *calls: Call, **changes: Any) -> TestRecord:
    return TestRecord(f"test_x[a-{n}]", "a", calls=list(calls or [call()]), **{"score": 1.0, **changes})


def measured(*tests: TestRecord) -> dict[str, Measured]:
    found = measured_of(Run(tests=list(tests)))["a"]
    assert found.keys() == FIGURES.keys()
    return found


def values(found: dict[str, Measured]) -> dict[str, float | None]:
    return {name: None if each.value is None else each.value.value for name, each in found.items()}


def test_each_figure_is_that_of_the_summary() -> None:
    tests = [record(n, json_checked=1, json_valid=1) for n in range(9)]
    failed = Call("a", error="no", error_kind="rate_limit")
    bad = record(9, call(latency_ms=1800.0), failed, outcome="failed", score=0.0, json_checked=1)
    assert values(measured(*tests, bad)) == pytest.approx({
        "score": 0.9,
        "pass": 0.9,
        "json": 0.9,
        "availability": 0.95,
        "p50": 800.0,
        "p95": 1350.0,
        "ttft": 100.0,
        "cost": 0.01,
    })  # fmt: skip


def test_nothing_measured_is_unknown() -> None:
    nothing = TestRecord("test_x[a]", "a", "error")
    assert set(values(measured(nothing)).values()) == {None}


def test_one_call_without_a_price_makes_the_cost_unknown_and_says_so() -> None:
    found = measured(record(0), record(1, call(cost=None, cost_status="unknown")))
    assert found["cost"] == Measured(why="1 call unpriced")


def test_repeats_make_no_interval_narrower() -> None:
    once = [record(n, outcome="passed" if n % 2 else "failed", score=float(n % 2)) for n in range(10)]
    often = [
        TestRecord(
            test.nodeid if number == 1 else f"{test.nodeid[:-1]}-sample{number}]",
            "a",
            test.outcome,
            score=test.score,
            sample=number,
            samples=5,
            calls=test.calls,
        )
        for test in once
        for number in range(1, 6)
    ]
    assert measured(*often) == measured(*once)
    found = measured(*often)["pass"].value
    assert found is not None
    # The Wilson interval of 5 of 10, as published tables have it; that of 25 of 50 is 0.366 to 0.634.
    assert (found.low, found.high) == pytest.approx((0.2366, 0.7634), abs=0.00005)


def test_a_tail_that_was_not_seen_has_no_interval() -> None:
    few = measured(*(record(n, call(latency_ms=800.0 + n)) for n in range(39)))["p95"].value
    enough = measured(*(record(n, call(latency_ms=800.0 + n)) for n in range(40)))["p95"].value
    assert few is not None
    assert few.low is None
    assert enough is not None
    assert enough.low is not None


def test_changes_since_a_baseline_are_those_of_the_comparison() -> None:
    before = Run(tests=[record(n) for n in range(12)])
    after = Run(tests=[record(n, call(latency_ms=1600.0), score=0.5) for n in range(12)])
    found = measured_of(after, ["score", "p50", "json"], compare_runs(before, after))["a"]
    assert found["score"].change is not None
    assert found["score"].change.value == -0.5
    assert found["p50"].relative is not None
    assert found["p50"].relative.value == 1.0
    assert (found["json"].change, found["json"].why) == (None, "no case has it on both sides")


def test_a_candidate_that_was_not_compared_has_no_change_and_says_why() -> None:
    found = measured_of(Run(tests=[record(1)]), ["score"], Comparison())["a"]["score"]
    assert (found.change, found.why) == (None, "the baseline does not have the candidate")
    assert found.value is not None


def test_what_was_free_and_is_not_any_more_costs_more_than_any_limit() -> None:
    def priced(*costs: str) -> Run:
        return Run(tests=[record(n, call(cost=cost)) for n, cost in enumerate(costs)])

    free, paid = priced(*["0"] * 20), priced(*(f"0.0{n}" for n in range(10, 30)))
    found = measured_of(paid, ["cost"], compare_runs(free, paid))
    (outcome,) = hold(parse_conditions("cost>10%"), found)
    assert outcome.fails
    assert outcome.text == "a: cost up from 0, limit cost>10%"
    assert hold(parse_conditions("cost>10%"), measured_of(free, ["cost"], compare_runs(free, free))) == []
    assert hold(parse_conditions("cost>10%"), measured_of(free, ["cost"], compare_runs(paid, free))) == []


def test_of_many_candidates_one_that_looks_worse_by_chance_fails_nobody() -> None:
    def scored(name: str, lost: int) -> list[TestRecord]:
        return [TestRecord(f"test_x[{name}-{n}]", name, score=float(n >= lost)) for n in range(40)]

    names = [f"c{number}" for number in range(6)]
    before = Run(tests=[test for name in names for test in scored(name, 0)])
    after = Run(tests=[test for name in names for test in scored(name, 6 if name == "c3" else 0)])
    only = measured_of(Run(tests=scored("c3", 6)), ["score"], compare_runs(Run(tests=scored("c3", 0)), after))
    conditions = parse_conditions("score<-0")
    assert [outcome.fails for outcome in hold(conditions, only)] == [True]
    (outcome,) = hold(conditions, measured_of(after, ["score"], compare_runs(before, after)))
    assert not outcome.fails
    assert outcome.text.endswith("limit score<-0, not established among all candidates (p = 0.19)")
    assert [
        each.fails for each in hold(conditions, measured_of(after, ["score"], compare_runs(before, after)), strict=True)
    ] == [True]
