"""Which answers are worth keeping."""

from __future__ import annotations

import json

from pytest_llmeval.cassettes import sse
from pytest_llmeval.cassettes.format import Interaction

# A wrong key, an unpaid bill or a passing fault says nothing about the model: once kept, it would replay for ever.
NOT_KEPT = {401, 402, 403, 407, 408, 409, 425, 429}


def unusable(interaction: Interaction) -> str | None:
    """Return why an answer is not worth keeping, or None."""
    if interaction.status >= 500 or interaction.status in NOT_KEPT:
        return f"status {interaction.status}"
    if "event-stream" in interaction.content_type:
        if interaction.status < 400 and not sse.read_stream(interaction.content).finished:
            return "the stream ended before it was finished"
    elif "json" in interaction.content_type and interaction.status != 204:
        return _json_fault(interaction.content)
    return None


def _json_fault(content: bytes) -> str | None:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    return None
