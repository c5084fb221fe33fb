"""Requirements to verdicts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.prices import TotalCost
from pytest_llmeval.settings import Requirements
from pytest_llmeval.stats import Interval
from pytest_llmeval.verdicts import Figures, Verdict, judge, recommend

GOOD = Figures(
    "good",
    quality=Interval(0.92, 0.90, 0.94),
    cost=TotalCost(Decimal("0.50"), priced=100),
    call_costs=((0.005,),) * 100,
    latencies_ms=((900.0,),) * 100,
    answers=4000,
    json_valid=100,
    json_checked=100,
    longest_tokens=3000,
    context=128_000,
    hosting="api",
)


def only(figures: Figures, **requirements: Any) -> Verdict:
    (verdict,) = judge(figures, Requirements(**requirements))
    return verdict


def test_what_is_not_required_is_not_judged() -> None:
    assert judge(GOOD, Requirements(requests_per_month=1000)) == ()


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ({"max_latency_ms": 1000}, "p95 900 ms <= 1.00 s"),
        ({"max_cost_per_request": "0.01"}, "$0.005 <= $0.01 a request"),
        ({"min_quality_score": 0.9}, "quality 0.92 >= 0.90"),
        ({"context_needed": 8000}, "context 128,000 >= 8,000 tokens"),
        ({"data_privacy": "standard"}, "any hosting is standard"),
        ({"output_format": "json"}, "100 of 100 answers are valid JSON"),
        ({"availability": 0.999}, "4,000 of 4,000 calls answered >= 99.9%"),
    ],
)
def test_a_requirement_that_is_met_says_by_what(requirement: dict[str, Any], text: str) -> None:
    assert only(GOOD, **requirement) == Verdict(next(iter(requirement)), "met", text)


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ({"max_latency_ms": 800}, "p95 900 ms > 800 ms"),
        ({"max_cost_per_request": "0.001"}, "$0.005 > $0.001 a request"),
        ({"min_quality_score": 0.95}, "quality 0.92 < 0.95"),
        ({"context_needed": 200_000}, "context 128,000 < 200,000 tokens"),
        ({"data_privacy": "strict"}, "hosting api is not strict"),
        ({"data_privacy": "air-gapped"}, "hosting api is not air-gapped"),
    ],
)
def test_a_requirement_that_is_not_met_says_by_how_much(requirement: dict[str, Any], text: str) -> None:
    assert only(GOOD, **requirement) == Verdict(next(iter(requirement)), "not met", text)


@pytest.mark.parametrize(
    "requirement",
    [
        {"max_latency_ms": 1},
        {"max_cost_per_request": 1},
        {"min_quality_score": 0.1},
        {"context_needed": 1},
        {"data_privacy": "strict"},
        {"output_format": "json"},
        {"output_format": "code"},
        {"availability": 0.5},
    ],
)
def test_what_nobody_measured_is_unknown_and_never_met(requirement: dict[str, Any]) -> None:
    verdict = only(Figures("new"), **requirement)
    assert (verdict.status, verdict.established) == ("unknown", False)


def test_a_cost_with_unpriced_calls_is_unknown_even_under_a_high_limit() -> None:
    part = replace(GOOD, cost=TotalCost(Decimal("0.01"), unpriced=3, priced=97))
    assert only(part, max_cost_per_request=100).text == "cost unknown (3 calls unpriced)"
    assert recommend([part], Requirements(min_quality_score=0.5)).best is None


@pytest.mark.parametrize(
    ("hosting", "strict", "air_gapped"),
    [("api", False, False), ("self-hosted", True, False), ("private", True, True), ("local", True, True)],
)
def test_privacy_follows_from_the_hosting(hosting: str, strict: bool, air_gapped: bool) -> None:
    hosted = replace(GOOD, hosting=hosting)
    assert (only(hosted, data_privacy="strict").status == "met") is strict
    assert (only(hosted, data_privacy="air-gapped").status == "met") is air_gapped


def test_a_case_that_is_longer_than_what_was_said_to_be_needed_counts() -> None:
    long = replace(GOOD, longest_tokens=150_000)
    assert only(long, context_needed=8000).text == "context 128,000 < 150,000 tokens of the longest case"


def test_a_figure_on_the_right_side_by_chance_is_met_but_not_established() -> None:
    unsure = replace(GOOD, quality=Interval(0.86, 0.79, 0.92), answers=40, latencies_ms=((900.0,),) * 20)
    wanted = Requirements(min_quality_score=0.85, availability=0.99, max_latency_ms=1000)
    found = recommend([unsure], wanted)
    assert found.best is not None
    assert found.best.meets_all
    assert [verdict.key for verdict in found.best.unsure] == ["max_latency_ms", "min_quality_score", "availability"]
    assert all(verdict.established for verdict in recommend([GOOD], wanted).candidates[0].verdicts)


def test_repeats_of_few_cases_establish_no_more_than_the_cases_do() -> None:
    repeated = replace(GOOD, latencies_ms=((900.0,) * 20,) * 5, call_costs=((0.001, 0.009),) * 5)
    assert not only(repeated, max_latency_ms=1000).established
    assert not only(repeated, max_cost_per_request="0.0051").established
    assert only(GOOD, max_latency_ms=1000).established


def test_a_replay_cannot_establish_an_availability() -> None:
    replayed = only(replace(GOOD, replayed=4000), availability=0.999)
    assert (replayed.status, replayed.established) == ("met", False)
    assert replayed.text == "4,000 of 4,000 calls answered >= 99.9% (recordings keep no failures)"


def test_costs_that_vary_establish_less_than_equal_ones() -> None:
    varying = replace(GOOD, call_costs=tuple((0.001 + 0.001 * (i % 9),) for i in range(20)))
    assert only(GOOD, max_cost_per_request="0.0051").established
    assert not only(varying, max_cost_per_request="0.0051").established


def test_the_cheapest_that_meets_all_is_best_and_the_next_is_the_runner_up() -> None:
    cheap = replace(GOOD, name="cheap", cost=TotalCost(Decimal("0.10"), priced=100))
    bad = replace(GOOD, name="bad", cost=TotalCost(Decimal("0.01"), priced=100), quality=Interval(0.5, 0.4, 0.6))
    found = recommend([GOOD, cheap, bad], Requirements(min_quality_score=0.85, requests_per_month=500_000))
    assert found.best is not None
    assert found.runner_up is not None
    assert (found.best.name, found.runner_up.name) == ("cheap", "good")
    assert [each.monthly_cost for each in found.candidates] == [Decimal(2500), Decimal(500), Decimal(50)]
    assert [verdict.text for verdict in found.candidates[2].unmet] == ["quality 0.50 < 0.85"]


def test_of_equally_cheap_ones_the_better_one_comes_first() -> None:
    better = replace(GOOD, name="better", quality=Interval(0.95, 0.93, 0.97))
    found = recommend([GOOD, better], Requirements())
    assert found.best is not None
    assert found.best.name == "better"


def test_a_candidate_is_dominated_by_one_that_is_no_worse_in_anything_and_better_in_something() -> None:
    slower = replace(GOOD, name="slower", latencies_ms=((2000.0,),) * 100)
    trade = replace(slower, name="trade", quality=Interval(0.99, 0.98, 1.0))
    unknown = replace(slower, name="unknown", cost=TotalCost(Decimal(0), unpriced=1))
    found = recommend([GOOD, slower, trade, unknown, replace(GOOD, name="twin")], Requirements())
    assert {each.name: each.dominated_by for each in found.candidates} == {
        "good": None,
        "slower": "good",
        "trade": None,
        "unknown": None,
        "twin": None,
    }
