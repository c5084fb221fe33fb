"""How commands find runs: by file, or by the name under which pytest kept them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.display import escape_lines
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.records import Run
from pytest_llmeval.runfiles import PARTIAL, find_run, is_file
from pytest_llmeval.runs import load_run

if TYPE_CHECKING:
    from pytest_llmeval.settings import Requirements


@cache
def run_dir() -> Path:
    """Return the folder of kept runs, as pytest's configuration has it."""
    from pytest_llmeval.collecting import read_configuration

    return read_configuration().run_dir


def load(run: str, folder: Path | None = None, *, lean: bool = False) -> Run:
    """Return a run, by its file or by its name.

    Args:
        run: A file or a name.
        folder: Where runs are kept; by default, as pytest's configuration has it.
        lean: See `load_run`.

    Raises:
        RunError: There is none, or it cannot be read.
    """
    # `find_run` looks for a file itself, but where runs are kept takes a while to learn.
    path = Path(run) if is_file(run) else find_run(run, folder or run_dir())
    loaded = load_run(path, lean=lean)
    later = path.with_name(f"{path.name}{PARTIAL}")
    if later.is_file():
        loaded.remarks.append(f"A later run of that name was cut, or has not ended yet: {shown_path(later)}.")
    return loaded


def judge(run: Run, written: Iterable[str] = ()) -> Run:
    """Return a run held against its own requirements, or the project's where it has none, and others over them.

    Args:
        run: A run that was kept.
        written: Requirements as ``key=value``.

    Raises:
        ConfigError: Requirements that cannot be used.
    """
    from pytest_llmeval.judging import judged
    from pytest_llmeval.settings import Requirements, parse_requirements

    header = run.header
    own = Requirements.from_json(header.requirements) if header is not None else Requirements()
    given = list(written)
    requirements = parse_requirements(given, own or _of_project(run), "--require")
    of_tasks = header.task_requirements if header is not None else {}
    tasks = {
        name: parse_requirements(given, Requirements.from_json(each), "--require") for name, each in of_tasks.items()
    }
    return judged(run, requirements, header.candidates if header is not None else (), tasks)


def _of_project(run: Run) -> Requirements | None:
    from pytest_llmeval.collecting import read_configuration
    from pytest_llmeval.settings import load_settings

    try:
        return load_settings(read_configuration().rootdir).requirements
    except ConfigError as exc:
        # A run that is named by its file can be shown anywhere.
        run.remarks.append(f"Whether the project has requirements is not known: {exc}")
        return None


def load_at(ref: str, models: Sequence[str] = ()) -> Run:
    """Return the run of an earlier commit, as `baseline_at` does.

    Args:
        ref: The commit.
        models: Candidates to be asked, where its tests are replayed; by default, as the configuration has them.

    Raises:
        RunError: There is none.
    """
    from pytest_llmeval.baselines import baseline_at
    from pytest_llmeval.collecting import read_configuration

    options = read_configuration()
    arguments = [f"--llm-models={','.join(models)}"] if models else []
    return baseline_at(
        ref, rootdir=options.rootdir, run_dir=options.run_dir, start=options.invocation_dir, arguments=arguments
    )


def tell(run: Run) -> None:
    """Say what is to be said of the files that a run was read from, where it is in nobody's way."""
    for remark in run.remarks:
        print(f"llmeval: {escape_lines(remark)}", file=sys.stderr)  # noqa: T201 - for commands
