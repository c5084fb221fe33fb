"""What cascades and routes of a run's candidates would have done."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.reports.whatif import (
    figures_of_mix,
    judged,
    mix_json,
    mix_notes,
    mixes_json,
    show_mixes,
    shown_mixes,
)
from pytest_llmeval.runheader import CandidateInfo
from pytest_llmeval.settings import Requirements
from pytest_llmeval.verdicts import Recommendation
from pytest_llmeval.whatif import (
    LeftOut,
    Mix,
    all_mixes,
    alone,
    cascade,
    outcomes_of,
    pair_up,
    pareto,
    parse_check,
    perfect,
    route,
)

COSTS = {"cheap": "0.001", "dear": "0.010"}
TIMES = {"cheap": 100.0, "dear": 300.0}


def record(
    candidate: str, case: str, score: float | None, call: dict[str, Any] | None = None, **fields: Any
) -> TestRecord:
    values = {"cost": COSTS[candidate], "cost_status": "priced", "latency_ms": TIMES[candidate], "input_tokens": 50}
    valid = {"json_checked": 1, "json_valid": 1, **fields}
    made = Call(candidate, **{**values, **(call or {})})
    return TestRecord(f"t.py::test_x[{candidate}-{case}]", candidate, score=score, case=case, calls=[made], **valid)


def run(*tests: TestRecord) -> Run:
    return Run(candidates=["cheap", "dear"], tests=list(tests))


#: Three easy cases, one on which the cheap one writes no JSON, one on which it is wrong without anybody noticing.
EXAMPLE = run(
    *(record("cheap", f"easy{n}", 1.0, tags=["simple"]) for n in range(3)),
    record("cheap", "garbled", 0.0, json_valid=0, tags=["complex"], call={"input_tokens": 500}),
    record("cheap", "wrong", 0.0, tags=["complex"], call={"input_tokens": 400}),
    *(record("dear", f"easy{n}", 1.0) for n in range(3)),
    record("dear", "garbled", 1.0),
    record("dear", "wrong", 0.8),
)


def found(of: Run = EXAMPLE) -> Any:
    return outcomes_of(of, ["cheap", "dear"])[0]


def quality(mix: Mix) -> float:
    assert mix.quality is not None
    return mix.quality.mean


def named(name: str, mixes: list[Mix]) -> Mix:
    (mix,) = (mix for mix in mixes if mix.name == name)
    return mix


def test_a_candidate_alone_is_what_the_run_says() -> None:
    mix = alone(found(), "cheap")
    assert (quality(mix), mix.cost.amount, mix.p95_ms) == (0.6, Decimal("0.005"), 100.0)


def test_a_cascade_asks_the_other_only_where_a_check_fails_and_pays_for_both() -> None:
    mix = cascade(found(), "cheap", "dear", lambda outcome: outcome.fails)
    assert quality(mix) == 0.8
    assert mix.cost.amount == 5 * Decimal("0.001") + Decimal("0.010")
    assert mix.second == 0.2
    assert max(time for times in mix.times() for time in times) == 400.0
    assert mix.outcomes["t.py::test_x[garbled]", 0].score == 1.0
    assert mix.outcomes["t.py::test_x[wrong]", 0].score == 0.0


@pytest.mark.parametrize(
    ("fields", "call"),
    [
        ({"json_valid": 0}, {}),
        ({}, {"finish_reason": "length"}),
        ({}, {"finish_reason": "max_tokens"}),
        ({"outcome": "error", "score": None}, {"error": "timed out", "error_kind": "timeout", "latency_ms": None}),
    ],
)
def test_what_can_be_checked_without_the_right_answer_escalates(fields: dict[str, Any], call: dict[str, Any]) -> None:
    bad = record("cheap", "x", fields.pop("score", 0.5), call, **fields)
    mix = cascade(found(run(bad, record("dear", "x", 1.0))), "cheap", "dear", lambda outcome: outcome.fails)
    assert (mix.second, quality(mix)) == (1.0, 1.0)


def test_where_the_other_gives_no_answer_the_one_there_is_serves_and_both_are_paid() -> None:
    gone = {"error": "no", "error_kind": "server", "latency_ms": None}
    example = run(record("cheap", "a", 0.25, json_valid=0), record("dear", "a", None, gone, outcome="error"))
    mix = cascade(found(example), "cheap", "dear", lambda outcome: outcome.fails)
    (outcome,) = mix.outcomes.values()
    assert (outcome.score, outcome.answered, str(outcome.cost.amount)) == (0.25, True, "0.011")
    assert mix.p95_ms is None
    notes = dict(mix_notes([mix], [mix], LeftOut(), None))
    assert notes["p95"].startswith("up to 1 case left out of it")


def test_a_check_of_a_cascade_is_added_to_those_there_are() -> None:
    sure = {"sure": 1.0}
    cheap = record("cheap", "a", 0.0, json_valid=0, scores=sure), record("cheap", "b", 1.0, scores=sure)
    both = run(*cheap, record("dear", "a", 1.0), record("dear", "b", 1.0))
    mixes = all_mixes(found(both), ["cheap", "dear"], checks={"sure<0.5": parse_check("sure<0.5")[1]})
    assert named("cheap, then dear if sure<0.5", mixes).second == 0.5


def test_a_route_asks_one_of_both_and_pays_for_one() -> None:
    mix = route(found(), "cheap", "dear", lambda outcome: "complex" in outcome.tags, "by tag")
    assert quality(mix) == pytest.approx(0.96)
    assert mix.cost.amount == 3 * Decimal("0.001") + 2 * Decimal("0.010")
    assert (mix.second, mix.p95_ms) == (0.4, 300.0)


def test_deciding_a_route_can_be_given_a_price_and_a_time() -> None:
    mix = route(found(), "cheap", "dear", lambda _: False, "none", cost=Decimal("0.0001"), ms=20)
    assert (mix.cost.amount, mix.p95_ms) == (Decimal("0.0055"), 120.0)


def test_no_route_exceeds_the_perfect_one() -> None:
    mixes = all_mixes(found(), ["cheap", "dear"])
    bound = perfect(found(), "cheap", "dear")
    assert quality(bound) == pytest.approx(0.96)
    assert all(quality(mix) <= quality(bound) + 1e-9 for mix in mixes)
    assert {mix.kind for mix in mixes} == {"alone", "cascade", "route", "bound"}


def test_every_pair_is_mixed_by_check_tag_and_length() -> None:
    names = {mix.name for mix in all_mixes(found(), ["cheap", "dear"])}
    assert {
        "cheap",
        "dear",
        "cheap, then dear",
        "dear if complex, else cheap",
        "dear if simple, else cheap",
        "dear if over 50 tokens in, else cheap",
    } <= names
    # The dear one never fails a check, so that this asks nobody else.
    assert "dear, then cheap" not in names


def test_a_recorded_score_can_be_the_check() -> None:
    unsure = [record("cheap", str(n), 0.5, scores={"confidence": n / 10}) for n in range(10)]
    sure = [record("dear", str(n), 1.0) for n in range(10)]
    name, check = parse_check("confidence<0.7")
    mixes = all_mixes(found(run(*unsure, *sure)), ["cheap", "dear"], checks={name: check})
    assert named("cheap, then dear if confidence<0.7", mixes).second == 0.7
    with pytest.raises(ConfigError, match="--escalate=confidence>1"):
        parse_check("confidence>1")


def test_cases_that_not_all_have_are_left_out_and_counted() -> None:
    tests = [record("cheap", "a", 1.0), record("dear", "a", 1.0), record("cheap", "b", 1.0)]
    skipped = [record("cheap", "c", None, outcome="skipped"), record("dear", "c", 1.0)]
    broken = [record("cheap", "d", None, outcome="error"), record("dear", "d", 1.0)]
    known = [record("cheap", "e", 0.0, known_failing="soon"), record("dear", "e", 1.0)]
    outcomes, left_out = outcomes_of(run(*tests, *skipped, *broken, *known), ["cheap", "dear"])
    assert ([case for case, _ in outcomes], left_out) == (["t.py::test_x[a]"], 4)


def test_samples_of_a_case_are_paired_and_count_as_one_case() -> None:
    tests = []
    for name, scores in {"cheap": (0.0, 1.0), "dear": (1.0, 0.5)}.items():
        for number, score in enumerate(scores, 1):
            test = record(name, "x", score, sample=number, samples=2, json_valid=int(score > 0))
            test.nodeid = f"t.py::test_x[{name}-x{'-sample2' * (number == 2)}]"
            tests.append(test)
    mix = cascade(found(run(*tests)), "cheap", "dear", lambda outcome: outcome.fails)
    assert [outcome.score for outcome in mix.outcomes.values()] == [1.0, 1.0]
    assert (len(mix.costs()), len(mix.costs()[0])) == (1, 2)
    assert mix.cost.per_request == Decimal("0.006")


def test_an_unknown_cost_is_never_zero() -> None:
    tests = [record("cheap", "a", 1.0, {"cost": None, "cost_status": "unknown"}), record("dear", "a", 1.0)]
    mix = cascade(found(run(*tests)), "cheap", "dear", lambda _: True)
    assert mix.cost.unpriced == 1
    assert figures_of_mix(mix, {}).cost_per_request is None
    assert mix_json(mix, unbeaten=True)["cost_per_case_usd"] is None


def test_weights_of_cases_hold() -> None:
    tests = [
        record(name, case, score, weight=weight)
        for name in COSTS
        for case, score, weight in (("a", 1.0, 3), ("b", 0.0, 1))
    ]
    assert quality(alone(found(run(*tests)), "cheap")) == 0.75


def test_what_another_beats_in_everything_is_not_unbeaten() -> None:
    mixes = all_mixes(found(), ["cheap", "dear"])
    names = {mix.name for mix in pareto([mix for mix in mixes if mix.kind != "bound"])}
    assert {"cheap", "dear if complex, else cheap", "dear"} - names == {"dear"}
    assert "dear if simple, else cheap" not in names
    assert "dear" in {mix.name for mix in shown_mixes(mixes)}


def test_the_cheapest_mix_that_meets_the_requirements_is_named() -> None:
    mixes = all_mixes(found(), ["cheap", "dear"])
    for limit, name in (
        (0.5, "cheap"),
        (0.75, "dear if over 400 tokens in, else cheap"),
        (0.9, "dear if complex, else cheap"),
    ):
        best = judged(mixes, Requirements(min_quality_score=limit), {}).best
        assert best is not None
        assert best.name == name
    assert judged(mixes, Requirements(min_quality_score=0.9, max_latency_ms=250), {}).best is None
    none = judged(mixes, Requirements(min_quality_score=0.99), {})
    assert none.best is None
    notes = dict(mix_notes(mixes, shown_mixes(mixes), LeftOut(), none))
    assert notes["best"] == "none meets all requirements"
    assert "quality" in notes["closest"]


def test_a_mix_goes_wherever_one_of_its_candidates_is() -> None:
    mix = cascade(found(), "cheap", "dear", lambda outcome: outcome.fails)
    described = {
        "cheap": CandidateInfo("cheap", "vllm", "x", hosting="local"),
        "dear": CandidateInfo("dear", "openai", "gpt-4o", hosting="api"),
    }
    assert figures_of_mix(mix, described).hosting == "api"
    assert figures_of_mix(alone(found(), "cheap"), described).hosting == "local"
    assert figures_of_mix(alone(found(), "dear"), described).context == 128_000
    assert figures_of_mix(mix, described).context is None
    assert figures_of_mix(mix, {}).hosting is None
    own = {name: CandidateInfo(name, "vllm", "x", hosting="self-hosted", private=name == "cheap") for name in COSTS}
    assert figures_of_mix(alone(found(), "cheap"), own).hosting == "private"
    assert figures_of_mix(mix, own).hosting == "self-hosted"


REFUSED = {"error": "no", "error_kind": "auth", "latency_ms": None, "cost": None, "cost_status": "unknown"}
UNPRICED = {"cost": None, "cost_status": "unknown"}


def refused(candidate: str, case: str, **fields: Any) -> TestRecord:
    return record(candidate, case, None, REFUSED, outcome="error", json_checked=0, json_valid=0, **fields)


def half_refused() -> Run:
    """Return a run of which the cheap one answers the odd half alone."""
    cheap = [record("cheap", f"c{n}", 1.0) if n % 2 else refused("cheap", f"c{n}") for n in range(12)]
    return run(*cheap, *(record("dear", f"c{n}", 1.0) for n in range(12)))


def all_notes(mixes: list[Mix], found: Recommendation | None = None, left_out: LeftOut | None = None) -> str:
    rows = shown_mixes(mixes, found)
    return "\n".join(f"{label}|{text}" for label, text in mix_notes(mixes, rows, left_out or LeftOut(), found))


def screen_of(mixes: list[Mix]) -> str:
    screen = Screen(100, color=False, encoding="utf-8")
    show_mixes(screen, mixes, shown_mixes(mixes), 100)
    return screen.text()


def test_what_got_no_answer_counts_in_availability_and_in_no_other_figure() -> None:
    mix = alone(found(half_refused()), "cheap")
    assert (mix.availability, len(mix.unanswered), quality(mix)) == (0.5, 6, 1.0)
    assert mix.cost.per_request == Decimal("0.001")
    assert len(mix.costs()) == 6
    assert mix_json(mix, unbeaten=True)["availability"] == 0.5


def test_who_answers_less_beats_nobody_who_answers_more() -> None:
    same = {"cost": COSTS["cheap"], "latency_ms": TIMES["cheap"]}
    cheap = [record("cheap", "a", 1.0), refused("cheap", "b")]
    both = found(run(*cheap, *(record("dear", case, 1.0, same) for case in "ab")))
    assert [mix.name for mix in pareto([alone(both, "cheap"), alone(both, "dear")])] == ["dear"]


def test_availability_is_shown_wherever_a_mix_is_recommended() -> None:
    mixes = all_mixes(found(half_refused()), ["cheap", "dear"])
    recommended = judged(mixes, Requirements(min_quality_score=0.5), {})
    notes = all_notes(mixes, recommended)
    assert "best|cheap: the cheapest that meets all requirements\n|6 of 12 cases got no answer" in notes
    assert "availability|1: 6 of 12 cases got no answer" in notes
    assert "in quality, cost, p95 or availability without being worse in another of them" in notes
    assert "availability" in screen_of(mixes)
    assert "50%" in screen_of(mixes)


def test_availability_takes_no_column_where_all_got_an_answer() -> None:
    mixes = all_mixes(found(), ["cheap", "dear"])
    assert "availability" not in screen_of(mixes) + all_notes(mixes)


def test_of_equally_cheap_and_good_ones_the_one_that_answers_more_is_recommended() -> None:
    same = {"cost": COSTS["cheap"]}
    cheap = [record("cheap", "a", 1.0), refused("cheap", "b")]
    mixes = all_mixes(found(run(*cheap, *(record("dear", case, 1.0, same) for case in "ab"))), ["cheap", "dear"])
    best = judged(mixes, Requirements(min_quality_score=0.5), {}).best
    assert best is not None
    assert best.name == "dear"


def test_a_mix_of_a_candidate_that_never_answers_is_not_recommended_however_cheap() -> None:
    cheap = [refused("cheap", str(n), tags=["hard"] if n else []) for n in range(4)]
    dear = [record("dear", str(n), 1.0, {"cost": f"0.0{n + 1}"}, tags=["hard"] if n else []) for n in range(4)]
    mixes = all_mixes(found(run(*cheap, *dear)), ["cheap", "dear"])
    assert named("cheap if hard, else dear", mixes).cost.per_request == Decimal("0.01")
    recommended = judged(mixes, Requirements(min_quality_score=0.5), {})
    assert recommended.best is not None
    assert (recommended.best.name, recommended.runner_up) == ("dear", None)
    assert "availability|cheap answered nothing: no mix is chosen" in all_notes(mixes, recommended)


def test_where_nobody_answered_neither_cost_nor_time_applies() -> None:
    mixes = [alone(found(run(refused("cheap", "a"), record("dear", "a", 1.0))), name) for name in COSTS]
    rows = [line.split() for line in screen_of(mixes).splitlines() if "cheap" in line]
    assert rows == [["2", "cheap", "-", "0%", "-", "-", "-"], ["2", "cheap", "-", "-", "-"]]
    assert mix_json(mixes[0], unbeaten=False)["cost_per_case_usd"] is None


def test_one_candidate_of_unknown_cost_leaves_cost_to_all_others() -> None:
    tests = [record("cheap", "a", 0.6), record("dear", "a", 1.0)]
    tests += [TestRecord("t.py::test_x[new-a]", "new", score=1.0, case="a", calls=[Call("new", latency_ms=90.0)])]
    everything = outcomes_of(run(*tests), ["cheap", "dear", "new"])[0]
    mixes = [alone(everything, name) for name in ("cheap", "dear", "new")]
    # The new one is better and faster than both, and may cost more.
    assert [mix.name for mix in pareto(mixes)] == ["cheap", "dear", "new"]
    text = screen_of(mixes)
    assert "cost a case  " in text
    assert "$0.001 " in text.splitlines()[-1]
    notes = all_notes(mixes)
    assert "chart|1 mix is not in it: its cost is not known" in notes
    assert "without being worse, or unknown, in another of them" in notes


def test_what_is_worse_in_all_that_is_known_of_it_is_beaten_by_what_more_is_known_of() -> None:
    tests = [record("cheap", "a", 0.5, {**UNPRICED, "latency_ms": 900.0}), record("dear", "a", 1.0)]
    mixes = [alone(found(run(*tests)), name) for name in COSTS]
    assert [mix.name for mix in pareto(mixes)] == ["dear"]


def test_what_is_recommended_has_a_row_even_if_another_beats_it() -> None:
    mixes = all_mixes(found(), ["cheap", "dear"])
    (beaten, *_) = [mix for mix in mixes if mix.kind == "route" and mix not in shown_mixes(mixes)]
    recommended = judged([beaten], Requirements(min_quality_score=0.1), {})
    assert recommended.best is not None
    for chosen in (recommended, replace(recommended, best=None, runner_up=recommended.best)):
        assert beaten in shown_mixes(mixes, chosen)


def test_the_cheapest_is_that_of_known_cost_where_another_meets_all_too() -> None:
    unpriced = [record("cheap", "a", 1.0, UNPRICED), record("dear", "a", 1.0)]
    mixes = [alone(found(run(*unpriced)), name) for name in COSTS]
    notes = all_notes(mixes, judged(mixes, Requirements(min_quality_score=0.5), {}))
    assert "best|dear: the cheapest of known cost that meets all requirements" in notes
    alone_ = [mix for mix in mixes if mix.name == "cheap"]
    notes = all_notes(alone_, judged(alone_, Requirements(min_quality_score=0.5), {}))
    assert "best|none of known cost meets all requirements\nclosest|cheap: cost unknown" in notes


def test_who_answered_nothing_is_not_the_closest() -> None:
    mixes = [alone(found(run(refused("cheap", "a"), record("dear", "a", 0.8))), name) for name in COSTS]
    limits = Requirements(min_quality_score=0.9, max_cost_per_request=Decimal("0.02"))
    assert "closest|dear: quality 0.80 < 0.90" in all_notes(mixes, judged(mixes, limits, {}))


def test_where_no_answer_was_checked_for_json_cascades_on_it_are_told_to_be_unknown() -> None:
    unchecked: dict[str, Any] = {"json_checked": 0, "json_valid": 0}
    none = run(*(record(name, case, 1.0, **unchecked) for name in COSTS for case in "ab"))
    mixes = all_mixes(found(none), ["cheap", "dear"])
    assert "so cascades on invalid JSON cannot be worked out" in all_notes(mixes)
    assert "cut off or no valid JSON" not in all_notes(mixes)
    some = run(*(record(name, "a", 1.0) for name in COSTS), *(record(name, "b", 1.0, **unchecked) for name in COSTS))
    mixes = all_mixes(found(some), ["cheap", "dear"])
    assert "answers to 1 case were not checked for JSON by the tests" in all_notes(mixes)
    assert mixes_json(mixes, LeftOut(), None)["not_checked_for_json"] == 1
    mixes = all_mixes(found(), ["cheap", "dear"])
    assert "checked for JSON" not in all_notes(mixes)


def test_samples_are_told_beside_the_cases_that_they_are_of() -> None:
    tests = []
    for name in COSTS:
        for number in (1, 2, 3):
            for case in "ab":
                made = refused if (name, number, case) == ("cheap", 2, "a") else None
                test = made(name, case) if made else record(name, case, 1.0)
                test.sample, test.samples = number, 3
                test.nodeid = f"t.py::test_x[{name}-{case}{f'-sample{number}' * (number > 1)}]"
                tests.append(test)
    lost = [test for test in tests if (test.candidate, test.sample, test.case) != ("dear", 3, "b")]
    outcomes, left_out = pair_up(run(*lost), list(COSTS))
    mixes = all_mixes(outcomes, list(COSTS))
    notes = all_notes(mixes, judged(mixes, Requirements(min_quality_score=0.5), {}), left_out)
    assert "over 5 samples of 2 cases, from records alone" in notes
    assert "1 sample of 1 case left out, since not every candidate has a result" in notes
    assert "up to 1 sample of 1 case left out of it" in notes
    assert "|1 of 5 samples got no answer" in notes
    told = mixes_json(mixes, left_out, None)
    assert (told["cases"], told["samples"], told["left_out"], told["left_out_samples"]) == (2, 5, 1, 1)


def test_a_test_that_asks_nothing_is_left_out_and_counted() -> None:
    idle = [TestRecord(f"t.py::test_idle[{name}]", name, score=1.0) for name in COSTS]
    outcomes, left_out = pair_up(run(*EXAMPLE.tests, *idle), list(COSTS))
    assert (len(outcomes), len(left_out.incomplete), len(left_out.without_calls)) == (5, 0, 1)
    assert alone(outcomes, "cheap").cost.per_request == Decimal("0.001")
    notes = all_notes(all_mixes(outcomes, list(COSTS)), left_out=left_out)
    assert "cases|1 case left out, since the test asked nothing" in notes
    assert "p95|" not in notes
