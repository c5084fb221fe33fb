"""Notice requests of HTTP libraries other than httpx, and only then load what handles them (vcrpy: 200 ms)."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

from pytest_llmeval.cassettes.imports import when_imported
from pytest_llmeval.cassettes.store import running_cassette
from pytest_llmeval.cassettes.transport import cassette_for

# vcrpy's stubs put the real classes back for moments, for all threads: a second thread would then reach the network.
_lock = threading.RLock()
PATIENCE = 60.0


@contextmanager
def installed() -> Iterator[None]:
    """Watch aiohttp, urllib3 (so requests and boto3 too) urllib and http.client, also where they are imported later."""
    with ExitStack() as undo:
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

    return _replace(session, "_request", request)


def _patch_urllib3(module: ModuleType) -> Callable[[], None]:
    pool = module.HTTPConnectionPool
    original = pool.urlopen

    @functools.wraps(original)
    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        if cassette_for(self.host, self.port) is None:
            return original(self, *args, **kwargs)
        with _one_at_a_time():
            return original(self, *args, **kwargs)

    return _replace(pool, "urlopen", urlopen)


def _patch_urllib(module: ModuleType) -> Callable[[], None]:
    opener = module.OpenerDirector
    original = opener.open

    @functools.wraps(original)
    def open_(self: Any, *args: Any, **kwargs: Any) -> Any:
        if running_cassette.get() is None:
            return original(self, *args, **kwargs)
        with _one_at_a_time():
            return original(self, *args, **kwargs)

    return _replace(opener, "open", open_)


def _patch_http_client(module: ModuleType) -> Callable[[], None]:
    connection = module.HTTPConnection
    original = connection.connect

    @functools.wraps(original)
    def connect(self: Any) -> Any:
        cassette = cassette_for(self.host, self.port)
        # With vcrpy's patchers in place, its stubs have looked the request up and want it sent.
        if cassette is not None and cassette.vcr_patches is None and cassette.mode != "live" and cassette.replay_only:
            message = (
                f"http.client wants to reach {self.host}:{self.port}, which replay does not allow and cannot answer. "
                "Use urllib.request, requests or httpx, which are recorded, or name the host in llm_passthrough."
            )
            cassette.misses.append(message)
            cassette.engine.fail(message)
        return original(self)

    return _replace(connection, "connect", connect)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one request of the running test through vcrpy's stubs, which are put in place for the first."""
    cassette = running_cassette.get()
    if not _lock.acquire(timeout=PATIENCE) and cassette is not None:
        cassette.engine.fail(
            f"A request waited {PATIENCE:.0f} s for another one of this test. If one of them goes to a server of the "
            "test's own, name its host in llm_passthrough."
        )
    try:
        if cassette is not None and cassette.claim_vcr():
            from pytest_llmeval.cassettes.others import patch_for

            patch_for(cassette)
        yield
    finally:
        _lock.release()


def _replace(owner: Any, name: str, value: Any) -> Callable[[], None]:
    before = getattr(owner, name)
    setattr(owner, name, value)

    def undo() -> None:
        # Leave it to whoever replaced it after us.
        if getattr(owner, name) is value:
            setattr(owner, name, before)

    return undo


PATCHES = {
    "aiohttp": _patch_aiohttp,
    "urllib3": _patch_urllib3,
    "urllib.request": _patch_urllib,
    "http.client": _patch_http_client,
}
