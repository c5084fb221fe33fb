"""How small a difference a number of cases resolves, and how many cases a difference needs."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from scipy.special import bdtr, bdtrik, nctdtrinc, stdtrit  # type: ignore[import-untyped]

from pytest_llmeval.stats.differences import FEWEST_CASES

HALVINGS = 40
MOST_CASES = 10_000_000


def resolvable(
    n: int, sd: float, *, pass_fail: bool = False, power: float = 0.8, confidence: float = 0.95
) -> float | None:
    """Return the smallest mean difference that `n` paired cases establish with a chance of 80%.

    None if they are so few that they establish none: under 6 cases. That of the paired t test, by the noncentral t
    distribution (Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.3.5); for pass and
    fail that of the exact McNemar test (Duffy, Biometrics 40, 1984), which needs more. `paired_difference` is a little
    stricter than the t test: in simulations of scores the chance is 76-78%, and 73% with 10 cases.

    Args:
        n: Cases; those of repeats count once.
        sd: Standard deviation of the cases' differences.
        pass_fail: Whether all scores are 0 or 1.
        power: Chance of establishing the difference if it is real.
        confidence: 1 less the chance of a false alarm.

    >>> f"{resolvable(40, 0.24):.2f}, {resolvable(40, 0.24, pass_fail=True):.2f}"
    '0.11, 0.19'
    """
    _check(sd, power, confidence)
    if n < FEWEST_CASES:
        return None
    if not pass_fail:
        critical = stdtrit(n - 1, (1 + confidence) / 2)
        return float(nctdtrinc(n - 1, 1 - power, critical)) * sd / math.sqrt(n)
    low, high = 0.0, 1.0
    if _power(n, sd, high, confidence) < power:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(n, sd, middle, confidence) >= power else (middle, high)
    return high


def needed(
    difference: float, sd: float, *, pass_fail: bool = False, power: float = 0.8, confidence: float = 0.95
) -> int | None:
    """Return how many paired cases establish a mean difference with a chance of 80%; None if ten million are too few.

    The rest is as for `resolvable`.

    Raises:
        ValueError: The difference is 0, which no number of cases establishes, or more than scores can differ.

    >>> needed(0.05, 0.24), needed(0.05, 0.24, pass_fail=True)
    (183, 192)
    """
    _check(sd, power, confidence)
    if not 0 < abs(difference) <= 1:
        raise ValueError(f"difference is {difference!r}; no number of cases establishes it between scores of 0-1")
    quantile = NormalDist().inv_cdf
    about = ((quantile((1 + confidence) / 2) + quantile(power)) * sd / difference) ** 2
    if about > MOST_CASES:
        return None
    # The normal distribution asks for too few.
    n = max(FEWEST_CASES, math.floor(about))
    while not _resolves(n, sd, abs(difference), pass_fail, power, confidence):
        n += max(1, n // 200)
    return n


def _resolves(n: int, sd: float, difference: float, pass_fail: bool, power: float, confidence: float) -> bool:
    if pass_fail:
        return _power(n, sd, difference, confidence) >= power
    found = resolvable(n, sd, power=power, confidence=confidence)
    return found is not None and found <= difference


def _power(n: int, sd: float, difference: float, confidence: float) -> float:
    """Return the chance that the exact McNemar test establishes a difference."""
    # At least as many cases change as the difference takes.
    changed = min(1.0, max(sd**2 + difference**2, difference))
    if changed == 0:
        return 0.0
    lost = (changed + difference) / 2 / changed
    # What lies eight standard deviations from the expected number of changed cases does not count.
    reach = 8 * math.sqrt(n * changed * (1 - changed)) + 8
    numbers = np.arange(max(0, math.floor(n * changed - reach)), min(n, math.ceil(n * changed + reach)) + 1)
    shares = np.diff(bdtr(numbers, n, changed), prepend=0.0 if numbers[0] == 0 else bdtr(numbers[0] - 1.0, n, changed))
    tail = (1 - confidence) / 2
    # The most of the rarer kind with which the test finds a difference, -1 if it cannot.
    critical = np.floor(np.nan_to_num(bdtrik(tail, numbers, 0.5), nan=-1.0) + 1e-9)
    critical = np.where(bdtr(np.maximum(critical, 0), numbers, 0.5) <= tail, critical, critical - 1)
    rarer = np.maximum(critical, 0)
    rejects = np.where(critical < 0, 0.0, bdtr(rarer, numbers, lost) + bdtr(rarer, numbers, 1 - lost))
    return float(shares @ rejects)


def _check(sd: float, power: float, confidence: float) -> None:
    if not 0 <= sd < math.inf:
        raise ValueError(f"standard deviation {sd!r} is not a finite number that is not negative")
    for name, value in (("power", power), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value!r}; it must lie between 0 and 1, for example 0.8")
