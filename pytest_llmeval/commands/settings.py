"""``llmeval settings --suggest``: settings that give each task of a run the model that did it best."""

from __future__ import annotations

import argparse
from typing import Any

from pytest_llmeval.commands.output import project_settings
from pytest_llmeval.commands.shortlist import add_requirements
from pytest_llmeval.errors import ConfigError


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("settings", help="suggest settings: the best model for each task of a kept run")
    parser.add_argument("--suggest", required=True, metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument(
        "--for", choices=("pyproject.toml", "llmeval.toml"), default="pyproject.toml", dest="file", help="where it goes"
    )
    add_requirements(parser)
    parser.set_defaults(run=_settings)


def _settings(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.commands.tasks import verdicts_of
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.reports.tasks import only_named, suggestion

    run = load(arguments.suggest)
    tell(run)
    named = only_named(run)
    if not named.tests:
        raise ConfigError('no test of this run names a task: mark them with @pytest.mark.llm_task("NAME").')
    found = verdicts_of(named, arguments.requirements, [])
    prefix = "tool.llmeval." if arguments.file == "pyproject.toml" else ""
    for line in suggestion(found, project_settings().tasks, prefix):
        print(line)
    return 0
