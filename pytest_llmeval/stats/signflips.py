"""The paired permutation test of a mean difference."""

from __future__ import annotations

import numpy as np

from pytest_llmeval.stats.means import Floats

# All 2^18 ways to swap before and after take as long as the random ones for which there is time otherwise.
MOST_EXACT = 18
MOST_DRAWS = 9_999
FEWEST_DRAWS = 1_999
MOST_SIGNS = 20_000_000
DRAWS_AT_ONCE = 1_000
#: Most bytes of signs at once: 100,000 cases would else take 200 MB.
MOST_BYTES = 1_000_000
# One seed for all: the same differences must give the same p value, tomorrow and elsewhere.
SEED = 1947


def sign_flip(differences: Floats) -> float:
    """Return the two-sided p value of no difference: before and after could as well be swapped in each case.

    The share of ways to swap them that make the sum at least as large as it is: of all ways if at most 18 cases
    differ, otherwise of up to 9,999 random ones and that which was observed. Fisher, "The Design of Experiments",
    1935, section 21; Phipson & Smyth, "Permutation P-values Should Never Be Zero", Statistical Applications in
    Genetics and Molecular Biology 9 (2010). `scipy.stats.permutation_test` (`permutation_type="samples"`) is the same,
    but slower. The order of cases makes no difference.

    >>> sign_flip(np.array([0.1, 0.2, 0.4, 0.1, 0.3, 0.2, 0.0]))
    0.03125
    """
    sizes = np.sort(np.abs(differences[differences != 0]))
    # Sums of the same sizes taken in another order differ in their last bits.
    observed = abs(differences.sum()) - 1e-9 * sizes.sum()
    if len(sizes) <= MOST_EXACT:
        return float(np.mean(np.abs(_all_sums(sizes)) >= observed))
    draws = int(np.clip(MOST_SIGNS // len(sizes), FEWEST_DRAWS, MOST_DRAWS))
    return float(1 + _random_extremes(sizes, observed, draws)) / (1 + draws)


def _all_sums(sizes: Floats) -> Floats:
    """Return the sums of all ways to set signs, but for the mirror images of those with the last size negative."""
    sums = np.zeros(1)
    for size in sizes[:-1]:
        sums = np.concatenate([sums + size, sums - size])
    return sums + sizes[-1] if len(sizes) else sums


def _random_extremes(sizes: Floats, observed: float, draws: int) -> int:
    """Count the random sums that are at least as large as the observed one."""
    rng = np.random.default_rng(SEED)
    # A random byte sets the signs of eight sizes: their 256 sums are looked up, not added up again.
    blocks = np.pad(sizes, (0, -len(sizes) % 8)).reshape(-1, 8)
    signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    sums = (blocks @ signs.T).ravel()
    starts = 256 * np.arange(len(blocks))
    extremes = 0
    at_once = int(np.clip(MOST_BYTES // len(blocks), 1, DRAWS_AT_ONCE))
    for first in range(0, draws, at_once):
        count = min(at_once, draws - first)
        bits = rng.integers(0, 256, (count, len(blocks)), dtype=np.uint8)
        extremes += int(np.count_nonzero(np.abs(sums[starts + bits].sum(axis=1)) >= observed))
    return extremes
