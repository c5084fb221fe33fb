"""What n samples of one case say about k tries at it."""

from __future__ import annotations

from math import comb


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return pass@k of a case: the chance that at least one of `k` tries passes, estimated from `n` of which `c` did.

    ``1 - C(n - c, k) / C(n, k)``, the unbiased estimate of Chen et al., "Evaluating Large Language Models Trained on
    Code", arXiv:2107.03374 (2021), in exact arithmetic. The figure of a suite is the mean over its cases.

    Raises:
        ValueError: More passed than were tried, or `k` is not between 1 and `n`.

    >>> pass_at_k(10, 3, 1), pass_at_k(10, 3, 5), pass_at_k(10, 0, 5)
    (0.3, 0.9166666666666666, 0.0)
    """
    _check(n, c, k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return pass^k of a case: the chance that all of `k` tries pass, estimated from `n` of which `c` did.

    ``C(c, k) / C(n, k)``, the unbiased estimate of Yao et al., "tau-bench", arXiv:2406.12045 (2024), in exact
    arithmetic. The figure of a suite is the mean over its cases.

    Raises:
        ValueError: More passed than were tried, or `k` is not between 1 and `n`.

    >>> pass_hat_k(10, 8, 1), pass_hat_k(10, 8, 4), pass_hat_k(10, 10, 4)
    (0.8, 0.3333333333333333, 1.0)
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def _check(n: int, c: int, k: int) -> None:
    if not 0 <= c <= n:
        raise ValueError(f"{c!r} of {n!r} tries passed; that must lie between 0 and {n!r}")
    if not 1 <= k <= n:
        raise ValueError(f"k is {k!r}; with {n!r} tries it must lie between 1 and {n!r}")
