from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test, ttest_1samp  # type: ignore[import-untyped]

from pytest_llmeval.stats.differences import Estimate, PairedDifference
from pytest_llmeval.stats.means import Part, interval, p_value, spread
from pytest_llmeval.stats.proportions import mcnemar, tango
from pytest_llmeval.stats.scores import Sample, paired_difference
from pytest_llmeval.stats.signflips import sign_flip


def compared(before: Sequence[Sample], after: Sequence[Sample], **options: object) -> PairedDifference:
    found = paired_difference(before, after, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def ends(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_mcnemar_agrees_with_the_published_example() -> None:
    # 1 and 7 of 21 children changed: Fagerland, Lydersen & Laake, BMC Medical Research Methodology 13:91 (2013).
    found = compared([1] * 8 + [0] * 13, [1] * 1 + [0] * 7 + [1] * 1 + [0] * 12)
    assert (found.lost, found.won, found.n, found.test) == (7, 1, 21, "exact McNemar test")
    assert found.p == pytest.approx(0.0703, abs=5e-5)


@pytest.mark.parametrize(("lost", "won"), [(0, 1), (0, 6), (3, 3), (40, 20), (150, 86), (5000, 5200)])
def test_mcnemar_agrees_with_the_binomial_test(lost: int, won: int) -> None:
    assert mcnemar(lost, won) == pytest.approx(binomtest(lost, lost + won).pvalue)


def test_tango_agrees_with_published_intervals() -> None:
    # Fagerland, Lydersen & Laake, Statistics in Medicine 33 (2014).
    assert tango(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    # No case of n changed: z^2 / (n + z^2), as Wilson's interval has it.
    assert tango(0, 0, 20) == pytest.approx((-0.1611, 0.1611), abs=5e-5)


@pytest.mark.parametrize(("lost", "won", "n"), [(0, 5, 5), (5, 0, 5), (1, 0, 1), (0, 3, 1000), (60, 40, 100)])
def test_tango_turns_round_with_the_sides_and_stays_within_what_is_possible(lost: int, won: int, n: int) -> None:
    low, high = tango(lost, won, n)
    assert tango(won, lost, n) == pytest.approx((-high, -low))
    assert -1 <= low < (won - lost) / n + 1e-9
    assert (won - lost) / n - 1e-9 < high <= 1


def test_a_few_differences_are_swapped_in_all_ways() -> None:
    values = np.array([0.5, -0.25, 0.75, 0.25, 0.0, 0.5, 0.25, -0.5, 0.75, 0.5])
    scipy = permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(values) == pytest.approx(scipy.pvalue)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_differences_are_swapped_at_random(seed: int) -> None:
    eighths = np.random.default_rng(seed).integers(-8, 10, 61)
    # How often each sum comes up among all ways to swap: a convolution, since the differences are whole numbers.
    chances = np.ones(1)
    for size in np.abs(eighths):
        chances = np.convolve(chances, np.array([0.5, *[0.0] * (2 * size - 1), 0.5]) if size else np.ones(1))
    sums = np.arange(len(chances)) - len(chances) // 2
    exact = chances[np.abs(sums) >= abs(eighths.sum())].sum()
    assert sign_flip(eighths / 8) == pytest.approx(exact, abs=0.015)


def test_sums_that_differ_in_their_last_bits_are_the_same() -> None:
    assert sign_flip(np.array([0.1, 0.2, 0.3, -0.1, -0.2, -0.3])) == 1.0
    assert sign_flip(np.array([0.1] * 6)) == 2 / 64
    assert sign_flip(np.zeros(5)) == 1.0


def test_scores_without_skewness_get_the_student_interval() -> None:
    values = np.array([-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]) + 0.1
    part = Part((values - values.mean()) / 7, 7, 6)
    expected = ttest_1samp(values, 0).confidence_interval()
    assert interval(0.1, spread([part]), 0.95) == pytest.approx((expected.low, expected.high))
    assert p_value(0.1, spread([part])) == pytest.approx(ttest_1samp(values, 0).pvalue)


@pytest.mark.parametrize("seed", range(20))
def test_an_interval_excludes_0_where_its_p_value_is_below_5_percent(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(0.1, 12) - 0.05
    around = spread([Part((values - values.mean()) / 12, 12, 11)])
    low, high = interval(values.mean(), around, 0.95)
    assert (low > 0 or high < 0) == (p_value(values.mean(), around) < 0.05)
    # The end at which p is exactly 5% is that of the interval.
    for end in (low, high):
        assert p_value(values.mean() - end, around) == pytest.approx(0.05, abs=1e-9)


def test_repeats_are_not_independent_cases() -> None:
    rng = random.Random(3)
    # Eighths, whose means are exact.
    before: list[Sample] = [[rng.randint(0, 8) / 8] * 10 for _ in range(8)]
    after: list[Sample] = [[rng.randint(0, 8) / 8] * 10 for _ in range(8)]
    once = compared([case[0] for case in before], [case[0] for case in after])  # type: ignore[index]
    assert compared(before, after) == once
    assert once.n == 8


def test_repeats_of_pass_and_fail_are_averaged_to_scores() -> None:
    found = compared([[1, 1, 0], [0, 0, 0]] * 5, [[1, 0, 0], [0, 0, 1]] * 5)
    assert (found.test, found.n, found.lost, found.won) == ("paired permutation test", 10, 5, 5)
    assert found.difference.value == pytest.approx(0)


@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_the_order_of_cases_makes_no_difference(levels: int) -> None:
    rng = random.Random(levels)
    cases = [(rng.randint(0, levels) / levels, rng.randint(0, levels) / levels, rng.random() + 0.1) for _ in range(50)]
    results = []
    for _ in range(5):
        rng.shuffle(cases)
        before, after, weights = map(list, zip(*cases, strict=True))
        results.append((compared(before, after), compared(before, after, weights=weights)))
    assert results == [results[0]] * 5


def test_before_and_after_can_be_exchanged() -> None:
    rng = random.Random(5)
    before, after = [[rng.random() ** 3 for _ in range(30)] for _ in range(2)]
    there, back = compared([*before], [*after]), compared([*after], [*before])
    low, high = ends(there.difference)
    assert ends(back.difference) == pytest.approx((-high, -low))
    assert (back.p, back.lost, back.won) == (there.p, there.won, there.lost)


def test_a_case_of_weight_3_counts_like_3_in_the_mean_and_like_1_in_the_spread() -> None:
    heavy = compared([0.5] * 10, [0.9] + [0.5, 0.4, 0.6] * 3, weights=[3.0] + [1.0] * 9)
    three = compared([0.5] * 12, [0.9] * 3 + [0.5, 0.4, 0.6] * 3)
    assert (heavy.before, heavy.after) == pytest.approx((three.before, three.after))
    assert heavy.n == 10
    assert ends(heavy.difference)[1] > ends(three.difference)[1]
    assert heavy.p > three.p


def test_equal_weights_change_nothing() -> None:
    rng = random.Random(7)
    for levels in (1, 9):
        before, after = [[rng.randint(0, levels) / levels for _ in range(20)] for _ in range(2)]
        plain, weighed = compared([*before], [*after]), compared([*before], [*after], weights=[2.5] * 20)
        assert (weighed.test, weighed.p) == (plain.test, plain.p)
        assert ends(weighed.difference) == pytest.approx(ends(plain.difference))


def test_one_case_that_outweighs_all_says_nothing() -> None:
    found = compared([0.5] * 8, [0.6] * 8, weights=[1000.0] + [1.0] * 7)
    assert (ends(found.difference), found.p) == ((-1.0, 1.0), 1.0)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("loss", [1.0, 0.5])
def test_five_cases_establish_nothing(n: int, loss: float) -> None:
    found = compared([1.0] * n, [1.0 - loss] * n)
    assert not found.established()
    assert 0 in found.difference


@pytest.mark.parametrize("scores", [[1.0, 0.0], [0.3, 0.7]])
@pytest.mark.parametrize(("n", "width"), [(10, 0.55), (40, 0.175), (400, 0.019)])
def test_no_change_at_all_leaves_room_for_rare_ones(scores: list[float], n: int, width: float) -> None:
    cases: list[Sample] = [*scores] * (n // 2)
    found = compared(cases, cases)
    low, high = ends(found.difference)
    assert (found.difference.value, found.p) == (0, 1)
    assert high - low == pytest.approx(width, rel=0.02)
    assert found.sd > 0


def test_a_loss_that_is_the_same_everywhere_is_established_with_room_for_other_cases() -> None:
    found = compared([1.0] * 20, [0.75] * 20)
    low, high = ends(found.difference)
    assert found.established()
    assert -0.32 < low < -0.28
    assert -0.22 < high < -0.18


@pytest.mark.parametrize("seed", range(30))
def test_the_interval_and_the_p_value_agree(seed: int) -> None:
    rng = random.Random(seed)
    n, levels = rng.randint(6, 40), rng.choice([1, 2, 5, 100])
    before = [rng.randint(0, levels) / levels for _ in range(n)]
    after = [min(value, rng.randint(0, levels) / levels) if rng.random() < 0.3 else value for value in before]
    found = compared([*before], [*after])
    assert (0 not in found.difference) == (found.p <= 0.05) == found.established()
    assert found.difference.value in found.difference


def test_skewed_losses_raise_the_p_value_to_that_of_the_interval() -> None:
    gains = [0.55, 0.56, 0.57, 0.58, 0.59, 0.60, 0.61, 0.62, 0.63, 0.64, 0.65]
    found = compared([0.5] * 12, [*gains, 0.02])
    assert found.p > 1.4 * sign_flip(np.array([*gains, 0.02]) - 0.5)


def test_an_adjusted_p_value_can_take_a_finding_back() -> None:
    found = compared([1.0] * 20, [0.0] * 8 + [1.0] * 12)
    assert found.established()
    assert not found.established(p=0.06)


def test_a_higher_confidence_asks_for_more() -> None:
    before, after = [1] * 20, [0] * 7 + [1] * 13
    found, sure = compared(before, after), compared(before, after, confidence=0.99)
    assert (found.established(), sure.established()) == (True, False)
    assert ends(sure.difference)[0] < ends(found.difference)[0]
    assert ends(sure.difference)[1] == 0


def test_without_an_interval_nothing_is_excluded() -> None:
    assert 0 in Estimate(3.0, None, None)


def test_no_cases_have_no_difference() -> None:
    assert paired_difference([], []) is None


@pytest.mark.parametrize(
    ("before", "after", "options", "message"),
    [
        ([0.5, 1.2], [0.5, 0.5], {}, "score 1.2 is not between 0 and 1"),
        ([0.5], [float("nan")], {}, "score nan"),
        ([0.5, 0.5], [0.5], {}, "2 cases before, 1 after, 2 weights"),
        ([0.5], [0.5], {"weights": [1.0, 2.0]}, "1 cases before, 1 after, 2 weights"),
        ([0.5], [0.5], {"weights": [0.0]}, "weight 0.0 is not a positive number"),
        ([0.5], [0.5], {"weights": [float("inf")]}, "weight inf"),
        ([[]], [0.5], {}, "a case has no score"),
        ([0.5], [0.5], {"confidence": 95}, "confidence is 95"),
    ],
)
def test_what_is_no_score_is_refused(
    before: list[Sample], after: list[Sample], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compared(before, after, **options)
