"""HTTP clients that the SDKs are given: one TLS context for all, a clock, and async clients that follow their loop."""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable
from functools import cache
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

import httpx2

#: Key of a request's extensions: when the attempt was sent, by `time.perf_counter`.
STARTED = "llmeval_started"


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context that all clients share. Building it is most of what a client costs (20 ms of 21)."""
    return httpx2.create_ssl_context()


def sync_options() -> dict[str, Any]:
    """Return what the SDK's `DefaultHttpxClient` is built with."""
    return {"verify": tls_context(), "event_hooks": {"request": [_stamp]}}


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
