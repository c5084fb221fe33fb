"""Carry the running test into what it starts: threads, which begin with an empty context, and calls at exit.

What outlives its test would else ask in the name of whichever test runs by then, or of none.
"""

from __future__ import annotations

import atexit
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_llmeval.cassettes.patches import replace
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.testlog import running_log


class _Pool(threading.local):
    """Whether this thread hands work to a pool right now, whose new threads belong to nobody."""

    submits = False


_pool = _Pool()


@contextmanager
def installed() -> Iterator[None]:
    """Carry the running test along wherever a thread is started, or work is handed to a pool of threads."""
    with ExitStack() as undo:
        undo.callback(replace(threading.Thread, "start", _starting(threading.Thread.start)))
        undo.callback(replace(ThreadPoolExecutor, "submit", _submitting(ThreadPoolExecutor.submit)))
        undo.callback(replace(atexit, "register", _registering(atexit.register)))
        yield


def carried(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that belongs to the test that runs now, in whichever thread it is called.

    What a fixture that is wider than a test starts, such as a server, serves the test that runs by then.
    """
    cassette, log = running_cassette.get(), running_log.get()
    if cassette is None or cassette.wide:
        return function

    @functools.wraps(function)
    def in_its_test(*args: Any, **kwargs: Any) -> Any:
        with ExitStack() as stack:
            stack.enter_context(running_cassette.bound(cassette))
            if log is not None:
                stack.enter_context(running_log.bound(log))
            return function(*args, **kwargs)

    return in_its_test


def _starting(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        if not _pool.submits:
            run = self.run
            belongs = carried(run)
            if belongs is not run:
                self.run = belongs  # type: ignore[method-assign]
        original(self)

    return start


def _submitting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        before, _pool.submits = _pool.submits, True
        try:
            return original(self, carried(function), *args, **kwargs)
        finally:
            _pool.submits = before

    return submit


def _registering(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def register(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        cassette = running_cassette.get()
        original(function if cassette is None else _AtExit(function, cassette), *args, **kwargs)
        return function

    return register


@dataclass(frozen=True, eq=False)
class _AtExit:
    """A call at the end of the process, when nothing is intercepted any more."""

    function: Callable[..., Any]
    cassette: Cassette

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from pytest_llmeval.cassettes import transport, triggers

        with transport.installed(), triggers.installed(), running_cassette.bound(self.cassette):
            return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        # `atexit.unregister` is given the function.
        return self.function == (other.function if isinstance(other, _AtExit) else other)

    def __hash__(self) -> int:
        return hash(self.function)
