"""Lists of models: whose prices they show, and which conditions select them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from pytest_llmeval.catalog import Model, load_catalog
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.listing import find_model, list_models, matching, parse_conditions
from pytest_llmeval.settings import Settings, parse_settings

DAY = date(2025, 7, 1)


def own(**models: dict[str, object]) -> Settings:
    return parse_settings({"models": models}, "pyproject.toml")


def listed(settings: Settings, name: str, on: date = DAY) -> Model:
    return find_model(name, list_models(settings, on))


def test_published_prices_are_those_of_the_day() -> None:
    model = listed(Settings(), "openai:o3")
    assert (model.output, model.source, model.as_of) == (Decimal(8), "genai-prices", DAY)
    assert model.tokens_per_second == 40


def test_what_is_made_of_others_is_no_model() -> None:
    mixed = own(small={"model": "openai:gpt-4o-mini"}, safe={"fallback": ["small", "openai:gpt-4o"]})
    names = {model.id for model in list_models(mixed, DAY)}
    assert ("small" in names, "safe" in names) == (True, False)


def test_a_price_in_the_settings_comes_first() -> None:
    model = listed(own(fast={"model": "openai:gpt-4o-mini", "prices": {"input": 0.1, "output": 0.2}}), "fast")
    assert (model.input, model.output, model.source) == (Decimal("0.1"), Decimal("0.2"), "settings")


def test_published_prices_do_not_hold_at_another_address() -> None:
    model = listed(own(proxy={"model": "openai:gpt-4o", "base_url": "http://gateway.example/v1"}), "proxy")
    assert (model.input, model.output) == (None, None)


def test_a_declared_free_model_costs_nothing_and_an_undeclared_one_nobody_knows_what() -> None:
    settings = own(own={"model": "vllm:x", "prices": "free"}, other={"model": "vllm:y"})
    assert listed(settings, "own").input == 0
    assert listed(settings, "other").input is None


def test_the_dated_id_is_pinned_and_the_alias_is_not() -> None:
    settings = own(
        dated={"model": "openai:gpt-4o-2024-08-06"},
        moving={"model": "openai:gpt-4o"},
        latest={"model": "ollama:x:latest"},
    )
    assert [listed(settings, name).pinned for name in ("dated", "moving", "latest")] == [True, False, False]


def test_a_provider_of_a_plugin_is_listed_without_figures() -> None:
    model = listed(own(inhouse={"model": "acme:one"}), "inhouse")
    assert (model.input, model.pinned) == (None, None)


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("output>=40", ["o3", "Claude Opus"]),
        ("context=2M", ["Gemini 1.5 Pro"]),
        ("strengths~LONG", ["Claude Sonnet", "Gemini 1.5 Pro"]),
        ("seconds<3", ["Gemini 2.0 Flash"]),
        ("mmlu>89", ["o3", "Claude Opus"]),
        ("hosting!=api", ["Llama 3.1 70B, self-hosted, one A100", "Mistral Large, self-hosted",
                          "Llama 3.1 8B, self-hosted", "Llama 3.1 405B"]),
    ],
)  # fmt: skip
def test_conditions_select_and_what_is_unknown_meets_none(condition: str, names: list[str]) -> None:
    assert [model.name for model in matching(load_catalog(), parse_conditions([condition]))] == names


def test_all_faulty_conditions_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_conditions(["outpt<1", "context>=lots", "id<3", "nonsense"])
    message = str(caught.value)
    assert "Did you mean 'output'?" in message
    assert "context is a number" in message
    assert "id takes = != ~" in message
    assert "'nonsense': write KEY=VALUE" in message


def test_a_model_is_found_by_id_or_name_and_the_nearest_is_named() -> None:
    assert find_model("gpt-4o", load_catalog()).id == "openai:gpt-4o"
    with pytest.raises(ConfigError, match="Did you mean 'openai:gpt-4o'"):
        find_model("openai:gpt-40", load_catalog())
    with pytest.raises(ConfigError, match="several have that name: a:x, b:x"):
        find_model("x", [Model("one", "a:x"), Model("two", "b:x")])
