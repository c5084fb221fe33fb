"""What the samples of a case come to together."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from pytest_llmeval.records import Call, TestRecord
from pytest_llmeval.samples import (
    CaseResult,
    Repeats,
    case_nodeid,
    cases_of,
    rate_is_met,
    repeats_of,
    sample_nodeid,
)


def sample(number: int, outcome: str = "passed", name: str = "a", **changes: Any) -> TestRecord:
    score = {"passed": 1.0, "failed": 0.0, "xfailed": 0.0, "xpassed": 1.0}.get(outcome)
    case = f"test_x.py::test_x[mini-{name}]"
    given: dict[str, Any] = {"outcome": outcome, "score": score, "sample": number, "samples": 10}
    return TestRecord(sample_nodeid(case, number), "mini", **(given | changes))


def case(*outcomes: str, name: str = "a", **changes: Any) -> list[TestRecord]:
    """Return the samples of a case."""
    given = {"samples": len(outcomes)} | changes
    return [sample(number, outcome, name, **given) for number, outcome in enumerate(outcomes, 1)]


def only(tests: list[TestRecord]) -> CaseResult:
    (result,) = cases_of(tests)
    return result


def repeats(*cases: list[TestRecord]) -> Repeats:
    found = repeats_of(cases_of([test for tests in cases for test in tests]))
    assert found is not None
    return found


@pytest.mark.parametrize("number", [1, 2, 10, 123])
@pytest.mark.parametrize(
    "name",
    [
        "test_x.py::test_x[mini]",
        "a/test_x.py::TestA::TestB::test_x[mini-case]",
        "test_x.py::test_x[mini-sample2]",
        "test_x.py::test_x[mini-a[0]]",
        "test_x.py::test_x[mini-case]@group",
    ],
)
def test_the_name_of_a_case_is_found_in_that_of_each_sample(name: str, number: int) -> None:
    assert case_nodeid(sample_nodeid(name, number), number) == name
    assert (sample_nodeid(name, number) == name) == (number == 1)


def test_samples_of_one_case_and_candidate_belong_together_in_any_order() -> None:
    tests = [*case("passed", "failed"), *case("failed", "failed", name="b")]
    tests = [*tests[::-1], TestRecord("test_x.py::test_x[other-a]", "other"), TestRecord("test_plain[mini]", "mini")]
    found = {(each.nodeid, each.candidate): (each.passes, each.verdicts) for each in cases_of(tests)}
    assert found == {
        ("test_x.py::test_x[mini-a]", "mini"): (1, 2),
        ("test_x.py::test_x[mini-b]", "mini"): (0, 2),
        ("test_x.py::test_x[other-a]", "other"): (1, 1),
        ("test_plain[mini]", "mini"): (1, 1),
    }


def test_tests_that_are_not_repeated_are_a_case_each_whatever_their_name() -> None:
    assert len(cases_of([TestRecord("test_x", "mini")] * 3)) == 3


def test_scores_are_averaged_within_a_case_by_name() -> None:
    result = only(
        [
            sample(1, score=0.5, scores={"score": 0.5, "tone": 1.0}),
            sample(2, score=1.0, scores={"score": 1.0}),
            sample(3, "error", scores={}),
        ]
    )
    assert result.score == 0.75
    assert result.spread == pytest.approx(0.3536, abs=1e-4)
    assert result.scores == {"score": 0.75, "tone": 1.0}


def test_a_case_without_a_score_has_none_and_not_zero() -> None:
    result = only(case("error", "not_run", "skipped"))
    assert (result.score, result.spread, result.verdicts, result.ran, result.passed) == (None, None, 0, 1, False)


@pytest.mark.parametrize(
    ("outcomes", "rate", "passes", "verdicts", "passed"),
    [
        (["passed"] * 10, None, 10, 10, True),
        (["passed"] * 9 + ["failed"], None, 9, 10, False),
        (["passed"] * 8 + ["failed"] * 2, 0.8, 8, 10, True),
        (["passed"] * 7 + ["failed"] * 3, 0.8, 7, 10, False),
        (["passed", "xpassed", "xfailed"], 0.6, 2, 3, True),
        (["passed", "error", "skipped", "not_run"], None, 1, 1, True),
        (["error", "error"], 0.1, 0, 0, False),
        (["failed", "failed"], 0.1, 0, 2, False),
    ],
)
def test_a_case_passes_by_the_samples_that_passed_or_failed(
    outcomes: list[str], rate: float | None, passes: int, verdicts: int, passed: bool
) -> None:
    result = only(case(*outcomes, min_pass_rate=rate))
    assert (result.passes, result.verdicts, result.passed) == (passes, verdicts, passed)
    assert result.errors == outcomes.count("error")


def test_a_rate_that_is_met_exactly_is_met_whatever_floats_make_of_it() -> None:
    for passes, verdicts in product(range(1, 60), range(1, 60)):
        if passes <= verdicts:
            assert rate_is_met(passes, verdicts, passes / verdicts)
            assert rate_is_met(passes, verdicts, float(f"{passes / verdicts:.12f}"))
            assert not rate_is_met(passes - 1, verdicts, passes / verdicts)
    assert rate_is_met(3, 10, 0.1 + 0.2)


def test_a_case_goes_by_its_id_else_by_its_test_without_file_and_candidate() -> None:
    assert only([sample(1, case="refund")]).name == "refund"
    assert only([sample(2)]).name == "test_x[a]"
    assert only([TestRecord("a/test_x.py::TestA::test_y[mini]", "mini")]).name == "TestA::test_y"


def test_repeats_are_told_of_repeated_cases_alone() -> None:
    assert repeats_of(cases_of([TestRecord("test_x", "mini")])) is None
    found = repeats(case("passed", "failed"), [TestRecord("test_plain", "mini", "failed", score=0.0)])
    assert (found.cases, found.samples, found.pass_at_1) == (1, (2, 2), 0.5)


def test_pass_at_k_is_the_mean_over_cases_with_k_the_fewest_samples_asked() -> None:
    found = repeats(
        case("passed", "passed", "failed", name="a"),
        case("passed", "failed", "failed", "failed", name="b"),
        case("failed", "failed", "error", name="c"),
    )
    assert (found.k, found.samples, found.cases, found.counted) == (3, (3, 4), 3, 2)
    # By counting: of the 4 ways to draw 3 of b's samples, 3 hold the one that passed.
    assert found.pass_at_1 == pytest.approx((2 / 3 + 1 / 4 + 0) / 3)
    assert found.pass_at_k == pytest.approx((1 + 3 / 4) / 2)
    assert found.pass_hat_k == 0


def test_nothing_is_made_up_where_no_case_has_enough_samples() -> None:
    found = repeats(case("error", "error"), case("passed", "error", name="b"))
    assert (found.pass_at_1, found.pass_at_k, found.pass_hat_k, found.spread, found.counted) == (1, None, None, None, 0)
    found = repeats(case("error", "skipped"))
    assert found.pass_at_1 is None


def test_spread_is_the_mean_standard_deviation_within_cases() -> None:
    found = repeats([sample(1, score=0.2), sample(2, score=0.4)], case("passed", "passed", name="b"))
    assert found.spread == pytest.approx(0.1414 / 2, abs=1e-4)


def test_flaky_cases_are_those_that_passed_and_failed_the_worst_first() -> None:
    found = repeats(
        case("passed", "passed", name="steady"),
        case("failed", "error", name="broken"),
        case("passed", "passed", "failed", name="c"),
        case("failed", "passed", "failed", "error", name="d"),
    )
    assert [(each.name, each.passes, each.verdicts) for each in found.flaky] == [
        ("test_x[d]", 1, 3),
        ("test_x[c]", 2, 3),
    ]


def answers(*digests: str | None, name: str = "a") -> list[TestRecord]:
    return [sample(n, name=name, calls=[Call("mini", digest=digest)]) for n, digest in enumerate(digests, 1)]


@pytest.mark.parametrize(
    ("cases", "identical"),
    [
        ([answers("x", "x"), answers("y", "y", name="b")], True),
        ([answers("x", "x"), answers("y", "z", name="b")], False),
        ([answers(None, None)], False),
        ([answers("x", "x"), answers("y", name="b")], True),
        ([answers("x")], False),
        ([case("passed", "passed")], False),
        ([[*answers("x", "x"), *case("error", "error", "error")[2:]]], True),
    ],
    ids=["all", "one-differs", "no-text", "one-sample-says-nothing", "nothing-to-compare", "no-calls", "errors-apart"],
)
def test_samples_are_identical_where_all_texts_of_each_case_are(cases: list[list[TestRecord]], identical: bool) -> None:
    assert repeats(*cases).identical is identical
