"""Jobs that run at once, in threads that hold nobody up: neither Ctrl-C nor the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

from pytest_llmeval.pacing import Pace, Patience, patience

T = TypeVar("T")
#: Seconds between two looks at signals, which some systems do not let interrupt a longer wait.
LOOK = 0.5


def start_worker(work: Callable[[], object], name: str) -> threading.Thread:
    """Start a thread that the process does not wait for at its end."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def run_at_once(jobs: Sequence[Callable[[], T]], most: int, pace: Pace) -> list[T | BaseException]:
    """Run jobs in this context, `most` at once; return in their order what each returned, or raised.

    If this is interrupted, no more of them are started, and nobody waits for those that run.
    """
    results: list[Any] = [None] * len(jobs)
    left = iter(enumerate(jobs))
    lock, over, stopped = threading.Lock(), threading.Semaphore(0), threading.Event()

    def work() -> None:
        patience.set(Patience(stopped.is_set))
        while not stopped.is_set():
            with lock:
                number, job = next(left, (-1, None))
            if job is None:
                break
            try:
                results[number] = job()
            except BaseException as exc:  # whatever it is, it is for the one who waits
                results[number] = exc
        over.release()

    threads = [
        start_worker(partial(copy_context().run, work), f"llmeval-{number}") for number in range(min(most, len(jobs)))
    ]
    try:
        for _ in threads:
            while not over.acquire(timeout=LOOK):
                pass
    except BaseException:
        stopped.set()
        pace.wake()
        raise
    return results
