"""``llmeval export``: a kept run in another format."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

#: What shows what requirements make of a run.
JUDGED = ("markdown", "json")
FORMATS = {"csv": "csv", "json": "json", "md": "markdown", "jsonl": "jsonl"}


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("export", help="write a kept run as CSV, JSON, Markdown or JSON Lines")
    parser.add_argument("name", metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument("--format", choices=FORMATS, help="by default, what the ending of the output file says")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="by default, what is written is printed")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.errors import ConfigError
    from pytest_llmeval.kept import judge, load, tell
    from pytest_llmeval.reports.formats import format_of, rendered
    from pytest_llmeval.runfiles import put_lines

    output: Path | None = arguments.output
    name = FORMATS[arguments.format] if arguments.format else format_of(output) if output else None
    if name is None:
        raise ConfigError(f"in which format? Choose with --format={'|'.join(FORMATS)}, or by the ending of -o FILE.")
    run = load(arguments.name)
    if name in JUDGED:
        run = judge(run)
    tell(run)
    parts = rendered(run, name)
    if output is None:
        # A file has UTF-8 and LF, and so has what a pipe makes one of.
        sys.stdout.buffer.writelines(part.encode() for part in parts)
    else:
        put_lines(output, parts)
    return 0
