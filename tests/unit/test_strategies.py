"""Ways to serve a month's traffic, and what each costs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_llmeval.catalog import cost_per_request, load_catalog, published_costs, reference_model
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.strategies import Strategy, contradictions, parse_split, ranked, strategy

MINI, LARGE = "GPT-4o mini", "GPT-4o"


def each(read: int, written: int) -> dict[str, Decimal | None]:
    return {model.name: cost_per_request(model, read, written) for model in load_catalog()}


def alone(name: str) -> dict[str, Decimal]:
    return {name: Decimal(1)}


def test_a_split_costs_the_mean_by_shares_and_choosing_is_added() -> None:
    shares = {MINI: Decimal("0.7"), LARGE: Decimal("0.3")}
    assert strategy(shares, each(1000, 1000)).monthly(1_000_000) == 4275
    assert strategy(shares, each(1000, 1000), Decimal("0.0001")).monthly(1_000_000) == 4375
    assert strategy(alone(MINI), each(1000, 1000), Decimal("0.0001")).monthly(1_000_000) == 750


def test_one_unknown_price_makes_a_split_unknown_and_the_unknown_come_last() -> None:
    prices = {"a": Decimal(1), "b": None}
    unknown = strategy({"a": Decimal("0.5"), "b": Decimal("0.5")}, prices)
    assert unknown.monthly(10) is None
    assert [found.name for found in ranked([unknown, strategy(alone("a"), prices)])] == ["a", "50% a + 50% b"]


@pytest.mark.parametrize("text", ["a", "a=", "a=50%", "a=0.5,a=0.5", "a=1.5", "a=nan", "=1", "a=-1,b=2", "a=0.5,b=0.6"])
def test_shares_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--split"):
        parse_split(text)


def test_ids_with_signs_in_them_can_be_split() -> None:
    assert parse_split("ollama:x=y:1=.25,b=75%") == {"ollama:x=y:1": Decimal("0.25"), "b": Decimal("0.75")}


def test_every_published_month_is_what_the_formula_gives_but_for_two() -> None:
    found = {}
    for published in published_costs():
        unit = each(published.tokens_in, published.tokens_out)
        scenario = published.requests, published.tokens_in, published.tokens_out
        for strange, said in contradictions([strategy(published.shares, unit)], *scenario):
            found[strange.name] = said, strange.monthly(published.requests)
    assert found == {
        "Claude Sonnet": (Decimal("11250.00"), Decimal("12000")),
        "70% GPT-4o mini + 30% GPT-4o": (Decimal(4550), Decimal(4275)),
    }
    assert len(published_costs()) == 12


def test_another_scenario_contradicts_nothing() -> None:
    sonnet = Strategy(alone("Claude Sonnet"), cost_per_request(reference_model("Claude Sonnet"), 1500, 500))
    assert contradictions([sonnet], 1_000_001, 1500, 500) == []
