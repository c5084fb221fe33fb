"""The interval of a mean, from what each case contributes to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """Cases that are drawn independently of those of other parts.

    Attributes:
        shares: What each case contributes to the estimate, less what is expected of it; they sum to 0.
        n: How many equally weighted cases they are worth.
        freedom: Degrees of freedom of their variance.
    """

    shares: Floats
    n: float
    freedom: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How far an estimate may be off: its standard error, degrees of freedom and skewness."""

    error: float
    freedom: float
    skewness: float


def weighted(values: Floats, weights: Floats) -> tuple[float, Part]:
    """Return the weighted mean, and the part that it is made of.

    Cases of unequal weights are worth fewer of equal ones: ``sum(w)**2 / sum(w**2)`` (Kish, "Survey Sampling", 1965).
    """
    total = weights.sum()
    mean = float((values * weights).sum() / total)
    n = float(total**2 / (weights**2).sum())
    return mean, Part(weights * (values - mean) / total, n, n - 1)


def spread(parts: Sequence[Part]) -> Spread:
    """Return the spread of a sum of parts, the degrees of freedom after Welch (Biometrika 34, 1947)."""
    squares = [float((part.shares**2).sum()) for part in parts]
    cubes = sum(float((part.shares**3).sum()) for part in parts)
    variances = [square * part.n / (part.n - 1) for square, part in zip(squares, parts, strict=True)]
    total = sum(variances)
    # What differs in its last bits only does not differ; powers of it would vanish.
    if total < 1e-24:
        return Spread(0.0, min(part.freedom for part in parts), 0.0)
    freedom = total**2 / sum(variance**2 / part.freedom for variance, part in zip(variances, parts, strict=True))
    return Spread(math.sqrt(total), freedom, cubes / sum(squares) ** 1.5)


def interval(estimate: float, around: Spread, confidence: float) -> tuple[float, float]:
    """Return the ends that lie further out, of Student's interval and of Hall's.

    Student's is the better one for few cases and for tails on both sides, Hall's where one tail is longer: it takes
    out the skewness by a cubic transformation of t. Hall, "On the Removal of Skewness by Transformation", Journal of
    the Royal Statistical Society B 54 (1992); Zhou & Dinh, Biostatistics 6 (2005). With a skewness of 2 and 10 cases,
    Student's covers 91%, Hall's and the wider one 94%, the percentile and BCa bootstrap 85-87%. Where few cases stand
    out from the rest none of them is enough: see `paired_difference`.
    """
    t = float(stdtrit(around.freedom, (1 + confidence) / 2))
    low = max(t, _untransformed(t, around.skewness))
    high = min(-t, _untransformed(-t, around.skewness))
    return estimate - low * around.error, estimate - high * around.error


def p_value(estimate: float, around: Spread) -> float:
    """Return the two-sided p value that agrees with `interval`: at most 5% if 95% does not reach 0."""
    if around.error == 0:
        return 1.0 if estimate == 0 else 0.0
    t = estimate / around.error
    nearer = min(abs(t), abs(_transformed(t, around.skewness)))
    return float(2 * stdtr(around.freedom, -nearer))


def _transformed(t: float, skewness: float) -> float:
    return t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6


def _untransformed(t: float, skewness: float) -> float:
    if abs(skewness) < 1e-6:
        return t
    return 3 / skewness * (math.cbrt(1 + skewness * (t - skewness / 6)) - 1)
