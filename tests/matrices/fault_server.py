"""A loopback server that fails as it is told by the question itself, down to the bytes on the wire."""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.dialects import (
    anthropic_answer,
    anthropic_start,
    block_delta,
    block_start,
    message_delta,
    openai_answer,
    openai_chunk,
)
from tests.matrices.fault_cells import FAULTS, TOOL, TOOL_ARGUMENTS, Cell, courses

#: What each good answer counts; `llm` reads the same of both protocols.
TOKENS = (100, 20)
OPENAI_TOKENS = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
#: Long enough that a client sees it, short enough to wait for. The clients take fractions of seconds.
RETRY_AFTER = "0.05"
LINE = 32 * 1024
STATUSES = {"429-after": 429, "429": 429, "500": 500, "503": 503}
LOGIN = b"<!doctype html><html><title>Sign in to the network</title></html>"

#: All that this server can do.
CAN = [
    (fault.name, shape, course)
    for fault in FAULTS.values()
    for shape in fault.shapes
    for course in courses(fault, shape)
]


class FaultServer:
    """Serve both protocols from a thread. A question names its cell in brackets, and so the fault that answers it.

    Attributes:
        asked: How often each question came.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def urls(self) -> dict[str, str]:
        """Base URL for each protocol."""
        root = f"http://127.0.0.1:{self._http.server_port}"
        return {"openai": f"{root}/v1", "anthropic": root}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def number(self, question: str) -> int:
        """Return how often a question has come, with this time."""
        with self._lock:
            self.asked[question] += 1
            return self.asked[question]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: FaultServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up on a server that hangs."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = _question(body)
        cell = Cell.of(question[question.index("[") + 1 : question.index("]")])
        number = self.server.owner.number(question)
        self.close_connection = True
        first = question.startswith("First")
        self.parts = list(_events(cell, first) if cell.streamed else [_plain(cell, first)])
        self.kind = "text/event-stream" if cell.streamed else "application/json"
        fails = not first and not cell.kind.good and (number == 1 or cell.course in ("lasting", "after"))
        if cell.fault in STATUSES and fails:
            self._status(STATUSES[cell.fault], cell)
        elif fails or (cell.kind.good and not first):
            FAULTY[cell.fault](self)
        else:
            self.whole()

    def whole(self) -> None:
        """Send a good answer."""
        self.head()
        self.send_parts(self.parts)
        self.end()

    def head(self, length: int | None = None, **headers: str) -> None:
        self.send_response(200)
        self.send_header("content-type", self.kind)
        self.send_header("connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def send_parts(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def replaced(self, *parts: bytes) -> None:
        """Send other parts than those of the answer, and end as a good answer does."""
        self.parts = list(parts)
        self.whole()

    def half(self) -> list[bytes]:
        """Return the first half: of the events, of a plain body."""
        if len(self.parts) > 1:
            return self.parts[: len(self.parts) // 2]
        return [self.parts[0][: len(self.parts[0]) // 2]]

    def reset(self) -> None:
        """Reset the connection (RST), instead of closing it."""
        self.wfile.flush()
        # What the client has not read yet may be lost with a reset, and here it is to see the first half.
        self.server.owner.closing.wait(0.05)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang(self) -> None:
        """Send nothing more until the client has gone, or the server."""
        self.connection.settimeout(0.1)
        while not self.server.owner.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _status(self, status: int, cell: Cell) -> None:
        error = {"type": "rate_limit_error" if status == 429 else "api_error", "message": f"scripted {status}"}
        body = json.dumps({"type": "error", "error": error}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("connection", "close")
        if cell.fault == "429-after":
            self.send_header("retry-after", RETRY_AFTER)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def _reset_mid(handler: _Handler) -> None:
    handler.head()
    handler.send_parts(handler.half())
    handler.reset()


def _hang_mid(handler: _Handler) -> None:
    handler.head()
    handler.send_parts(handler.half())
    handler.hang()


def _cut_json(handler: _Handler) -> None:
    first, rest = handler.half(), handler.parts[len(handler.parts) // 2]
    handler.replaced(*first, *([rest[: len(rest) // 2], b"\n\n"] if len(handler.parts) > 1 else []))


def _bad_utf8(handler: _Handler) -> None:
    handler.replaced(*(part.replace(b"This answers", b"This \xff\xfe answers") for part in handler.parts))


def _html(handler: _Handler) -> None:
    handler.kind = "text/html"
    handler.replaced(LOGIN)


def _mislabelled(handler: _Handler) -> None:
    handler.kind = "text/plain"
    handler.whole()


def _error_in_200(handler: _Handler) -> None:
    error = {"type": "error", "error": {"type": "api_error", "code": 500, "message": "upstream failed"}}
    text = json.dumps(error)
    streamed = len(handler.parts) > 1
    handler.replaced(*([*handler.half(), f"event: error\ndata: {text}\n\n".encode()] if streamed else [text.encode()]))


def _gzip(handler: _Handler, share: float = 1.0) -> None:
    squeeze = zlib.compressobj(wbits=31)
    parts = [squeeze.compress(part) + squeeze.flush(zlib.Z_SYNC_FLUSH) for part in handler.parts]
    parts.append(squeeze.flush())
    body = b"".join(parts)
    handler.head(content_encoding="gzip")
    handler.send_parts(parts if share == 1 else [body[: int(len(body) * share)]])
    handler.end()


FAULTY: dict[str, Callable[[_Handler], None]] = {
    "reset-before": _Handler.reset,
    "reset-mid": _reset_mid,
    "hang": _Handler.hang,
    "hang-mid": _hang_mid,
    "cut-json": _cut_json,
    "cut-stream": lambda handler: handler.replaced(*handler.half()),
    "bad-utf8": _bad_utf8,
    "empty": lambda handler: handler.head(length=0),
    "html": _html,
    "mislabelled": _mislabelled,
    "error-in-200": _error_in_200,
    "gzip": _gzip,
    "gzip-cut": lambda handler: _gzip(handler, 0.5),
    "split-letter": _Handler.whole,
    "big": _Handler.whole,
    "tools": _Handler.whole,
}


def _question(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _text(cell: Cell, first: bool) -> str:
    return f"first answer to {cell.key}" if first else cell.text()


def _plain(cell: Cell, first: bool) -> bytes:
    if cell.fault == "tools" and not first:
        call = {"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": json.dumps(TOOL_ARGUMENTS)}}
        answer = openai_answer({"content": None, "tool_calls": [call]}, "tool_calls", OPENAI_TOKENS)
        block = {"type": "tool_use", "id": "call_1", "name": TOOL, "input": TOOL_ARGUMENTS}
        message = anthropic_answer(block, stop="tool_use")
    else:
        answer = openai_answer({"content": _text(cell, first)}, usage=OPENAI_TOKENS)
        message = anthropic_answer({"type": "text", "text": _text(cell, first)})
    usage = {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1]}
    data = answer if cell.protocol == "openai" else message | {"usage": usage}
    # As servers do it that leave other letters than ASCII as they are.
    return json.dumps(data, ensure_ascii=False).encode()


def _pieces(text: str) -> Iterator[str]:
    size = LINE if len(text) > LINE else 12
    return (text[start : start + size] for start in range(0, len(text), size))


def _halves(text: str) -> Iterator[str]:
    """Yield each unit of UTF-16 by itself."""
    units = text.encode("utf-16-le")
    return (units[place : place + 2].decode("utf-16-le", "surrogatepass") for place in range(0, len(units), 2))


def _events(cell: Cell, first: bool) -> Iterator[bytes]:
    tools = cell.fault == "tools" and not first
    text = json.dumps(TOOL_ARGUMENTS) if tools else _text(cell, first)
    make = _openai_events if cell.protocol == "openai" else _anthropic_events
    split = cell.fault == "split-letter"
    for event in make(_halves(text) if split else _pieces(text), tools):
        name = f"event: {event['type']}\n" if "type" in event else ""
        yield f"{name}data: {json.dumps(event, ensure_ascii=split)}\n\n".encode()
    if cell.protocol == "openai":
        yield b"data: [DONE]\n\n"


def _openai_events(pieces: Iterable[str], tools: bool) -> Iterator[dict[str, Any]]:
    yield openai_chunk(role="assistant", content=None if tools else "")
    if tools:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": ""}}
        yield openai_chunk(tool_calls=[call])
    for piece in pieces:
        part = {"index": 0, "function": {"arguments": piece}}
        yield openai_chunk(tool_calls=[part]) if tools else openai_chunk(content=piece)
    yield openai_chunk("tool_calls" if tools else "stop")
    yield {**openai_chunk(), "choices": [], "usage": OPENAI_TOKENS}


def _anthropic_events(pieces: Iterable[str], tools: bool) -> Iterator[dict[str, Any]]:
    yield anthropic_start(input_tokens=TOKENS[0], output_tokens=1)
    block = {"type": "tool_use", "id": "call_1", "name": TOOL, "input": {}} if tools else {"type": "text", "text": ""}
    yield block_start(block)
    for piece in pieces:
        delta = {"type": "input_json_delta", "partial_json": piece} if tools else {"type": "text_delta", "text": piece}
        yield block_delta(delta)
    yield {"type": "content_block_stop", "index": 0}
    yield message_delta("tool_use" if tools else "end_turn", output_tokens=TOKENS[1])
    yield {"type": "message_stop"}
