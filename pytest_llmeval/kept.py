"""How commands find runs: by file, or by the name under which pytest kept them."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.display import escape_lines
from pytest_llmeval.records import Run
from pytest_llmeval.runfiles import PARTIAL, find_run
from pytest_llmeval.runs import load_run


@cache
def run_dir() -> Path:
    """Return the folder of kept runs, as pytest's configuration has it."""
    from pytest_llmeval.collecting import read_configuration

    return read_configuration().run_dir


def load(run: str) -> Run:
    """Return a run, by its file or by its name.

    Raises:
        RunError: There is none, or it cannot be read.
    """
    path = Path(run) if Path(run).is_file() else find_run(run, run_dir())
    loaded = load_run(path)
    later = path.with_name(f"{path.name}{PARTIAL}")
    if later.is_file():
        loaded.remarks.append(f"A later run of that name was cut, or has not ended yet: {shown_path(later)}.")
    return loaded


def tell(run: Run) -> None:
    """Say what is to be said of the files that a run was read from, where it is in nobody's way."""
    for remark in run.remarks:
        print(f"llmeval: {escape_lines(remark)}", file=sys.stderr)  # noqa: T201 - for commands
