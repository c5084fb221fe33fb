"""`llmeval ...`: what is not a test run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_llmeval.errors import LLMEvalError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 fine, 1 something was found, 2 it could not be done."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except LLMEvalError as exc:
        print(f"llmeval: {exc}", file=sys.stderr)  # noqa: T201 - a command speaks to its user
        return 2
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llmeval", description="Look after recorded answers of language models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    scan = commands.add_parser("scan", help="find secrets in recordings, also in those of vcrpy and pytest-recording")
    scan.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; default: this folder")
    scan.set_defaults(run=_scan)
    return parser


def _scan(arguments: argparse.Namespace) -> int:
    raise NotImplementedError
