"""Several differences at once: Holm's p values, and ranks that are shared where nothing separates candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pytest_llmeval.stats.differences import PairedDifference


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that allow for each other, in the order given.

    The chance that any of them is at most 5% where no difference is real is then at most 5%, however they depend on
    each other. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6
    (1979).

    Raises:
        ValueError: A p value is not 0-1.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise ValueError(f"p value {p!r} is not between 0 and 1")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = largest
    return adjusted


def ranks(candidates: Iterable[str], differences: Mapping[tuple[str, str], PairedDifference]) -> dict[str, int]:
    """Return the rank of each candidate: 1, and 1 more for each that is established to be better.

    Candidates that nothing separates share a rank: if none is established to be better than another, all are first.
    What is established between A and C alone, with B between them separable from neither, makes A and B first and C
    second. All pairs allow for each other by `holm`.

    Args:
        candidates: Names.
        differences: By (one, other) in either order, the difference of the other from the one. A pair that is not
            there, having no case in common, is not separated.

    >>> from pytest_llmeval.stats.differences import Estimate
    >>> def scored(value: float, half: float, p: float) -> PairedDifference:
    ...     gap = Estimate(value, value - half, value + half)
    ...     return PairedDifference(0.5, 0.5 + value, gap, p, "paired permutation test", 40, 9, 9, 0.3)
    >>> ranks(
    ...     ["small", "medium", "large"],
    ...     {
    ...         ("small", "medium"): scored(0.05, 0.08, 0.22),
    ...         ("small", "large"): scored(0.11, 0.08, 0.007),
    ...         ("medium", "large"): scored(0.06, 0.08, 0.14),
    ...     },
    ... )
    {'small': 2, 'medium': 1, 'large': 1}
    """
    places = dict.fromkeys(candidates, 1)
    adjusted = holm([found.p for found in differences.values()])
    for ((one, other), found), p in zip(differences.items(), adjusted, strict=True):
        if found.established(p):
            places[one if found.difference.value > 0 else other] += 1
    return places
