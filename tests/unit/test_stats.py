from __future__ import annotations

import itertools
import math
import statistics

import pytest

from pytest_llmeval.stats import mean_interval, pass_at_k, pass_hat_k, percentile, weighted_interval


def ends(values: list[float], confidence: float = 0.95) -> tuple[float, float]:
    interval = mean_interval(values, confidence)
    assert interval is not None
    return interval.low, interval.high


def test_passes_and_failures_get_the_wilson_interval() -> None:
    # Published example: 81 of 263, Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    assert ends([1.0] * 81 + [0.0] * 182) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(("passed", "low", "high"), [(0, 0.0, 0.1611), (20, 0.8389, 1.0)])
def test_wilson_keeps_a_width_when_all_tests_agree(passed: int, low: float, high: float) -> None:
    assert ends([1.0] * passed + [0.0] * (20 - passed)) == pytest.approx((low, high), abs=5e-5)


def test_partial_scores_get_the_student_interval() -> None:
    # mean 0.5, s = 0.1581, t(4, 97.5%) = 2.7764 from any printed t table
    assert ends([0.3, 0.4, 0.5, 0.6, 0.7]) == pytest.approx((0.5 - 0.19632, 0.5 + 0.19632), abs=1e-4)


def test_a_higher_confidence_widens_both_intervals() -> None:
    for values in ([1.0, 1.0, 0.0, 1.0], [0.3, 0.4, 0.6, 0.5]):
        narrow, wide = ends(values, 0.8), ends(values, 0.99)
        assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_student_interval_is_clipped_to_what_a_score_can_be() -> None:
    assert ends([0.9, 1.0, 0.2]) == (0.0, 1.0)


def test_no_scores_have_no_interval() -> None:
    assert mean_interval([]) is None


@pytest.mark.parametrize("values", [[0.5], [0.5] * 5, [0.1 + 0.2, 0.3, 0.3]])
def test_scores_without_spread_never_look_certain(values: list[float]) -> None:
    low, high = ends(values)
    assert high - low > 0.3


def test_more_equal_scores_narrow_the_interval() -> None:
    few, many = ends([0.5] * 5), ends([0.5] * 50)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]


@pytest.mark.parametrize("n", [1, 7, 49, 1000])
def test_the_mean_always_lies_within_its_interval(n: int) -> None:
    for values in ([1.0] * n, [0.0] * n, [0.1] * n):
        interval = mean_interval(values)
        assert interval is not None
        assert 0 <= interval.low <= interval.mean <= interval.high <= 1


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_score_outside_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        mean_interval([0.5, value])


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_is_no_probability_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([0.5, 0.6], confidence)


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_percentiles_agree_with_the_inclusive_quantiles_of_the_standard_library(n: int) -> None:
    values = [((7919 * i) % 1009) / 3 for i in range(n)]
    expected = statistics.quantiles(values, n=100, method="inclusive")
    assert [percentile(values, q) for q in range(1, 100)] == pytest.approx(expected)


def test_percentiles_reach_the_smallest_and_the_largest_value() -> None:
    assert (percentile([3.0, 1.0, 2.0], 0), percentile([3.0, 1.0, 2.0], 100)) == (1.0, 3.0)


def test_one_value_is_every_percentile_and_none_has_none() -> None:
    assert (percentile([4.0], 95), percentile([], 50)) == (4.0, None)


@pytest.mark.parametrize("q", [-1, 101])
def test_a_percentile_outside_0_to_100_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile([1.0], q)


def test_equal_weights_change_nothing() -> None:
    for values in ([1.0, 0.0, 1.0], [0.2, 0.9, 0.4], [0.5], []):
        assert weighted_interval(values, [2.5] * len(values)) == mean_interval(values)


def test_weights_move_the_mean_and_widen_the_interval() -> None:
    for values in ([1.0] * 6 + [0.0] * 6, [0.1, 0.9, 0.4, 0.7, 0.2, 0.6] * 2):
        plain, uneven = mean_interval(values), weighted_interval(values, [1] * 11 + [8])
        assert plain is not None
        assert uneven is not None
        assert uneven.mean == pytest.approx((sum(values[:-1]) + 8 * values[-1]) / 19)
        assert uneven.high - uneven.low > plain.high - plain.low


def test_a_weight_of_next_to_nothing_leaves_a_case_out() -> None:
    for values in ([1.0, 0.0, 1.0, 1.0], [0.2, 0.9, 0.4, 0.5]):
        without, light = mean_interval(values[:-1]), weighted_interval(values, [1, 1, 1, 1e-12])
        assert without is not None
        assert light is not None
        assert (light.low, light.mean, light.high) == pytest.approx((without.low, without.mean, without.high))


def test_one_weight_that_outweighs_all_is_worth_one_case() -> None:
    heavy = weighted_interval([0.2, 0.9], [1e12, 1e-12])
    assert heavy is not None
    assert 0 <= heavy.low < heavy.mean < heavy.high <= 1


@pytest.mark.parametrize("weight", [0, -1, math.inf, math.nan])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="is not a positive number"):
        weighted_interval([0.5, 1.0], [1, weight])


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_and_pass_hat_k_are_what_counting_all_draws_gives(n: int) -> None:
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        draws = [[each < c for each in draw] for draw in itertools.combinations(range(n), k)]
        assert pass_at_k(n, c, k) == pytest.approx(statistics.fmean(any(draw) for draw in draws))
        assert pass_hat_k(n, c, k) == pytest.approx(statistics.fmean(all(draw) for draw in draws))


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_more_passes_or_tries_than_there_are_samples_are_refused(n: int, c: int, k: int) -> None:
    for estimate in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="must lie between"):
            estimate(n, c, k)
