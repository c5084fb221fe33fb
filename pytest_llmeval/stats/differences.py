"""Differences between two sets of answers, as values, and what they establish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Fewer cases than this establish no difference: the smallest p value of six tosses of a coin is 0.03, of five 0.06.
FEWEST_CASES = 6


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its confidence interval.

    Attributes:
        value: The figure.
        low, high: Ends of the interval; None where the cases are too few to give one.
        confidence: Probability with which such intervals cover the true figure.
    """

    value: float
    low: float | None
    high: float | None
    confidence: float = 0.95

    def __contains__(self, figure: float) -> bool:
        """Whether the interval covers a figure; without an interval, any figure may be the true one."""
        return self.low is None or self.high is None or self.low <= figure <= self.high


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """How the scores (0-1) of the same cases differ.

    Attributes:
        before, after: Mean scores.
        difference: ``after - before``, with an interval that holds 0 if `p` exceeds 1 - confidence.
        p: Two-sided p value of no difference.
        test: How `p` came about.
        n: Cases; those of repeats count once.
        lost, won: Cases that score lower than before, and higher.
        sd: Standard deviation of the cases' differences, for `resolvable` and `needed`. Where few differ it is that
            which the width of the interval stands for: what did not happen in 20 cases may well in 200.
    """

    before: float
    after: float
    difference: Estimate
    p: float
    test: Literal["exact McNemar test", "paired permutation test"]
    n: int
    lost: int
    won: int
    sd: float

    @property
    def pass_fail(self) -> bool:
        """Whether all scores are 0 or 1, for `resolvable` and `needed`."""
        return self.test == "exact McNemar test"

    def established(self, p: float | None = None) -> bool:
        """Whether there is a difference, at the interval's confidence.

        Args:
            p: The p value to go by instead: that of `holm`, where several differences are looked at.
        """
        level = 1 - self.difference.confidence
        return (self.p if p is None else p) <= level and 0 not in self.difference


@dataclass(frozen=True, slots=True)
class QuantityDifference:
    """How a quantity that is not negative, such as latency or cost, differs.

    Attributes:
        before, after: The mean or percentile of each side.
        difference: ``after - before``, in the quantity's unit.
        relative: ``after / before - 1``; None where a side is 0.
        p: Two-sided p value of no difference; None where the cases are too few.
        n_before, n_after: Cases of each side.
        paired: Whether they are the same cases.
    """

    before: float
    after: float
    difference: Estimate
    relative: Estimate | None
    p: float | None
    n_before: int
    n_after: int
    paired: bool
