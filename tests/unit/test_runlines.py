from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End, Header
from pytest_llmeval.runlines import comparable, record_line, run_lines, safe_json

HOSTILE = "a\x1b[31m\n\r\x85\u2028\u202e\x9b31m\x00 Größe 🎉 日本"


def line_of(**changes: Any) -> dict[str, Any]:
    return dict(json.loads(record_line(TestRecord("test_x", "mini", **changes).to_json())))


def test_hostile_text_stays_on_its_line_and_comes_back_as_it_was() -> None:
    line = record_line(TestRecord("test_x", HOSTILE, message=HOSTILE).to_json())
    assert len(line.splitlines()) == 1
    assert line.rstrip("\n").isprintable()
    assert json.loads(line)["message"] == HOSTILE
    assert "Größe 🎉 日本" in line
    line.encode("utf-8")


def test_half_a_character_is_shown_as_one_that_is_missing() -> None:
    assert line_of(message="party \ud83c now")["message"] == "party \ufffd now"


def test_floats_are_rounded_where_no_clock_and_no_sum_is_exact() -> None:
    call = Call("mini", latency_ms=850.12345678, ttft_ms=1e-9, tokens_per_second=140 / 3)
    line = line_of(score=0.1 + 0.2, scores={"b": 1 / 3, "a": 1.0}, calls=[call])
    assert (line["score"], list(line["scores"].items())) == (0.3, [("a", 1.0), ("b", 0.333333333333)])
    told = line["calls"][0]
    assert (told["latency_ms"], told["ttft_ms"], told["tokens_per_second"]) == (850.123, 0.0, 46.667)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_unknown(number: float) -> None:
    line = line_of(score=number, scores={"a": number}, weight=number, calls=[Call("mini", latency_ms=number)])
    assert (line["score"], line["scores"], line["weight"], line["calls"][0]["latency_ms"]) == (
        None,
        {"a": None},
        None,
        None,
    )


def test_a_record_is_not_changed_by_writing_it() -> None:
    data = TestRecord("test_x", "mini", scores={"b": 1 / 3, "a": 1.0}, calls=[Call("mini", latency_ms=1 / 3)]).to_json()
    before = json.dumps(data)
    record_line(data)
    assert json.dumps(data) == before


def test_a_run_is_a_header_the_tests_by_node_id_and_an_end() -> None:
    tests = [TestRecord("test_a", "y"), TestRecord("test_b", "x"), TestRecord("test_a", "x")]
    run = Run(["x", "y"], tests=tests, header=Header(1, "id", candidates=[CandidateInfo("x")]), end=End(tests=3))
    lines = [json.loads(line) for line in run_lines(run)]
    assert [line["kind"] for line in lines] == ["header", "test", "test", "test", "end"]
    assert [(line["nodeid"], line["candidate"]) for line in lines[1:-1]] == [
        ("test_a", "x"),
        ("test_a", "y"),
        ("test_b", "x"),
    ]
    assert (lines[0]["schema_version"], lines[0]["candidates"][0]["name"], lines[-1]["tests"]) == (1, "x", 3)


def test_a_run_that_was_cut_has_no_end_and_one_without_a_header_is_refused() -> None:
    assert [json.loads(line)["kind"] for line in run_lines(Run(header=Header(1, "id")))] == ["header"]
    with pytest.raises(ValueError, match="no header"):
        list(run_lines(Run()))


def test_a_replay_differs_from_what_recorded_in_nothing_but_volatile_fields() -> None:
    live = TestRecord("test_x", "mini", calls=[Call("mini", latency_ms=12.0)])
    replayed = TestRecord("test_x", "mini", calls=[Call("mini", latency_ms=12.0, replayed=True, recorded_at="2025")])
    slower = TestRecord("test_x", "mini", calls=[Call("mini", latency_ms=13.0)])
    assert comparable(live) == comparable(replayed) != comparable(slower)


def test_json_of_several_lines_is_safe_too() -> None:
    text = safe_json({"a": [HOSTILE, math.nan]}, indent=2)
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == {"a": [HOSTILE, None]}
