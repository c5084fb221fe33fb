"""A loopback server that speaks both chat protocols, plain and streamed, and keeps what it was asked.

It answers each question with a JSON object that repeats it, so that a test can tell whose answer it got.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

USAGE = {"prompt_tokens": 120, "completion_tokens": 20, "total_tokens": 140}


class ChatServer:
    """Serve from a thread until the `with` block ends.

    Attributes:
        asked: Bodies of the requests that came, in order.
        headers: Their headers.
        failures: Statuses to answer the next requests with, before any good answer.
        error: What such an answer says beside.
        delay: Seconds that an answer takes.
        slow: Seconds that the answer to a question takes instead.
        count: Whether answers are numbered, so that equal questions get different ones.
        hold: How many requests must have been in flight together before the first is answered (for 10 seconds).
        most: How many requests are answered at once; what is more gets a 429. None takes all.
        retry_after_ms: What each answer names as the time to wait for before a retry; None names none.
        says: Returns what to answer to a request, instead of what was asked; None for that.
        finish: Why each answer ended, in OpenAI's words.
        in_flight: Requests that are being answered.
        peak: Most of them at once.
        refused: How many got a 429 for being one too many.
    """

    def __init__(self, delay: float = 0.0, *, count: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.failures: list[int] = []
        self.error: dict[str, Any] = {}
        self.delay = delay
        self.slow: dict[str, float] = {}
        self.count = count
        self.hold = 0
        self.most: int | None = None
        self.retry_after_ms: int | None = 1
        self.says: Callable[[dict[str, Any]], str | None] = lambda _: None
        self.finish = "stop"
        self.in_flight = self.peak = self.refused = 0
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Base URL for OpenAI's protocol; without the ``/v1`` for Anthropic's."""
        return f"http://{self.host}/v1"

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, int]:
        """Note a request; return its number and the status to fail it with, or 0."""
        with self._lock:
            self.asked.append(body)
            self.headers.append(headers)
            self.in_flight += 1
            if self.most is not None and self.in_flight > self.most:
                self.refused += 1
                return len(self.asked), 429
            self.peak = max(self.peak, self.in_flight)
            self._more.notify_all()
            self._more.wait_for(lambda: self.peak >= self.hold, timeout=10)
            return len(self.asked), self.failures.pop(0) if self.failures else 0

    def fault(self, body: dict[str, Any]) -> int | str:
        """Return what is wrong with the answer to a request: a status, ``drop``, ``garbage``, or 0 for nothing."""
        return 0

    def gave(self) -> None:
        """Note that a request is answered."""
        with self._lock:
            self.in_flight -= 1

    def questions(self) -> list[str]:
        """Return what was asked, in order, and forget it."""
        with self._lock:
            asked, self.asked = self.asked, []
        return [question_of(body) for body in asked]

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: ChatServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet about a client that hung up, since it was killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in two packets would wait 40 ms for each other.
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body = json.loads(raw)
        except ValueError:
            body = {"raw": raw.decode("latin-1")}
        number, status = self.server.owner.take(body, dict(self.headers.items()))
        fault = status or self.server.owner.fault(body)
        try:
            if isinstance(fault, int):
                self._answer(body, number, fault)
            elif fault == "garbage":
                self._send(200, "application/json", ['{"choices": [{"mess'])
            else:
                self.close_connection = True
        finally:
            self.server.owner.gave()

    def _answer(self, body: dict[str, Any], number: int, status: int) -> None:
        if status:
            error = {"message": f"scripted {status}", **self.server.owner.error}
            self._send(status, "application/json", [json.dumps({"error": error})])
            return
        owner = self.server.owner
        time.sleep(owner.slow.get(question_of(body), owner.delay))
        answer = {"echo": question_of(body)} | ({"n": number} if owner.count else {})
        said = owner.says(body)
        text = json.dumps(answer) if said is None else said
        anthropic = self.path.endswith("/messages")
        if body.get("stream"):
            events = _anthropic_events(body, text) if anthropic else _openai_events(body, text)
            self._send(200, "text/event-stream", list(events))
        else:
            whole = _anthropic_answer(body, text) if anthropic else _openai_answer(body, text, owner.finish)
            self._send(200, "application/json", [json.dumps(whole)])

    def do_GET(self) -> None:
        self.server.owner.take({"path": self.path}, dict(self.headers.items()))
        self.server.owner.gave()
        self._send(200, "application/json", [json.dumps({"path": self.path})])

    def _send(self, status: int, content_type: str, parts: list[str]) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("set-cookie", "session=a-cookie-value")
        self.send_header("x-request-id", "req-0123456789")
        if self.server.owner.retry_after_ms is not None:
            self.send_header("retry-after-ms", str(self.server.owner.retry_after_ms))
        if len(parts) == 1:
            self.send_header("content-length", str(len(parts[0].encode())))
            self.end_headers()
            self.wfile.write(parts[0].encode())
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in [*parts, ""]:
            data = part.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Stay quiet."""


def question_of(body: dict[str, Any]) -> str:
    """Return what the user has said last."""
    for message in reversed(body.get("messages", [])):
        if message.get("role") == "user":
            content = message["content"]
            return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return ""


def _openai_answer(body: dict[str, Any], text: str, finish: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": USAGE,
    }


def _anthropic_answer(body: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 120, "output_tokens": 20},
    }


def _openai_events(body: dict[str, Any], text: str) -> Iterator[str]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
    for start in range(0, len(text), 8):
        delta = {"content": text[start : start + 8]}
        yield f"data: {json.dumps(base | {'choices': [{'index': 0, 'delta': delta, 'finish_reason': None}]})}\n\n"
    yield f"data: {json.dumps(base | {'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'stop'}]})}\n\n"
    yield f"data: {json.dumps(base | {'choices': [], 'usage': USAGE})}\n\n"
    yield "data: [DONE]\n\n"


def _anthropic_events(body: dict[str, Any], text: str) -> Iterator[str]:
    message = _anthropic_answer(body, "") | {"content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    for start in range(0, len(text), 8):
        delta = {"type": "text_delta", "text": text[start : start + 8]}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
