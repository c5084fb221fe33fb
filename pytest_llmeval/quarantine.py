"""Tests that are known to fail (`llm_known_failing`): run and shown, but no reason to fail, and counted nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pytest_llmeval.collected import candidate_of, case_of
from pytest_llmeval.display import shorten
from pytest_llmeval.errors import nearest
from pytest_llmeval.plugin import KNOWN_FAILING

MARKER = "llm_known_failing"
#: What narrows the marker down, each a name or several.
NARROWING = ("models", "cases", "tags")
KNOWN = ("reason", *NARROWING)


def check_markers(test: Any) -> None:
    """Look at the markers of a test function before it is parametrized.

    Raises:
        pytest.Collector.CollectError: A marker that cannot be used.
    """
    for marker in test.iter_markers(MARKER):
        problem = _problem(marker)
        if problem:
            raise pytest.Collector.CollectError(f"{test.nodeid}: {problem}")


def _problem(marker: pytest.Mark) -> str:
    """Return what is wrong with a marker; an empty text if nothing is."""
    faults = [f"unknown argument {name}.{nearest(name, KNOWN)}" for name in marker.kwargs if name not in KNOWN]
    if len(marker.args) + ("reason" in marker.kwargs) > 1:
        faults.append("it takes one reason")
    reason = _reason(marker)
    if reason is not None and not isinstance(reason, str):
        faults.append(f"write the reason as text, not {shorten(reason)}")
    faults += [
        f"write {name} as a text or a list of texts, not {shorten(marker.kwargs[name])}"
        for name in NARROWING
        if name in marker.kwargs and not _are_names(marker.kwargs[name])
    ]
    if not faults:
        return ""
    return f"{MARKER}: {'; '.join(faults)}. Write for example {MARKER}('dates without a year', cases=['case7'])."


def quarantine(item: pytest.Item) -> None:
    """Expect a test to fail if one of its markers is of its candidate and case.

    Raises:
        pytest.UsageError: A marker of a single parameter that cannot be used; others were looked at before.
    """
    for marker in item.own_markers:
        if marker.name == MARKER and (problem := _problem(marker)):
            raise pytest.UsageError(f"{item.nodeid}: {problem}")
    found = next((marker for marker in item.iter_markers(MARKER) if _is_meant(marker, item)), None)
    if found is not None:
        reason = _reason(found) or ""
        item.stash[KNOWN_FAILING] = reason
        # Not strict, whatever the configuration says: that one passes is told, and nothing to fail for.
        told = f"known failing: {reason}" if reason else "known failing"
        item.add_marker(pytest.mark.xfail(reason=told, strict=False))


def _is_meant(marker: pytest.Mark, item: pytest.Item) -> bool:
    candidate, case = candidate_of(item), case_of(item)
    has = {
        "models": {candidate.name} if candidate is not None else set(),
        "cases": {case.id} if case is not None else set(),
        "tags": set(case.tags) if case is not None else set(),
    }
    return all(has[name] & set(_names(marker.kwargs[name])) for name in NARROWING if name in marker.kwargs)


def _reason(marker: pytest.Mark) -> Any:
    return marker.args[0] if marker.args else marker.kwargs.get("reason")


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple | set) and all(isinstance(name, str) for name in value)
    )


def _names(value: str | Iterable[str]) -> Iterable[str]:
    return [value] if isinstance(value, str) else value
