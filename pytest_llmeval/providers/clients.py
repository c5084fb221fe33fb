"""HTTP clients that the SDKs are given: one TLS context for all, a clock, and async clients that follow their loop."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from functools import cache, partial
from typing import Any, Generic, Protocol, TypeVar
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx2

#: Key of a request's extensions: when the attempt was sent, by `time.perf_counter`.
STARTED = "llmeval_started"


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context that all clients share. Building it is most of what a client costs (20 ms of 21)."""
    return httpx2.create_ssl_context()


_building = threading.RLock()


class LateTransport(httpx2.HTTPTransport):
    """A transport that is built when its first request goes out: a run that only replays needs no TLS context.

    The interception of requests stands in front of `handle_request`, which finds the first attribute that is not there.
    """

    def __init__(self, limits: httpx2.Limits) -> None:
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        # Two threads may send a client's first requests.
        with _building:
            if "_limits" in self.__dict__:
                super().__init__(verify=tls_context(), limits=self._limits)
                del self._limits
        return self.__getattribute__(name)

    def close(self) -> None:
        """Give connections back, if there ever were any."""
        if "_limits" not in self.__dict__:
            super().close()


class Transports(httpx2.BaseTransport):
    """As many transports as requests are in flight at once, each with a connection of its own.

    A pool looks at all of its connections, for each request and each answer, and polls their sockets: with a hundred
    in flight, that takes longer than the rest of a request.
    """

    def __init__(self, limits: httpx2.Limits) -> None:
        self._limits = limits
        self._idle: deque[LateTransport] = deque()
        self._all: list[LateTransport] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the transport that has been idle for the shortest time."""
        try:
            transport = self._idle.pop()
        except IndexError:
            transport = LateTransport(self._limits)
            self._all.append(transport)
        try:
            response = transport.handle_request(request)
        except BaseException:
            self._idle.append(transport)
            raise
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Lent(response.stream, partial(self._idle.append, transport))
        return response

    def close(self) -> None:
        """Give all connections back."""
        for transport in self._all:
            transport.close()


class _Lent(httpx2.SyncByteStream):
    """The body of an answer, with whose end its transport is idle again."""

    def __init__(self, stream: httpx2.SyncByteStream, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back: Callable[[], None] | None = give_back

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        """Close the body; what is closed twice is given back once."""
        give_back, self._give_back = self._give_back, None
        try:
            self._stream.close()
        finally:
            if give_back is not None:
                give_back()


def sync_options(limits: httpx2.Limits) -> dict[str, Any]:
    """Return what the SDK's `DefaultHttpxClient` is built with, given the SDK's own connection limits."""
    hooks = {"request": [_stamp]}
    # A client that is given a transport passes over the proxies that the environment names.
    if getproxies():
        return {"verify": tls_context(), "event_hooks": hooks}
    return {"transport": Transports(limits), "event_hooks": hooks}


def async_options() -> dict[str, Any]:
    """Return what the SDK's `DefaultAsyncHttpxClient` is built with."""
    return {"verify": tls_context(), "event_hooks": {"request": [_astamp]}}


def _stamp(request: httpx2.Request) -> None:
    request.extensions[STARTED] = time.perf_counter()


async def _astamp(request: httpx2.Request) -> None:
    _stamp(request)


class AsyncClosable(Protocol):
    """What both SDKs' async clients are."""

    async def close(self) -> None:
        """Give connections back."""
        ...


C = TypeVar("C", bound=AsyncClosable)


class LoopClients(Generic[C]):
    """One async client for each event loop, closed when its loop ends.

    An async client's connections belong to the loop that opened them, and pytest plugins start a loop for each test.
    """

    def __init__(self, build: Callable[[], C]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._keepers: WeakKeyDictionary[Any, tuple[C, AsyncGenerator[C, None]]] = WeakKeyDictionary()

    async def get(self) -> C:
        """Return the client of the running event loop (asyncio or trio)."""
        loop = _current_loop()
        with self._lock:
            held = self._keepers.get(loop)
        if held is not None:
            return held[0]
        # An async generator that is still suspended when the loop ends is closed by it (`shutdown_asyncgens`, which all
        # runners call): the only hook that a loop offers for that.
        keeper = self._keep(loop)
        client = await anext(keeper)
        with self._lock:
            self._keepers[loop] = client, keeper
        return client

    def close(self) -> None:
        """Close the clients of loops that are still open and idle; the others are closed already, or by their loop."""
        with self._lock:
            held = list(self._keepers.items())
        for loop, (_, keeper) in held:
            if isinstance(loop, asyncio.AbstractEventLoop) and not loop.is_closed() and not loop.is_running():
                loop.run_until_complete(keeper.aclose())
        with self._lock:
            self._keepers.clear()

    async def _keep(self, loop: Any) -> AsyncGenerator[C, None]:
        client = self._build()
        try:
            yield client
        finally:
            # The client's connections refer to the loop, so that the weak key alone would never go.
            with self._lock:
                self._keepers.pop(loop, None)
            await client.close()


def _current_loop() -> Any:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        trio: Any = sys.modules.get("trio")
        if trio is None:
            raise
        return trio.lowlevel.current_trio_token()
