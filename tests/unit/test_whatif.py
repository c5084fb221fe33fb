"""What cascades and routes of a run's candidates would have done."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.whatif import figures_of_mix, judged, mix_json, mix_notes, shown_mixes
from pytest_llmeval.runheader import CandidateInfo
from pytest_llmeval.settings import Requirements
from pytest_llmeval.whatif import Mix, all_mixes, alone, cascade, outcomes_of, pareto, parse_check, perfect, route

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
    notes = dict(mix_notes([mix], [mix], 0, None))
    assert notes["p95"].startswith("up to 1 cases are left out of it")


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
    notes = dict(mix_notes(mixes, shown_mixes(mixes), 0, none))
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
