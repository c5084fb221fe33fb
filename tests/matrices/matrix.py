"""A table of cases: what was tried, what came of it, and whether anything was lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import StringIO

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of a matrix: `tried` cases that share it, and what was lost in them, a text each."""

    cells: tuple[str, ...]
    tried: int
    lost: tuple[str, ...]


@dataclass
class Matrix:
    """Cases tried for real.

    Args:
        title: What is promised.
        heads: Names of the columns that tell cases apart and say what happened.
    """

    title: str
    heads: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)

    def add(self, *cells: object, tried: int = 1, lost: Iterable[str] = ()) -> None:
        """Add a line; `lost` says what went wrong, a text for each case in which something did."""
        assert len(cells) == len(self.heads), (cells, self.heads)
        self.rows.append(Row(tuple(map(str, cells)), tried, tuple(lost)))

    @property
    def tried(self) -> int:
        return sum(row.tried for row in self.rows)

    @property
    def lost(self) -> list[str]:
        """Return what was lost, with the case in front: empty if the promise was kept."""
        return [f"{' · '.join(row.cells)}: {what}" for row in self.rows for what in row.lost]

    def __str__(self) -> str:
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for head in self.heads:
            table.add_column(head, overflow="fold")
        for head in ("tried", "kept", "lost"):
            table.add_column(head, justify="right")
        for row in self.rows:
            lost = len(row.lost)
            table.add_row(*row.cells, f"{row.tried:,}", f"{row.tried - lost:,}", f"{lost:,}")
        out = StringIO()
        Console(file=out, width=160, markup=False, highlight=False).print(table)
        kept = self.tried - len(self.lost)
        lines = [out.getvalue().rstrip(), f"cases tried {self.tried:,}, kept {kept:,}, lost {len(self.lost):,}"]
        return "\n".join([*lines, *(f"  LOST {what}" for what in self.lost)])


def report(matrix: Matrix) -> int:
    """Print a matrix; return the exit status of a script: 1 if anything was lost or nothing was tried."""
    print(matrix)
    return 1 if matrix.lost or not matrix.tried else 0
