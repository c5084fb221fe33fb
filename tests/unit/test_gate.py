"""Conditions under which a run fails."""

from __future__ import annotations

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.gate import FIGURES, MEANINGS, Condition, Measured, hold, parse_conditions
from pytest_llmeval.stats.differences import Estimate


@pytest.mark.parametrize(
    ("text", "figure", "operator", "limit", "scale"),
    [
        ("score<-0.02", "score", "<", -0.02, "change"),
        ("score<0.8", "score", "<", 0.8, "value"),
        ("score <= +0", "score", "<=", 0.0, "change"),
        ("json<-1%", "json", "<", -0.01, "change"),
        ("json<99%", "json", "<", 0.99, "value"),
        ("pass<0.9", "pass", "<", 0.9, "value"),
        ("availability<.999", "availability", "<", 0.999, "value"),
        ("p95>20%", "p95", ">", 0.2, "relative"),
        ("p95>+20%", "p95", ">", 0.2, "relative"),
        ("p95>2000", "p95", ">", 2000.0, "value"),
        ("p95>=2s", "p95", ">=", 2000.0, "value"),
        ("p50>+150ms", "p50", ">", 150.0, "change"),
        ("ttft>400 ms", "ttft", ">", 400.0, "value"),
        ("cost>10%", "cost", ">", 0.1, "relative"),
        ("cost>$0.01", "cost", ">", 0.01, "value"),
    ],
)
def test_a_condition_says_what_it_is_about(text: str, figure: str, operator: str, limit: float, scale: str) -> None:
    (condition,) = parse_conditions(text)
    assert (condition.figure, condition.operator, condition.scale) == (figure, operator, scale)
    assert condition.limit == pytest.approx(limit)
    assert condition.needs_baseline is (scale != "value")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a condition is a figure"),
        ("score", "a condition is a figure"),
        ("score<", "a condition is a figure"),
        ("score=0.9", "a condition is a figure"),
        ("score<0.9,", "a condition is a figure"),
        ("score<<0.9", "a condition is a figure"),
        ("score<0.9.1", "a condition is a figure"),
        ("<0.9", "a condition is a figure"),
        ("score<nan", "a condition is a figure"),
        ("scores<0.9", "unknown figure 'scores'. Did you mean 'score'?"),
        ("score<2s", "score is no time"),
        ("pass<90", "pass is a share between 0 and 1"),
    ],
)
def test_a_malformed_condition_is_told_with_what_is_known(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="--llm-fail-on=") as raised:
        parse_conditions(text)
    assert said in str(raised.value)


def test_all_malformed_conditions_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_conditions("scores<1, p95>2s, cost=1")
    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True), (">=", False, True, True)],
)
def test_each_operator_knows_its_side(operator: str, below: bool, at: bool, above: bool) -> None:
    condition = Condition("", "score", operator, 0.5, "value")
    assert [condition.holds(value) for value in (0.4, 0.5, 0.6)] == [below, at, above]


def change(value: float, low: float, high: float) -> dict[str, dict[str, Measured]]:
    return {"small": {"score": Measured(change=Estimate(value, low, high))}}


@pytest.mark.parametrize(
    ("measured", "fails", "strict"),
    [
        (change(-0.07, -0.12, -0.025), [True], [True]),
        (change(-0.07, -0.16, 0.02), [False], [True]),
        (change(-0.01, -0.06, 0.04), [], []),
        (change(0.05, 0.01, 0.09), [], []),
        ({"small": {}}, [False], [True]),
    ],
    ids=["established", "noise", "within the limit", "better", "unknown"],
)
def test_only_what_is_established_fails_unless_strict(
    measured: dict[str, dict[str, Measured]], fails: list[bool], strict: list[bool]
) -> None:
    conditions = parse_conditions("score<-0.02")
    assert [outcome.fails for outcome in hold(conditions, measured)] == fails
    assert [outcome.fails for outcome in hold(conditions, measured, strict=True)] == strict


def test_an_outcome_names_candidate_figure_and_limit() -> None:
    conditions = parse_conditions("score<-0.02, p95>20%, cost>$0.01")
    figures = {
        "score": Measured(change=Estimate(-0.07, -0.12, -0.025)),
        "p95": Measured(relative=Estimate(0.35, 0.1, 0.6)),
        "cost": Measured(value=Estimate(0.02, 0.015, 0.025)),
    }
    assert [outcome.text for outcome in hold(conditions, {"small": figures})] == [
        "small: score -0.070 (95% -0.120 to -0.025), limit score<-0.02",
        "small: p95 +35.0% (95% +10.0% to +60.0%), limit p95>20%, which may be noise",
        "small: cost 0.02 USD (95% 0.015 USD to 0.025 USD), limit cost>$0.01",
    ]


def test_every_figure_is_explained() -> None:
    assert FIGURES.keys() == MEANINGS.keys()


def test_a_figure_without_an_interval_is_not_established() -> None:
    conditions = parse_conditions("p95>2s")
    few = {"small": {"p95": Measured(Estimate(2400.0, None, None))}}
    (outcome,) = hold(conditions, few)
    assert not outcome.fails
    assert outcome.text == "small: p95 2,400 ms (too few cases for an interval), limit p95>2s, which may be noise"
    assert hold(conditions, few, strict=True)[0].fails


def test_a_limit_on_a_cost_that_nobody_knows_fails() -> None:
    unknown = {"small": {"cost": Measured(why="3 calls unpriced")}}
    (outcome,) = hold(parse_conditions("cost>0.01"), unknown)
    assert (outcome.fails, outcome.text) == (True, "small: cost is unknown (3 calls unpriced), limit cost>0.01")
    assert not hold(parse_conditions("cost>10%"), unknown)[0].fails


def test_a_limit_beyond_no_change_at_all_needs_no_difference() -> None:
    still = {"small": {"score": Measured(change=Estimate(0.0, -0.01, 0.01), separated=False, p=1.0)}}
    (outcome,) = hold(parse_conditions("score<+0.05"), still)
    assert outcome.fails
    assert outcome.text == "small: score +0.000 (95% -0.010 to +0.010), limit score<+0.05"
