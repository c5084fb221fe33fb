"""What the candidates of a run used."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.measured import candidate_in, measure
from pytest_llmeval.records import Call, Run, TestRecord


def run(*calls: Call) -> Run:
    return Run(tests=[TestRecord(f"test_x[{n}]", call.candidate, calls=[call]) for n, call in enumerate(calls)])


def call(read: int | None = 100, written: int | None = 50, cost: str | None = "0.002", ms: float | None = 500) -> Call:
    status = "unknown" if cost is None else "priced"
    return Call("a", input_tokens=read, output_tokens=written, cost=cost, cost_status=status, latency_ms=ms)


def test_tokens_cost_and_speed_are_means_over_answers() -> None:
    found = measure(run(call(), call(300, 150, "0.006", 1500)))["a"]
    assert [found.tokens_in, found.tokens_out, found.tokens] == [200, 100, 300]
    assert found.per_request == Decimal("0.004")
    assert found.tokens_per_second == 300
    assert found.blended == Decimal("0.004") / 300 * 1_000_000


def test_one_unpriced_call_makes_the_cost_unknown() -> None:
    found = measure(run(call(), call(cost=None)))["a"]
    assert (found.per_request, found.blended) == (None, None)
    assert found.tokens == 150


def test_answers_without_a_count_are_left_out_and_none_at_all_is_unknown() -> None:
    assert measure(run(call(), call(None, None)))["a"].tokens_in == 100
    found = measure(run(call(None, None, ms=None)))["a"]
    assert (found.tokens, found.tokens_per_second, found.blended) == (None, None, None)


def test_a_candidate_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="It has: a"):
        candidate_in(run(call()), "b")
