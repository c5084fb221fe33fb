"""A run to the figures that requirements are about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pytest_llmeval.figures import figures_of
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo
from pytest_llmeval.verdicts import Figures


def call(**changes: Any) -> Call:
    given: dict[str, Any] = {"latency_ms": 800.0, "input_tokens": 100, "output_tokens": 20, "cost": "0.01"}
    return Call("a", **{**given, "cost_status": "priced", **changes})


def figures(*tests: TestRecord, **described: Any) -> Figures:
    (found,) = figures_of(Run(tests=list(tests)), {"a": CandidateInfo("a", **described)})
    return found


def test_calls_and_checks_are_counted() -> None:
    found = figures(
        TestRecord(
            "test_x[a]", "a", json_checked=2, json_valid=1, calls=[call(), call(latency_ms=900.0, replayed=True)]
        ),
        TestRecord("test_y[a]", "a", "error", calls=[Call("a", error="no", error_kind="rate_limit")]),
    )
    assert (found.answers, found.errors, found.replayed) == (2, 1, 1)
    assert (found.json_valid, found.json_checked) == (1, 2)
    assert found.latencies_ms == ((800.0, 900.0),)
    assert found.cost == TotalCost(Decimal("0.02"), priced=2)
    assert found.call_costs == ((0.01, 0.01),)


def test_samples_of_a_case_are_averaged_before_cases_are() -> None:
    first = [TestRecord("test_x[a-1]", "a", score=1.0, sample=1, samples=3)]
    first += [TestRecord(f"test_x[a-1-sample{n}]", "a", score=1.0, sample=n, samples=3) for n in (2, 3)]
    found = figures(*first, TestRecord("test_x[a-2]", "a", score=0.0))
    assert found.quality is not None
    assert found.quality.mean == 0.5


def test_cases_count_by_their_weights() -> None:
    found = figures(
        TestRecord("test_x[a-1]", "a", score=1.0, weight=3.0), TestRecord("test_x[a-2]", "a", score=0.0, weight=1.0)
    )
    assert found.quality is not None
    assert found.quality.mean == 0.75


def test_the_longest_call_is_the_one_with_most_tokens_in_and_out() -> None:
    tests = TestRecord("test_x[a]", "a", calls=[call(), call(input_tokens=90, output_tokens=900)])
    assert figures(tests).longest_tokens == 990
    uncounted = TestRecord("test_x[a]", "a", calls=[call(input_tokens=None, output_tokens=None)])
    assert figures(uncounted).longest_tokens is None


def test_hosting_of_ones_own_at_a_private_address_is_private() -> None:
    test = TestRecord("test_x[a]", "a")
    assert figures(test, hosting="self-hosted", private=True).hosting == "private"
    assert figures(test, hosting="self-hosted", private=False).hosting == "self-hosted"
    # A gateway at a private address may hand on to anybody.
    assert figures(test, hosting="api", private=True).hosting == "api"
    assert figures(test).hosting is None


def test_a_candidate_without_a_test_has_no_figures() -> None:
    assert figures_of(Run(candidates=["a", "b"], tests=[TestRecord("test_x[a]", "a")]), {})[0].name == "a"
    assert len(figures_of(Run(candidates=["a", "b"], tests=[TestRecord("test_x[a]", "a")]), {})) == 1
