from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.special import stdtrit  # type: ignore[import-untyped]
from scipy.stats import ttest_ind, ttest_rel  # type: ignore[import-untyped]
from scipy.stats.mstats import hdquantiles  # type: ignore[import-untyped]

from pytest_llmeval.stats.differences import Estimate, QuantityDifference
from pytest_llmeval.stats.intervals import percentile
from pytest_llmeval.stats.quantities import (
    Sample,
    _quantile_without,
    difference_of_mean,
    difference_of_percentile,
)


def drawn(seed: int, n: int, scale: float = 300.0) -> list[Sample]:
    rng = random.Random(seed)
    return [scale * rng.lognormvariate(0, 0.4) for _ in range(n)]


def known(found: QuantityDifference | None) -> QuantityDifference:
    assert found is not None
    return found


def ends(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@pytest.mark.parametrize("q", [0.5, 0.95])
@pytest.mark.parametrize("n", [2, 7, 40])
def test_the_smooth_percentile_agrees_with_scipy_with_and_without_each_value(q: float, n: int) -> None:
    values = np.random.default_rng(n).exponential(1, n)
    figure, without = _quantile_without(values, q)
    assert figure == pytest.approx(hdquantiles(values, [q])[0])
    if n > 2:
        expected = [hdquantiles(np.delete(values, place), [q])[0] for place in range(n)]
        assert without.tolist() == pytest.approx(expected)


def test_symmetric_differences_of_a_mean_get_the_paired_t_test() -> None:
    before = np.array([10.0, 20, 30, 40, 50, 60, 70])
    after = before + np.array([-2.0, -1, 0, 1, 2, 3, 4])
    found = known(difference_of_mean(before.tolist(), after.tolist()))
    expected = ttest_rel(after, before)
    assert ends(found.difference) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.p == pytest.approx(expected.pvalue)


def test_other_cases_get_the_t_test_of_welch() -> None:
    before, after = [10.0, 20, 30, 40, 50, 60, 70], [5.0, 10, 15, 20, 25, 30, 35, 40, 45]
    found = known(difference_of_mean(before, after, paired=False))
    expected = ttest_ind(after, before, equal_var=False)
    assert ends(found.difference) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-6)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.n_before, found.n_after, found.paired) == (7, 9, False)


@pytest.mark.parametrize(("q", "freedom"), [(50, 25.0), (90, 15.0)])
def test_the_values_around_a_percentile_decide_how_well_its_spread_is_known(q: float, freedom: float) -> None:
    # Before, all cases take the same time, so that the jackknife of what comes after is all there is.
    values = np.arange(100.0) + 100
    found = known(difference_of_percentile([150.0] * 100, values.tolist(), q))
    figure, without = _quantile_without(values, q / 100)
    error = np.sqrt(99 / 100 * ((without - without.mean()) ** 2).sum())
    low, high = ends(found.difference)
    student = stdtrit(freedom, 0.975) * error
    assert low <= figure - 150 - student * 0.999
    assert high >= figure - 150 + student * 0.999
    if q == 50:  # There the values lie evenly on both sides, and nothing is skewed.
        assert high - low == pytest.approx(2 * student, rel=1e-3)


def test_the_percentiles_shown_are_those_of_the_tables() -> None:
    before, after = drawn(1, 80), drawn(2, 80)
    found = known(difference_of_percentile(before, after, 95))
    assert found.before == percentile(before, 95)  # type: ignore[arg-type]
    assert found.after == percentile(after, 95)  # type: ignore[arg-type]
    assert found.difference.value == pytest.approx(found.after - found.before)


@pytest.mark.parametrize(("q", "enough"), [(50, 6), (95, 40), (5, 40), (99, 200)])
def test_a_tail_that_was_not_seen_has_no_interval(q: float, enough: int) -> None:
    few = known(difference_of_percentile(drawn(1, enough - 1), drawn(2, enough - 1), q))
    many = known(difference_of_percentile(drawn(1, enough), drawn(2, enough), q))
    assert (few.difference.low, few.p) == (None, None)
    assert few.relative is not None
    assert few.relative.low is None
    assert few.difference.value > 0 or few.difference.value < 0
    assert ends(many.difference) < ends(many.difference)[::-1]


def test_repeats_of_a_case_are_taken_together() -> None:
    before, after = drawn(1, 12), drawn(2, 12)
    once = known(difference_of_percentile(before, after, 50))
    tenfold = known(difference_of_percentile([[case] * 10 for case in before], [[case] * 10 for case in after], 50))  # type: ignore[list-item]
    apart = known(difference_of_percentile(before * 10, after * 10, 50))

    def width(found: QuantityDifference) -> float:
        low, high = ends(found.difference)
        return high - low

    assert tenfold.n_before == 12
    assert width(tenfold) > 0.7 * width(once)
    assert width(apart) < 0.5 * width(once)


def test_repeats_of_a_cost_are_averaged_by_case() -> None:
    found = known(difference_of_mean([[1, 3], [4]] * 5, [[2], [6, 6, 6]] * 5))
    assert (found.before, found.after, found.n_before) == (3, 4, 10)


@pytest.mark.parametrize("paired", [True, False])
def test_the_order_of_cases_makes_no_difference(paired: bool) -> None:
    rng = random.Random(4)
    cases: list[tuple[Sample, Sample]] = [
        ([rng.random() for _ in range(rng.randint(1, 4))], [rng.random() for _ in range(rng.randint(1, 4))])
        for _ in range(70)
    ]
    results = []
    for _ in range(4):
        rng.shuffle(cases)
        before, after = map(list, zip(*cases, strict=True))
        results.append(
            (
                difference_of_mean(before, after, paired=paired),
                difference_of_percentile(before, after, 95, paired=paired),
            )
        )
    assert results == [results[0]] * 4


@pytest.mark.parametrize("unit", [1e-7, 1e6])
def test_the_unit_makes_no_difference(unit: float) -> None:
    before, after = drawn(1, 70, 1.0), drawn(2, 70, 1.2)
    plain = known(difference_of_percentile(before, after, 95))
    other = known(difference_of_percentile([unit * x for x in before], [unit * x for x in after], 95))  # type: ignore[operator]
    assert [end / unit for end in ends(other.difference)] == pytest.approx(ends(plain.difference))
    assert ends(other.relative) == pytest.approx(ends(plain.relative))
    assert other.p == pytest.approx(plain.p)


def test_twice_the_price_is_twice_the_cost_for_certain() -> None:
    before = drawn(1, 20)
    found = known(difference_of_mean(before, [2 * x for x in before]))  # type: ignore[operator]
    assert ends(found.relative) == pytest.approx((1, 1))
    low, high = ends(found.difference)
    assert low < found.difference.value < high


def test_what_stays_the_same_has_no_difference() -> None:
    before = drawn(1, 80)
    for found in (difference_of_mean(before, before), difference_of_percentile(before, before, 95)):
        assert known(found).p == 1
        assert ends(known(found).difference) == (0, 0)


def test_what_was_free_has_no_relative_difference() -> None:
    found = known(difference_of_mean([0] * 10, drawn(1, 10)))
    assert found.relative is None
    assert ends(found.difference)[0] > 0
    both = known(difference_of_mean([0] * 10, [0] * 10))
    assert (both.p, both.relative, ends(both.difference)) == (1, None, (0, 0))


def test_a_cost_that_one_case_has_alone_has_no_relative_interval() -> None:
    found = known(difference_of_mean([0.0] * 9 + [1.0], [0.1] * 10))
    assert found.relative is not None
    assert found.relative.value == pytest.approx(0)
    assert found.relative.low is None


def test_a_side_without_cases_has_no_difference() -> None:
    assert difference_of_mean([], [1.0], paired=False) is None
    assert difference_of_percentile([], [], 95) is None


def test_one_case_has_a_difference_without_an_interval() -> None:
    for found in (difference_of_mean([2.0], [3.0]), difference_of_percentile([2.0], [3.0], 50)):
        assert (known(found).difference, known(found).p) == (Estimate(1.0, None, None), None)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ([-1.0], [1.0], "value -1.0 is not"),
        ([1.0], [float("nan")], "value nan is not"),
        ([float("inf")], [1.0], "value inf is not"),
        ([[]], [1.0], "a case has no value"),
        ([1.0, 2.0], [1.0], "2 cases before, 1 after"),
    ],
)
def test_what_is_no_quantity_is_refused(before: list[Sample], after: list[Sample], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        difference_of_mean(before, after)
    with pytest.raises(ValueError, match=message):
        difference_of_percentile(before, after, 50)


def test_a_percentile_or_a_confidence_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="percentile 100"):
        difference_of_percentile([1.0], [1.0], 100)
    with pytest.raises(ValueError, match="confidence is 0"):
        difference_of_mean([1.0], [1.0], confidence=0)
