"""``llmeval compare``: what got better or worse from one run to another, or which candidate of a run is the best."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llmeval.attribution import Messages
    from pytest_llmeval.recordedmessages import RecordedMessages
    from pytest_llmeval.records import Run

FORMATS = ("terminal", "markdown", "json")


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("compare", help="say what got better or worse from one run to another")
    parser.add_argument("before", metavar="A", help="name of a kept run, a file of one, or git:REF for a commit")
    parser.add_argument(
        "after", metavar="B", nargs="?", help="the later run; without it, the candidates of A are compared"
    )
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="default: terminal")
    parser.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.comparing import compare_candidates, compare_runs
    from pytest_llmeval.errors import RunError
    from pytest_llmeval.reports.comparison import Compared, Side, render_comparison, render_json, render_markdown

    named = [name for name in (arguments.before, arguments.after) if name is not None]
    *earlier, run = _load(named)
    if not earlier and len(run.by_candidate()) < 2:
        raise RunError(f"{named[0]}: it has one candidate at most, so that there is nothing to compare. Name two runs.")
    *before, after = (Side.of(name, each) for name, each in zip(named, [*earlier, run], strict=True))
    if earlier:
        comparison = compare_runs(earlier[0], run, messages=_messages(earlier[0], run))
        compared = Compared(after, before[0], comparison, comparison.standings)
    else:
        compared = Compared(after, standings=compare_candidates(run))
    if arguments.format != "terminal":
        text = render_markdown(compared) if arguments.format == "markdown" else render_json(compared)
        # A file has UTF-8 and LF, and so has what a pipe makes one of.
        sys.stdout.buffer.write(text.encode())
        return 0
    width = shutil.get_terminal_size().columns
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(render_comparison(compared, width=width, color=color, encoding=sys.stdout.encoding or "utf-8"), end="")
    return 0


def _messages(before: Run, after: Run) -> Messages:
    """Return what looks up the messages of two runs, and reads pytest's configuration only if there is cause to."""

    @cache
    def recorded() -> RecordedMessages:
        from pytest_llmeval.collecting import read_configuration
        from pytest_llmeval.recordedmessages import RecordedMessages

        return RecordedMessages(before, after, read_configuration().rootdir)

    return lambda old, new: recorded()(old, new)


def _load(named: list[str]) -> list[Run]:
    """Return the runs; where a commit has none that was kept, it is asked for the candidates of the other run."""
    from pytest_llmeval.baselines import GIT
    from pytest_llmeval.kept import load, load_at

    runs = {name: load(name, lean=True) for name in named if not name.startswith(GIT)}
    models = list(dict.fromkeys(name for run in runs.values() for name in run.by_candidate()))
    return [runs[name] if name in runs else load_at(name.removeprefix(GIT), models) for name in named]
