"""The catalog `reference`, and what a month costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from pytest_llmeval.catalog import (
    Model,
    break_even,
    cheapest,
    cost_per_request,
    load_catalog,
    monthly_cost,
    reference_model,
    split_cost,
)
from pytest_llmeval.errors import ConfigError

SCENARIO = {
    "requests": 1_000_000,
    "tokens_per_request": 2000,
    "blended_price": Decimal("6.25"),
    "gpu_month": Decimal(1460),
    "tokens_per_second": 500,
}


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("GPT-4o", "8,750.00"),
        ("GPT-4o mini", "525.00"),
        ("Claude Sonnet", "12,000.00"),
        ("Claude Haiku", "3,200.00"),
        ("Gemini 2.0 Flash", "350.00"),
        ("Mistral Small", "300.00"),
        ("Llama 3.1 70B (Together)", "1,760.00"),
        ("Llama 3.1 8B (Together)", "360.00"),
    ],
)
def test_a_month_costs_requests_times_tokens_times_price(name: str, cost: str) -> None:
    assert f"{monthly_cost(reference_model(name), 1_000_000, 1500, 500):,.2f}" == cost


def test_a_model_without_a_price_has_no_cost_instead_of_none_at_all() -> None:
    own = reference_model("Llama 3.1 8B, self-hosted")
    assert cost_per_request(own, 1500, 500) is None
    assert monthly_cost(own, 1, 1, 1) is None
    assert split_cost([(Decimal("0.5"), own), (Decimal("0.5"), reference_model("GPT-4o"))], 1, 1, 1) is None
    assert [model.name for model, _ in cheapest([own, reference_model("GPT-4o")], 1, 1)] == ["GPT-4o"]


def test_shares_of_traffic_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"0\.9; they must add up to 1"):
        split_cost([(Decimal("0.9"), reference_model("GPT-4o"))], 1, 1, 1)


def test_prices_follow_the_date() -> None:
    before, after = reference_model("o3", date(2025, 6, 9)), reference_model("o3", date(2025, 6, 10))
    assert (before.output, after.output, after.as_of) == (Decimal(40), Decimal(8), date(2025, 6, 10))


def test_an_unknown_model_or_catalog_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'GPT-4o mini'"):
        reference_model("GPT-4o min")
    with pytest.raises(ConfigError, match="Known: reference"):
        load_catalog("refrence")


def test_ids_are_unique_and_name_a_provider() -> None:
    models = load_catalog()
    assert len({model.id for model in models}) == len(models)
    assert all(model.provider and model.as_of for model in models)


@pytest.mark.parametrize(
    ("utilization", "gpus", "self_hosted", "savings"), [(1.0, 2, "2920", "9580"), (0.6, 3, "4380", "8120")]
)
def test_headroom_takes_more_gpus(utilization: float, gpus: int, self_hosted: str, savings: str) -> None:
    found = break_even(**SCENARIO, utilization=utilization)  # type: ignore[arg-type]
    assert found.gpus == gpus
    assert (found.api, found.self_hosted, found.savings) == (Decimal(12500), Decimal(self_hosted), Decimal(savings))


@pytest.mark.parametrize("tokens_per_second", [40, 60, 100, 500, 5000])
def test_from_the_crossover_on_self_hosting_is_never_dearer_and_before_it_was(tokens_per_second: int) -> None:
    def at(requests: int) -> Decimal:
        return break_even(**{**SCENARIO, "requests": requests, "tokens_per_second": tokens_per_second}).savings  # type: ignore[arg-type]

    crossover = break_even(**{**SCENARIO, "tokens_per_second": tokens_per_second}).crossover  # type: ignore[arg-type]
    if crossover is None:
        assert all(at(requests) < 0 for requests in range(1000, 5_000_000, 9973))
    else:
        assert at(crossover) >= 0 > at(crossover - 1)
        assert all(at(requests) >= 0 for requests in range(crossover, 40 * crossover, max(1, crossover // 97)))


@pytest.mark.parametrize("kind", [float, Decimal])
@pytest.mark.parametrize("utilization", ["0.29", "0.57", "0.58", "0.07", "1"])
def test_traffic_that_fills_a_gpu_to_its_limit_needs_no_other(
    utilization: str, kind: type[float] | type[Decimal]
) -> None:
    def gpus(requests: int) -> int:
        return break_even(
            requests=requests, tokens_per_request=1000, blended_price=kind("6.25"), gpu_month=kind("1460"),
            tokens_per_second=kind("100"), utilization=kind(utilization),
        ).gpus  # fmt: skip

    limit = int(Decimal(100) * Decimal(utilization) * 2_592_000 / 1000)
    assert [gpus(limit), gpus(limit + 1), gpus(7 * limit), gpus(7 * limit + 1)] == [1, 2, 7, 8]


@pytest.mark.parametrize("kind", [float, Decimal])
def test_a_gpu_that_costs_at_its_limit_what_it_replaces_never_pays(kind: type[float] | type[Decimal]) -> None:
    def crossover(gpu_month: str) -> int | None:
        return break_even(
            requests=1, tokens_per_request=1000, blended_price=kind("6.25"), gpu_month=kind(gpu_month),
            tokens_per_second=kind("100"), utilization=kind("0.29"),
        ).crossover  # fmt: skip

    # At 75,168 requests the API costs $469.80.
    assert crossover("469.8") is None
    assert crossover("469.9") is None
    assert crossover("100") == 16_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("requests", 0),
        ("utilization", 1.5),
        ("gpu_month", Decimal(-1)),
        ("tokens_per_second", float("nan")),
        ("blended_price", Decimal("Infinity")),
    ],
)
def test_figures_that_cannot_be_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        break_even(**{**SCENARIO, name: value})  # type: ignore[arg-type]


def test_an_answer_takes_its_first_token_and_then_its_speed() -> None:
    assert reference_model("o3").seconds(500) == (14.5, 42.5)
    assert Model("x", "p:x").seconds(500) is None


@pytest.mark.parametrize(
    ("tokens", "price", "gpu_month", "speed"),
    [
        (10**18, "6.25", 1, 1.0),
        (2000, "0.000001", 10**9, 1e9),
        (10**15, "6.25", 1460, 500.0),
        (2000, "6.25", 8100, 500.0),
    ],
)
def test_a_crossover_is_found_in_no_time_however_odd_the_figures(
    tokens: int, price: str, gpu_month: int, speed: float
) -> None:
    found = break_even(
        requests=1, tokens_per_request=tokens, blended_price=Decimal(price), gpu_month=Decimal(gpu_month),
        tokens_per_second=speed,
    )  # fmt: skip
    assert found.crossover is None or found.crossover > 0
