"""What a type checker tells users of the public names. Checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

import pytest
from pydantic import BaseModel

from pytest_llmeval import (
    LLM,
    Call,
    Candidate,
    Case,
    ConfigError,
    Cost,
    FieldScores,
    LLMEvalError,
    Prices,
    Provider,
    ProviderError,
    Request,
    Response,
    Run,
    TestRecord,
    ToolCall,
    Usage,
    assert_fields,
    assert_json,
    compare,
    is_valid_json,
    load_cases,
    record_score,
    score_fields,
)
from pytest_llmeval.providers.base import ProviderFactory


class Ticket(BaseModel):
    name: str


TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {}}}


def test_asking(llm: LLM) -> None:
    reply = llm.complete("Hi", system="Be brief.", temperature=0.2, max_tokens=20, stream=True, schema=Ticket)
    assert_type(reply, Response)
    assert_type(llm.complete([{"role": "user", "content": "Hi"}], tools=[TOOL], seed=1, temperature="omit"), Response)
    assert_type(llm.complete("Hi", system=None, max_tokens=None, schema={"type": "object"}), Response)
    assert_type(llm.complete_many(["Hi", "Ho"], concurrency=4, max_tokens=5), list[Response])
    assert_type(llm.name, str)
    assert_type(llm.candidate, Candidate)
    llm.record_score(0.5, name="tone")


def test_cases(llm: LLM, llm_case: Case) -> None:
    assert_type(llm.complete(llm_case, prompt="Sort {{ input }}.", system="@prompts/sort.md"), Response)
    assert_type(llm.complete_many([llm_case], prompt="{{ input }}"), list[Response])
    assert_type(llm_case.input, str | None)
    assert_type(llm_case.tags, tuple[str, ...])
    assert_type(load_cases("tickets.jsonl"), list[Case])
    load_cases(Path("tickets.csv"))
    load_cases([{"input": "Hi"}, "Ho", Case(input="Hey")])
    load_cases([Ticket(name="Ann")])
    load_cases(lambda: ["Hi"])


async def test_asking_in_a_loop(llm: LLM) -> None:
    assert_type(await llm.acomplete("Hi", stream=True), Response)


def test_asking_wrongly(llm: LLM) -> None:
    llm.complete()  # type: ignore[call-arg]
    llm.complete(3)  # type: ignore[arg-type]
    llm.complete("Hi", "system")  # type: ignore[call-arg]
    llm.complete("Hi", stream="yes")  # type: ignore[arg-type]
    llm.record_score("good")  # type: ignore[arg-type]


def test_reading(reply: Response) -> None:
    assert_type(reply.content, str)
    assert_type(reply.json(), Any)
    assert_type(reply.usage, Usage)
    assert_type(reply.input_tokens, int | None)
    assert_type(reply.usage.cached_tokens, int | None)
    assert_type(reply.latency_ms, float | None)
    assert_type(reply.ttft_ms, float | None)
    assert_type(reply.tokens_per_second, float | None)
    assert_type(reply.cost, Cost)
    assert_type(reply.cost.amount, Decimal | None)
    assert_type(reply.model, str | None)
    assert_type(reply.finish_reason, str | None)
    assert_type(reply.tool_calls, list[ToolCall])
    assert_type(reply.replayed, bool)
    assert_type(reply.recorded_at, str | None)
    assert_type(reply.retries, int)
    reply.cost.amount + 1  # type: ignore[operator]


def test_checking(reply: Response) -> None:
    assert_type(assert_json(reply), Any)
    assert_type(assert_json(reply, schema=Ticket), Ticket)
    assert_type(assert_json(reply, schema={"type": "object"}), Any)
    assert_type(assert_json("{}", schema=Path("ticket.schema.json"), strict=False), Any)
    assert_type(is_valid_json(reply, schema=Ticket), bool)


def test_scoring(reply: Response, ticket: Ticket) -> None:
    scores = score_fields(reply, {"name": "John", "age": compare.number(3, tolerance=1)}, weights={"name": 2.0})
    assert_type(scores, FieldScores)
    assert_type(scores >= 0.8, bool)
    assert_type([field.score for field in scores.fields], list[float])
    assert_type(assert_fields(ticket, ticket, min_score=0.5, extra="penalize"), FieldScores)
    score_fields(reply, {"name": "John"}, extra="forbid")  # type: ignore[arg-type]
    record_score(1.0, "tone")


def test_faults(llm: LLM) -> None:
    try:
        llm.complete("Hi")
    except ProviderError as error:
        assert_type((error.candidate, error.kind, error.status, error.retries), tuple[str, str, int | None, int])
    assert issubclass(ProviderError, LLMEvalError)
    assert issubclass(ConfigError, LLMEvalError)


class Inhouse:
    """What a third party writes."""

    billing: str | None = None
    hosting = "self-hosted"

    def __init__(self, model: str) -> None:
        self.model = model

    def complete(self, request: Request) -> Response:
        assert_type(request.system, str | None)
        assert_type(request.params, Mapping[str, Any])
        return Response("Hi", usage=Usage(input_tokens=1, output_tokens=1), model=self.model)

    async def acomplete(self, request: Request) -> Response:
        return self.complete(request)

    def close(self) -> None:
        pass


def pytest_llmeval_providers(config: pytest.Config) -> dict[str, ProviderFactory]:
    def build(candidate: Candidate) -> Provider:
        return Inhouse(candidate.model)

    return {"inhouse": build, "other": lambda candidate: Inhouse(candidate.model)}


def pytest_llmeval_prices(config: pytest.Config) -> dict[str, Prices]:
    return {"inhouse:large": Prices(input=Decimal("0.40"), output=Decimal("1.20"))}


def pytest_llmeval_run_finished(config: pytest.Config, run: Run) -> None:
    for test in run.tests:
        assert_type(test, TestRecord)
        assert_type(test.score, float | None)
        for call in test.calls:
            assert_type(call, Call)
            assert_type(call.cost, str | None)
    assert_type(run.by_candidate(), dict[str, list[TestRecord]])
