"""What a test is for: the marker `llm_task`, and what `[tool.llmeval.tasks]` says of that task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_llmeval.display import shorten
from pytest_llmeval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pytest_llmeval.settings import TaskSettings

MARKER = "llm_task"


def task_of(item: Any, tasks: Mapping[str, TaskSettings]) -> str | None:
    """Return the name of the task that a test is for, if its marker says one: its own, its class's or its module's.

    Args:
        item: The test.
        tasks: `[tool.llmeval.tasks]`. Where there are none, any name will do: reports are by task all the same.

    Raises:
        ConfigError: The marker cannot be used, or the settings have tasks and not this one.
    """
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return None
    given = [*marker.args, *marker.kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0].strip() or marker.kwargs.keys() - {"name"}:
        shown = ", ".join(shorten(each) for each in given) or "nothing"
        raise ConfigError(f"{MARKER} takes the name of one task: {MARKER}('extraction'); it was given {shown}.")
    name: str = given[0].strip()
    if tasks and name not in tasks:
        raise ConfigError(
            f"{MARKER}({name!r}): the settings have no such task.{nearest(name, tasks)} Known: {', '.join(tasks)}. "
            f"Add [tool.llmeval.tasks.{name}]."
        )
    return name


def request_of(name: str | None, tasks: Mapping[str, TaskSettings]) -> dict[str, Any]:
    """Return the defaults of `llm.complete` that a task sets.

    >>> from pytest_llmeval.settings import TaskSettings
    >>> request_of("sort", {"sort": TaskSettings(temperature=0.3, max_tokens=50, parameters={"top_p": 0.9})})
    {'top_p': 0.9, 'temperature': 0.3, 'max_tokens': 50}
    """
    task = tasks.get(name or "")
    if task is None:
        return {}
    own = {"temperature": task.temperature, "max_tokens": task.max_tokens}
    return {**task.parameters, **{key: value for key, value in own.items() if value is not None}}
