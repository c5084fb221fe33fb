from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import prod

import pytest

from pytest_llmeval.stats.repeats import pass_at_k, pass_hat_k


@pytest.mark.parametrize(("n", "c", "k"), [(5, 2, 3), (7, 1, 2), (7, 6, 3), (4, 0, 4), (4, 4, 1), (6, 3, 6)])
def test_both_are_the_shares_of_all_ways_to_choose_k_of_the_tries(n: int, c: int, k: int) -> None:
    chosen = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, chosen)) / len(chosen))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_pass_at_k_agrees_with_the_product_that_was_published(k: int) -> None:
    # Chen et al. 2021, figure 3: 1 - prod(1 - k / arange(n - c + 1, n + 1)), for n = 200 samples.
    for c in range(1, 200):
        published = 1.0 if 200 - c < k else 1 - prod(1 - k / i for i in range(200 - c + 1, 201))
        assert pass_at_k(200, c, k) == pytest.approx(published, rel=1e-9)


def test_large_numbers_neither_overflow_nor_lose_small_chances() -> None:
    assert pass_at_k(100_000, 1, 50_000) == 0.5
    assert pass_hat_k(10_000, 9_999, 5_000) == 0.5
    assert 0 < pass_hat_k(1_000, 500, 200) < 1e-60


@pytest.mark.parametrize("figure", [pass_at_k, pass_hat_k])
@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6), (0, 0, 1)])
def test_impossible_numbers_are_refused(figure: Callable[[int, int, int], float], n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        figure(n, c, k)
