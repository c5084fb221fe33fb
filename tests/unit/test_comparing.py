"""What is said of two runs, and of the candidates of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_llmeval.comparing import compare_candidates, compare_runs
from pytest_llmeval.comparison import CandidateChange, Comparison
from pytest_llmeval.gate import FIGURES
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import End


def case(name: str, score: float | None = 1.0, candidate: str = "mini", **changes: Any) -> TestRecord:
    outcome = "error" if score is None else "passed" if score >= 0.5 else "failed"
    given: dict[str, Any] = {"outcome": outcome, "score": score, "case": name, "calls": [call(candidate=candidate)]}
    return TestRecord(f"test_x.py::test_x[{candidate}-{name}]", candidate, **(given | changes))


def call(latency_ms: float | None = 100.0, candidate: str = "mini", **changes: Any) -> Call:
    given: dict[str, Any] = {"latency_ms": latency_ms, "cost": "0.001", "cost_status": "priced"}
    return Call(candidate, **(given | changes))


ENDED = End()


def run(*tests: TestRecord, end: End | None = ENDED) -> Run:
    return Run(list(dict.fromkeys(test.candidate for test in tests)), tests=list(tests), end=end)


def scored(scores: Sequence[float | None], candidate: str = "mini", **changes: Any) -> list[TestRecord]:
    return [case(f"c{number}", score, candidate, **changes) for number, score in enumerate(scores)]


def only(before: Run, after: Run) -> CandidateChange:
    (candidate,) = compare_runs(before, after).candidates
    return candidate


def test_each_figure_of_the_gate_is_there_whatever_is_known() -> None:
    whole = only(run(*scored([1.0] * 3)), run(*scored([1.0] * 3)))
    nothing = only(run(case("a", None, calls=[])), run(case("a", None, calls=[])))
    assert list(whole.changes) == list(nothing.changes) == list(FIGURES)
    assert {change.verdict for change in nothing.changes.values()} == {"unknown"}
    assert all(change.why for change in nothing.changes.values())


def test_cases_that_score_lower_are_lost_and_named_the_largest_loss_first() -> None:
    found = only(run(*scored([1.0, 0.9, 0.5, 0.2] + [1.0] * 20)), run(*scored([0.5, 0.0, 0.5, 0.6] + [1.0] * 20)))
    assert [(lost.name, lost.before, lost.after) for lost in found.lost] == [("c1", 0.9, 0.0), ("c0", 1.0, 0.5)]
    assert [won.name for won in found.won] == ["c3"]
    assert found.verdict == "cannot tell"


def test_a_loss_that_is_established_is_worse_and_a_gain_better() -> None:
    high, low = run(*scored([1.0] * 30)), run(*scored([1.0] * 10 + [0.0] * 20))
    assert (only(high, low).verdict, only(low, high).verdict) == ("worse", "better")
    change = only(high, low).changes["score"]
    assert change.change is not None
    assert change.change.value == pytest.approx(-20 / 30)
    assert change.established
    assert only(high, low).changes["pass"].verdict == "worse"


def test_nothing_changed_is_not_the_same_as_cannot_tell() -> None:
    same = run(*scored([1.0, 0.5, 0.0] * 5))
    assert {change.verdict for change in only(same, same).changes.values()} == {"same", "unknown"}


def test_cases_are_paired_by_what_they_are_not_by_their_place() -> None:
    scores = [number / 20 for number in range(20)]
    before, after = scored(scores), scored(scores)
    assert only(run(*before), run(*reversed(after))).verdict == "same"


def test_repeats_are_averaged_within_their_case_and_counted_once() -> None:
    def repeated(passes: int) -> list[TestRecord]:
        return [
            case(f"c{n}" + (f"-sample{k}" if k > 1 else ""), float(k <= passes), sample=k, samples=5)
            for n in range(4)
            for k in range(1, 6)
        ]

    found = only(run(*repeated(5)), run(*repeated(3)))
    assert found.score is not None
    assert found.score.n == 4
    assert found.score.after == pytest.approx(0.6)
    assert len(found.lost) == 4
    # Twenty samples would establish it, four cases do not.
    assert found.verdict == "cannot tell"


def test_weights_of_cases_count_in_scores() -> None:
    tests = [case("a", 0.0, weight=3.0), case("b", 1.0)]
    found = only(run(case("a", 1.0, weight=3.0), case("b", 1.0)), run(*tests))
    assert found.changes["score"].after == pytest.approx(0.25)
    assert found.changes["pass"].after == pytest.approx(0.5)


def test_what_cannot_be_compared_is_named_with_its_outcomes() -> None:
    before = run(case("a"), case("gone"), case("b"), case("c", None))
    after = run(case("a"), case("new"), case("b", None), case("c"))
    found = only(before, after)
    told = {each.name: (each.before, each.after) for each in found.uncompared}
    assert told == {
        "gone": ("passed", None),
        "new": (None, "passed"),
        "b": ("passed", "error"),
        "c": ("error", "passed"),
    }
    assert found.score is not None
    assert found.score.n == 1


def test_an_error_counts_against_availability_and_is_no_loss() -> None:
    failed = Call("mini", error="no answer", error_kind="timeout")
    found = only(run(case("a"), case("b")), run(case("a"), case("b", None, calls=[failed])))
    availability = found.changes["availability"]
    assert (availability.before, availability.after, found.lost) == (1.0, 0.5, ())


def test_json_validity_is_the_share_of_checked_answers() -> None:
    before = scored([1.0] * 20, json_checked=2, json_valid=2)
    after = scored([1.0] * 20, json_checked=2, json_valid=1)
    change = only(run(*before), run(*after)).changes["json"]
    assert (change.before, change.after, change.verdict) == (1.0, 0.5, "worse")


def test_latency_is_relative_and_more_of_it_is_worse() -> None:
    times = [100.0 + number for number in range(60)]
    before = [case(f"c{n}", calls=[call(ms, ttft_ms=ms / 2)]) for n, ms in enumerate(times)]
    after = [case(f"c{n}", calls=[call(1.3 * ms, ttft_ms=ms / 4)]) for n, ms in enumerate(times)]
    found = only(run(*before), run(*after)).changes
    for figure in ("p50", "p95"):
        relative = found[figure].relative
        assert relative is not None
        assert relative.value == pytest.approx(0.3)
        assert found[figure].verdict == "worse"
    assert found["ttft"].verdict == "better"


def test_a_new_price_is_established_by_cases_that_all_cost_twice_as_much() -> None:
    found = only(run(*scored([1.0] * 8)), run(*scored([1.0] * 8, calls=[call(cost="0.002")]))).changes["cost"]
    assert found.relative is not None
    assert found.relative.value == pytest.approx(1.0)
    assert found.verdict == "worse"


def test_the_cost_of_a_request_is_unknown_as_soon_as_one_is() -> None:
    after = scored([1.0] * 8)
    after[3].calls = [call(cost=None, cost_status="unknown")]
    found = only(run(*scored([1.0] * 8)), run(*after)).changes["cost"]
    assert (found.before, found.after, found.verdict) == (None, None, "unknown")
    assert found.why == "1 call unpriced now"


def test_few_cases_establish_nothing_and_the_number_that_would_is_told() -> None:
    found = only(run(*scored([1.0] * 5)), run(*scored([0.0] * 5)))
    assert (found.verdict, found.resolution and found.resolution.resolves) == ("cannot tell", None)
    graded = [0.5 + (n % 7) / 20 for n in range(40)]
    resolution = only(
        run(*scored(graded)), run(*scored([s + (n % 5 - 2) / 10 for n, s in enumerate(graded)]))
    ).resolution
    assert resolution is not None
    assert resolution.n == 40
    assert resolution.resolves is not None
    assert resolution.needed is not None
    assert resolution.target < resolution.resolves
    assert resolution.needed > 40


def test_several_candidates_allow_for_each_other() -> None:
    before, after = [1.0] * 20, [1.0] * 14 + [0.0] * 6
    alone = only(run(*scored(before)), run(*scored(after)))
    others = [f"other{n}" for n in range(4)]
    old, new = (
        run(*scored(scores), *(test for name in others for test in scored(before, name))) for scores in (before, after)
    )
    among = compare_runs(old, new).candidates[0]
    assert alone.changes["score"].p == pytest.approx(2 * 0.5**6)
    assert among.changes["score"].p == pytest.approx(5 * 2 * 0.5**6)
    assert (alone.verdict, among.verdict) == ("worse", "cannot tell")


def test_candidates_of_one_run_alone_are_named() -> None:
    found = compare_runs(run(case("a"), case("a", 1.0, "old")), run(case("a"), case("a", 1.0, "new")))
    assert (found.only_before, found.only_after) == (("old",), ("new",))
    assert [each.name for each in found.candidates] == ["mini"]


def test_two_runs_of_one_candidate_each_compare_these() -> None:
    found = compare_runs(run(*scored([1.0] * 3, "gpt-4o")), run(*scored([1.0] * 3)))
    assert found == Comparison(candidates=found.candidates)
    assert [(each.before_name, each.name, each.score and each.score.n) for each in found.candidates] == [
        ("gpt-4o", "mini", 3)
    ]


def test_a_run_that_was_cut_is_said() -> None:
    found = compare_runs(run(case("a"), end=None), run(case("a"), end=End(stopped="stopping after 1 failures")))
    assert found.remarks == (
        "The earlier run was cut: tests that were to run are not in it.",
        "The later run was cut (stopping after 1 failures): tests that were to run are not in it.",
    )


def test_candidates_that_cannot_be_separated_share_a_rank() -> None:
    good, alike = [1.0] * 30, [1.0] * 29 + [0.0]
    bad = [1.0] * 5 + [0.0] * 25
    found = compare_candidates(run(*scored(bad, "bad"), *scored(alike, "alike"), *scored(good, "good")))
    assert list(found.ranks.items()) == [("good", 1), ("alike", 1), ("bad", 3)]
    assert {(pair.before_name, pair.name): pair.verdict for pair in found.pairs} == {
        ("bad", "alike"): "better",
        ("bad", "good"): "better",
        ("alike", "good"): "cannot tell",
    }


def test_a_candidate_that_was_asked_nothing_that_others_were_asked_has_no_rank() -> None:
    alone = [case(f"other{number}", 0.0, "alone") for number in range(12)]
    standings = compare_candidates(run(*scored([1.0] * 12, "a"), *scored([0.0] * 12, "b"), *alone))
    assert standings.ranks == {"a": 1, "b": 2}
    assert standings.unranked == ("alone",)


def test_candidates_are_compared_over_the_cases_that_both_were_asked() -> None:
    found = compare_candidates(run(*scored([1.0] * 8, "a"), *scored([0.0] * 4, "b")))
    (pair,) = found.pairs
    assert pair.score is not None
    assert pair.score.n == 4
    assert [each.name for each in pair.uncompared] == ["c4", "c5", "c6", "c7"]


def test_a_test_that_is_known_to_fail_is_told_and_counts_nowhere() -> None:
    before = run(*scored([1.0] * 6))
    found = only(before, run(*scored([1.0] * 5), case("c5", 0.0, known_failing="open issue")))
    assert found.score is not None
    assert (found.score.n, found.lost, found.changes["pass"].n, found.changes["p50"].n) == (5, (), 5, 5)
    assert [(each.name, each.before, each.after) for each in found.uncompared] == [("c5", "passed", "known_failing")]


def test_a_case_that_scores_the_same_and_passes_no_more_is_lost() -> None:
    before = run(*scored([0.5] * 30, outcome="passed"))
    after = run(*scored([0.5] * 23, outcome="passed"), *(case(f"c{n}", 0.5, outcome="failed") for n in range(23, 30)))
    found = only(before, after)
    assert [(each.name, each.flipped) for each in found.lost] == [(f"c{n}", True) for n in range(23, 30)]
    assert all(each.cause is not None for each in found.lost)
    assert only(after, before).won == tuple(replace(each, cause=None) for each in found.lost)
    assert found.verdict == "same"


def test_repeats_in_another_order_are_the_same() -> None:
    def repeated(*order: int) -> list[TestRecord]:
        return [
            case(f"c{n}{'' if k == 1 else f'-sample{k}'}", calls=[call(float(k))], case=f"c{n}", sample=k, samples=3)
            for n in range(12)
            for k in order
        ]

    found = only(run(*repeated(1, 2, 3)), run(*repeated(2, 3, 1)))
    assert {found.changes[name].verdict for name in ("p50", "p95")} == {"same"}
