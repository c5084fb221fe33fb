"""What a run can be written as, by the end of the file's name."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from pytest_llmeval.records import Run
from pytest_llmeval.runlines import run_lines

#: Format by suffix. Each but JSON Lines is a module of this package with a function `render(run) -> str`.
FORMATS = {".jsonl": "jsonl", ".json": "json", ".md": "markdown", ".csv": "csv"}


def format_of(path: Path) -> str | None:
    """Return the format that a file's name asks for, if it does.

    >>> format_of(Path("out/report.MD")), format_of(Path("main"))
    ('markdown', None)
    """
    return FORMATS.get(path.suffix.lower())


def rendered(run: Run, name: str) -> Iterable[str]:
    """Return a run in a format, in parts."""
    if name == "jsonl":
        return run_lines(run)
    module = import_module(f"pytest_llmeval.reports.{name}")
    # Large ones come in parts.
    parts: Iterable[str] = module.parts(run) if hasattr(module, "parts") else [module.render(run)]
    return parts
