"""Both protocols as their servers speak them, for tests that script a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.providers.base import Request
from tests.servers import Reply, json_reply, sse_reply

QUESTION = Request([{"role": "user", "content": "Hi"}], system="Be brief.", max_tokens=50)
OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
ANTHROPIC_USAGE = {
    "input_tokens": 30,
    "cache_read_input_tokens": 60,
    "cache_creation_input_tokens": 10,
    "output_tokens": 20,
    "output_tokens_details": {"thinking_tokens": 5},
}


@dataclass(frozen=True)
class Dialect:
    """One protocol: how its server says things."""

    provider: str
    path: str
    answer: dict[str, Any]
    events: tuple[Any, ...]
    stop: str
    refused: dict[str, Any]

    def reply(self, stream: bool) -> Reply:
        return sse_reply(*self.events) if stream else json_reply(self.answer)

    def candidate(self, base: str, **settings: Any) -> Candidate:
        defaults = {"max_retries": 0, "timeout": 10.0}
        return Candidate("mini", self.provider, "mini-1", base_url=base + self.path, **{**defaults, **settings})


def openai_chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "mini-1-2025", "choices": [choice]}


def openai_answer(message: dict[str, Any], finish: str = "stop", usage: Any = OPENAI_USAGE) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c", "created": 0, "model": "mini-1-2025", "choices": [choice], "usage": usage}


def anthropic_answer(*blocks: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    common = {"id": "m", "type": "message", "role": "assistant", "model": "mini-1-2025", "stop_sequence": None}
    return {**common, "content": list(blocks), "stop_reason": stop, "usage": ANTHROPIC_USAGE}


def anthropic_start(**usage: int) -> dict[str, Any]:
    message = {**anthropic_answer(), "stop_reason": None, "usage": usage}
    return {"type": "message_start", "message": message}


def block_start(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(delta: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def message_delta(stop: str, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}


OPENAI = Dialect(
    provider="openai",
    path="/v1",
    answer=openai_answer({"content": "Hello you"}),
    events=(
        openai_chunk(role="assistant", content=""),
        openai_chunk(content="Hello"),
        openai_chunk(content=" you"),
        openai_chunk("stop"),
        {**openai_chunk(), "choices": [], "usage": OPENAI_USAGE},
        "[DONE]",
    ),
    stop="stop",
    refused={"error": {"message": "response_format json_schema is not available here"}},
)
ANTHROPIC = Dialect(
    provider="anthropic",
    path="",
    answer=anthropic_answer({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello you"}),
    events=(
        anthropic_start(input_tokens=30, cache_read_input_tokens=60, cache_creation_input_tokens=10, output_tokens=1),
        block_start({"type": "text", "text": ""}),
        block_delta({"type": "text_delta", "text": "Hello"}),
        block_delta({"type": "text_delta", "text": " you"}),
        {"type": "content_block_stop", "index": 0},
        message_delta("end_turn", output_tokens=20, output_tokens_details={"thinking_tokens": 5}),
        {"type": "message_stop"},
    ),
    stop="end_turn",
    refused={"type": "error", "error": {"type": "invalid_request_error", "message": "output_config: not permitted"}},
)
