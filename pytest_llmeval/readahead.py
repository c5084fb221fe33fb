"""Fetches answers ahead of the test that runs, for tests that have declared what they ask (`llm_reply`).

Threads, as a script would have that asks through the official SDK: each asks in the name of the test that will need the
answer, so that it lands in that test's recording, and is on the disk as soon as it is there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from pytest_llmeval.collected import candidate_of, case_of, declares, nodeid_of
from pytest_llmeval.errors import CassetteError
from pytest_llmeval.pacing import Pace, Patience, patience
from pytest_llmeval.recorded import total_of
from pytest_llmeval.runningtest import RunningTest, bound
from pytest_llmeval.workers import start_worker

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cases import Case
    from pytest_llmeval.cassettes.store import Cassette
    from pytest_llmeval.client import LLM
    from pytest_llmeval.prices import TotalCost
    from pytest_llmeval.response import Response
    from pytest_llmeval.session import EvalSession

#: Fixtures by which a test asks for more than it declares.
ASK_MORE = frozenset({"llm", "llm_judge"})
#: How far the window reaches, in what may be in flight: with less, one slow answer at its head would idle the others.
WINDOW = 4
#: Which part of what may be in flight may wait to be written: more would be paid for twice if the run were killed.
UNWRITTEN = 4
#: Seconds between two looks at how far things are.
LOOK = 0.2
#: Seconds for which a run that ends waits for the answers that are on their way.
GRACE = 5.0


class Upcoming(Protocol):
    """Which tests come next."""

    def within(self, item: Any, most: int) -> Iterable[Any]:
        """Return the next tests after this one that have declared what they ask, in the order in which they will run.

        No more than the next `most` of them, and none twice.
        """
        ...

    @property
    def total(self) -> int | None:
        """How many tests have declared what they ask; None if that is not known."""
        ...

    def lost(self, nodeids: Iterable[str]) -> list[str]:
        """Return which of these will not run here after all, since another process has taken them over."""
        ...


class Watcher(Protocol):
    """Shows how far things are."""

    def waits(self, ahead: ReadAhead) -> None:
        """Note that a test waits for its answer; called again and again while it does."""
        ...

    def goes_on(self) -> None:
        """Note that it waits no more."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One answer to be fetched.

    Attributes:
        test: The test that needs it.
        whole: Whether the test asks for nothing else.
        asking: Whether it is being asked for.
        unwanted: Whether nobody waits for it any more: nothing new is sent, and what still comes is recorded.
    """

    test: RunningTest
    llm: LLM
    case: Case
    whole: bool
    asking: bool = False
    unwanted: bool = False
    response: Response | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class ReadAhead:
    """Fetches answers in the order of the tests, as many at once as their endpoints take.

    Args:
        session: Whose tests these are.
        upcoming: Which tests come next.
        watcher: Shows how far things are.
        careful: Whether an answer that no test gets to see would be wasted, since the run may end early, or nothing is
            recorded. Beyond the test that runs, no more answers are then fetched than may be in flight.

    Attributes:
        fetched: How many answers came, other than from recordings.
        cost: What they cost.
        since: When the first might have been asked for, by `time.monotonic`.
    """

    def __init__(self, session: EvalSession, upcoming: Upcoming, watcher: Watcher, *, careful: bool) -> None:
        self._session = session
        self._upcoming = upcoming
        self._watcher = watcher
        self._window = 1 if careful else WINDOW
        self._work = threading.Condition()
        self._queue: deque[Job] = deque()
        self._busy: Counter[Pace] = Counter()
        self._idle = self._threads = 0
        # Answers that are not on the disk yet, and how many these are; None is the end.
        self._answered: SimpleQueue[Job | None] = SimpleQueue()
        self._unwritten = 0
        self._stopped = False
        # By node id, from when it is planned to when its test is over.
        self._jobs: dict[str, Job] = {}
        # Tests that were looked at, by identity.
        self._seen: set[int] = set()
        self._most = session.options.share(session.options.concurrency)
        self._over = 0
        self.fetched = 0
        self.cost = total_of([])
        self.since = time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether nothing new is sent, since the run is to end."""
        return self._stopped

    @property
    def done(self) -> int:
        """How many of the tests that have declared what they ask are over, or have their answer."""
        return self._over + sum(job.done.is_set() for job in list(self._jobs.values()))

    @property
    def total(self) -> int | None:
        """How many such tests there are, if that is known."""
        return self._upcoming.total

    @property
    def in_flight(self) -> int:
        """How many answers are being asked for, or written by the threads that asked."""
        return self._busy.total()

    def advance(self, item: Any) -> None:
        """Note that a test is about to begin: ask for what it has declared, and what those after it have."""
        if self._stopped or self._session.options.record == "none":
            return
        for nodeid in self._upcoming.lost(self._jobs):
            self._drop(self._jobs.pop(nodeid))
        if declares(item):
            self._plan(item)
        # Not the whole window each time: it has hundreds of tests.
        for each in self._upcoming.within(item, self._window * self._most):
            self._plan(each)

    def reply(self, item: Any, candidate: Candidate, case: Case) -> Response:
        """Return the answer that a test has declared; wait for it, and for no other, if need be.

        Raises:
            ProviderError: There is no whole answer.
        """
        __tracebackhide__ = True
        job = self._jobs.get(nodeid_of(item))
        if job is None or job.case is not case:
            # There is a recording, or the test has a case of its own making.
            return self._ask_now(item, candidate, case)
        try:
            while not job.done.wait(LOOK):
                self._watcher.waits(self)
        finally:
            self._watcher.goes_on()
        if job.error is not None:
            raise job.error
        assert job.response is not None
        return job.response

    def leave(self, item: Any) -> None:
        """Note that a test is over, whether or not it has waited for its answer."""
        self._over += id(item) in self._seen
        job = self._jobs.pop(nodeid_of(item), None)
        if job is not None:
            self._let_go(job)

    def stop(self) -> None:
        """Send nothing new, since the run is to end."""
        with self._work:
            self._stopped = True
            for job in self._queue:
                del self._jobs[job.test.nodeid]
            self._queue.clear()
            for job in self._jobs.values():
                job.unwanted = True
            self._work.notify_all()
            paces = list(self._busy)
        for pace in paces:
            pace.wake()

    def finish(self, seconds: float = GRACE) -> None:
        """Stop; wait a moment for the answers that are on their way, which are paid for."""
        self.stop()
        until = time.monotonic() + seconds
        # Who presses Ctrl-C now wants no answers any more.
        with contextlib.suppress(KeyboardInterrupt):
            while (self.in_flight or self._unwritten) and (left := until - time.monotonic()) > 0:
                with self._work:
                    self._work.wait(min(left, LOOK))
                self._watcher.waits(self)
        self._watcher.goes_on()
        while self._jobs:
            self._drop(self._jobs.popitem()[1])

    def _ask_now(self, item: Any, candidate: Candidate, case: Case) -> Response:
        __tracebackhide__ = True
        token = patience.set(Patience())
        try:
            return self._session.llm_of(item, candidate).complete(case)
        finally:
            patience.reset(token)

    def _plan(self, item: Any) -> None:
        """Have a test's answer fetched, unless that was done or it has a recording."""
        if id(item) in self._seen:
            return
        self._seen.add(id(item))
        candidate, case = candidate_of(item), case_of(item)
        assert candidate is not None
        assert case is not None
        try:
            test = self._session.prepare(item)
            if not goes_out(test.cassette):
                return
            # Before a thread imports what is to be intercepted.
            self._session.intercept()
            llm = self._session.llm_of(item, candidate)
        except Exception:
            # Anybody's provider may fail here. The test will do the same when it begins, and tell of it.
            return
        self._jobs[test.nodeid] = job = Job(test, llm, case, whole=ASK_MORE.isdisjoint(item.fixturenames))
        self._most = llm.pace.most
        with self._work:
            self._queue.append(job)
            if not self._wake_one() and self._has_room(job):
                if not self._threads:
                    start_worker(self._keep, "llmeval-ahead-recording")
                self._threads += 1
                start_worker(self._run, f"llmeval-ahead-{self._threads}")

    def _let_go(self, job: Job) -> None:
        """Note that nobody waits for an answer any more. One that is on its way is paid for, and recorded."""
        with self._work:
            job.unwanted = True
            if job in self._queue:
                self._queue.remove(job)
            job.test.held = job.asking
        job.llm.pace.wake()

    def _drop(self, job: Job) -> None:
        """End a test that never began."""
        self._let_go(job)
        self._session.forget(job.test)
        if not job.test.held:
            close(job)

    def _run(self) -> None:
        """Fetch one answer after the other: the body of a thread."""
        while (job := self._next()) is not None:
            cost = self._fetch(job)
            with self._work:
                if cost is not None:
                    self.fetched += 1
                    self.cost += cost
                self._unwritten += 1
                # Another thread writes it, since the next request should not have to wait for that; but one thread may
                # not keep up with all of them, and what is not written would be lost if this were killed.
                behind = self._unwritten > job.llm.pace.most // UNWRITTEN
                if not behind:
                    self._busy[job.llm.pace] -= 1
            if behind:
                self._write(job)
                with self._work:
                    self._busy[job.llm.pace] -= 1
            else:
                self._answered.put(job)
        with self._work:
            self._threads -= 1
            if not self._threads:
                self._answered.put(None)

    def _keep(self) -> None:
        """Record one answer after the other: the body of a thread."""
        while (job := self._answered.get()) is not None:
            self._write(job)

    def _write(self, job: Job) -> None:
        """Record an answer, and let its test have it then."""
        job.test.cassette.fetched_ahead = False
        try:
            # What the disk refuses is told at the end of the test, when the recording is written again.
            with contextlib.suppress(CassetteError):
                if job.error is None:
                    job.test.cassette.flush(whole=job.whole)
        except BaseException as exc:  # a redaction hook's fault, say: for the test, as without this all would wait
            job.error = exc
        with self._work:
            job.asking = False
            self._unwritten -= 1
            held = job.test.held
            if self._stopped:
                self._work.notify_all()
        if held:
            close(job)
        job.done.set()

    def _next(self) -> Job | None:
        with self._work:
            while not self._stopped:
                # Who makes room comes here itself, so nobody else need be woken for it.
                job = self._first()
                if job is not None:
                    self._queue.remove(job)
                    self._busy[job.llm.pace] += 1
                    job.asking = True
                    return job
                self._idle += 1
                self._work.wait()
        return None

    def _first(self) -> Job | None:
        """Return the first whose endpoint takes another: a slow local model does not hold up the others."""
        full = set()
        for job in self._queue:
            if job.llm.pace not in full:
                if self._has_room(job):
                    return job
                full.add(job.llm.pace)
        return None

    def _wake_one(self) -> bool:
        """Let a thread that has nothing to do look again; return whether there is one."""
        if not self._idle:
            return False
        self._idle -= 1
        self._work.notify()
        return True

    def _has_room(self, job: Job) -> bool:
        """Whether its endpoint takes another request."""
        return self._busy[job.llm.pace] < job.llm.pace.most

    def _fetch(self, job: Job) -> TotalCost | None:
        """Ask for an answer; return its cost, or None where there is none or it comes from a recording."""
        patience.set(Patience(lambda: job.unwanted))
        job.test.cassette.fetched_ahead = True
        try:
            with bound(job.test):
                job.response = job.llm.complete(job.case)
                return None if job.response.replayed else total_of([job.response.cost])
        except BaseException as exc:  # whatever it is, it is for the test
            job.error = exc
        return None


def goes_out(cassette: Cassette) -> bool:
    """Whether a test's request may reach the network, as far as can be told without reading its recording."""
    # Unlike pathlib's, this never raises: a folder that is closed is told of when the recording is read.
    return cassette.mode != "none" and not (cassette.mode == "once" and os.path.isfile(cassette.path))  # noqa: PTH113


def close(job: Job) -> None:
    """End the recording of a test that does not do so itself."""
    # Whatever it is, nobody is left to be told, and the next run will be; the thread that does this has others to end.
    with contextlib.suppress(Exception):
        job.test.cassette.close(interrupted=not job.whole)
