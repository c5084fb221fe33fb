"""Writes what long tests have recorded while they run, so that a kill does not cost what was paid for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic, thread_time
from typing import Protocol
from weakref import WeakKeyDictionary

from pytest_llmeval.errors import CassetteError, SecretError

#: Seconds that an answer may wait to be on the disk while its test runs on. Most tests are over by then.
PAUSE = 0.5
#: How many times longer than writing a file took it is left alone: one that grows costs a thirtieth at most.
REST = 30
#: The same for the clock on the wall, as who asks has to wait meanwhile: a slow disk holds up no more than a tenth.
REST_FROM_WAITING = 10
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
        clock: Tells the seconds. Freezegun puts its own into modules, and leaves this alone.
        cpu_clock: Tells the seconds that this thread has worked.
    """

    def __init__(
        self,
        pause: float = PAUSE,
        clock: Callable[[], float] = monotonic,
        cpu_clock: Callable[[], float] = thread_time,
    ) -> None:
        self._pause = pause
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._lock = Lock()
        # By the clock: when each is to be written, and before when it is not to be written again.
        self._due: dict[Growing, float] = {}
        self._rests: WeakKeyDictionary[Growing, float] = WeakKeyDictionary()
        self._thread: Thread | None = None

    def note(self, growing: Growing) -> None:
        """Note that something has more to write."""
        if growing in self._due:
            return
        with self._lock:
            self._due[growing] = max(self._clock() + self._pause, self._rests.get(growing, 0.0))
            # In a process that was forked off, the thread is not alive.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name="llmeval-autosave", daemon=True)
                # Where no more threads can be started, all is written when the test ends.
                try:
                    self._thread.start()
                except RuntimeError:
                    self._thread = None
                    self._due.clear()

    def forget(self, growing: Growing) -> None:
        """Note that something has nothing more to write."""
        with self._lock:
            self._due.pop(growing, None)

    def _run(self) -> None:
        # Not `time.sleep`, which the user's tests may have put out of action.
        never = Event()
        while True:
            never.wait(LOOK)
            with self._lock:
                if not self._due:
                    self._thread = None
                    return
                due = [growing for growing, when in self._due.items() if when <= self._clock()]
                for growing in due:
                    del self._due[growing]
            for growing in due:
                self._save(growing)

    def _save(self, growing: Growing) -> None:
        began, since = self._cpu_clock(), self._clock()
        prepared, again = began, False
        # Whatever fails, also the user's hook, will fail again when the test ends and writes, and be told then.
        with suppress(BaseException):
            growing.prepare()
            prepared, since = self._cpu_clock(), self._clock()
            try:
                growing.save()
            except CassetteError as exc:
                # A disk may have room later; a secret stays one.
                again = not isinstance(exc, SecretError)
        now = self._clock()
        rest = max(
            REST * (self._cpu_clock() - prepared),
            REST_FROM_WAITING * (now - since),
            REST_FROM_PREPARING * (prepared - began),
        )
        with self._lock:
            self._rests[growing] = now + rest
        if again:
            self.note(growing)
