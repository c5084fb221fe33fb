"""Server-sent events of the two chat protocols: the text they carry, and whether they came to their end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_llmeval.response import join_text

#: How OpenAI's Responses end, which have no other word for it.
COMPLETED = ("response.completed", "response.incomplete")
FAILED = ("error", "response.failed")


@dataclass(frozen=True, slots=True)
class Stream:
    """What a recorded stream says.

    Attributes:
        text: The content deltas, joined.
        first_content: Byte offset of the end of the first event that carries content, or None.
        known: Whether it speaks a protocol that we know.
        finished: Whether the protocol's end was seen; for streams of other protocols, whether nothing is broken.
    """

    text: str
    first_content: int | None
    known: bool
    finished: bool


def read_stream(body: bytes) -> Stream:
    """Assemble a stream's text and tell whether it ended as its protocol wants.

    >>> read_stream(b'data: {"choices": [{"delta": {"content": "Hi"}}]}' + bytes([10, 10]))
    Stream(text='Hi', first_content=51, known=True, finished=False)
    """
    texts: list[str] = []
    first: int | None = None
    ending = _Ending(broken=not _is_utf8(body))
    for end, data in _events(body):
        event = ending.see(data)
        text = _content(event) if event is not None else ""
        if text:
            texts.append(text)
            first = end if first is None else first
    return Stream(join_text(texts), first, ending.known, ending.good)


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


class _Ending:
    """Follows a stream to see whether it says by itself that it is whole.

    A stream that stops early looks like any other to HTTP where a gateway ends it, and to the SDKs too. What tells is
    the reason for which the model stopped: both protocols always send it, and ``[DONE]`` may follow what was cut.
    """

    def __init__(self, *, broken: bool) -> None:
        self.known = False
        self._broken = broken
        self._begun: set[Any] = set()
        self._stopped: set[Any] = set()

    @property
    def good(self) -> bool:
        """Whether nothing is broken and nothing is missing."""
        whole = bool(self._stopped) and self._begun <= self._stopped
        return not self._broken and (whole or not self.known)

    def see(self, data: str) -> dict[str, Any] | None:
        """Take the data of one event; return it if it is an object."""
        if data.strip() == "[DONE]":
            return None
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            self._broken = True
            return None
        if not isinstance(event, dict):
            return None
        self._broken = self._broken or event.get("error") is not None or event.get("type") in FAILED
        self._follow(event)
        return event

    def _follow(self, event: dict[str, Any]) -> None:
        kind, choices = str(event.get("type", "")), event.get("choices")
        self.known = self.known or "choices" in event or kind.startswith(("message_", "response."))
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = str(choice.get("index") or 0)
                self._begun.add(index)
                if choice.get("finish_reason"):
                    self._stopped.add(index)
        delta = event.get("delta")
        if kind == "message_delta" and isinstance(delta, dict) and delta.get("stop_reason"):
            self._stopped.add(kind)
        if kind in COMPLETED:
            self._stopped.add(kind)


def _is_utf8(body: bytes) -> bool:
    # The SDKs decode strictly, so that other bytes end the stream for whoever reads it.
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _events(body: bytes) -> Iterator[tuple[int, str]]:
    """Yield (byte offset of the event's end, its data). A blank line ends an event: without one, there is none yet."""
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
