"""Which answers are kept, where a user's tests cannot show it: answers of other protocols, and odd ends of streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.keeping import unusable

CHAT = "https://api.example/v1/chat/completions"
RESPONSES = "https://api.example/v1/responses"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def answered(
    content: bytes, kind: str, uri: str = CHAT, asked: Any = ASKED, status: int = 200, method: str = "POST"
) -> Interaction:
    headers = {"content-type": [kind]} if kind else {}
    return Interaction(method, uri, json.dumps(asked).encode(), {}, status, "", headers, content)


def stream(*events: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % (e.encode() if isinstance(e, str) else json.dumps(e).encode()) for e in events)


def chunk(finish: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": "a"}, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("kept", "events"),
    [
        (True, [chunk(), chunk("stop")]),
        (False, [chunk(), "[DONE]"]),
        (False, [chunk(), chunk(index=1), chunk("stop"), "[DONE]"]),
        (True, [chunk(), chunk(index=1), chunk("stop"), chunk("stop", 1), "[DONE]"]),
        (False, [chunk("stop"), {"error": {"message": "overloaded"}}]),
        (False, ["[DONE]"]),
        (True, [{"type": "message_start"}, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}]),
        (False, [{"type": "message_start"}, {"type": "message_stop"}]),
    ],
)
def test_a_stream_is_kept_if_the_model_says_why_it_stopped(kept: bool, events: list[Any]) -> None:
    found = unusable(answered(stream(*events), "text/event-stream", asked={**ASKED, "stream": True}))
    assert (found is None) is kept


def test_an_event_counts_when_a_blank_line_ends_it() -> None:
    asked = {**ASKED, "stream": True}
    whole = stream(chunk("stop"))
    assert unusable(answered(whole, "text/event-stream", asked=asked)) is None
    assert unusable(answered(whole[:-1], "text/event-stream", asked=asked)) is not None


@pytest.mark.parametrize(
    ("kept", "events"),
    [
        (True, [{"type": "response.created"}, {"type": "response.completed"}]),
        (False, [{"type": "response.created"}, {"type": "response.output_text.delta", "delta": "a"}]),
        (False, [{"type": "response.created"}, {"type": "response.failed"}]),
        (False, [{"type": "response.created"}, {"type": "error", "message": "no"}]),
    ],
)
def test_a_stream_of_the_responses_api_is_kept_if_it_was_completed(kept: bool, events: list[Any]) -> None:
    asked = {"model": "m", "input": "Hi", "stream": True}
    assert (unusable(answered(stream(*events), "text/event-stream", RESPONSES, asked)) is None) is kept


@pytest.mark.parametrize(
    ("kept", "answer"),
    [
        (True, {"choices": [{"message": {"content": ""}}]}),
        (False, {"choices": []}),
        (False, {"choices": [{"error": {"message": "upstream"}}]}),
        (False, {"error": {"message": "upstream"}}),
        (False, ["no", "object"]),
    ],
)
def test_a_plain_answer_is_kept_if_it_is_one(kept: bool, answer: Any) -> None:
    assert (unusable(answered(json.dumps(answer).encode(), "application/json")) is None) is kept


@pytest.mark.parametrize(
    "interaction",
    [
        answered(b"<html>a page</html>", "text/html", "https://docs.example/page", None, method="GET"),
        answered(b'{"reply": "hello"}', "application/json", "https://shop.example/messages", {"messages": ["hi"]}),
        answered(b"", "", "https://shop.example/queue", {"job": 1}, 204),
        answered(stream({"tick": 1}), "text/event-stream", "https://shop.example/ticks", {"since": 0}),
        answered(b"\x00\x01", "audio/mpeg", "https://api.example/v1/audio/speech", {"model": "m", "input": "Hi"}),
        answered(b'{"error": {"message": "no such model"}}', "application/json", status=404),
    ],
    ids=["page", "own-api", "no-content", "ticks", "speech", "refusal"],
)
def test_answers_of_other_protocols_are_kept_as_they_are(interaction: Interaction) -> None:
    assert unusable(interaction) is None
