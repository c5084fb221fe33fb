from __future__ import annotations

from typing import Any

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.providers.base import Request
from pytest_llmeval.providers.families import family_of, parameters


@pytest.mark.parametrize(
    "name",
    [
        *("openai:o1", "openai:o3-mini", "openai:o4-mini", "openai:gpt-5", "openai:gpt-5.2-pro", "openai:ft:o4-mini:x"),
        *("anthropic:claude-opus-4-7", "anthropic:claude-opus-4-8-20260601", "anthropic:claude-opus-4-10"),
        *("anthropic:claude-sonnet-5", "anthropic:claude-haiku-5-5", "anthropic:claude-mythos-preview"),
    ],
)
def test_models_that_take_no_temperature_get_none(name: str) -> None:
    assert "temperature" not in sent(name)


@pytest.mark.parametrize(
    "name",
    [
        *("openai:gpt-4o", "openai:gpt-4.1-mini", "openai:gpt-5-chat-latest", "openai:gpt-3.5-turbo"),
        *("anthropic:claude-3-5-haiku-20241022", "anthropic:claude-opus-4-20250514", "anthropic:claude-opus-4-1"),
        *("anthropic:claude-sonnet-4-6", "anthropic:claude-haiku-4-5-20251001", "ollama:gpt-5-lookalike", "vllm:o3"),
    ],
)
def test_other_models_get_the_temperature(name: str) -> None:
    assert sent(name)["temperature"] == 0.0


def test_the_candidate_wins_over_the_test_and_omit_leaves_out() -> None:
    overridden = sent("groq:m", own={"temperature": 0.7, "seed": "omit"}, seed=1, top_p=0.5)
    assert overridden == {"temperature": 0.7, "max_tokens": 1024, "top_p": 0.5}
    assert sent("groq:m", temperature="omit", max_tokens=None) == {}


def test_a_reasoning_models_own_name_for_max_tokens_is_used_whoever_sets_it() -> None:
    assert sent("openai:o3") == {"max_completion_tokens": 1024}
    assert sent("openai:o3", own={"max_tokens": 9}) == {"max_completion_tokens": 9}
    assert sent("openai:o3", max_completion_tokens=7) == {"max_completion_tokens": 7}
    assert sent("openai:gpt-4o", max_completion_tokens=7) == {"temperature": 0.0, "max_completion_tokens": 7}


def test_every_model_has_a_family() -> None:
    assert family_of(Candidate("x", "third-party", "")).temperature


def sent(name: str, own: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    provider, _, model = name.partition(":")
    request = Request([{"role": "user", "content": "Hi"}], params=params)
    return parameters(request, Candidate(name, provider, model, parameters=own or {}), {})
