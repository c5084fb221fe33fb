from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.json import render
from pytest_llmeval.runheader import Header
from tests.unit.test_schema import validator


def document(*tests: TestRecord) -> dict[str, Any]:
    names = list(dict.fromkeys(test.candidate for test in tests))
    return dict(json.loads(render(Run(names, tests=list(tests), header=Header(1, "id")))))


CALLS = [
    Call("a", "gpt", latency_ms=10.0, input_tokens=3, output_tokens=2, cost="0.5", cost_status="priced"),
    Call("a", "gpt", latency_ms=20.0, input_tokens=3, output_tokens=2, cost="0.25", cost_status="priced"),
]


def test_the_figures_of_a_candidate_stand_beside_its_tests() -> None:
    data = document(TestRecord("test_b", "a", score=0.5, calls=CALLS), TestRecord("test_a", "a", score=1.0))
    validator().validate(data)
    assert [test["nodeid"] for test in data["tests"]] == ["test_a", "test_b"]
    (row,) = data["summary"]
    assert (row["candidate"], row["score"]["mean"], row["passed"], row["tests"]) == ("a", 0.75, 2, 2)
    assert (row["latency_p50_ms"], row["input_tokens"], row["output_tokens"]) == (15.0, 6, 4)
    assert (row["cost_usd"], row["cost_at_least_usd"], row["models"]) == ("0.75", "0.75", {"gpt": 2})


def test_what_is_unknown_is_null_and_never_a_sum_that_leaves_it_out() -> None:
    (row,) = document(TestRecord("t", "a", "error", calls=[*CALLS, Call("a", latency_ms=5.0)]))["summary"]
    assert (row["score"], row["input_tokens"], row["cost_usd"]) == (None, None, None)
    assert (row["cost_at_least_usd"], row["unpriced_calls"]) == ("0.75", 1)
    (row,) = document(TestRecord("t", "a"))["summary"]
    assert (row["cost_usd"], row["cost_at_least_usd"], row["latency_p50_ms"], row["input_tokens"]) == (None,) * 4


def test_a_run_without_a_header_is_no_document() -> None:
    with pytest.raises(ValueError, match="no header"):
        render(Run())
