"""``llmeval checklist``: what a run answers of the checklist of choosing a model, and what it does not."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from pytest_llmeval.commands.output import add_format, asked_requirements, new_screen, print_json
from pytest_llmeval.commands.shortlist import add_requirements


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("checklist", help="answer the checklist of choosing a model from a kept run")
    parser.add_argument("name", metavar="RUN", help="name of a kept run, or a file of one")
    add_requirements(parser)
    add_format(parser)
    parser.set_defaults(run=_checklist)


def _checklist(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.reports.checklist import checklist, show_checklist

    run = load(arguments.name)
    tell(run)
    answers = checklist(run, asked_requirements(arguments.requirements, run))
    if arguments.format == "json":
        print_json([asdict(answer) for answer in answers])
    else:
        screen = new_screen()
        show_checklist(screen, answers)
        print(screen.text(), end="")
    return 0
