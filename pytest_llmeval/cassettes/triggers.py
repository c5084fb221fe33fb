"""Notice requests of HTTP libraries other than httpx, and only then load what handles them (vcrpy: 200 ms)."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType, ModuleType
from typing import Any
from urllib.parse import urlsplit

from pytest_llmeval.cassettes import threads
from pytest_llmeval.cassettes.imports import when_imported
from pytest_llmeval.cassettes.patches import replace
from pytest_llmeval.cassettes.processes import patch_spawn
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.cassettes.transport import cassette_for, lets_through

# vcrpy's stubs put the real classes back for moments, for all threads: a second thread would then reach the network.
_lock = threading.RLock()
PATIENCE = 60.0
PORTS = {"http": 80, "https": 443}


@contextmanager
def installed() -> Iterator[None]:
    """Watch aiohttp, urllib3 (so requests and boto3 too) urllib and http.client, also where they are imported later.

    Watch also what could go round the interception: new threads and processes, and requests to httpcore.
    """
    with ExitStack() as undo:
        undo.enter_context(threads.installed())
        for name, patch in PATCHES.items():
            undo.enter_context(when_imported(name, _undoable(undo, patch)))
        yield


def _undoable(undo: ExitStack, patch: Callable[[ModuleType], Callable[[], None]]) -> Callable[[ModuleType], object]:
    return lambda module: undo.callback(patch(module))


def _patch_aiohttp(module: ModuleType) -> Callable[[], None]:
    session = module.ClientSession
    original = session._request

    @functools.wraps(original)
    async def request(self: Any, method: str, url: Any, **kwargs: Any) -> Any:
        if running_cassette.get() is None:
            return await original(self, method, url, **kwargs)
        from pytest_llmeval.cassettes.others import aiohttp_request, encoded

        return await aiohttp_request(original)(self, method, url, **encoded(self, kwargs))

    return replace(session, "_request", request)


def _patch_urllib3(module: ModuleType) -> Callable[[], None]:
    pool = module.HTTPConnectionPool
    original = pool.urlopen

    @functools.wraps(original)
    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        cassette = cassette_for(self.host, self.port)
        if cassette is None:
            return original(self, *args, **kwargs)
        with _one_at_a_time(cassette, self.host):
            return original(self, *args, **kwargs)

    return replace(pool, "urlopen", urlopen)


def _patch_urllib(module: ModuleType) -> Callable[[], None]:
    opener = module.OpenerDirector
    original = opener.open

    @functools.wraps(original)
    def open_(self: Any, fullurl: Any, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(fullurl if isinstance(fullurl, str) else fullurl.full_url)
        host = parts.hostname or ""
        cassette = cassette_for(host, parts.port or PORTS.get(parts.scheme)) if host else None
        if cassette is None:
            return original(self, fullurl, *args, **kwargs)
        with _one_at_a_time(cassette, host):
            return original(self, fullurl, *args, **kwargs)

    return replace(opener, "open", open_)


def _patch_http_client(module: ModuleType) -> Callable[[], None]:
    connection = module.HTTPConnection
    original = connection.connect

    @functools.wraps(original)
    def connect(self: Any) -> Any:
        cassette = cassette_for(self.host, self.port)
        if cassette is not None and cassette.closed:
            cassette.too_late(self.host)
        if cassette is not None and cassette.vcr_patches is None:
            _refuse_unwatched(cassette, self.host)
        # With vcrpy's patchers in place, its stubs have looked the request up and want it sent.
        if cassette is not None and cassette.vcr_patches is None and cassette.mode != "live" and cassette.replay_only:
            message = (
                f"http.client wants to reach {self.host}:{self.port}, which replay does not allow and cannot answer. "
                "Use urllib.request, requests or httpx, which are recorded, or name the host in llm_passthrough."
            )
            cassette.misses.append(message)
            cassette.engine.fail(message)
        return original(self)

    return replace(connection, "connect", connect)


def _refuse_unwatched(cassette: Cassette, host: str) -> None:
    """Fail a request that costs money and that no budget can see."""
    if cassette.engine.budget is not None and cassette.engine.budget.watches(host):
        message = (
            f"http.client wants to reach {host}, where a budget (--llm-max-cost) cannot see what is asked. Use "
            "urllib.request, requests or httpx."
        )
        cassette.misses.append(message)
        cassette.engine.fail(message)


@contextmanager
def _one_at_a_time(cassette: Cassette, host: str) -> Iterator[None]:
    """Let one request of a test through vcrpy's stubs, which are put in place for the first."""
    if cassette.closed:
        cassette.too_late(host)
    if not _lock.acquire(timeout=PATIENCE):
        cassette.engine.fail(
            f"A request waited {PATIENCE:.0f} s for another one of this test. If one of them goes to a server of the "
            "test's own, name its host in llm_passthrough."
        )
    try:
        if cassette.claim_vcr():
            from pytest_llmeval.cassettes.others import patch_for

            patch_for(cassette)
        yield
    except BaseException as exc:
        if cassette.others_broke is not None:
            cassette.others_broke(exc)
        raise
    finally:
        _lock.release()


def _patch_httpcore(module: ModuleType) -> Callable[[], None]:
    sync, asynchronous = module.ConnectionPool.handle_request, module.AsyncConnectionPool.handle_async_request

    @functools.wraps(sync)
    def handle_request(self: Any, request: Any) -> Any:
        _refuse_bypass(request.url)
        return sync(self, request)

    @functools.wraps(asynchronous)
    async def handle_async_request(self: Any, request: Any) -> Any:
        _refuse_bypass(request.url)
        return await asynchronous(self, request)

    undo = ExitStack()
    undo.callback(replace(module.ConnectionPool, "handle_request", handle_request))
    undo.callback(replace(module.AsyncConnectionPool, "handle_async_request", handle_async_request))
    return undo.close


def _refuse_bypass(url: Any) -> None:
    """Fail a request that has come to httpcore, under httpx, without passing by the cassette."""
    host = url.host.decode("ascii", "replace")
    cassette = cassette_for(host, url.port)
    if lets_through.get() or cassette is None or cassette.mode == "live":
        return
    if not cassette.replay_only and _is_of_vcrpy(sys._getframe()):
        # A test that uses vcrpy as well, and records there.
        return
    message = (
        f"A request to {host} would go round the recording ({cassette.command}). If something replaces "
        "HTTPTransport.handle_request of httpx or httpx2, let it call what it finds there in the test, not what it "
        "found at its import; if a mock lets the request pass, let it mock that too; or name the host in "
        "llm_passthrough."
    )
    cassette.misses.append(message)
    cassette.engine.fail(message)


def _is_of_vcrpy(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("vcr."):
            return True
        frame = frame.f_back
    return False


PATCHES = {
    "aiohttp": _patch_aiohttp,
    "urllib3": _patch_urllib3,
    "urllib.request": _patch_urllib,
    "http.client": _patch_http_client,
    "httpcore": _patch_httpcore,
    "httpcore2": _patch_httpcore,
    "multiprocessing.spawn": patch_spawn,
}
