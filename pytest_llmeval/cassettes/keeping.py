"""Which answers are worth keeping."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from pytest_llmeval.cassettes import sse
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import json_body

# A wrong key, an unpaid bill or a passing fault says nothing about the model: once kept, it would replay for ever.
NOT_KEPT = {401, 402, 403, 407, 408, 409, 425, 429}
#: Ends of the paths that are asked for chat answers, and what every such answer has.
ANSWERS = {"/chat/completions": "choices", "/messages": "content", "/responses": "output"}


def unusable(interaction: Interaction) -> str | None:
    """Return why an answer is not worth keeping, or None.

    What answers a chat request with success must be a chat answer: a sign-in page of the network, or an upstream's
    error, comes with status 200 too.
    """
    if interaction.status >= 500 or interaction.status in NOT_KEPT:
        return f"status {interaction.status}"
    if interaction.status < 300:
        request = json_body(interaction.body)
        key = _answer_key(interaction, request) if isinstance(request, dict) else None
        if key is not None:
            return _stream_fault(interaction, chat=True) if request.get("stream") else _chat_fault(interaction, key)
    if interaction.streamed:
        return _stream_fault(interaction, chat=False) if interaction.status < 400 else None
    if "json" in interaction.content_type and interaction.status != 204:
        return None if _is_json(interaction.content) else "the body is not JSON"
    return None


def _answer_key(interaction: Interaction, request: dict[str, Any]) -> str | None:
    """Return what an answer to this request has, or None if it is no chat request."""
    path = urlsplit(interaction.uri).path.rstrip("/")
    key = next((key for end, key in ANSWERS.items() if path.endswith(end)), None)
    # Others than the two protocols have a path that ends in /messages.
    asks = ("messages" in request or "input" in request) and ("model" in request or key == "choices")
    return key if asks and interaction.method.upper() == "POST" else None


def _stream_fault(interaction: Interaction, *, chat: bool) -> str | None:
    stream = sse.read_stream(interaction.content)
    if not stream.finished:
        return "the stream ended before it was finished, or is broken"
    return "the body is no stream of a chat answer" if chat and not stream.known else None


def _chat_fault(interaction: Interaction, key: str) -> str | None:
    try:
        answer: Any = json.loads(interaction.content)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    if not isinstance(answer, dict):
        return "the body is no chat answer"
    choices = answer.get("choices")
    parts = [answer, *(choices if isinstance(choices, list) else [])]
    if any(isinstance(part, dict) and part.get("error") is not None for part in parts):
        return "the body says that there was an error"
    # Anthropic's models may stop without a word; a list of no choices is no answer.
    return None if answer.get(key) or (key != "choices" and answer.get(key) == []) else f"the body has no {key}"


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
