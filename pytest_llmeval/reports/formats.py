"""What a run can be written as, by the end of the file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import RunError
from pytest_llmeval.records import Run
from pytest_llmeval.reports.github import address_of
from pytest_llmeval.runfiles import put_lines
from pytest_llmeval.runlines import run_lines

if TYPE_CHECKING:
    from pytest_llmeval.reports.comparison import Compared

#: Format by suffix. Each but JSON Lines is a module of this package with a function `render(run) -> str`.
FORMATS = {".jsonl": "jsonl", ".json": "json", ".md": "markdown", ".csv": "csv"}


def format_of(path: Path) -> str | None:
    """Return the format that a file's name asks for, if it does.

    >>> format_of(Path("out/report.MD")), format_of(Path("main"))
    ('markdown', None)
    """
    return FORMATS.get(path.suffix.lower())


def rendered(run: Run, name: str, root: Path | None = None, compared: Compared | None = None) -> Iterable[str]:
    """Return a run in a format, in parts.

    Args:
        run: The records.
        name: Name of the format.
        root: Folder of the project, if that is not the current one.
        compared: What became of the run since its baseline: for .md and .json.
    """
    if name == "jsonl":
        return run_lines(run)
    if name == "markdown":
        from pytest_llmeval.reports import markdown

        since = [] if compared is None else ["\n", _comparison().render_markdown(compared)]
        return [markdown.render(run, address_of(root or Path.cwd(), os.environ)), *since]
    if name == "json" and compared is not None:
        from pytest_llmeval.reports import json

        return json.parts(run, _comparison().comparison_data(compared))
    module = import_module(f"pytest_llmeval.reports.{name}")
    # Large ones come in parts.
    parts: Iterable[str] = module.parts(run) if hasattr(module, "parts") else [module.render(run)]
    return parts


def _comparison() -> Any:
    # What it takes to compare is imported where something is compared.
    return import_module("pytest_llmeval.reports.comparison")


def save_run(run: Run, path: str | os.PathLike[str]) -> None:
    """Write a run to a file: .jsonl and .json can be loaded again (`load_run`), .md and .csv are to be read.

    Raises:
        RunError: The file cannot be written, or its name asks for no format that there is.

    >>> save_run(Run(), "run.txt")
    Traceback (most recent call last):
    pytest_llmeval.errors.RunError: run.txt: a run is written as .jsonl, .json, .md, .csv. Choose one of these.
    """
    file = Path(path)
    if run.header is None and format_of(file) in ("jsonl", "json"):
        raise RunError(
            f"{path}: this run has no header, as those of `evaluate` and `load_run` have. Write one of these."
        )
    name = format_of(file)
    if name is None:
        raise RunError(f"{path}: a run is written as {', '.join(FORMATS)}. Choose one of these.")
    put_lines(file, rendered(run, name))
