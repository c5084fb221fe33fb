from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from pytest_llmeval.running import Running


@pytest.fixture
def running() -> Running[str]:
    return Running("a_test")


def in_a_thread(function: Callable[[], str | None]) -> str | None:
    seen: list[str | None] = []
    thread = threading.Thread(target=lambda: seen.append(function()))
    thread.start()
    thread.join()
    return seen[0]


def test_nothing_runs_outside(running: Running[str]) -> None:
    assert running.get() is None
    with running.entered("x"), running.bound("x"):
        pass
    assert running.get() is None


def test_a_thread_without_a_context_sees_what_was_entered(running: Running[str]) -> None:
    with running.entered("test"):
        assert in_a_thread(running.get) == "test"
    assert in_a_thread(running.get) is None


def test_a_binding_wins_over_what_was_entered(running: Running[str]) -> None:
    with running.entered("running"), running.bound("mine"):
        assert running.get() == "mine"
        assert in_a_thread(running.get) == "running"


def test_a_copied_context_keeps_its_binding_after_the_next_test_began(running: Running[str]) -> None:
    with running.bound("first"):
        context = copy_context()
    with running.entered("second"), running.bound("second"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(context.run, running.get).result() == "first"


def test_inner_entries_end_with_the_outer_one_in_place(running: Running[str]) -> None:
    with running.entered("test"):
        with running.entered("fixture"), running.bound("fixture"):
            assert (running.get(), in_a_thread(running.get)) == ("fixture", "fixture")
        assert (running.get(), in_a_thread(running.get)) == ("test", "test")


def test_it_is_left_where_the_block_raises(running: Running[str]) -> None:
    with pytest.raises(KeyError), running.entered("test"), running.bound("test"):
        raise KeyError
    assert running.get() is None


def test_concurrent_tasks_keep_apart(running: Running[str]) -> None:
    async def ask(name: str) -> tuple[str | None, str | None]:
        with running.bound(name):
            await asyncio.sleep(0)
            return running.get(), await asyncio.to_thread(running.get)

    async def main() -> list[tuple[str | None, str | None]]:
        return await asyncio.gather(*map(ask, "abc"))

    assert asyncio.run(main()) == [("a", "a"), ("b", "b"), ("c", "c")]


def test_a_process_that_was_forked_is_elsewhere(running: Running[str]) -> None:
    with running.entered("test"):
        assert not running.is_elsewhere
        running.enter("test", -1)
        assert running.is_elsewhere
        running.enter("next")
        assert not running.is_elsewhere
