"""Server-sent events of the two chat protocols: the text they carry, and whether they came to their end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stream:
    """What a recorded stream says.

    Attributes:
        text: The content deltas, joined.
        first_content: Byte offset of the end of the first event that carries content, or None.
        finished: Whether the protocol's end was seen; True for streams of protocols that we do not know.
    """

    text: str
    first_content: int | None
    finished: bool


def read_stream(body: bytes) -> Stream:
    """Assemble a stream's text and tell whether it ended as its protocol wants.

    >>> read_stream(b'data: {"choices": [{"delta": {"content": "Hi"}}]}' + bytes([10, 10]))
    Stream(text='Hi', first_content=51, finished=False)
    """
    texts: list[str] = []
    first: int | None = None
    known = finished = broken = False
    for end, data in _events(body):
        if data.strip() == "[DONE]":
            finished = True
            continue
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            broken = True
            continue
        if not isinstance(event, dict):
            continue
        known = known or "choices" in event or str(event.get("type", "")).startswith("message_")
        broken = broken or event.get("error") is not None
        finished = finished or _is_last(event)
        text = _content(event)
        if text:
            texts.append(text)
            first = end if first is None else first
    unknown_protocol = not known and not broken
    return Stream("".join(texts), first, not broken and (finished or unknown_protocol))


def json_events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream that are JSON objects.

    >>> list(json_events(b'data: {"a": 1}' + bytes([10, 10]) + b"data: [DONE]"))
    [{'a': 1}]
    """
    for _, data in _events(body):
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def _events(body: bytes) -> Iterator[tuple[int, str]]:
    """Yield (byte offset of the event's end, its data), an event a blank line."""
    position = 0
    lines: list[str] = []
    for raw in body.splitlines(keepends=True):
        position += len(raw)
        line = raw.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            lines.append(line[5:].decode("utf-8", "replace").removeprefix(" "))
        elif not line and lines:
            yield position, "\n".join(lines)
            lines = []
    if lines:
        yield position, "\n".join(lines)


def _is_last(event: dict[str, Any]) -> bool:
    if event.get("type") == "message_stop" or event.get("type") in ("response.completed", "response.incomplete"):
        return True
    choices = event.get("choices")
    return bool(
        isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("finish_reason")
    )


def _content(event: dict[str, Any]) -> str:
    delta = event.get("delta")
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        delta = choices[0].get("delta")
    if isinstance(delta, str):
        return delta
    if not isinstance(delta, dict):
        return ""
    content = delta.get("content") or delta.get("text") or ""
    return content if isinstance(content, str) else ""
