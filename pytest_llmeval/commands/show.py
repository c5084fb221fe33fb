"""``llmeval show``: the summary of a run that was kept, as it was printed at its end."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

from pytest_llmeval.display import escape


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("show", help="show the summary of a kept run")
    parser.add_argument("name", metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a requirement, over those of the run, or else of the project; may be given several times",
    )
    parser.set_defaults(run=_show)


def _show(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.kept import judge, load, tell
    from pytest_llmeval.reports.provenance import origin
    from pytest_llmeval.reports.recordings import recording_lines
    from pytest_llmeval.reports.sections import sections

    run = judge(load(arguments.name), arguments.require)
    tell(run)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    encoding = sys.stdout.encoding or "utf-8"
    width = shutil.get_terminal_size().columns
    found = [text for _, text in sections(run, width=width, color=color, encoding=encoding)]
    print(escape(origin(run)))
    print("".join(f"\n{text}" for text in found) or "No test asked a model.\n", end="")
    lines = recording_lines(run, ())
    if lines:
        print("\n" + "\n".join(escape(line) for line in lines))
    return 0
