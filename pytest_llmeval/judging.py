"""Holds a run against requirements: those of the settings, and those that were written over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmeval.figures import figures_of
from pytest_llmeval.provenance import context_of
from pytest_llmeval.settings import Requirements, load_settings, parse_requirements
from pytest_llmeval.verdicts import recommend

#: Called so are the tests that name no task.
NO_TASK = "(no task)"

if TYPE_CHECKING:
    from pytest_llmeval.records import Run
    from pytest_llmeval.runheader import CandidateInfo


def requirements_of(rootdir: Path, written: Iterable[str] = (), source: str = "--llm-require") -> Requirements:
    """Return the requirements of a project, with those over them that were written as ``key=value``.

    Raises:
        ConfigError: Settings or requirements that cannot be used.
    """
    return parse_requirements(written, load_settings(rootdir).requirements, source)


def task_requirements_of(
    rootdir: Path, written: Iterable[str] = (), source: str = "--llm-require"
) -> dict[str, Requirements]:
    """Return the requirements of each task of the settings: its own over the project's, and what was written over both.

    Raises:
        ConfigError: Settings or requirements that cannot be used.
    """
    settings, given = load_settings(rootdir), list(written)
    merged = {name: task.over(settings.requirements) for name, task in settings.tasks.items()}
    return {name: parse_requirements(given, each, source) for name, each in merged.items()}


def judged(
    run: Run,
    requirements: Requirements,
    described: Iterable[CandidateInfo],
    tasks: Mapping[str, Requirements] | None = None,
) -> Run:
    """Return a run with its recommendations; the run as it is where nothing is required, or nobody was asked.

    Args:
        run: The records.
        requirements: What candidates have to meet.
        described: What is known of them beside their tests.
        tasks: What they have to meet in tests of some tasks instead.

    >>> from pytest_llmeval.records import Run, TestRecord
    >>> run = judged(Run(tests=[TestRecord("test_x[a]", "a", score=1.0)]), Requirements(min_quality_score=0.8), ())
    >>> run.recommendation.candidates[0].verdicts[0].text
    'quality 1.00 >= 0.80'
    """
    named = sorted({test.task or "" for test in run.tests if test.candidate})
    wanted = {name: (tasks or {}).get(name, requirements) for name in named} if any(named) else {}
    if not run.by_candidate() or not any((requirements, *wanted.values())):
        return run
    known = {info.name: info for info in described}
    if any(each.context_needed is not None for each in (requirements, *wanted.values())):
        known = {name: replace(info, context=context_of(info)) for name, info in known.items()}
    whole = recommend(figures_of(run, known), requirements) if requirements else None
    return replace(
        run,
        recommendation=whole,
        task_recommendations=tuple(
            replace(recommend(figures_of(_of_task(run, name), known), each), task=name or NO_TASK)
            for name, each in wanted.items()
            if each
        ),
    )


def _of_task(run: Run, name: str) -> Run:
    return replace(run, tests=[test for test in run.tests if (test.task or "") == name])
