from __future__ import annotations

import json
import threading
from dataclasses import fields, replace
from decimal import Decimal

import pytest

from pytest_llmeval.errors import ProviderError
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.response import UNKNOWN_COST, Cost, Response, Try, Usage
from pytest_llmeval.testlog import TestLog, overall_score

ANSWER = Response(
    "Hi",
    usage=Usage(100, 20, 60, 10, 5),
    model="mini-2025",
    latency_ms=120.5,
    ttft_ms=20.5,
    cost=Cost(Decimal("0.000525"), "priced", "genai-prices", "2025-06-01"),
    finish_reason="stop",
    replayed=True,
    recorded_at="2025-06-01T10:00:00Z",
    retries=1,
    schema_mode="native",
    candidate="mini",
)


def test_a_call_keeps_all_that_a_report_needs() -> None:
    call = Call.from_response(ANSWER)
    assert (call.candidate, call.model, call.error) == ("mini", "mini-2025", None)
    assert (call.input_tokens, call.output_tokens) == (100, 20)
    assert (call.cached_tokens, call.cache_write_tokens, call.reasoning_tokens) == (60, 10, 5)
    assert (call.latency_ms, call.ttft_ms) == (120.5, 20.5)
    assert call.tokens_per_second == pytest.approx(140)
    assert (call.cost, call.cost_status, call.cost_source) == ("0.000525", "priced", "genai-prices")
    assert (call.cost_as_of, call.recorded_at, call.replayed) == ("2025-06-01", "2025-06-01T10:00:00Z", True)
    assert (call.finish_reason, call.schema_mode, call.retries) == ("stop", "native", 1)


def test_an_unknown_cost_stays_unknown() -> None:
    call = Call.from_response(Response("Hi", cost=UNKNOWN_COST))
    assert (call.cost, call.cost_status) == (None, "unknown")


def test_a_failed_call_keeps_why_and_how_often() -> None:
    error = ProviderError("mini: too many requests", candidate="mini", kind="rate_limit", status=429, retries=2)
    call = Call.from_error("mini", error, UNKNOWN_COST)
    assert (call.error, call.error_kind, call.retries) == ("mini: too many requests", "rate_limit", 2)
    assert (call.cost, call.latency_ms, call.output_tokens) == (None, None, None)


def full_record() -> TestRecord:
    log = TestLog("mini", unpinned="gpt-4o")
    log.note_call(Call.from_response(ANSWER))
    log.note_score(0.5)
    log.note_score(1.0)
    log.note_score(0.25, "tone")
    log.note_fields([("name", 1.0), ("issue", 0.0), ("name", 0.0)])
    log.note_json(True, "{}")
    log.note_json(False, "no")
    return log.record("test_x.py::test_x[mini]", "failed", message="assert 0", cassette="llm_cassettes/x.yaml")


def test_a_log_averages_what_a_test_scored() -> None:
    record = full_record()
    assert record.scores == {"score": 0.75, "tone": 0.25}
    assert record.score == 0.75
    assert record.fields == {"name": 0.5, "issue": 0.0}
    assert (record.json_checked, record.json_valid) == (2, 1)
    assert (record.candidate, record.unpinned, record.message) == ("mini", "gpt-4o", "assert 0")


def test_an_answer_that_is_checked_several_times_counts_once() -> None:
    log, reply, equal_reply = TestLog("mini"), Response("{}"), Response("{}")
    for valid, answer in ((True, reply), (True, reply), (False, equal_reply), (True, equal_reply)):
        log.note_json(valid, answer)
    record = log.record("n", "passed")
    assert (record.json_checked, record.json_valid) == (2, 1)


#: What calls of a single model do without.
MIX = {"served_by", "route", "calls", "role", "why"}


def test_a_record_survives_the_way_through_json() -> None:
    record = full_record()
    data = json.loads(json.dumps(record.to_json()))
    assert TestRecord.from_json(data) == record
    assert set(data) == {field.name for field in fields(TestRecord)}
    assert set(data["calls"][0]) | MIX == {field.name for field in fields(Call)}


def test_a_call_of_several_candidates_survives_the_way_through_json() -> None:
    failed = ProviderError("big: too slow", candidate="big", kind="timeout", retries=2)
    tries = [
        Try("big", error=failed, why="timeout", latency_ms=900.0),
        Try("mini", response=ANSWER, latency_ms=120.5, cost=ANSWER.cost),
    ]
    record = full_record()
    record.calls = [Call.from_response(replace(ANSWER, candidate="safe", served_by="mini", tries=tries))]
    data = json.loads(json.dumps(record.to_json()))
    assert set(data["calls"][0]) == {field.name for field in fields(Call)}
    assert [(call["candidate"], call["why"], call["latency_ms"]) for call in data["calls"][0]["calls"]] == [
        ("big", "timeout", 900.0),
        ("mini", None, 120.5),
    ]
    assert TestRecord.from_json(data) == record


def test_keys_of_a_newer_version_are_passed_over() -> None:
    data = full_record().to_json()
    data["new"] = data["calls"][0]["new"] = 1
    assert TestRecord.from_json(data) == full_record()


def test_keys_that_an_older_version_did_not_write_get_their_defaults() -> None:
    assert TestRecord.from_json({"nodeid": "n", "candidate": "c"}) == TestRecord("n", "c")


@pytest.mark.parametrize(
    ("scores", "outcome", "expected"),
    [
        ({}, "passed", 1.0),
        ({}, "xpassed", 1.0),
        ({}, "failed", 0.0),
        ({}, "xfailed", 0.0),
        ({}, "error", None),
        ({}, "skipped", None),
        ({"score": 0.9}, "failed", 0.9),
        ({"score": 0.9}, "error", None),
        ({"score": 0.9}, "skipped", None),
        ({"score": 0.2, "tone": 1.0}, "passed", 0.2),
        ({"tone": 0.5, "style": 1.0}, "passed", 0.75),
        ({"score": 0.0}, "passed", 0.0),
    ],
)
def test_the_score_of_a_test(scores: dict[str, float], outcome: str, expected: float | None) -> None:
    assert overall_score(scores, outcome) == expected


def test_properties_hold_candidate_scores_latency_and_cost() -> None:
    assert full_record().properties() == [
        ("llm_candidate", "mini"),
        ("llm_score", 0.75),
        ("llm_score_tone", 0.25),
        ("llm_latency_ms", 120.5),
        ("llm_cost_usd", "0.000525"),
    ]


def test_properties_add_up_calls_and_leave_out_what_is_unknown() -> None:
    record = full_record()
    record.calls.append(Call.from_response(ANSWER))
    assert dict(record.properties())["llm_latency_ms"] == 241.0
    assert dict(record.properties())["llm_cost_usd"] == "0.001050"
    record.calls.append(Call("mini"))
    assert dict(record.properties())["llm_cost_usd"] == "unknown"
    assert TestRecord("n", "mini", "error").properties() == [("llm_candidate", "mini")]
    assert TestRecord("n", "", "passed", score=1.0).properties() == [("llm_score", 1.0)]


def test_candidates_come_in_the_order_in_which_they_were_asked_for() -> None:
    tests = [TestRecord("1", "marked"), TestRecord("2", "b"), TestRecord("3", "a"), TestRecord("4", "marked")]
    groups = Run(["a", "b", "unused"], tests=tests).by_candidate()
    assert {name: [test.nodeid for test in found] for name, found in groups.items()} == {
        "a": ["3"],
        "b": ["2"],
        "marked": ["1", "4"],
    }
    assert list(groups) == ["a", "b", "marked"]


def test_a_test_without_a_candidate_belongs_to_none() -> None:
    assert Run(tests=[TestRecord("1", "")]).by_candidate() == {}


def test_a_log_takes_notes_from_many_threads() -> None:
    log = TestLog("mini")

    def note() -> None:
        for _ in range(500):
            log.note_call(Call("mini"))
            log.note_score(1.0)

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.record("n", "passed").calls) == 4000
