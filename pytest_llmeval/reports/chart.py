"""A chart of points in plain text: one thing against another, those that nothing beats by their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

HEIGHT = 12
MARGIN = 7
OTHER = "."


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a chart; without a label it is one of the crowd."""

    x: float
    y: float
    label: str = ""


def chart_lines(
    points: Sequence[Point], *, width: int, x_name: str, y_name: str, x_text: Callable[[float], str]
) -> list[str]:
    """Return the lines of a chart.

    Args:
        points: What to draw; where two fall on one place, the one with a label is seen.
        width: Cells of a line.
        x_name: What the axis to the right is of.
        y_name: What the axis upward is of.
        x_text: Writes a value of the axis to the right.

    >>> points = [Point(0.1, 0.5, "1"), Point(0.2, 0.7), Point(0.5, 0.9, "2")]
    >>> for line in chart_lines(points, width=30, x_name="USD", y_name="quality", x_text=str)[:3]: print(line)
    quality
      0.90 |                    2
           |
    """
    columns = width - MARGIN - 2
    low_x, high_x = _range([point.x for point in points])
    low_y, high_y = _range([point.y for point in points])
    cells = [[" "] * columns for _ in range(HEIGHT)]
    for point in sorted(points, key=lambda point: bool(point.label)):
        row = HEIGHT - 1 - round((point.y - low_y) / (high_y - low_y) * (HEIGHT - 1))
        label = point.label or OTHER
        column = min(round((point.x - low_x) / (high_x - low_x) * (columns - 1)), columns - len(label))
        if point.label:
            # Numbers that would lie on each other stand beside each other, where there is room.
            while column > 0 and any(cell.isdigit() for cell in cells[row][column - 1 : column + len(label) + 1]):
                column -= 1
        cells[row][column : column + len(label)] = label
    lines = [y_name]
    for number, row_cells in enumerate(cells):
        value = high_y - (high_y - low_y) * number / (HEIGHT - 1)
        marked = number in (0, HEIGHT // 2, HEIGHT - 1)
        lines.append(f"{f'{value:.2f}' if marked else '':>6} |{''.join(row_cells)}".rstrip())
    ends = x_text(low_x), x_text(high_x)
    middle = x_name.center(max(0, columns - len(ends[0]) - len(ends[1])))
    return [*lines, f"{'':>6} +{'-' * columns}", f"{'':>8}{ends[0]}{middle}{ends[1]}"]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        # One place for all: in the middle.
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low, high
