"""Intervals and percentiles; numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

# Means of the same answers taken in another order differ in the last bits; that is no spread.
NO_SPREAD = 1e-9


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of scores with its confidence interval, all 0-1."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return the mean of scores with its confidence interval, or None without scores.

    Scores that are all 0 or 1 (passed or failed) get the Wilson score interval, others Student's t interval, clipped to
    0-1. Where t says nothing, with a single score or with equal ones, the width would be undefined or zero; the Wilson
    interval of the mean is taken instead. It is the cautious choice: among all variables in 0-1 with one mean, the
    coin varies most (variance <= mean * (1 - mean)).

    The scores are taken as independent; repeats of one case are not, and make the interval too narrow.

    Args:
        values: Scores, each 0-1.
        confidence: Probability that the interval is to cover the true mean, between 0 and 1, exclusive.

    Raises:
        ValueError: A score is not 0-1, or the confidence is not between 0 and 1.

    >>> passed = mean_interval([1, 1, 1, 0])
    >>> f"{passed.mean:.2f} ({passed.low:.2f} to {passed.high:.2f})"
    '0.75 (0.30 to 0.95)'
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; it must lie between 0 and 1, for example 0.95")
    if not values:
        return None
    for value in values:
        if not 0 <= value <= 1:
            raise ValueError(f"score {value!r} is not between 0 and 1")
    binary = all(value in (0, 1) for value in values)
    if binary or max(values) - min(values) < NO_SPREAD:
        return _wilson(fmean(values), len(values), confidence)
    return _student(values, confidence)


def weighted_interval(values: Sequence[float], weights: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Return the weighted mean of scores with its confidence interval, or None without scores.

    What `mean_interval` does, with as many scores as the weighted ones are worth: ``sum(w)**2 / sum(w**2)`` equal ones
    (Kish, "Survey Sampling", 1965). Equal weights change nothing.

    Args:
        values: Scores, each 0-1.
        weights: What each weighs, a positive number.
        confidence: As `mean_interval` takes it.

    Raises:
        ValueError: A score is not 0-1, a weight is not positive, or the confidence is not between 0 and 1.

    >>> counted_thrice = weighted_interval([1, 1, 1, 0], [1, 1, 1, 3])
    >>> f"{counted_thrice.mean:.2f} ({counted_thrice.low:.2f} to {counted_thrice.high:.2f})"
    '0.50 (0.13 to 0.87)'
    """
    plain = mean_interval(values, confidence)
    for weight in weights:
        if not 0 < weight < math.inf:
            raise ValueError(f"weight {weight!r} is not a positive number")
    if plain is None or len(set(weights)) == 1:
        return plain
    mean = fmean(values, weights)
    n = math.fsum(weights) ** 2 / math.fsum(weight * weight for weight in weights)
    if all(value in (0, 1) for value in values) or max(values) - min(values) < NO_SPREAD or n < 2:
        return _wilson(mean, n, confidence)
    total = math.fsum(weights)
    spread = math.fsum(w * (value - mean) ** 2 for value, w in zip(values, weights, strict=True)) / total
    return _around(mean, spread * n / (n - 1), n, confidence)


def percentile(values: Sequence[float], q: float) -> float | None:
    """Return the `q`-th percentile (0-100) by linear interpolation, or None without values.

    Type 7 of Hyndman & Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996): what
    `numpy.percentile` and `statistics.quantiles(method="inclusive")` compute.

    Raises:
        ValueError: `q` is not 0-100.

    >>> percentile([10, 20, 30, 40], 50)
    25.0
    """
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q!r} is not between 0 and 100")
    if not values:
        return None
    ordered = sorted(values)
    position = (len(ordered) - 1) * q / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _wilson(mean: float, n: float, confidence: float) -> Interval:
    # E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927).
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shrink = 1 + z * z / n
    centre = (mean + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    # At 0 and 1 one end equals the mean, which rounding may miss by a bit.
    return Interval(mean, min(max(0.0, centre - half), mean), max(min(1.0, centre + half), mean))


def _student(values: Sequence[float], confidence: float) -> Interval:
    n, mean = len(values), fmean(values)
    return _around(mean, math.fsum((value - mean) ** 2 for value in values) / (n - 1), n, confidence)


def _around(mean: float, variance: float, n: float, confidence: float) -> Interval:
    # Student, "The Probable Error of a Mean", Biometrika 6 (1908): mean +- t(n - 1) * s / sqrt(n).
    # Imported here, and not scipy.stats: it takes a third of a second, and pass/fail scores do without.
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * math.sqrt(variance / n)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))
