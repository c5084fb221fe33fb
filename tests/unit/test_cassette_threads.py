from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_llmeval.cassettes import threads
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.store import Cassette, running_cassette


def fail(message: str) -> NoReturn:
    raise AssertionError(message)


def cassette(name: str) -> Cassette:
    return Cassette(Path(name), "none", Engine(fail, SecretScanner({})))


def in_a_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def seen_by(start: Callable[[Callable[[], object]], object]) -> tuple[object, Cassette, Cassette]:
    """Return what a function sees that was started in one test and runs in the next, and the two."""
    first, second = cassette("first"), cassette("second")
    go, done, seen = threading.Event(), threading.Event(), []

    def look() -> None:
        go.wait(30)
        seen.append(running_cassette.get())
        done.set()

    with threads.installed():
        with running_cassette.entered(first):
            start(look)
        with running_cassette.entered(second):
            go.set()
            assert done.wait(30)
    return seen[0], first, second


def test_a_thread_belongs_to_the_test_that_started_it() -> None:
    seen, first, _ = seen_by(in_a_thread)
    assert seen is first


def test_work_in_a_pool_belongs_to_the_test_that_handed_it_in() -> None:
    first, second = cassette("first"), cassette("second")
    with threads.installed(), ThreadPoolExecutor(1) as pool:
        for running in (first, second):
            with running_cassette.entered(running):
                assert pool.submit(running_cassette.get).result() is running
        assert pool.submit(running_cassette.get).result() is None


def test_a_thread_of_a_wider_fixture_serves_the_test_that_runs() -> None:
    def start(function: Callable[[], object]) -> None:
        running = running_cassette.get()
        assert running is not None
        running.wide = True
        in_a_thread(function)

    seen, _, second = seen_by(start)
    assert seen is second


def test_a_call_at_exit_can_be_taken_back_and_belongs_to_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    registered: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", registered.append)

    def at_exit() -> None:
        calls.append(running_cassette.get())

    first = cassette("first")
    with threads.installed(), running_cassette.entered(first):
        assert atexit.register(at_exit) is at_exit
    assert registered == [at_exit]
    registered[0]()
    assert calls == [first]


def test_all_is_put_back() -> None:
    before = threading.Thread.start, ThreadPoolExecutor.submit, atexit.register
    with threads.installed():
        assert before[0] is not threading.Thread.start
    assert before == (threading.Thread.start, ThreadPoolExecutor.submit, atexit.register)
