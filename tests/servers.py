"""A loopback HTTP server that answers what a test scripts, down to the bytes: what well-behaved servers never send."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    Attributes:
        pieces: The body; more than one piece, or `chunked`, is sent with chunked transfer encoding.
        end: ``whole``, ``disconnect`` (the connection drops before the body is finished) or ``stall`` (nothing more
            comes until the server closes).
    """

    pieces: tuple[bytes, ...] = (b"",)
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    end: str = "whole"


@dataclass(frozen=True)
class Seen:
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: Any


def json_reply(data: Any, status: int = 200, **headers: str) -> Reply:
    """Return `data` as JSON; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((json.dumps(data).encode(),), status, headers=named)


def sse_reply(*events: Any, end: str = "whole") -> Reply:
    """Return server-sent events, a chunk each: text is sent as it is, an object with a type under its type's name."""
    return Reply(tuple(_sse(event) for event in events), content_type="text/event-stream", chunked=True, end=end)


def _sse(event: Any) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    named = f"event: {event['type']}\n" if "type" in event else ""
    return f"{named}data: {json.dumps(event)}\n\n".encode()


class ScriptedServer:
    """Answer each request with the next scripted reply; with none left, with status 599."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self._replies: list[Reply] = []
        self._closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def script(self, *replies: Reply) -> None:
        self._replies.extend(replies)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append(
                    Seen(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body))
                )
                reply = outer._replies.pop(0) if outer._replies else Reply((b"nothing scripted",), status=599)
                self.close_connection = True
                self._head(reply)
                self._body(reply)

            def _head(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header("connection", "close")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunked:
                    self.send_header("transfer-encoding", "chunked")
                else:
                    missing = 0 if reply.end == "whole" else 1
                    self.send_header("content-length", str(sum(map(len, reply.pieces)) + missing))
                self.end_headers()

            def _body(self, reply: Reply) -> None:
                for piece in reply.pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece)
                if reply.end == "stall":
                    outer._closing.wait()
                elif reply.end == "whole" and reply.chunked:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args: Any) -> None:
                pass

        return Handler
