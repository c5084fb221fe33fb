"""The summary at the end of a run: one row a candidate, and below it what a row cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO

from rich.box import Box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_llmeval.records import Run
from pytest_llmeval.reports.columns import Column, columns, one_line
from pytest_llmeval.reports.notes import Note, notes
from pytest_llmeval.reports.summary import summarize

GAP = 2
NAME_HEAD = "candidate"
#: A name is shortened down to this before a column goes that is not optional.
NAME_WIDTH = 24
NARROWEST = 20
#: Cells that the name of a column takes at least, where there are several.
HEAD_WIDTH = 12

# Rules in the fourth row stand between the heading and the body; the rest of the frame is left out.
RULE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
ASCII_RULE = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
ASCII_SIGNS = str.maketrans({"≥": ">=", "…": "~", "→": "->", "−": "-"})


def render_summary(run: Run, *, width: int, color: bool, brief: bool = False, encoding: str = "utf-8") -> str:
    """Return the summary of a run as text that ends with a newline, or an empty string if no test asked a candidate.

    Where the table is too wide, its least important columns go first; no number is ever wrapped or cut. What models
    and servers wrote is shown as text, whatever it holds.

    Args:
        run: The records.
        width: Cells that a line may take; fewer than 20 are taken as 20.
        color: Whether to use ANSI styles.
        brief: One line a candidate: no headings, no notes.
        encoding: Of the stream that the text is for; what it lacks is replaced.
    """
    rows = summarize(run)
    if not rows:
        return ""
    names = [row.name for row in rows]
    screen = Screen(max(width, NARROWEST), color, encoding)
    if brief:
        screen.table(names, [_brief(column) for column in columns(rows) if column.brief is not None], head=False)
    else:
        screen.table(names, columns(rows), head=True)
        screen.notes(notes(run, rows))
    return screen.text()


class Screen:
    """A console of a fixed width that is written into a string."""

    def __init__(self, width: int, color: bool, encoding: str) -> None:
        self.width = width
        self._encoding = encoding
        self._ascii = not encoding.lower().startswith("utf")
        self._console = Console(
            file=StringIO(),
            width=width,
            # Without a height, rich asks the terminal, and takes 80 columns for a dumb one.
            height=25,
            force_terminal=color,
            color_system="standard" if color else None,
            no_color=not color,
            force_jupyter=False,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def table(self, names: Sequence[str], built: Sequence[Column], *, head: bool, name_head: str = NAME_HEAD) -> None:
        """Print the candidates' names and as many of the columns as fit."""
        names = [self._plain(name) for name in names]
        built = [replace(column, cells=tuple(map(self._plain, column.cells))) for column in built]
        shown, room = _fit(names, built, self.width, name_head if head else "", head=head)
        table = self._framed(name_head, head=head)
        for column in shown:
            table.add_column(column.head, justify="right", no_wrap=True, vertical="bottom")
        for i, name in enumerate(shorten_names(names, room, "~" if self._ascii else "…")):
            table.add_row(Text(name), *(Text(column.cells[i], style=_style(column, i)) for column in shown))
        self._console.print(table)

    def _framed(self, corner: str, *, head: bool = True) -> Table:
        """Return a table with its first column."""
        table = Table(
            box=(ASCII_RULE if self._ascii else RULE) if head else None,
            show_header=head,
            show_edge=False,
            # The rule brings a blank between columns of its own.
            padding=(0, GAP - head, 0, 0),
            pad_edge=False,
            header_style="none",
        )
        table.add_column(corner, no_wrap=True, vertical="bottom")
        return table

    def notes(
        self, lines: Sequence[Note], styles: Mapping[str, str] | None = None, *, after_table: bool = True
    ) -> None:
        """Print the notes: labels in one column, texts wrapped beside them.

        Args:
            lines: Label and text; a label that is that of the line before is left out.
            styles: Style of what a regular expression finds in the texts.
            after_table: Whether to leave a line blank before.
        """
        if not lines:
            return
        grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        # Names of two candidates may be wider than the screen; the text beside them is what matters.
        grid.add_column(overflow="fold", max_width=self._console.width * 2 // 5)
        grid.add_column(overflow="fold")
        previous = None
        for label, text in lines:
            style = "red" if label == "errors" else "dim"
            told = Text(self._plain(text))
            for pattern, word in (styles or {}).items():
                told.highlight_regex(pattern, word)
            grid.add_row(Text("" if label == previous else self._plain(label), style=style), told)
            previous = label
        if after_table:
            self._console.print()
        self._console.print(grid)

    def grid(self, rows: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Print rows of texts with their styles, the last column wrapped."""
        grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        for _ in rows[0][:-1]:
            grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for row in rows:
            grid.add_row(*(Text(self._plain(text), style=style) for text, style in row))
        self._console.print(grid)

    def matrix(self, corner: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        """Print cells with their styles, by row and column; columns that do not fit stand in a table below.

        Args:
            corner: Heading of the rows' names.
            heads: Names of the columns.
            rows: Name of each row, and its cells.
        """
        names = [self._plain(name) for name, _ in rows]
        widest = min(max(cell_len(name) for name in [corner, *names]), max(self.width // 2, len(corner)))
        ellipsis = "~" if self._ascii else "…"
        names = shorten_names(names, widest, ellipsis)
        fit = max(1, (self.width - widest) // (GAP + HEAD_WIDTH))
        for start in range(0, len(heads), fit):
            part = [self._plain(head) for head in heads[start : start + fit]]
            if start:
                self._console.print()
            room = (self.width - widest) // len(part) - GAP
            table = self._framed(corner)
            for head in shorten_names(part, max(room, 4), ellipsis):
                table.add_column(Text(head), justify="right", no_wrap=True)
            for name, (_, cells) in zip(names, rows, strict=True):
                shown = (Text(self._plain(text), style=style) for text, style in cells[start : start + fit])
                table.add_row(Text(name), *shown)
            self._console.print(table)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a text by itself, wrapped."""
        self._console.print(Text(self._plain(text), style=style))

    def drawn(self, text: str) -> None:
        """Print a line with all of its blanks, as a drawing has them."""
        self._console.print(Text(text), no_wrap=True, crop=True)

    def text(self) -> str:
        """Return what was printed, without blanks at the ends of lines."""
        file = self._console.file
        assert isinstance(file, StringIO)
        return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())

    def _plain(self, text: str) -> str:
        """Return text that cannot steer a terminal, and that the stream can encode."""
        text = one_line(text)
        if self._ascii:
            text = text.translate(ASCII_SIGNS).encode(self._encoding, "replace").decode(self._encoding)
        return text


def _style(column: Column, row: int) -> str:
    return "red" if row in column.wrong else "bold" if row in column.best else ""


def _brief(column: Column) -> Column:
    template = column.brief or "{}"
    return replace(column, cells=tuple(template.format(cell) for cell in column.cells))


def _fit(
    names: Sequence[str], built: Sequence[Column], width: int, name_head: str, *, head: bool
) -> tuple[list[Column], int]:
    """Return the columns that fit beside the names, and the cells that are left for a name."""
    whole = max(cell_len(text) for text in [*names, name_head])
    shown = list(built)

    def left() -> int:
        return width - sum(GAP + _width(column, head=head) for column in shown)

    for optional, needed in ((True, whole), (False, min(whole, NAME_WIDTH))):
        for column in sorted(built, key=lambda column: -column.rank):
            if left() < needed and column.rank and column.optional == optional:
                shown.remove(column)
    return shown, left()


def _width(column: Column, *, head: bool) -> int:
    return max(cell_len(line) for text in [*column.cells, column.head * head] for line in text.split("\n"))


def shorten_names(names: Sequence[str], width: int, ellipsis: str = "…") -> list[str]:
    """Return names of at most `width` cells, cut in the middle, that still differ where the whole names do.

    >>> shorten_names(["together:Llama-3.1-8B-Turbo", "together:Llama-3.1-70B-Turbo"], 18)
    ['together:…8B-Turbo', 'together:…0B-Turbo']
    """
    for head in sorted(range(width), key=lambda head: abs(head - width // 2)):
        short = [_shorten(name, width, head, ellipsis) for name in names]
        if len(set(short)) == len(set(names)):
            return short
    marks = [f"{ellipsis}{list(dict.fromkeys(names)).index(name) + 1}" for name in names]
    return [_cut(name, width - cell_len(mark)) + mark for name, mark in zip(names, marks, strict=True)]


def _shorten(name: str, width: int, head: int, ellipsis: str) -> str:
    if cell_len(name) <= width:
        return name
    start = _cut(name, head)
    return start + ellipsis + _cut(name[::-1], width - cell_len(start) - 1)[::-1]


def _cut(text: str, width: int) -> str:
    while cell_len(text) > max(width, 0):
        text = text[:-1]
    return text
