"""The official SDKs against a scripted server: what is sent, and what is read."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from importlib import import_module
from typing import Any

import openai
import pytest

from pytest_llmeval.errors import ProviderError
from pytest_llmeval.response import Timing
from tests.dialects import (
    ANTHROPIC,
    OPENAI,
    OPENAI_USAGE,
    QUESTION,
    Dialect,
    anthropic_answer,
    anthropic_start,
    block_delta,
    block_start,
    message_delta,
    openai_answer,
    openai_chunk,
)
from tests.integration.providers.asking import Ask, Made
from tests.servers import ScriptedServer, json_reply, sse_reply

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_an_answer_is_read_whole(server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool) -> None:
    server.script(dialect.reply(stream))
    got = ask(make(dialect.candidate(server.url)), replace(QUESTION, stream=stream))
    assert (got.content, got.finish_reason, got.model) == ("Hello you", dialect.stop, "mini-1-2025")
    usage = got.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (100, 20, 60)
    assert (usage.cache_write_tokens, usage.reasoning_tokens) == (10, 5)
    assert (got.candidate, got.retries, got.replayed, got.tool_calls) == ("mini", 0, False, [])
    assert got.latency_ms is not None
    assert (got.ttft_ms is not None) is stream
    assert (got.tokens_per_second is not None) is stream


def test_openai_is_asked_in_its_form(server: ScriptedServer, make: Made) -> None:
    server.script(OPENAI.reply(stream=True))
    make(OPENAI.candidate(server.url, parameters={"min_p": 0.1, "top_p": 0.5})).complete(replace(QUESTION, stream=True))
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body == {
        "model": "mini-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.0,
        "max_tokens": 50,
        "top_p": 0.5,
        "min_p": 0.1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_what_is_none_of_the_bodys_goes_where_it_belongs(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool
) -> None:
    server.script(dialect.reply(stream))
    parameters = {"extra_headers": {"X-Team": "a"}, "extra_query": {"tier": "b"}, "extra_body": {"min_p": 0.1}}
    got = ask(make(dialect.candidate(server.url, parameters=parameters)), replace(QUESTION, stream=stream))
    assert got.content == "Hello you"
    [seen] = server.requests
    assert (seen.headers["x-team"], seen.path.partition("?")[2], seen.body["min_p"]) == ("a", "tier=b", 0.1)
    assert not any(name.startswith("extra_") for name in seen.body)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_openai_is_asked_as_the_sdks_own_method_asks(
    server: ScriptedServer, make: Made, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-9fX2mQ7bTz4LkWd8")
    server.script(OPENAI.reply(stream), OPENAI.reply(stream))
    tool = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
    make(OPENAI.candidate(server.url)).complete(replace(QUESTION, tools=[tool], stream=stream))
    [ours] = server.requests
    key = ours.headers["authorization"].removeprefix("Bearer ")
    with openai.OpenAI(api_key=key, base_url=f"{server.url}/v1", timeout=10.0, max_retries=0) as client:
        client.chat.completions.with_raw_response.create(**ours.body).http_response.read()
    assert server.requests[1] == ours


def test_a_class_as_the_response_format_is_told_of(server: ScriptedServer, make: Made) -> None:
    question = replace(QUESTION, params={"response_format": Dialect})
    with pytest.raises(ProviderError, match="ask for it with schema=Dialect"):
        make(OPENAI.candidate(server.url)).complete(question)
    assert server.requests == []


def test_anthropic_is_asked_in_its_form(server: ScriptedServer, make: Made) -> None:
    tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
    server.script(ANTHROPIC.reply(stream=False))
    question = replace(QUESTION, tools=[tool], params={"stop": "END", "tool_choice": "required"})
    make(ANTHROPIC.candidate(server.url)).complete(question)
    assert server.requests[0].path == "/v1/messages"
    assert server.requests[0].body == {
        "model": "mini-1",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.0,
        "max_tokens": 50,
        "tools": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "any"},
        "stop_sequences": ["END"],
    }


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        ({}, {"max_completion_tokens": 50}),
        ({"temperature": 1, "max_tokens": 90}, {"max_completion_tokens": 90, "temperature": 1}),
        ({"max_tokens": "omit"}, {}),
    ],
)
def test_a_reasoning_model_gets_the_parameters_that_it_takes(
    server: ScriptedServer, make: Made, parameters: dict[str, Any], sent: dict[str, Any]
) -> None:
    server.script(OPENAI.reply(stream=False))
    make(replace(OPENAI.candidate(server.url), model="o3-mini", parameters=parameters)).complete(QUESTION)
    body = server.requests[0].body
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == sent


def test_a_key_goes_to_its_own_provider_only(
    server: ScriptedServer, make: Made, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{dialect.provider.upper()}_API_KEY", "sk-real-key-of-the-user")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-user")
    monkeypatch.setenv("THEIR_KEY", "key-of-the-endpoint\n")
    server.script(dialect.reply(stream=False), dialect.reply(stream=False))
    make(dialect.candidate(server.url)).complete(QUESTION)
    make(dialect.candidate(server.url, api_key_env="THEIR_KEY")).complete(QUESTION)
    first, second = (" ".join(seen.headers.values()) for seen in server.requests)
    assert "sk-real-key-of-the-user" not in first + second
    assert "org-of-the-user" not in first + second
    assert "key-of-the-endpoint" in second


def test_the_sdk_base_url_variable_gets_the_key(
    server: ScriptedServer, make: Made, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{dialect.provider.upper()}_BASE_URL", server.url + dialect.path)
    monkeypatch.setenv(f"{dialect.provider.upper()}_API_KEY", "key-for-the-gateway")
    server.script(dialect.reply(stream=False))
    provider = make(replace(dialect.candidate(""), base_url=None))
    provider.complete(QUESTION)
    assert "key-for-the-gateway" in " ".join(server.requests[0].headers.values())
    assert provider.billing is None


def test_tool_calls_keep_the_text_that_the_model_wrote(
    server: ScriptedServer, make: Made, ask: Ask, stream: bool
) -> None:
    whole = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1'}}
    parts = (
        openai_chunk(tool_calls=[{"index": 0, "id": "t1", "function": {"name": "look", "arguments": ""}}]),
        openai_chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"at"'}}]),
        openai_chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1"}}]),
        openai_chunk("tool_calls"),
    )
    plain = json_reply(openai_answer({"content": None, "tool_calls": [whole]}, "tool_calls"))
    server.script(sse_reply(*parts, "[DONE]") if stream else plain)
    got = ask(make(OPENAI.candidate(server.url)), replace(QUESTION, stream=stream))
    assert got.content == ""
    assert [(call.id, call.name, call.arguments) for call in got.tool_calls] == [("t1", "look", '{"at": 1')]
    assert (got.ttft_ms is not None) is stream


def test_anthropic_tool_calls_are_read(server: ScriptedServer, make: Made, ask: Ask, stream: bool) -> None:
    block = {"type": "tool_use", "id": "t1", "name": "look"}
    parts = (
        anthropic_start(input_tokens=1, output_tokens=1),
        block_start({**block, "input": {}}),
        block_delta({"type": "input_json_delta", "partial_json": '{"at"'}),
        block_delta({"type": "input_json_delta", "partial_json": ": 1}"}),
        message_delta("tool_use", output_tokens=9),
    )
    plain = json_reply(anthropic_answer({**block, "input": {"at": 1}}, stop="tool_use"))
    server.script(sse_reply(*parts) if stream else plain)
    got = ask(make(ANTHROPIC.candidate(server.url)), replace(QUESTION, stream=stream))
    assert [(call.id, call.name, call.arguments) for call in got.tool_calls] == [("t1", "look", '{"at": 1}')]


def test_a_refusal_is_an_answer(server: ScriptedServer, make: Made, ask: Ask, stream: bool) -> None:
    plain = json_reply(openai_answer({"content": None, "refusal": "I won't."}))
    server.script(sse_reply(openai_chunk(refusal="I won't."), openai_chunk("stop")) if stream else plain)
    got = ask(make(OPENAI.candidate(server.url)), replace(QUESTION, stream=stream))
    assert (got.content, got.finish_reason) == ("I won't.", "refusal")


def test_a_schema_is_asked_for_natively(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool
) -> None:
    server.script(dialect.reply(stream))
    got = ask(make(dialect.candidate(server.url)), replace(QUESTION, stream=stream, schema=SCHEMA))
    closed = {**SCHEMA, "additionalProperties": False}
    body = server.requests[0].body
    if dialect is OPENAI:
        named = {"name": "answer", "schema": closed, "strict": True}
        assert body["response_format"] == {"type": "json_schema", "json_schema": named}
    else:
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
    # "Hello you" is no JSON: this server took the schema and passed it over.
    assert got.schema_mode == "ignored"


@pytest.mark.parametrize(
    ("text", "finish", "mode"),
    [
        ('{"a": "b"}', "stop", "native"),
        ('{"a": ', "stop", "ignored"),
        ('{"a": ', "length", "native"),
        ("Sure! Here", "length", "ignored"),
        ("", "content_filter", "native"),
    ],
)
def test_a_schema_that_the_endpoint_passed_over_shows(
    server: ScriptedServer, make: Made, text: str, finish: str, mode: str
) -> None:
    server.script(json_reply(openai_answer({"content": text}, finish)))
    got = make(OPENAI.candidate(server.url)).complete(replace(QUESTION, schema=SCHEMA))
    assert got.schema_mode == mode


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_schema_is_asked_for_in_words_where_the_endpoint_lacks_it(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool, status: int
) -> None:
    server.script(json_reply(dialect.refused, status), dialect.reply(stream))
    got = ask(make(dialect.candidate(server.url)), replace(QUESTION, stream=stream, schema=SCHEMA))
    assert got.schema_mode == "prompt"
    body = server.requests[1].body
    assert "response_format" not in body
    assert "output_config" not in body
    system = body["messages"][0]["content"] if dialect is OPENAI else body["system"]
    assert system.startswith("Be brief.\n\nAnswer with one JSON object")
    assert json.dumps(SCHEMA) in system


def test_structured_output_of_the_candidate_decides(server: ScriptedServer, make: Made, dialect: Dialect) -> None:
    question = replace(QUESTION, schema=SCHEMA)
    server.script(dialect.reply(stream=False))
    words = make(dialect.candidate(server.url, structured_output="prompt"))
    assert words.complete(question).schema_mode == "prompt"
    server.script(json_reply(dialect.refused, 400))
    with pytest.raises(ProviderError, match="refused the request"):
        make(dialect.candidate(server.url, structured_output="native")).complete(question)
    assert len(server.requests) == 2


def test_a_schema_beyond_the_providers_means_is_asked_for_in_words(server: ScriptedServer, make: Made) -> None:
    server.script(ANTHROPIC.reply(stream=False))
    question = replace(QUESTION, schema={"type": ["object", "null"]})
    assert make(ANTHROPIC.candidate(server.url)).complete(question).schema_mode == "prompt"


def test_usage_in_streams_is_given_up_where_the_endpoint_refuses_to_be_asked(
    server: ScriptedServer, make: Made
) -> None:
    server.script(json_reply({"error": {"message": "stream_options: extra fields not permitted"}}, 422))
    server.script(sse_reply(*OPENAI.events[:4], "[DONE]"))
    got = make(OPENAI.candidate(server.url)).complete(replace(QUESTION, stream=True))
    assert (got.content, got.usage.output_tokens) == ("Hello you", None)
    assert "stream_options" not in server.requests[1].body


def test_reasoning_that_only_the_total_counts_is_output(server: ScriptedServer, make: Made) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}
    server.script(json_reply(openai_answer({"content": "x"}, usage=usage)))
    got = make(OPENAI.candidate(server.url)).complete(QUESTION).usage
    assert (got.input_tokens, got.output_tokens, got.reasoning_tokens) == (20, 603, 405)


def test_only_openrouter_is_believed_about_the_cost(
    server: ScriptedServer, make: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_llmeval.providers.openai import OpenAIProvider

    answer = openai_answer({"content": "x"}, usage={**OPENAI_USAGE, "cost": 0.00125})
    server.script(json_reply(answer), json_reply(answer))
    provider = make(OPENAI.candidate(server.url))
    assert provider.complete(QUESTION).reported_cost is None
    assert isinstance(provider, OpenAIProvider)
    monkeypatch.setattr(provider, "connection", replace(provider.connection, reports_cost=True))
    assert provider.complete(QUESTION).reported_cost == Decimal("0.00125")


def test_the_transports_clock_wins(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    timing = Timing(latency_ms=900.0, position_ms=300.0, retries=3, replayed=True, recorded_at="2025-01-01T00:00:00Z")
    original = httpx2.Response.__init__

    def replayed(self: httpx2.Response, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.extensions["llmeval"] = timing

    monkeypatch.setattr(httpx2.Response, "__init__", replayed)
    server.script(dialect.reply(stream))
    got = ask(make(dialect.candidate(server.url)), replace(QUESTION, stream=stream))
    assert (got.latency_ms, got.ttft_ms) == (900.0, 300.0 if stream else None)
    assert (got.replayed, got.recorded_at, got.retries) == (True, "2025-01-01T00:00:00Z", 3)


class Stop(BaseException):
    """Stands for what pytest raises to end a test."""


def test_what_ends_a_test_passes_through(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    def stop(*args: Any) -> None:
        raise Stop

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", stop)
    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", stop)
    with pytest.raises(Stop):
        ask(make(dialect.candidate(server.url, max_retries=2)), QUESTION)


def test_the_sdks_deprecation_notice_stays_a_warning(server: ScriptedServer, make: Made) -> None:
    # Which models are deprecated changes from version to version.
    model = next(iter(vars(import_module("anthropic.resources.messages.messages"))["DEPRECATED_MODELS"]))
    server.script(ANTHROPIC.reply(stream=False))
    with pytest.warns(DeprecationWarning, match=model):
        got = make(replace(ANTHROPIC.candidate(server.url), model=model)).complete(QUESTION)
    assert got.content == "Hello you"


def test_clients_are_built_once_and_async_ones_closed_with_their_loop(
    server: ScriptedServer, make: Made, dialect: Dialect
) -> None:
    from pytest_llmeval.providers.sdk import SDKProvider

    provider = make(dialect.candidate(server.url))
    assert isinstance(provider, SDKProvider)
    seen: list[Any] = []

    async def twice() -> None:
        for _ in range(2):
            await provider.acomplete(QUESTION)
            seen.append(await provider._aclients.get())

    for _ in range(2):
        server.script(*[dialect.reply(stream=False)] * 2)
        asyncio.run(twice())
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert seen[0] is not seen[2]
    assert [client.is_closed() for client in seen] == [True] * 4
    assert not provider._aclients._keepers


def test_the_table_of_providers_imports_no_sdk() -> None:
    code = (
        "import sys; from pytest_llmeval.providers import builtin_providers; builtin_providers();"
        "sys.exit(bool({'openai', 'anthropic', 'httpx2', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
