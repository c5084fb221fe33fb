"""The checklist of choosing a model, answered from a run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.checklist import Answer, checklist
from pytest_llmeval.runheader import CandidateInfo, Header, Spending
from pytest_llmeval.settings import Requirements

NAMES = ("a", "b", "c")


def call(candidate: str, **fields: Any) -> Call:
    values = {"model": f"{candidate}-2025-01-01", "input_tokens": 100, "output_tokens": 10, "latency_ms": 5.0}
    return Call(candidate, **{**values, "cost": "0.001", "cost_status": "priced", **fields})


def run(cases: int = 20, names: tuple[str, ...] = NAMES, calls: dict[str, Any] | None = None, **fields: Any) -> Run:
    values = {"score": 1.0, "json_checked": 1, "json_valid": 1, **fields}
    tests = [
        TestRecord(f"t.py::test_x[{name}-{n}]", name, calls=[call(name, **(calls or {}))], **values)
        for name in names
        for n in range(cases)
    ]
    return Run(candidates=list(names), tests=tests)


def answers(found: Run, **requirements: Any) -> dict[str, Answer]:
    return {answer.line: answer for answer in checklist(found, Requirements(**requirements))}


def status(found: Run, line: str) -> str:
    return answers(found)[line].status


def test_what_the_data_shows_is_answered_with_evidence() -> None:
    found = answers(run(), max_latency_ms=3000, requests_per_month=500_000)
    assert (found["acceptable latency"].status, found["volume"].evidence) == ("yes", "requests_per_month 500,000")
    assert found["acceptable latency"].evidence == "max_latency_ms 3,000; measured: p95 a 5 ms, b 5 ms, c 5 ms"
    assert found["context length"].status == "no"
    assert found["context length"].evidence == "context_needed is not set; measured: longest call 110 tokens"
    assert found["at least 20 cases"].evidence == "20 for each candidate; whether they are real data, no run tells"
    assert found["cost measured"].evidence == "$0.06"
    assert found["provider abstraction"].evidence == "60 of 60 tests ask whichever candidate is chosen"


def test_every_line_of_an_empty_run_is_answered_without_a_yes_that_needs_data() -> None:
    found = checklist(Run(), Requirements())
    assert [answer.line for answer in found if answer.status == "yes"] == []
    assert len(found) == len(answers(run()))


@pytest.mark.parametrize(
    ("fewer", "line"),
    [
        (run(cases=19), "at least 20 cases"),
        (run(names=("a", "b")), "at least 3 candidates"),
        (run(score=None, outcome="error"), "quality measured"),
        (run(calls={"latency_ms": None}), "latency measured"),
        (run(calls={"cost": None, "cost_status": "unknown"}), "cost measured"),
        (run(calls={"cost": None, "cost_status": "unknown"}), "cost monitoring"),
        (run(json_checked=0, json_valid=0), "JSON success rate"),
        (run(calls={"error": "429", "error_kind": "rate_limit"}), "rate limits with back-off"),
        (run(tags=["short"]), "edge cases: adversarial"),
    ],
)
def test_what_is_missing_is_no(fewer: Run, line: str) -> None:
    assert status(fewer, line) == "no"


@pytest.mark.parametrize(
    ("tag", "line"),
    [("long", "long"), ("prompt-injection", "adversarial"), ("lang:de", "multilingual"), ("French", "multilingual")],
)
def test_tags_of_cases_tell_of_edges(tag: str, line: str) -> None:
    assert status(run(tags=[tag]), f"edge cases: {line}") == "yes"
    assert status(run(tags=["belongs"]), f"edge cases: {line}") == "no"
    assert status(run(), f"edge cases: {line}") == "can't tell"


def test_an_input_that_is_much_longer_than_the_others_is_an_edge() -> None:
    found = run()
    found.tests[0].calls[0].input_tokens = 400
    assert answers(found)["edge cases: long"].evidence == "longest input 400 tokens, the median 100"


def test_an_alias_is_not_pinned_and_the_dated_id_is_named() -> None:
    found = run()
    found.unpinned = {"b": "b"}
    answer = answers(found)["model version pinned"]
    assert (answer.status, answer.evidence) == ("no", "b may move, answered by b-2025-01-01")
    assert status(run(), "model version pinned") == "yes"


def test_of_a_mix_the_members_that_may_move_are_named_with_what_answered() -> None:
    found = run()
    part = call("openai:gpt-4o", model="gpt-4o-2024-08-06", role="answer")
    for test in found.by_candidate()["b"]:
        test.calls[0].calls = [part]
    found.unpinned = {"b": "openai:gpt-4o, mini = gpt-4o-mini"}
    answer = answers(found)["model version pinned"]
    told = "b may move: openai:gpt-4o, answered by gpt-4o-2024-08-06, mini = gpt-4o-mini"
    assert (answer.status, answer.evidence) == ("no", told)


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        ({"retries": 2}, "60 calls were tried again, whether after a 429 no run says; the SDKs back off by themselves"),
        ({}, "no call was tried again; the SDKs back off by themselves"),
    ],
)
def test_that_calls_were_tried_again_says_nothing_of_rate_limits(fields: dict[str, Any], evidence: str) -> None:
    answer = answers(run(calls=fields))["rate limits with back-off"]
    assert (answer.status, answer.evidence) == ("can't tell", evidence)


def test_a_call_in_which_several_were_passed_over_is_one_call() -> None:
    found = run(cases=2, names=("safe",))
    parts = [call("a", error="500", error_kind="server", why="server"), call("b", why="invalid_json"), call("c")]
    found.tests[0].calls = [call("safe", calls=parts), call("safe", calls=parts[2:])]
    found.header = Header(1, "1", candidates=[CandidateInfo("safe", "fallback")])
    answer = answers(found)["fallback configured"]
    assert (answer.status, answer.evidence) == ("yes", "safe passed a candidate over in 1 of 3 calls")


def test_budgets_clients_of_ones_own_and_own_machines_are_seen() -> None:
    found = run()
    found.budget = Spending("5")
    found.header = Header(1, "1", candidates=[CandidateInfo("a", hosting="local")])
    found.tests.append(TestRecord("t.py::test_own", "", calls=[call("")]))
    told = answers(found)
    assert told["cost monitoring"].evidence.endswith("budget $5.00")
    assert told["able to operate servers"].evidence == "a: asked on machines of your own"
    assert told["provider abstraction"].status == "no"
    assert [line for line, answer in told.items() if answer.status == "can't tell"] == [
        "compliance",
        "existing relationship",
        "edge cases: long",
        "edge cases: adversarial",
        "edge cases: multilingual",
        "fallback configured",
        "rate limits with back-off",
    ]
