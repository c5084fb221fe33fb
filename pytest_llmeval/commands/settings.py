"""``llmeval settings --suggest``: settings that give each task of a run the model that did it best."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.shortlist import add_requirements
from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.reports.tasks import TaskVerdict


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("settings", help="suggest settings: the best model for each task of a kept run")
    parser.add_argument("--suggest", required=True, metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument(
        "--write", action="store_true", help="write them into the project's settings; default: print them"
    )
    add_requirements(parser)
    parser.set_defaults(run=_settings)


def _settings(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.collecting import read_configuration
    from pytest_llmeval.commands.tasks import verdicts_of
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.reports.tasks import only_named
    from pytest_llmeval.settingsfile import settings_file, task_tables

    run = load(arguments.suggest)
    tell(run)
    named = only_named(run)
    if not named.tests:
        raise ConfigError('no test of this run names a task: mark them with @pytest.mark.llm_task("NAME").')
    found = verdicts_of(named, arguments.requirements, [])
    models = {task.name: task.best.name for task in found if task.best is not None}
    path, under = settings_file(read_configuration().rootdir)
    # Ends of lines stay as they are.
    text = path.read_bytes().decode() if path.is_file() else ""
    for line in _left(found):
        print(f"# {line}")
    if arguments.write:
        for line in _written(path, text, under, models):
            print(line)
    else:
        print(task_tables(text, under, [task.name for task in found], models), end="")
    return 0


def _left(found: Iterable[TaskVerdict]) -> Iterator[str]:
    for task in found:
        if task.best is None:
            why = "no candidate meets all requirements" if task.asked else "nothing was scored"
            yield f"{escape(task.name)}: {why}"


def _written(path: Path, text: str, under: tuple[str, ...], models: Mapping[str, str]) -> Iterator[str]:
    """Change the file; yield what was changed."""
    from pytest_llmeval.cassettes.paths import shown_path
    from pytest_llmeval.commands.output import project_settings
    from pytest_llmeval.runfiles import put_lines
    from pytest_llmeval.settingsfile import with_models

    before = project_settings().tasks
    changed = {name: model for name, model in models.items() if name not in before or before[name].model != model}
    if changed:
        try:
            new = with_models(text, under, changed)
        except ConfigError as exc:
            raise ConfigError(f"{shown_path(path)}: {exc}") from None
        mode = path.stat().st_mode if path.exists() else None
        # Where the name is a link, to where the file is.
        put_lines(path.resolve(), [new])
        if mode is not None:
            path.chmod(mode)
    for name, model in models.items():
        was = before[name].model if name in before else None
        said = f"{escape(was or 'none')} → {escape(model)}" if name in changed else f"{escape(model)}, as before"
        yield f"{shown_path(path)}: {escape(name)}: {said}"
