"""Charts of points in plain text."""

from __future__ import annotations

from pytest_llmeval.reports.chart import HEIGHT, Point, chart_lines


def chart(*points: Point, width: int = 40) -> list[str]:
    return chart_lines(points, width=width, x_name="cost", y_name="quality", x_text=lambda x: f"${x:g}")


def test_ends_of_both_axes_are_named_and_points_lie_at_them() -> None:
    lines = chart(Point(1, 0.2, "1"), Point(3, 0.8, "2"), Point(2, 0.5))
    assert lines[1] == f"  0.80 |{'2':>31}"
    assert lines[HEIGHT] == "  0.20 |1"
    assert sum(line.count(".") for line in lines[2:HEIGHT]) == 2  # The point, and that of the label in the middle.
    assert lines[-1].split() == ["$1", "cost", "$3"]
    assert max(map(len, lines)) <= 40


def test_numbers_on_one_place_stand_beside_each_other() -> None:
    lines = chart(Point(1, 0.5, "1"), Point(2, 0.5, "2"), Point(2, 0.5, "3"), Point(2, 0.5), Point(1, 0.1))
    (row,) = (drawn for line in lines[1 : HEIGHT + 1] if "2" in (drawn := line.partition("|")[2]))
    assert row.endswith("3 2")
    assert row.startswith("1")


def test_points_that_are_all_the_same_are_drawn() -> None:
    assert any("1" in line.partition("|")[2] for line in chart(Point(0, 0.0, "1"), Point(0, 0.0)))
