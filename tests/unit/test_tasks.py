"""What a test is for: the marker `llm_task`, and what the settings say of that task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.settings import TaskSettings, parse_settings
from pytest_llmeval.tasks import request_of, task_of

TASKS = {"extraction": TaskSettings(model="openai:gpt-4o-mini", temperature=0, max_tokens=500)}


def item(*args: Any, **kwargs: Any) -> Any:
    """Return a test with such a marker."""
    return SimpleNamespace(get_closest_marker=lambda name: pytest.Mark(name, args, kwargs, _ispytest=True))


def test_a_test_without_the_marker_is_for_no_task() -> None:
    assert task_of(SimpleNamespace(get_closest_marker=lambda name: None), TASKS) is None


def test_a_task_is_named_by_its_marker() -> None:
    assert task_of(item("extraction"), TASKS) == "extraction"
    assert task_of(item(name="extraction"), TASKS) == "extraction"
    assert task_of(item("anything"), {}) == "anything"


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1,), {}), (("a", "b"), {}), ((" ",), {}), ((), {"task": "a"})]
)
def test_a_marker_that_cannot_be_used_is_told(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="takes the name of one task"):
        task_of(item(*args, **kwargs), {})


def test_a_task_that_the_settings_have_not_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'extraction'\?.*\[tool.llmeval.tasks.extracton\]"):
        task_of(item("extracton"), TASKS)


def test_a_task_sets_defaults_of_its_requests() -> None:
    assert request_of("extraction", TASKS) == {"temperature": 0, "max_tokens": 500}
    assert request_of("other", TASKS) == request_of(None, TASKS) == {}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"sort": {"modell": "x"}}, "tasks.sort.modell: unknown key. Did you mean 'model'?"),
        ({"sort": {"max_tokens": 0}}, "tasks.sort.max_tokens: Input should be greater than or equal to 1"),
        ({"sort": {"requirements": {"max_latency": 1}}}, "Did you mean 'max_latency_ms'?"),
    ],
)
def test_settings_of_tasks_that_cannot_be_used_are_told(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings({"tasks": table}, "pyproject.toml")
    assert said in str(caught.value)


def test_the_example_of_the_reference_is_valid() -> None:
    settings = parse_settings(
        {
            "tasks": {
                "classification": {"model": "gpt-4o-mini", "temperature": 0, "max_tokens": 50},
                "extraction": {"model": "gpt-4o-mini", "temperature": 0, "max_tokens": 500},
                "code_generation": {"model": "claude-sonnet-4-20250514", "temperature": 0, "max_tokens": 4096},
                "summarization": {"model": "gpt-4o", "temperature": 0.3, "max_tokens": 1024},
                "reasoning": {"model": "o3", "temperature": 1, "max_tokens": 8192},
            }
        },
        "pyproject.toml",
    )
    assert request_of("summarization", settings.tasks) == {"temperature": 0.3, "max_tokens": 1024}
