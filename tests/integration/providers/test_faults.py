"""The official SDKs against a server that fails in every way: what each failure turns into."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_llmeval.errors import ProviderError
from pytest_llmeval.standins import MISSING_KEY
from tests.dialects import (
    ANTHROPIC,
    OPENAI,
    QUESTION,
    Dialect,
)
from tests.integration.providers.asking import Ask, Made, failure, free_port
from tests.servers import Reply, ScriptedServer, json_reply, sse_reply

NO_JSON = Reply((b"<html>Bad gateway</html>",), content_type="text/html")
BROKEN_JSON = Reply((b'{"id": "c", "choi',))
EVENTS = "text/event-stream"


@pytest.mark.parametrize("broken", [NO_JSON, BROKEN_JSON, json_reply({"id": "c"}), json_reply([1]), json_reply("x")])
def test_a_plain_answer_that_breaks_the_protocol_is_malformed(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, broken: Reply
) -> None:
    server.script(broken)
    assert failure(ask, make(dialect.candidate(server.url)), QUESTION).kind == "malformed"


@pytest.mark.parametrize(
    "broken", [NO_JSON, Reply(content_type=EVENTS), Reply((b"\xff\xfe\x00",), content_type=EVENTS)]
)
def test_a_stream_without_any_event_is_malformed(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, broken: Reply
) -> None:
    server.script(broken)
    error = failure(ask, make(dialect.candidate(server.url)), replace(QUESTION, stream=True))
    assert error.kind == "malformed"


@pytest.mark.parametrize("chunk", [b'{"id": "c", ', b"[1, 2]", b'"x"'])
def test_a_malformed_chunk_is_malformed(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, chunk: bytes
) -> None:
    name = b"event: content_block_delta\n" if dialect is ANTHROPIC else b""
    good = sse_reply(*dialect.events[:2]).pieces
    server.script(Reply((*good, name + b"data: " + chunk + b"\n\n"), content_type=EVENTS, chunked=True))
    error = failure(ask, make(dialect.candidate(server.url)), replace(QUESTION, stream=True))
    assert error.kind == "malformed"


def test_a_stream_that_ends_early_is_truncated(server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect) -> None:
    server.script(sse_reply(*dialect.events[:3]))
    error = failure(ask, make(dialect.candidate(server.url)), replace(QUESTION, stream=True))
    assert error.kind == "truncated"
    assert " reason after " in str(error)


def test_a_dropped_connection_is_a_connection_error(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool
) -> None:
    whole = dialect.reply(stream)
    server.script(replace(whole, pieces=whole.pieces[:3], end="disconnect"))
    error = failure(ask, make(dialect.candidate(server.url)), replace(QUESTION, stream=stream))
    assert error.kind == "connection"
    assert "broke before the answer was whole" in str(error)


def test_a_stalled_answer_is_a_timeout(
    server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool
) -> None:
    whole = dialect.reply(stream)
    server.script(replace(whole, pieces=whole.pieces[:3], end="stall"))
    error = failure(ask, make(dialect.candidate(server.url, timeout=0.2)), replace(QUESTION, stream=stream))
    assert error.kind == "timeout"
    assert "within 0.2 s" in str(error)
    assert "[tool.llmeval.models.mini]" in str(error)


def test_an_error_inside_a_stream_is_that_error(server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect) -> None:
    event = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
    server.script(sse_reply(*dialect.events[:3], event))
    error = failure(ask, make(dialect.candidate(server.url)), replace(QUESTION, stream=True))
    assert (error.kind, error.status) == ("rate_limit", None)
    assert "Slow down" in str(error)


def test_a_gateways_error_with_status_200_is_that_error(server: ScriptedServer, make: Made, ask: Ask) -> None:
    server.script(json_reply({"error": {"code": 502, "message": "Upstream gave up"}}))
    error = failure(ask, make(OPENAI.candidate(server.url)), QUESTION)
    assert error.kind == "server"
    assert "Upstream gave up" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [
        (400, "bad_request", "refused the request (400)"),
        (401, "auth", "environment variable MY_KEY"),
        (403, "auth", "environment variable MY_KEY"),
        (404, "not_found", "no model 'mini-1'"),
        (422, "bad_request", "refused the request (422)"),
        (429, "rate_limit", "raise max_retries in [tool.llmeval.models.mini]"),
        (500, "server", "the server failed (500)"),
        (503, "server", "the server failed (503)"),
        (529, "server", "the server failed (529)"),
    ],
)
def test_a_status_becomes_a_kind_and_a_message_that_helps(
    server: ScriptedServer,
    make: Made,
    ask: Ask,
    dialect: Dialect,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    kind: str,
    hint: str,
) -> None:
    monkeypatch.setenv("MY_KEY", "abc123-the-key")
    said = "No! Key abc123-the-key or sk-ant-api03-AbCdEf123456 \x1b[31m\nred " + "x" * 500
    server.script(json_reply({"error": {"message": said}}, status))
    error = failure(ask, make(dialect.candidate(server.url, api_key_env="MY_KEY")), QUESTION)
    assert (error.kind, error.status) == (kind, status)
    text = str(error)
    assert hint in text
    assert "No! Key [key] or [key] [31m red xxx" in text
    assert "abc123" not in text
    assert "AbCdEf" not in text
    assert len(text) < 600


def test_a_missing_key_is_named(server: ScriptedServer, make: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    server.script(json_reply({"error": {"message": "no"}}, 401))
    with pytest.raises(ProviderError, match="the environment variable MY_KEY is not set"):
        make(OPENAI.candidate(server.url, api_key_env="MY_KEY")).complete(QUESTION)
    assert MISSING_KEY in server.requests[0].headers["authorization"]


def test_a_refused_parameter_comes_with_the_way_to_leave_it_out(
    server: ScriptedServer, make: Made, dialect: Dialect
) -> None:
    server.script(json_reply({"error": {"message": "`temperature` is deprecated for this model"}}, 400))
    with pytest.raises(ProviderError, match=r'parameters = { temperature = "omit" }'):
        make(dialect.candidate(server.url)).complete(QUESTION)


def test_a_refused_connection_names_the_address(make: Made, ask: Ask, dialect: Dialect, stream: bool) -> None:
    base = f"http://127.0.0.1:{free_port()}"
    error = failure(ask, make(dialect.candidate(base)), replace(QUESTION, stream=stream))
    assert error.kind == "connection"
    assert f"cannot connect to {base}{dialect.path}: is the server running?" in str(error)


def test_a_password_in_the_address_is_not_shown(make: Made) -> None:
    candidate = OPENAI.candidate(f"http://user:hunter2@127.0.0.1:{free_port()}")
    with pytest.raises(ProviderError, match="cannot connect") as caught:
        make(candidate).complete(QUESTION)
    assert "hunter2" not in str(caught.value)


def test_retries_are_counted(server: ScriptedServer, make: Made, ask: Ask, dialect: Dialect, stream: bool) -> None:
    busy = json_reply({"error": {"message": "busy"}}, 429, retry_after_ms="1")
    server.script(busy, busy, dialect.reply(stream))
    got = ask(make(dialect.candidate(server.url, max_retries=2)), replace(QUESTION, stream=stream))
    assert (got.content, got.retries) == ("Hello you", 2)
    server.script(busy, busy, busy)
    error = failure(ask, make(dialect.candidate(server.url, max_retries=2)), replace(QUESTION, stream=stream))
    assert (error.kind, error.retries) == ("rate_limit", 2)
    assert "also after 2 retries" in str(error)
