"""Which of many points no other one beats, also where some lack a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Figures of which more is better; None where nobody knows.
Merits = tuple[float | None, ...]


def unbeaten(points: Sequence[Merits]) -> list[int]:
    """Return the places of the points that no other one beats: better in one figure, and worse in none (Pareto).

    Two are compared in what is known of both, and nothing beats a point of which more is known. So what one point
    beats also falls to any that beats this one, and each point that is beaten is beaten by one of those returned.

    >>> unbeaten([(0.8, -1.0), (0.9, -2.0), (0.8, -2.0), (0.9, None), (0.7, None)])
    [0, 1, 3]
    """
    front: list[int] = []
    # Whatever beats a point comes before it in this order.
    for place in sorted(range(len(points)), key=lambda place: _rank(points[place]), reverse=True):
        if not any(_beats(points[other], points[place]) for other in front):
            front.append(place)
    return sorted(front)


def _rank(merits: Merits) -> tuple[int, list[float]]:
    figures = [-math.inf if merit is None else merit for merit in merits]
    return sum(merit is not None for merit in merits), figures


def _beats(one: Merits, other: Merits) -> bool:
    if any(a is None and b is not None for a, b in zip(one, other, strict=True)):
        return False
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
