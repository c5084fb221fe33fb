"""Cases drawn from known truths. Each function returns one sample: before, after and weights, of `n` cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = list[float] | list[list[float]]
Sample = tuple[Values, Values, list[float] | None]
Draw = Callable[[np.random.Generator, int], Sample]
Kind = Literal["score", "mean", "p50", "p95"]

SIZES = (10, 20, 40, 100, 300, 1000)


@dataclass(frozen=True)
class Truth:
    """What is true of all cases, and how samples of them are drawn.

    Attributes:
        name: What is peculiar to it.
        kind: Which figure is compared.
        draw: Returns a sample of `n` cases.
        difference: True difference of the figure.
        relative: True relative difference; None for scores.
        telling: Share of cases that say something: those that change, or of the rarer kind.
        seen_from: With fewer cases, what makes the truth may not be in the sample at all.
        paired: Whether both sides are of the same cases.
    """

    name: str
    kind: Kind
    draw: Draw
    difference: float
    relative: float | None = None
    telling: float = 1.0
    seen_from: int = 0
    paired: bool = True


def binary(rng: np.random.Generator, n: int, *, changed: float, difference: float) -> Sample:
    """Pass or fail; a share of the cases changes, more of them to the worse."""
    toss = rng.random(n)
    lost, won = toss < (changed - difference) / 2, toss > 1 - (changed + difference) / 2
    same = rng.random(n) < 0.7
    before = np.where(lost, 1, np.where(won, 0, same))
    after = np.where(lost, 0, np.where(won, 1, same))
    return before.tolist(), after.tolist(), None


def smooth(rng: np.random.Generator, n: int, *, difference: float) -> Sample:
    """Scores without ties, of cases that are more or less difficult."""
    case = rng.uniform(0.4, 0.6, n)
    before = case + 0.6 * (rng.beta(2, 2, n) - 0.5)
    after = case + 0.6 * (rng.beta(2, 2, n) - 0.5) + difference
    return before.tolist(), after.tolist(), None


def fields(rng: np.random.Generator, n: int, *, difference: float, changed: float = 0.15) -> Sample:
    """Scores of four fields; most answers are the same as before, so that most cases tie."""
    before = rng.random((n, 4)) < 0.85
    other = rng.random((n, 4)) < 0.85 + difference / changed
    after = np.where(rng.random((n, 4)) < changed, other, before)
    return before.mean(1).tolist(), after.mean(1).tolist(), None


def few(rng: np.random.Generator, n: int, *, difference: float, changed: float = 0.1) -> Sample:
    """One case in ten changes, by 0.2 to 1."""
    size = rng.integers(1, 6, n) / 5
    up = rng.random(n) < 0.5 + difference / (2 * changed * 0.6)
    low = np.where(rng.random(n) < changed, 1 - size, 1.0)
    before, after = np.where(up, low, 1.0), np.where(up, 1.0, low)
    return before.tolist(), after.tolist(), None


def skewed(rng: np.random.Generator, n: int, *, difference: float) -> Sample:
    """Many gain a little and some lose much; the skewness is -1.7."""
    change = 0.1 - rng.beta(0.7, 6.3, n) + difference
    return [0.9] * n, np.clip(0.9 + change, 0, 1).tolist(), None


def rare(rng: np.random.Generator, n: int, *, difference: float, share: float = 0.1) -> Sample:
    """One case in ten loses nearly half of its score, and all others gain a little."""
    lost = rng.random(n) < share
    change = np.where(lost, -0.05 * (1 - share) / share, 0.05) + difference + rng.uniform(-0.01, 0.01, n)
    return [0.8] * n, (0.8 + change).tolist(), None


def ceiling(rng: np.random.Generator, n: int, *, factor: float) -> Sample:
    """Nearly all right, some far from it, and not the same ones before and after."""
    return rng.beta(8, 0.6, n).tolist(), (factor * rng.beta(8, 0.6, n)).tolist(), None


def repeated(rng: np.random.Generator, n: int, *, factor: float, alike: float = 0.0, repeats: int = 5) -> Sample:
    """Repeats of pass or fail; in a share of the cases all repeats end alike."""
    chance = rng.beta(3, 1.5, n)
    sides = []
    for each in (chance, chance * factor):
        values = rng.random((n, repeats)) < each[:, None]
        first = np.repeat(values[:, :1], repeats, axis=1)
        sides.append(np.where(rng.random((n, 1)) < alike, first, values).astype(float).tolist())
    return sides[0], sides[1], None


def weighted(rng: np.random.Generator, n: int, *, difference: float) -> Sample:
    """Three cases in ten weigh three times as much, and lose what the others gain."""
    heavy = rng.random(n) < 0.3
    before, after, _ = smooth(rng, n, difference=0.0)
    moved = np.array(after) + np.where(heavy, -0.035, 0.045) + difference
    return before, moved.tolist(), np.where(heavy, 3.0, 1.0).tolist()


def weighted_binary(rng: np.random.Generator, n: int, *, difference: float) -> Sample:
    """Pass or fail, where three cases in ten weigh three times as much."""
    before, after, _ = binary(rng, n, changed=0.4, difference=difference)
    return before, after, np.where(rng.random(n) < 0.3, 3.0, 1.0).tolist()


def amounts(
    rng: np.random.Generator,
    n: int,
    *,
    shift: float,
    alike: float = 0.5,
    sigma: float = 0.5,
    repeats: int = 1,
    dear: float = 0.0,
) -> Sample:
    """Latencies or costs: log-normal, correlated by case; a share may cost five times as much afterwards."""
    case = math.sqrt(alike) * rng.standard_normal((n, 1))
    before, after = (
        np.exp(sigma * (case + math.sqrt(1 - alike) * rng.standard_normal((n, repeats)))) for _ in range(2)
    )
    after = after * math.exp(shift) * np.where(rng.random((n, repeats)) < dear, 5, 1)
    return _by_case(before), _by_case(after), None


def _by_case(values: NDArray[np.float64]) -> Values:
    flat: list[float] = values[:, 0].tolist()
    nested: list[list[float]] = values.tolist()
    return flat if values.shape[1] == 1 else nested


def score_truths() -> Iterator[Truth]:
    """Yield all truths about scores."""
    for changed, difference in ((0.05, 0.0), (0.2, 0.0), (0.4, 0.0), (0.2, -0.1), (0.4, -0.1)):
        draw = partial(binary, changed=changed, difference=difference)
        yield Truth(f"pass/fail, {changed:.0%} change", "score", draw, difference, telling=changed)
    for difference in (0.0, -0.05):
        yield Truth("smooth", "score", partial(smooth, difference=difference), difference)
        # The share of cases that tie, by the fields that are drawn anew and come out otherwise.
        new = 0.85 + difference / 0.15
        other = 1 - (1 - 0.15 * (0.85 * (1 - new) + 0.15 * new)) ** 4
        yield Truth("fields, most tie", "score", partial(fields, difference=difference), difference, telling=other)
        yield Truth("1 in 10 changes", "score", partial(few, difference=difference), difference, telling=0.1)
        yield Truth("skewed", "score", partial(skewed, difference=difference), difference)
        yield Truth(
            "1 in 10 loses much",
            "score",
            partial(rare, difference=difference),
            difference,
            telling=0.1,
            seen_from=40,
        )
        yield Truth("weights", "score", partial(weighted, difference=difference), difference)
        binary_weighted = partial(weighted_binary, difference=2 * difference)
        yield Truth("pass/fail, weights", "score", binary_weighted, 2 * difference, telling=0.4 / 1.6)
    for factor in (1.0, 0.9):
        yield Truth("near 1", "score", partial(ceiling, factor=factor), (factor - 1) * 8 / 8.6)
        for alike in (0.0, 0.8):
            name = f"5 repeats, {alike:.0%} alike"
            draw = partial(repeated, factor=factor, alike=alike)
            yield Truth(name, "score", draw, (factor - 1) * 3 / 4.5, telling=0.67 - 0.2 * alike)


def quantity_truths() -> Iterator[Truth]:
    """Yield all truths about latency and cost."""
    shapes: tuple[tuple[str, dict[str, float], bool, int], ...] = (
        ("log-normal", {}, True, 0),
        ("cases much alike", {"alike": 0.9}, True, 0),
        ("other cases", {"alike": 0.0}, False, 0),
        ("3 repeats", {"repeats": 3}, True, 0),
        ("long tail", {"sigma": 1.0}, True, 100),
        ("5% cost 5 times as much", {"dear": 0.05}, True, 100),
    )
    for kind, z in (("mean", None), ("p50", 0.0), ("p95", 1.6448536)):
        for name, options, paired, seen_from in shapes:
            if z is not None and "dear" in options:
                continue
            for shift in (0.0, 0.2):
                if name == "5% cost 5 times as much" and not shift:
                    continue
                sigma = options.get("sigma", 0.5)
                before = math.exp(sigma**2 / 2 if z is None else sigma * z)
                ratio = math.exp(shift) * (1 + 4 * options.get("dear", 0.0))
                yield Truth(
                    name,
                    kind,  # type: ignore[arg-type]
                    partial(amounts, shift=shift, **options),  # type: ignore[arg-type]
                    before * (ratio - 1),
                    relative=ratio - 1,
                    seen_from=seen_from if kind == "mean" else 0,
                    paired=paired,
                )
