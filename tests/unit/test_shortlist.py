"""The decision tree that shortlists candidates."""

from __future__ import annotations

import shlex
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.catalog import Model, load_catalog
from pytest_llmeval.commands.shortlist import TASKS as OFFERED
from pytest_llmeval.settings import Requirements
from pytest_llmeval.shortlist import TASKS, Shortlist, shortlist

EXAMPLE = Requirements(
    max_latency_ms=3000,
    max_cost_per_request=Decimal("0.01"),
    min_quality_score=0.85,
    context_needed=8000,
    data_privacy="standard",
    output_format="json",
    requests_per_month=500_000,
    availability=0.999,
)


def choose(task: str | None = None, **requirements: Any) -> Shortlist:
    return shortlist(Requirements(**requirements), load_catalog(), task=task)


def names(found: Shortlist) -> list[str]:
    return [choice.model.name for choice in found.choices]


def decided(found: Shortlist) -> int:
    (step,) = (number for number, step in enumerate(found.steps, 1) if step.chosen)
    return step


@pytest.mark.parametrize(
    ("requirements", "task", "step", "first"),
    [
        ({"data_privacy": "strict"}, None, 1, ["Llama 3.1 70B, self-hosted, one A100", "Mistral Large, self-hosted"]),
        ({"data_privacy": "air-gapped", "context_needed": 900_000}, None, 1,
         ["Llama 3.1 70B, self-hosted, one A100", "Mistral Large, self-hosted"]),
        ({"context_needed": 200_001}, "reasoning", 2, ["Gemini 1.5 Pro"]),
        ({"max_latency_ms": 500}, "reasoning", 3, ["o3", "Claude Opus"]),
        ({"max_latency_ms": 1999, "max_cost_per_request": 0.001}, "code", 4,
         ["GPT-4o mini", "Gemini 2.0 Flash", "Claude Haiku"]),
        ({"max_latency_ms": 2001, "max_cost_per_request": 0.0049}, "code", 5,
         ["GPT-4o mini", "Mistral Small", "Llama 3.1 8B, self-hosted"]),
        ({"context_needed": 200_000}, "code", 6, ["Claude Sonnet"]),
        ({}, "instructions", 6, ["Claude Sonnet"]),
        ({"output_format": "code"}, None, 6, ["Claude Sonnet"]),
        ({}, None, 6, ["GPT-4o"]),
    ],
)  # fmt: skip
def test_the_first_step_that_says_yes_decides(
    requirements: dict[str, Any], task: str | None, step: int, first: list[str]
) -> None:
    found = choose(task, **requirements)
    assert decided(found) == step
    assert names(found)[: len(first)] == first
    assert 2 <= len(found.choices) <= 3
    assert [each.answer for each in found.steps[step:]] == ["-"] * (6 - step)


def test_each_step_says_which_figure_decided() -> None:
    found = shortlist(EXAMPLE, load_catalog())
    assert [(step.answer, step.why) for step in found.steps] == [
        ("no", "data_privacy is standard"),
        ("no", "context_needed is 8,000"),
        ("no", "nothing was said of the task"),
        ("no", "max_latency_ms is 3,000"),
        ("no", "max_cost_per_request is $0.01"),
        ("no", "nothing was said of the task"),
    ]
    assert names(found)[0] == "GPT-4o"
    assert found.choices[0].doubts == ("typically 6.5 s for 500 tokens > 3.0 s",)
    assert found.choices[0].monthly == 4375


def test_a_typical_time_is_the_one_that_the_catalog_says_itself() -> None:
    def doubts(tokens_out: int) -> tuple[str, ...]:
        asked = Requirements(context_needed=1000, max_latency_ms=1500)
        found = shortlist(asked, load_catalog(), tokens_out=tokens_out)
        return next(choice.doubts for choice in found.choices if choice.model.name == "Gemini 2.0 Flash")

    assert doubts(500) == ("typically 2.7 s for 500 tokens > 1.5 s",)
    assert doubts(1000) == ("typically 5.2 s for 1,000 tokens > 1.5 s",)


def test_others_fill_up_only_where_nothing_speaks_against_them() -> None:
    found = shortlist(EXAMPLE, load_catalog())
    # Claude Sonnet, the other branch of the last step, costs more than is allowed; GPT-4o mini takes too long.
    assert names(found)[1:] == ["Mistral Small", "Gemini 2.0 Flash"]
    assert [choice.doubts for choice in found.choices[1:]] == [(), ()]


@pytest.mark.parametrize(
    ("task", "requirements"),
    [(None, {"context_needed": 3_000_000}), ("reasoning", {"max_cost_per_request": Decimal("0.00001")})],
)
def test_one_alone_gets_company_of_which_the_doubts_are_told(task: str | None, requirements: dict[str, Any]) -> None:
    found = shortlist(Requirements(**requirements), load_catalog(), task=task)
    assert 2 <= len(found.choices) <= 3
    assert found.choices[-1].doubts


def test_a_price_that_nobody_knows_is_a_doubt() -> None:
    own = Model("small", "small", own=True)
    found = shortlist(Requirements(max_cost_per_request=Decimal("0.001")), [own, *load_catalog()])
    assert "small" not in names(found)


def test_the_option_can_be_pasted() -> None:
    own = Model("openai:x", "my model", Decimal("0.1"), Decimal("0.2"), own=True)
    option = shortlist(Requirements(), [own, *load_catalog()]).option
    assert shlex.split(f"pytest {option}")[1].split(",")[1] == "my model"


def test_the_dear_one_is_left_out_where_the_budget_does_not_allow_it() -> None:
    found = choose("reasoning", max_cost_per_request=0.03)
    assert names(found)[0] == "Claude Opus"
    assert [choice.model.name for choice in found.left_out] == ["o3"]
    assert "o3" in names(choose("reasoning", max_cost_per_request=0.04))


def test_what_must_not_leave_is_never_filled_up_with_an_api() -> None:
    found = choose(data_privacy="strict")
    assert {choice.model.hosting for choice in found.choices} == {"self-hosted"}


def test_a_model_of_the_settings_fills_up_before_those_of_the_catalog() -> None:
    own = Model("openai:inhouse", "inhouse", Decimal("0.1"), Decimal("0.2"), own=True)
    found = shortlist(Requirements(), [own, *load_catalog()])
    assert names(found)[:2] == ["GPT-4o", "openai:inhouse"]
    assert found.option.startswith("--llm-models=openai:gpt-4o,inhouse,")
    dear = replace(own, output=Decimal(1000))
    assert "openai:inhouse" not in names(
        shortlist(Requirements(max_cost_per_request=Decimal("0.01")), [dear, *load_catalog()])
    )


def test_the_command_offers_the_tasks_there_are() -> None:
    assert tuple(sorted(TASKS)) == OFFERED
