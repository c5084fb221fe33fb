from __future__ import annotations

import csv
from io import StringIO

import pytest

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.csv import render

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\x00=1", "\u200b=1", "\uff1d1"]


def rows(*tests: TestRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(render(Run(tests=list(tests))))))


def test_each_test_has_a_row_with_its_figures() -> None:
    calls = [
        Call("a", "gpt", latency_ms=10.0, ttft_ms=1.0, input_tokens=3, output_tokens=2, cost="0.5", replayed=True),
        Call("a", "gpt", latency_ms=20.5, input_tokens=4, output_tokens=2, cost="0.25", retries=2, replayed=True),
    ]
    first, second = rows(
        TestRecord("test_b", "a", score=0.5, scores={"tone": 0.5}, fields={"name": 1.0}, calls=calls, tags=["x", "y"]),
        TestRecord("test_a", "b", "failed", score=0.0, case="late", weight=2.0, sample=3, samples=5, message="no"),
    )
    assert (first["nodeid"], first["candidate"], first["outcome"], first["score"]) == ("test_a", "b", "failed", "0.0")
    assert (first["case"], first["weight"], first["sample"], first["samples"], first["message"]) == (
        "late",
        "2.0",
        "3",
        "5",
        "no",
    )
    assert (second["score_tone"], second["field_name"], second["tags"]) == ("0.5", "1.0", "x, y")
    assert (second["calls"], second["latency_ms"], second["ttft_ms"], second["input_tokens"]) == (
        "2",
        "30.5",
        "1.0",
        "7",
    )
    assert (second["cost_usd"], second["retries"], second["replayed"], second["models"]) == ("0.75", "2", "true", "gpt")


def test_what_is_unknown_is_an_empty_cell() -> None:
    known = Call("a", latency_ms=10.0, input_tokens=3, cost="0.5")
    unknown = Call("a")
    failed = Call("a", error="no", error_kind="timeout")
    first, second, third = rows(
        TestRecord("1", "a", calls=[known, unknown]),
        TestRecord("2", "a", "error", calls=[failed]),
        TestRecord("3", "a"),
    )
    assert (first["latency_ms"], first["input_tokens"], first["cost_usd"], first["sample"]) == ("", "", "", "")
    assert (second["score"], second["call_errors"], second["error_kinds"], second["cost_usd"]) == (
        "",
        "1",
        "timeout",
        "",
    )
    assert (third["calls"], third["cost_usd"], third["replayed"], third["latency_ms"]) == ("0", "", "", "")


def test_a_call_that_nobody_bills_does_not_make_the_cost_unknown() -> None:
    refused = Call("a", error="no", error_kind="rate_limit")
    (row,) = rows(TestRecord("1", "a", calls=[refused, Call("a", cost="0.5")]))
    assert row["cost_usd"] == "0.5"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_runs_what_a_model_wrote(text: str) -> None:
    record = TestRecord(
        text,
        text,
        message=text,
        tags=[text],
        scores={text: 1.0},
        fields={text: 1.0},
        calls=[Call(text, text, error_kind=text)],
        case=text,
    )
    for row in csv.reader(StringIO(render(Run(tests=[record])))):
        assert [
            cell for cell in row if cell.strip(" \t\r\n\x00\u200b").startswith(("=", "+", "-", "@", "\uff1d"))
        ] == []


def test_hostile_text_stays_in_its_cell() -> None:
    message = 'a,"b\n\x1b[31m;\ud800 🎉'
    (row,) = rows(TestRecord("t", "a", message=message))
    assert row["message"] == 'a,"b [31m;? 🎉'
    assert len(render(Run(tests=[TestRecord("t", "a", message=message)])).splitlines()) == 2


def test_a_run_without_tests_has_a_head() -> None:
    (head,) = render(Run()).splitlines()
    assert head.startswith("nodeid,candidate,")


def test_pandas_reads_numbers_as_numbers() -> None:
    pandas = pytest.importorskip("pandas")
    tests = [
        TestRecord("t", "a", score=0.5, calls=[Call("a", latency_ms=1.5, cost="0.00000032")]),
        TestRecord("u", "a"),
    ]
    frame = pandas.read_csv(StringIO(render(Run(tests=tests))))
    assert frame["cost_usd"].dtype == frame["score"].dtype == frame["latency_ms"].dtype == float
