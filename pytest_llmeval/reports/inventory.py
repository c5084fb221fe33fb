"""The list of recordings: a line each, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.inventory import Entry
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, format_count, one_line
from pytest_llmeval.reports.notes import same_model

#: A path is shortened down to this before a column goes.
NARROWEST_PATH = 32
GAP = 2
MOST_LISTED = 20
#: The columns that go first where there is no room.
EXPENDABLE = ("answered", "in", "out", "cost", "asked")


def render_entries(entries: Sequence[Entry], now: datetime, *, width: int | None) -> str:
    """Return a table of recordings.

    Args:
        entries: The recordings.
        now: To tell their age.
        width: Cells that a line may take; None for as many as it needs.
    """
    columns = {
        "age": [_age(entry, now) for entry in entries],
        "asked": [_models(entry.asked) for entry in entries],
        "answered": [_models(entry.answered) for entry in entries],
        "answers": [NOT_APPLICABLE if entry.damaged else f"{entry.answers:,}" for entry in entries],
        "in": [_tokens(entry, 0) for entry in entries],
        "out": [_tokens(entry, 1) for entry in entries],
        "cost": [str(entry.cost) for entry in entries],
        "": [_state(entry) for entry in entries],
    }
    if all(_as_asked(entry) for entry in entries) or not any(columns["answered"]):
        del columns["answered"]
    columns = {head: cells for head, cells in columns.items() if head or any(cells)}
    names, rows = _names(entries, grouped=width is not None)
    own = [cell_len(name) for name, row in zip(names, rows, strict=True) if row is not None]
    room = _fit(columns, max(own, default=0), width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column("recording", no_wrap=True)
    for head in columns:
        right = head in ("age", "answers", "in", "out", "cost")
        table.add_column(head, no_wrap=True, justify="right" if right else "left")
    for name, row in zip(names, rows, strict=True):
        cells = [] if row is None else [Text(cells[row]) for cells in columns.values()]
        table.add_row(Text("" if row is None else _short(name, room)), *cells)
    out = StringIO()
    Console(file=out, width=width or 100_000, height=25, color_system=None, markup=False, emoji=False).print(table)
    head, *lines = out.getvalue().splitlines()
    # A folder has its line to itself, and so all of its width.
    whole = [name if row is None else line for name, row, line in zip(names, rows, lines, strict=True)]
    return "".join(f"{line.rstrip()}\n" for line in [head, *whole])


def _names(entries: Sequence[Entry], *, grouped: bool) -> tuple[list[str], list[int | None]]:
    """Return the first cells and the entries that they stand for: a folder stands for none."""
    names: list[str] = []
    rows: list[int | None] = []
    folder = ""
    for index, entry in enumerate(entries):
        path = one_line(shown_path(entry.path))
        home, _, name = path.rpartition("/")
        if grouped and home != folder:
            folder = home
            names.append(f"{folder}/")
            rows.append(None)
        names.append(f"  {name}" if grouped else path)
        rows.append(index)
    return names, rows


def _fit(columns: dict[str, list[str]], longest: int, width: int | None) -> int:
    """Take out columns until the paths have room; return that room."""
    if width is None:
        return longest
    for expendable in (None, *EXPENDABLE):
        columns.pop(expendable or "nothing yet", None)
        room = width - sum(GAP + max(map(cell_len, [head, *cells])) for head, cells in columns.items())
        if room >= min(longest, NARROWEST_PATH):
            break
    return max(room, NARROWEST_PATH // 2)


def _short(path: str, room: int) -> str:
    """Cut a path in front: what tells recordings apart is at its end."""
    if cell_len(path) <= room:
        return path
    while cell_len(path) > room - 1:
        path = path[1:]
    return f"…{path}"


def _age(entry: Entry, now: datetime) -> str:
    if entry.damaged:
        return NOT_APPLICABLE
    if entry.first is None:
        return UNKNOWN
    age = now - entry.first
    return f"{age.days:,} d" if age >= timedelta(days=1) else f"{max(age.seconds, 0) // 3600} h"


def _models(models: Counter[str]) -> str:
    if not models:
        return ""
    first = one_line(models.most_common(1)[0][0])[:40]
    return first if len(models) == 1 else f"{first} +{len(models) - 1}"


def _as_asked(entry: Entry) -> bool:
    return all(any(same_model(asked, answered) for asked in entry.asked) for answered in entry.answered)


def _tokens(entry: Entry, index: int) -> str:
    if entry.damaged:
        return NOT_APPLICABLE
    count = entry.tokens[index]
    return UNKNOWN if count is None else format_count(count)


def _state(entry: Entry) -> str:
    states = {
        "damaged": entry.damaged is not None,
        "unused": entry.used is False,
        "stock": not entry.ours and not entry.damaged,
        "incomplete": entry.incomplete,
    }
    return ", ".join(name for name, is_so in states.items() if is_so)


def awaited_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """Say what is not deleted, since tests that run may take it over.

    >>> from pathlib import Path
    >>> list(awaited_lines([Entry(Path("old.yaml"), 1, heir="test_a.py::test_new")]))[0]
    'Left: old.yaml may be taken over by test_a.py::test_new, which has no recording.'
    """
    for entry in entries[:MOST_LISTED]:
        yield f"Left: {shown_path(entry.path)} may be taken over by {entry.heir}, which has no recording."
    if len(entries) > MOST_LISTED:
        yield f"... and {len(entries) - MOST_LISTED:,} more"
    if entries:
        yield "Run the tests once first, so that these are; or name files to delete them all the same."


def totals(entries: Sequence[Entry]) -> str:
    """Say what recordings come to.

    >>> from pathlib import Path
    >>> totals([Entry(Path("a.yaml"), 2048, answers=3, used=False)])
    '1 recording, 3 answers, 2.0 kB, recorded nobody knows when; 1 unused; cost as recorded: -'
    """
    days = sorted(day for entry in entries for day in (entry.first, entry.last) if day is not None)
    span = sorted({f"{day:%Y-%m-%d}" for day in (days[0], days[-1])}) if days else []
    unused = sum(entry.used is False for entry in entries)
    cost = sum((entry.cost for entry in entries), TotalCost(Decimal(0)))
    parts = [
        _count(len(entries), "recording"),
        _count(sum(entry.answers for entry in entries), "answer"),
        format_size(sum(entry.size for entry in entries)),
        f"recorded {' to '.join(span) or 'nobody knows when'}",
    ]
    more = f"; {unused:,} unused" if unused else ""
    return f"{', '.join(parts)}{more}; cost as recorded: {cost}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_size(size: int) -> str:
    """Write a size in bytes.

    >>> format_size(512), format_size(1_500_000)
    ('512 B', '1.4 MB')
    """
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.1f} kB" if size < 1024 * 1024 else f"{size / 1024 / 1024:.1f} MB"
