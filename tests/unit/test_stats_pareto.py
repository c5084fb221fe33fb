"""Points that no other one beats."""

from __future__ import annotations

import random

from pytest_llmeval.stats.pareto import Merits, unbeaten


def test_what_is_worse_in_one_figure_and_better_in_none_is_beaten() -> None:
    assert unbeaten([(1.0, 2.0), (1.0, 1.0), (2.0, 1.0)]) == [0, 2]


def test_equals_do_not_beat_each_other() -> None:
    assert unbeaten([(1.0, 2.0), (1.0, 2.0), (1.0, None), (1.0, None)]) == [0, 1, 2, 3]


def test_an_unknown_figure_neither_beats_nor_is_beaten() -> None:
    assert unbeaten([(0.5, -1.0), (0.9, None)]) == [0, 1]
    assert unbeaten([(0.9, -1.0), (0.5, None)]) == [0]


def test_a_point_of_which_nothing_is_known_is_not_beaten_and_beats_nothing() -> None:
    assert unbeaten([(None, None), (0.5, 0.5)]) == [0, 1]
    assert unbeaten([]) == []


def test_each_that_is_left_out_is_beaten_by_one_that_is_not() -> None:
    chance = random.Random(7)

    def point() -> Merits:
        return tuple(chance.choice([None, 0.0, 0.5, 1.0]) for _ in range(4))

    def beats(one: Merits, other: Merits) -> bool:
        figures = list(zip(one, other, strict=True))
        both = [(a, b) for a, b in figures if a is not None and b is not None]
        knows_all = len(both) == sum(b is not None for b in other)
        return knows_all and all(a >= b for a, b in both) and any(a > b for a, b in both)

    points = [point() for _ in range(200)]
    front = unbeaten(points)
    assert 0 < len(front) < 200
    for place, each in enumerate(points):
        assert (place not in front) == any(beats(other, each) for other in points)
        assert place in front or any(beats(points[best], each) for best in front)
