from __future__ import annotations

from itertools import permutations

import pytest

from pytest_llmeval.stats.differences import Estimate, PairedDifference
from pytest_llmeval.stats.multiple import holm, ranks
from pytest_llmeval.stats.power import needed, resolvable


def gap(value: float, p: float) -> PairedDifference:
    """A difference whose interval agrees with its p value."""
    half = 0.9 * abs(value) if p <= 0.05 else 1.1 * abs(value) + 0.01
    difference = Estimate(value, value - half, value + half)
    return PairedDifference(0.5, 0.5 + value, difference, p, "paired permutation test", 40, 9, 9, 0.3)


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls() -> None:
    # By hand: 5 * 0.01, 4 * 0.02, 3 * 0.03, then 2 * 0.04 and 0.05, which may not be smaller than the one before.
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


def test_holm_goes_with_its_p_values_in_any_order() -> None:
    expected = {0.005: 0.02, 0.01: 0.03, 0.03: 0.06, 0.04: 0.06}
    for order in permutations(expected):
        assert holm(order) == pytest.approx([expected[p] for p in order])


def test_holm_exceeds_neither_1_nor_what_a_single_test_needs() -> None:
    assert holm([0.04]) == [0.04]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="is not between 0 and 1"):
        holm([0.5, p])


def test_what_nothing_separates_shares_the_first_rank() -> None:
    pairs = {("a", "b"): gap(0.01, 0.7), ("a", "c"): gap(0.05, 0.2), ("b", "c"): gap(0.04, 0.3)}
    assert ranks("abc", pairs) == {"a": 1, "b": 1, "c": 1}


def test_ranks_count_those_that_are_established_to_be_better() -> None:
    pairs = {("a", "b"): gap(-0.2, 0.001), ("c", "a"): gap(0.3, 0.0001), ("b", "c"): gap(-0.1, 0.002)}
    assert ranks("abc", pairs) == {"a": 1, "b": 2, "c": 3}


def test_one_between_two_that_differ_shares_the_better_rank() -> None:
    pairs = {("a", "b"): gap(-0.05, 0.2), ("a", "c"): gap(-0.1, 0.001), ("b", "c"): gap(-0.05, 0.2)}
    assert ranks("abc", pairs) == {"a": 1, "b": 1, "c": 2}


def test_ranks_allow_for_the_number_of_pairs() -> None:
    pairs = {("a", "b"): gap(-0.2, 0.03), ("a", "c"): gap(0.01, 0.9), ("b", "c"): gap(0.01, 0.9)}
    assert ranks("abc", pairs) == {"a": 1, "b": 1, "c": 1}
    assert ranks("ab", {("a", "b"): pairs["a", "b"]}) == {"a": 1, "b": 2}


def test_candidates_without_common_cases_are_not_separated() -> None:
    assert ranks(["a", "b"], {}) == {"a": 1, "b": 1}
    assert ranks([], {}) == {}


def test_scores_need_what_the_paired_t_test_needs() -> None:
    # 34 pairs for d = 0.5, 199 for 0.2, 15 for 0.8, at 80% power and 5%: what software for the paired t test answers.
    assert [needed(0.5, 1.0), needed(0.2, 1.0), needed(-0.8, 1.0)] == [34, 199, 15]
    assert resolvable(34, 1.0) == pytest.approx(0.5, abs=0.006)


@pytest.mark.parametrize("pass_fail", [False, True])
@pytest.mark.parametrize("difference", [0.02, 0.05, 0.2])
def test_what_is_needed_resolves_and_one_case_less_does_not(pass_fail: bool, difference: float) -> None:
    n = needed(difference, 0.4, pass_fail=pass_fail)
    assert n is not None
    found, less = (resolvable(size, 0.4, pass_fail=pass_fail) for size in (n, n - max(1, n // 100)))
    assert found is not None
    assert less is not None
    assert found <= difference < less


def test_pass_and_fail_need_more_than_scores_of_the_same_spread() -> None:
    for n in (10, 40, 400):
        scores, tosses = resolvable(n, 0.3), resolvable(n, 0.3, pass_fail=True)
        assert scores is not None
        assert tosses is not None
        assert scores < tosses <= 1


def test_six_cases_of_pass_and_fail_have_to_change_nearly_all() -> None:
    # All six have to be lost: d ** 6 = 0.8 at the smallest.
    assert resolvable(6, 0.0, pass_fail=True) == pytest.approx(0.8 ** (1 / 6), abs=1e-6)


def test_five_cases_resolve_nothing_and_ten_million_are_the_most_to_ask_for() -> None:
    assert resolvable(5, 0.1) is None
    assert needed(1e-6, 0.5) is None
    assert needed(0.5, 0.001) == 6


def test_more_power_or_confidence_needs_more() -> None:
    found = [needed(0.1, 0.3), needed(0.1, 0.3, power=0.9), needed(0.1, 0.3, confidence=0.99)]
    assert None not in found
    assert found[0] < found[1] < found[2]  # type: ignore[operator]


def test_what_cannot_be_resolved_is_refused() -> None:
    for difference in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="no number of cases"):
            needed(difference, 0.3, pass_fail=True)
    with pytest.raises(ValueError, match="standard deviation -1"):
        resolvable(40, -1)
    with pytest.raises(ValueError, match="power is 80"):
        resolvable(40, 0.3, power=80)
