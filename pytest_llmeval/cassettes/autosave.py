"""Writes what long tests have recorded while they run, so that a kill does not cost what was paid for."""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic, thread_time
from typing import Protocol
from weakref import WeakKeyDictionary

#: Seconds that an answer may wait to be on the disk while its test runs on. Most tests are over by then.
PAUSE = 0.5
#: How many times longer than writing a file took it is left alone: one that grows costs a thirtieth at most.
REST = 30
#: The same for what is done once for each part, unless new secrets become known: then it is done again for all.
REST_FROM_PREPARING = 4
#: Seconds between two looks at what is due.
LOOK = 0.1


class Growing(Protocol):
    """Has more to write from time to time."""

    def prepare(self) -> object:
        """Do what needs to be done once for each part, however often it is written."""
        ...

    def save(self) -> object:
        """Write it so far."""
        ...


class Autosave:
    """Writes recordings that grow, in a thread of its own that lives while there is something to write.

    Safe to use from several threads.

    Args:
        pause: Seconds that something may wait.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._lock = threading.Lock()
        # By `time.monotonic`: when each is to be written, and before when it is not to be written again.
        self._due: dict[Growing, float] = {}
        self._rests: WeakKeyDictionary[Growing, float] = WeakKeyDictionary()
        self._thread: threading.Thread | None = None

    def note(self, growing: Growing) -> None:
        """Note that something has more to write."""
        if growing in self._due:
            return
        with self._lock:
            self._due[growing] = max(monotonic() + self._pause, self._rests.get(growing, 0.0))
            # In a process that was forked off, the thread is not alive.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="llmeval-autosave", daemon=True)
                # Where no more threads can be started, all is written when the test ends.
                with suppress(RuntimeError):
                    self._thread.start()

    def forget(self, growing: Growing) -> None:
        """Note that something has nothing more to write."""
        with self._lock:
            self._due.pop(growing, None)

    def _run(self) -> None:
        # Not `time.sleep`, which the user's tests may have put out of action.
        never = threading.Event()
        while True:
            never.wait(LOOK)
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
                due = [growing for growing, when in self._due.items() if when <= monotonic()]
                for growing in due:
                    del self._due[growing]
            for growing in due:
                self._save(growing)

    def _save(self, growing: Growing) -> None:
        began = prepared = thread_time()
        # Whatever fails, also the user's hook, will fail again when the test ends and writes, and be told then.
        with suppress(BaseException):
            growing.prepare()
            prepared = thread_time()
            growing.save()
        # Not by the clock on the wall, which also goes on while hundreds of other threads have their turn.
        rest = max(REST * (thread_time() - prepared), REST_FROM_PREPARING * (prepared - began))
        with self._lock:
            self._rests[growing] = monotonic() + rest
