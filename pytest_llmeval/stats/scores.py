"""Scores of the same cases before and after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from pytest_llmeval.stats.differences import Estimate, PairedDifference
from pytest_llmeval.stats.intervals import NO_SPREAD
from pytest_llmeval.stats.means import Floats, interval, p_value, spread, weighted
from pytest_llmeval.stats.proportions import mcnemar, tango
from pytest_llmeval.stats.signflips import sign_flip

#: What one case scored, or what each repeat of it did.
Sample = float | Sequence[float]

# With fewer cases that stand out from the rest, the spread among all is not known well enough for Student's interval.
FEW = 8


def paired_difference(
    before: Sequence[Sample],
    after: Sequence[Sample],
    *,
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
) -> PairedDifference | None:
    """Return how scores of the same cases differ, or None without cases.

    Repeats are averaged within their case first: they are not independent cases. Which order the cases come in makes
    no difference.

    Scores that are all 0 or 1 get McNemar's exact test and Tango's interval. Others get the paired permutation test,
    and the wider of Student's and Hall's interval; where fewer than 8 cases stand out from the rest, also of Tango's
    interval of their number, scaled to the largest difference that was seen, or to 1 if none was. That test's p value
    is raised to the interval's where that is larger: a permutation test alone takes a skewed spread for a difference.
    The interval is extended to 0 where the p value exceeds ``1 - confidence``, so that they never disagree.

    What no interval can know is what has not been seen: if 1 case in 20 fails altogether and the others improve a
    little, 20 cases look like an improvement with a chance of 36%.

    Args:
        before: Score of each case, 0-1, or those of its repeats.
        after: The same for the same cases in the same order.
        weights: What each case weighs in means and intervals, a positive number; if they differ, pass and fail are
            treated like other scores.
        confidence: Probability that the interval is to cover the true difference, between 0 and 1, exclusive.

    Raises:
        ValueError: A score is not 0-1, a weight is not positive, the numbers of cases differ, a case has no score, or
            the confidence is not between 0 and 1.

    >>> worse = paired_difference([1] * 20, [1] * 12 + [0] * 8)
    >>> gap = worse.difference
    >>> print(f"{gap.value:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}), p = {worse.p:.3f}")
    -0.40 (-0.61 to -0.17), p = 0.008
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; it must lie between 0 and 1, for example 0.95")
    old, new, weight = _sorted(_scores(before), _scores(after), weights)
    if not len(old):
        return None
    changes = new - old
    changes[np.abs(changes) < NO_SPREAD] = 0.0
    binary = bool(np.isin(old, (0, 1)).all() and np.isin(new, (0, 1)).all() and (weight == weight[0]).all())
    low, high, p, sd = _binary(changes, confidence) if binary else _graded(changes, weight, confidence)
    value = float((changes * weight).sum() / weight.sum())
    if p > 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return PairedDifference(
        before=float((old * weight).sum() / weight.sum()),
        after=float((new * weight).sum() / weight.sum()),
        # Rounding must not put the mean outside of its interval.
        difference=Estimate(value, min(max(-1.0, low), value), max(min(1.0, high), value), confidence),
        p=p,
        test="exact McNemar test" if binary else "paired permutation test",
        n=len(changes),
        lost=int((changes < 0).sum()),
        won=int((changes > 0).sum()),
        sd=sd,
    )


def _scores(samples: Sequence[Sample]) -> Floats:
    if all(type(sample) is float for sample in samples):
        # Without repeats there is nothing to average, and a run may have 100,000 cases.
        scores = np.array(samples, dtype=np.float64)
        if ((scores >= 0) & (scores <= 1)).all():
            return scores
    means = []
    for sample in samples:
        values = sample if isinstance(sample, Sequence) else [sample]
        if not values:
            raise ValueError("a case has no score; leave it out on both sides")
        for value in values:
            if not 0 <= value <= 1:
                raise ValueError(f"score {value!r} is not between 0 and 1")
        means.append(fmean(values))
    return np.array(means, dtype=np.float64)


def _sorted(old: Floats, new: Floats, weights: Sequence[float] | None) -> tuple[Floats, Floats, Floats]:
    """Return the cases in an order of their own, so that sums and random draws do not depend on that of the caller."""
    weight = np.ones(len(old)) if weights is None else np.array(weights, dtype=np.float64)
    if not len(old) == len(new) == len(weight):
        raise ValueError(f"{len(old)} cases before, {len(new)} after, {len(weight)} weights; give the same cases")
    for value in weight:
        if not 0 < value < math.inf:
            raise ValueError(f"weight {float(value)!r} is not a positive number")
    order = np.lexsort((weight, new, old))
    return old[order], new[order], weight[order]


def _binary(changes: Floats, confidence: float) -> tuple[float, float, float, float]:
    n = len(changes)
    lost, won = int((changes < 0).sum()), int((changes > 0).sum())
    low, high = tango(lost, won, n, confidence)
    sd = math.sqrt((lost + won - (won - lost) ** 2 / n) / max(1, n - 1))
    if lost + won < FEW:
        sd = max(sd, _implied_sd(low, high, n, confidence))
    return low, high, mcnemar(lost, won), sd


def _graded(changes: Floats, weight: Floats, confidence: float) -> tuple[float, float, float, float]:
    mean, part = weighted(changes, weight)
    if part.n < 2:
        return -1.0, 1.0, 1.0, 1.0
    around = spread([part])
    low, high = interval(mean, around, confidence)
    # What a case adds to the sum is what is swapped.
    p = max(sign_flip(changes * (weight / weight.max())), p_value(mean, around))
    sd = around.error * math.sqrt(part.n)
    rare = _few_stand_out(changes, weight, part.n, confidence)
    if rare is not None:
        low, high = min(low, rare[0]), max(high, rare[1])
        sd = max(sd, _implied_sd(low, high, part.n, confidence))
    return low, high, p, sd


def _few_stand_out(changes: Floats, weight: Floats, n: float, confidence: float) -> tuple[float, float] | None:
    """Return the interval that allows for cases unlike most of the others, or None where enough of those are known."""
    values, counts = np.unique(np.round(changes, 9), return_counts=True)
    most = float(values[np.argmax(counts)])
    apart = np.abs(changes - most) > NO_SPREAD
    if apart.sum() >= FEW or 2 * apart.sum() > len(changes):
        return None
    share = weight / weight.sum() * n
    lower, higher = float(share[apart & (changes < most)].sum()), float(share[apart & (changes > most)].sum())
    scale = max(float(np.abs(changes).max()), float(np.abs(changes - most).max())) or 1.0
    low, high = tango(lower, higher, n, confidence)
    return most + scale * low, most + scale * high


def _implied_sd(low: float, high: float, n: float, confidence: float) -> float:
    """Return the standard deviation with which Student's interval would be as wide."""
    if n < 2:
        return 1.0
    return float((high - low) / 2 / stdtrit(n - 1, (1 + confidence) / 2) * math.sqrt(n))
