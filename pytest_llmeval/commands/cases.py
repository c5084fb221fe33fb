"""`llmeval cases FILE...`: check datasets and say what is in them, without asking any model."""

from __future__ import annotations

import argparse
from typing import Any

from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError, DatasetError

DESCRIPTION = """Check datasets and say what is in them; no model is asked.

For each file: the number of cases, how often each tag and field comes, an estimate of the tokens of a case, and which
cases ask the same. What is wrong is listed with file, line and field, all of it, and the exit status is 1."""


def add_to(commands: Any) -> None:
    """Declare the command to the parser of `llmeval`."""
    parser = commands.add_parser(
        "cases",
        help="check datasets: faults, tags, fields, tokens, doubles",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a .jsonl, .json, .csv, .yaml or .toml file of cases")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.datasets import load_cases
    from pytest_llmeval.reports.cases import describe

    status = 0
    for name in arguments.files:
        try:
            cases = load_cases(name)
        except ConfigError as exc:
            status = 1
            for line in _told(exc):
                print(escape(line))
            continue
        print(escape(f"{name}: {len(cases):,} case{'s' * (len(cases) != 1)}"))
        for line in describe(cases):
            print(f"  {line}")
    return status


def _told(exc: ConfigError) -> list[str]:
    """Return all faults of a dataset: a message has only the first of them."""
    if isinstance(exc, DatasetError) and exc.faults:
        number = len(exc.faults)
        return [*exc.faults, f"{number:,} fault{'s' * (number != 1)}"]
    return [str(exc)]
