"""Token counts of both protocols, as an SDK parsed them or as they stand in a recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_llmeval.response import Usage

#: What a recording of a stranger has beyond this is no count.
MOST_TOKENS = 10**12


def openai_usage(usage: Any) -> Usage:
    """Return the tokens of an OpenAI `usage`: an object of the SDK, or a mapping; of either of its two APIs.

    Gemini leaves reasoning out of `completion_tokens` and counts it in the total only, which is what it bills.

    >>> openai_usage({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 20})
    Usage(input_tokens=5, output_tokens=15, cached_tokens=None, cache_write_tokens=None, reasoning_tokens=8)
    >>> openai_usage({"input_tokens": 5, "output_tokens": 7}).input_tokens
    5
    """
    if usage is None:
        return Usage()
    counts = _fields(usage)
    responses = counts.get("prompt_tokens") is None and counts.get("input_tokens") is not None
    read_as, written_as = ("input", "output") if responses else ("prompt", "completion")
    read, written, total = (_count(counts, f"{name}_tokens") for name in (read_as, written_as, "total"))
    details = _fields(counts.get(f"{read_as}_tokens_details"))
    reasoning = _count(_fields(counts.get(f"{written_as}_tokens_details")), "reasoning_tokens")
    if read is not None and written is not None and total is not None and total > read + written:
        reasoning = reasoning or total - read - written
        written = total - read
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cached_tokens=_count(details, "cached_tokens"),
        cache_write_tokens=_count(details, "cache_write_tokens"),
        reasoning_tokens=reasoning,
    )


def anthropic_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the tokens of an Anthropic `usage`, whose `input_tokens` leave out what the prompt cache read or wrote.

    >>> anthropic_usage({"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 100}).input_tokens
    105
    """
    read, cached, written = (
        _count(usage, name) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    details = usage.get("output_tokens_details")
    return Usage(
        input_tokens=None if read is None else read + (cached or 0) + (written or 0),
        output_tokens=_count(usage, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(details, "thinking_tokens") if isinstance(details, Mapping) else None,
    )


def _fields(holder: Any) -> Mapping[str, Any]:
    """Return what an object of the SDK or a mapping holds by name; nothing for anything else."""
    if holder is None:
        return {}
    if isinstance(holder, Mapping):
        return holder
    declared: dict[str, Any] = getattr(holder, "__dict__", {})
    others = getattr(holder, "model_extra", None)
    return {**declared, **others} if others else declared


def _count(holder: Mapping[str, Any], name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
