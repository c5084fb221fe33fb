"""``llmeval tasks``: which model is the best for each task, and what that costs against one model for all."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.output import (
    add_format,
    asked_requirements,
    new_screen,
    print_json,
    project_settings,
    whole,
)
from pytest_llmeval.commands.shortlist import add_requirements
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.records import Run
    from pytest_llmeval.reports.tasks import TaskVerdict


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("tasks", help="the best model for each task of a kept run, and what a month costs")
    parser.add_argument("name", metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument("--models", metavar="NAME,...", help="candidates of the run; default: all")
    parser.add_argument("--requests", nargs="+", action="extend", default=[], metavar="TASK=N", help="a month, by task")
    add_requirements(parser)
    add_format(parser)
    parser.set_defaults(run=_tasks)


def verdicts_of(run: Run, requirements: list[str], requests: list[str]) -> list[TaskVerdict]:
    """Return a verdict for each task of a run.

    Raises:
        ConfigError: No test asked a candidate, or requirements or volumes cannot be used.
    """
    from pytest_llmeval.reports.tasks import task_verdicts

    described = {info.name: info for info in run.header.candidates} if run.header is not None else {}
    settings = project_settings()
    found = task_verdicts(run, settings.tasks, asked_requirements(requirements, run), _volumes(requests), described)
    if not found:
        raise ConfigError("no test of this run asked a candidate.")
    return found


def _of_candidates(run: Run, written: str | None) -> Run:
    from dataclasses import replace

    from pytest_llmeval.candidates import split_names
    from pytest_llmeval.measured import candidate_in

    if written is None:
        return run
    names = {candidate_in(run, name) for name in split_names([written])}
    return replace(run, tests=[test for test in run.tests if test.candidate in names])


def _volumes(written: list[str]) -> dict[str, int]:
    found = {}
    for text in written:
        name, _, number = text.rpartition("=")
        try:
            found[name.strip()] = whole(number)
        except argparse.ArgumentTypeError as exc:
            raise ConfigError(f"--requests {text}: {exc}; by task: extraction=500K.") from None
    return found


def _tasks(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.reports.tasks import show_tasks, task_notes, totals_of

    run = load(arguments.name)
    tell(run)
    run = _of_candidates(run, arguments.models)
    found = verdicts_of(run, arguments.requirements, arguments.requests)
    if arguments.format == "json":
        totals = {name: None if cost is None else f"{cost:.2f}" for name, cost in totals_of(found).items()}
        print_json({"tasks": [_json(task) for task in found], "monthly_usd": totals})
        return 0
    screen = new_screen()
    show_tasks(screen, found)
    screen.notes(list(task_notes(found)))
    print(screen.text(), end="")
    return 0


def _json(task: TaskVerdict) -> dict[str, Any]:
    return {
        "task": task.name,
        "cases": task.cases,
        "best": None if task.best is None else task.best.name,
        "requests_per_month": task.requests,
        "candidates": [
            {
                "candidate": each.name,
                "quality": None if (quality := each.figures.quality) is None else quality.mean,
                "meets_all": each.meets_all,
                "unmet": [verdict.text for verdict in each.unmet],
                "monthly_usd": None if (cost := task.monthly(each.name)) is None else f"{cost:.2f}",
            }
            for each in task.candidates
        ],
    }
