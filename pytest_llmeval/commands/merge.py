"""``llmeval merge``: several runs as one, such as the shards of a suite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("merge", help="put several runs together, such as the shards of a suite")
    parser.add_argument("names", nargs="+", metavar="RUN", help="names of kept runs, or files of them")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="a file (.jsonl, .json, .md, .csv), or a name to keep it"
    )
    parser.add_argument("--strict", action="store_true", help="refuse tests whose records differ between the runs")
    parser.set_defaults(run=_merge)


def _merge(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.cassettes.paths import shown_path
    from pytest_llmeval.errors import ConfigError
    from pytest_llmeval.kept import judge, load, run_dir, tell
    from pytest_llmeval.merging import merge_runs
    from pytest_llmeval.options import is_run_name
    from pytest_llmeval.reports.formats import format_of, rendered
    from pytest_llmeval.runfiles import put_lines, run_path

    output = Path(arguments.output)
    name = format_of(output)
    if name is None and not is_run_name(arguments.output):
        raise ConfigError(f"-o {arguments.output}: give a file that ends with .jsonl, .json, .md or .csv, or a name.")
    run = judge(merge_runs([load(each) for each in arguments.names], strict=arguments.strict))
    tell(run)
    if name is None:
        output = run_path(run_dir(), arguments.output)
        if run.header is not None:
            run.header.name = arguments.output
    put_lines(output, rendered(run, name or "jsonl"))
    many = len(run.tests) != 1
    print(f"{shown_path(output)}: {len(run.tests):,} test{'s' * many} of {len(arguments.names):,} runs")
    return 0
