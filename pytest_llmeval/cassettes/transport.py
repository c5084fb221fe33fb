"""Stands between httpx (and httpx2) and the network while tests run: replays, or records what passes."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from pytest_llmeval.cassettes.exchange import Exchange, chunks_of
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.imports import when_imported
from pytest_llmeval.cassettes.matching import HTTPRequest, scrub_uri
from pytest_llmeval.cassettes.patches import replace
from pytest_llmeval.cassettes.processes import refuse_elsewhere
from pytest_llmeval.cassettes.sending import asend, check_wanted, send
from pytest_llmeval.cassettes.stale import plain
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.standins import MISSING_KEY

LIBRARIES = ("httpx2", "httpx")
#: Packages that mock httpcore.
MOCKS = {"respx"}
ENCODED = {"content-encoding", "content-length", "transfer-encoding"}


#: Whether the cassette has seen the request that is on its way here, and wants it sent.
lets_through: ContextVar[bool] = ContextVar("llmeval_lets_through", default=False)


@contextmanager
def installed() -> Iterator[Interception]:
    """Intercept the HTTP transports of httpx and httpx2, also where they are imported later; always undone."""
    interception = Interception()
    with ExitStack() as undo:
        undo.callback(interception.undo)
        for name in LIBRARIES:
            undo.enter_context(when_imported(name, interception.add))
        yield interception


class Interception:
    """The methods that send requests, replaced by ours."""

    def __init__(self) -> None:
        self._methods: list[_Method] = []

    def add(self, module: ModuleType) -> None:
        """Replace the methods of one library."""
        methods = [
            _Method(module, module.HTTPTransport, "handle_request", _sync_handler),
            _Method(module, module.AsyncHTTPTransport, "handle_async_request", _async_handler),
        ]
        for method in methods:
            method.put_in()
        self._methods += methods

    def put_back(self) -> None:
        """Replace again what others have put back since, as those do whose patch is older than ours."""
        for method in self._methods:
            method.put_back()

    def undo(self) -> None:
        """Put all back as it was."""
        for method in reversed(self._methods):
            method.undo()


class _Method:
    """One of those methods."""

    def __init__(self, module: ModuleType, owner: Any, name: str, handler: Callable[..., Any]) -> None:
        self._module = module
        self._owner = owner
        self._name = name
        self._handler = handler
        self._undo: Callable[[], None] = _nothing
        self._before: Any = None
        self._ours: Any = None

    def put_in(self) -> None:
        self._before = getattr(self._owner, self._name)
        self._ours = self._handler(self._module, self._before, _stream_classes(self._module))
        self._undo = replace(self._owner, self._name, self._ours)

    def put_back(self) -> None:
        now = getattr(self._owner, self._name)
        if now is self._ours:
            return
        own = now.__module__.partition(".")[0] == self._module.__name__ and not hasattr(now, "__wrapped__")
        # Any other is a patch that came after us, which has ours below it.
        if own or now is self._before:
            self.put_in()

    def undo(self) -> None:
        self._undo()


def _nothing() -> None:
    """Undo nothing."""


def _sync_handler(module: Any, original: Callable[..., Any], streams: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def handle_request(self: Any, request: Any) -> Any:
        check_wanted()
        cassette = cassette_for(request.url.host, request.url.port)
        if cassette is None or _is_mocked(self, "handle_request"):
            return send(original, self, request)
        request.read()
        exchange = cassette.open(_seen(request))
        if exchange.recorded is not None:
            return _replayed(module, streams.replay, exchange, exchange.recorded)
        refuse_missing_key(cassette, exchange)
        if cassette.engine.budget is not None:
            cassette.engine.budget.hold(exchange, request.content)
        token = lets_through.set(True)
        try:
            response = send(original, self, request, exchange)
        except BaseException as exc:
            exchange.failed(type(exc).__name__)
            raise
        finally:
            lets_through.reset(token)
        return _teed(module, streams.tee, exchange, response)

    return handle_request


def _async_handler(module: Any, original: Callable[..., Any], streams: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    async def handle_async_request(self: Any, request: Any) -> Any:
        check_wanted()
        cassette = cassette_for(request.url.host, request.url.port)
        if cassette is None or _is_mocked(self, "handle_async_request"):
            return await asend(original, self, request)
        await request.aread()
        exchange = cassette.open(_seen(request))
        if exchange.recorded is not None:
            return _replayed(module, streams.replay, exchange, exchange.recorded)
        refuse_missing_key(cassette, exchange)
        if cassette.engine.budget is not None:
            await cassette.engine.budget.ahold(exchange, request.content)
        token = lets_through.set(True)
        try:
            response = await asend(original, self, request, exchange)
        except BaseException as exc:
            exchange.failed(type(exc).__name__)
            raise
        finally:
            lets_through.reset(token)
        return _teed(module, streams.async_tee, exchange, response)

    return handle_async_request


def _is_mocked(transport: Any, method: str) -> bool:
    """Whether a mock answers below this transport: like those that replace a transport, it is left alone."""
    if not any(name in sys.modules for name in MOCKS):
        return False
    # Asking a transport that is built late for its pool would build it, which replay does without.
    pool = vars(transport).get("_pool")
    kind = type(pool) if pool is not None else getattr(sys.modules.get("httpcore2"), "ConnectionPool", None)
    function = getattr(kind, method, None)
    return str(getattr(function, "__module__", "")).partition(".")[0] in MOCKS


def cassette_for(host: str, port: int | None) -> Cassette | None:
    """Return the cassette that a request to this host belongs to, or None if it is nobody's business."""
    cassette = running_cassette.get()
    if cassette is None:
        return None
    passthrough = cassette.engine.passthrough
    if passthrough and (host in passthrough or f"{host}:{port}" in passthrough):
        return None
    refuse_elsewhere(cassette, host)
    return cassette


def refuse_missing_key(cassette: Cassette, exchange: Exchange) -> None:
    """Fail a request that would go out with the stand-in for a key that is not set."""
    request = exchange.request
    places = [request.uri, request.body.decode("utf-8", "replace")]
    places += [value for values in request.headers.values() for value in values]
    for text in places:
        _, found, rest = text.partition(MISSING_KEY)
        if found:
            exchange.failed("no key")
            name = re.match(r"-([A-Za-z0-9_]+)", rest)
            variable = name.group(1) if name else "the provider's key variable"
            message = (
                f"No key: {variable} is not set, and this request has no recording to replay.\n"
                f"  {request.method} {plain(scrub_uri(request.uri))}\n"
                f"Set {variable} to record it:  {cassette.command} --llm-record={cassette.mode}"
            )
            cassette.misses.append(message)
            cassette.engine.fail(message)


def _seen(request: Any) -> HTTPRequest:
    # `multi_items` looks for the encoding of every header first, which takes longer than all else here.
    raw = request.headers.raw
    headers = {name.decode("latin-1").lower(): [value.decode("latin-1")] for name, value in raw}
    if len(headers) < len(raw):
        headers = {name: [] for name in headers}
        for name, value in raw:
            headers[name.decode("latin-1").lower()].append(value.decode("latin-1"))
    return HTTPRequest(request.method, str(request.url), headers, request.content)


def _replayed(module: Any, stream_class: Any, exchange: Exchange, recorded: Interaction) -> Any:
    # As bytes, since httpx would take text for ASCII; it reads them as UTF-8.
    headers = [
        (name.encode("utf-8", "replace"), value.encode("utf-8", "replace"))
        for name, values in recorded.headers.items()
        if name.lower() not in ("transfer-encoding", "content-length")
        for value in values
    ]
    extensions: dict[str, Any] = {"http_version": b"HTTP/1.1", "llmeval": exchange.timing}
    # Without one, httpx takes the phrase that belongs to the status: older cassettes of vcrpy have none.
    if recorded.reason and recorded.reason.isascii():
        extensions["reason_phrase"] = recorded.reason.encode()
    return module.Response(
        recorded.status, headers=headers, stream=stream_class(exchange, recorded), extensions=extensions
    )


def _teed(module: Any, stream_class: Any, exchange: Exchange, response: Any) -> Any:
    """Return the response with its body decoded and, while the caller reads it, copied into the cassette."""
    exchange.timing.headers_ms = exchange.elapsed_ms()
    encoded = "content-encoding" in response.headers
    inner = module.Response(response.status_code, headers=response.headers, stream=response.stream)
    headers = [
        (name, value) for name, value in response.headers.multi_items() if not (encoded and name.lower() in ENCODED)
    ]
    extensions = {**response.extensions, "llmeval": exchange.timing}
    return module.Response(
        response.status_code,
        headers=headers,
        stream=stream_class(exchange, inner, response.extensions.get("reason_phrase", b"")),
        extensions=extensions,
    )


class _StreamClasses:
    """Stream classes of one library: its client checks the type, so they must derive from its own."""

    def __init__(self, module: Any) -> None:
        both = (_Replay, module.SyncByteStream, module.AsyncByteStream)
        self.replay = type("ReplayedStream", both, {})
        self.tee = type("RecordedStream", (_Tee, module.SyncByteStream), {})
        self.async_tee = type("RecordedAsyncStream", (_AsyncTee, module.AsyncByteStream), {})


@functools.cache
def _stream_classes(module: ModuleType) -> _StreamClasses:
    return _StreamClasses(module)


class _Replay:
    """A recorded body, in the parts in which it once came. The clock moves, nobody sleeps."""

    def __init__(self, exchange: Exchange, recorded: Interaction) -> None:
        self._timing = exchange.timing
        self._content = recorded.content
        self._chunks = chunks_of(recorded)

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        for offset, size in self._chunks:
            self._timing.position_ms = offset
            yield self._content[start : start + size]
            start += size
        self._timing.position_ms = self._timing.latency_ms
        if start < len(self._content):
            yield self._content[start:]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class _Copy:
    """What a teed body leaves: its parts, and when each came."""

    def __init__(self, exchange: Exchange, inner: Any, reason: bytes) -> None:
        self.exchange = exchange
        self.inner = inner
        self.ended = False
        self._reason = reason
        self._parts: list[bytes] = []
        self._chunks: list[tuple[float, int]] = []

    def note(self, chunk: bytes) -> bytes:
        """Keep a part."""
        offset = self.exchange.elapsed_ms()
        self.exchange.timing.position_ms = offset
        if self.exchange.wants_answer:
            self._parts.append(chunk)
            self._chunks.append((offset, len(chunk)))
        return chunk

    def end(self) -> None:
        """Record the whole body."""
        if not self.ended:
            self.ended = True
            content = b"".join(self._parts)
            reason = self._reason.decode("ascii", "ignore") or self.inner.reason_phrase
            headers = [(name, value) for name, value in self.inner.headers.multi_items() if name.lower() not in ENCODED]
            self.exchange.done(self.inner.status_code, reason, headers, content, self._chunks)

    def broke(self, exc: BaseException) -> None:
        """Note that the body did not come whole."""
        if not self.ended:
            self.ended = True
            self.exchange.failed(type(exc).__name__)

    def left(self) -> None:
        """Note that the reader is gone."""
        if not self.ended:
            self.ended = True
            self.exchange.left(self.inner.status_code, self.inner.headers.multi_items(), b"".join(self._parts))


class _Tee:
    """Hands a body on as it comes, and copies it. Whatever is unread when it is closed is read then."""

    def __init__(self, exchange: Exchange, inner: Any, reason: bytes) -> None:
        self._copy = _Copy(exchange, inner, reason)
        self._parts = inner.iter_bytes()
        exchange.drain = self.close

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._parts:
                yield self._copy.note(chunk)
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._copy.broke(exc)
            raise
        self._copy.end()

    def close(self) -> None:
        """Read the rest, so that an answer that its reader left early is recorded whole; then close."""
        try:
            if not self._copy.ended and self._copy.exchange.keeps:
                for chunk in self._parts:
                    self._copy.note(chunk)
                self._copy.end()
        except Exception as exc:  # the reader has left: what breaks now is not its concern
            self._copy.broke(exc)
        finally:
            self._copy.left()
            self._copy.inner.close()


class _AsyncTee:
    """What `_Tee` does, for asynchronous clients."""

    def __init__(self, exchange: Exchange, inner: Any, reason: bytes) -> None:
        self._copy = _Copy(exchange, inner, reason)
        self._parts = inner.aiter_bytes()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._parts:
                yield self._copy.note(chunk)
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._copy.broke(exc)
            raise
        self._copy.end()

    async def aclose(self) -> None:
        """Read the rest, so that an answer that its reader left early is recorded whole; then close."""
        try:
            if not self._copy.ended and self._copy.exchange.keeps:
                async for chunk in self._parts:
                    self._copy.note(chunk)
                self._copy.end()
        except Exception as exc:  # the reader has left: what breaks now is not its concern
            self._copy.broke(exc)
        finally:
            self._copy.left()
            await self._copy.inner.aclose()
