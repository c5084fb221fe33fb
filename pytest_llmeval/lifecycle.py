"""What happens to a test that has to do with LLMs, from its setup to its last report."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Generator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmeval.asked import LONGEST_TEXT, MOST_TEXTS
from pytest_llmeval.outcomes import NOT_RUN, outcome_of
from pytest_llmeval.plugin import KNOWN_FAILING, asks
from pytest_llmeval.provenance import candidate_info
from pytest_llmeval.readahead import ReadAhead
from pytest_llmeval.repeats import note_sample, selected_samples
from pytest_llmeval.running import Running
from pytest_llmeval.runningtest import RunningTest, bound
from pytest_llmeval.samples import case_nodeid
from pytest_llmeval.session import EvalSession

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.store import Cassette

TEST = pytest.StashKey[RunningTest]()


@dataclass(frozen=True, slots=True)
class Begun:
    """A test whose cassette is in.

    Attributes:
        item: The test.
        session: Whose it is.
        ahead: Fetches answers ahead.
    """

    item: pytest.Item
    session: EvalSession
    ahead: ReadAhead


#: The test that was begun last and is not over.
begun: Running[Begun] = Running("llmeval_begun")


class Lifecycle:
    """Puts a test's cassette in and out, and takes its record; registered for the first test of that kind.

    Args:
        session: What lives as long as the test session.
        ahead: Fetches answers ahead.
    """

    def __init__(self, session: EvalSession, ahead: ReadAhead) -> None:
        self._session = session
        self._selected: Counter[str] = Counter()
        self._calling = False
        self.ahead = ahead
        self._told: set[str] = set()
        # Of a run that has this one inside of a test.
        self._outer: Begun | None = None
        self._texts: set[str] = set()

    def start(self, item: pytest.Item) -> None:
        """Put the test's cassette in.

        Raises:
            ConfigError: A marker that cannot be used.
            BaseException: A fixture of the test has been refused.
        """
        self.ahead.advance(item)
        item.stash[TEST] = test = self._session.start(item)
        self._outer = begun.enter(Begun(item, self._session, self.ahead))
        self._session.refuse_again(test, getattr(item, "fixturenames", ()))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn how many samples of each case will run."""
        self._selected = selected_samples(session.items)

    def pytest_unconfigure(self) -> None:
        """Forget the test that Ctrl-C left without a teardown."""
        test = begun.get()
        if test is not None and test.session is self._session:
            begun.enter(self._outer)

    def cassettes_of(self, item: pytest.Item) -> list[Cassette]:
        """Return the cassettes of a test that has not been reported yet: its own, and those of wider fixtures."""
        test = item.stash.get(TEST, None)
        return [test.cassette, *test.fixtures] if test is not None else []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Bind the test to this context; fail it for a miss that the code under test swallowed."""
        test = item.stash.get(TEST, None)
        if test is None:
            return (yield)
        result, self._calling = None, True
        with bound(test):
            try:
                result = yield
            except (Exception, BaseExceptionGroup, pytest.fail.Exception, pytest.skip.Exception) as exc:
                if not test.cassette.misses or str(exc) == test.cassette.misses[0]:
                    raise
                # A task group wraps our own failure, and brings the traceback of the SDK with it.
                went_on = "" if isinstance(exc, BaseExceptionGroup) else f"\nThen: {type(exc).__name__}: {exc}"
                miss = f"{test.cassette.misses[0]}{went_on}"
            else:
                miss = test.cassette.misses[0] if test.cassette.misses else ""
            finally:
                self._calling = False
        if miss:
            self._session.engine.fail(miss)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Bind the test inside its coroutine: a runner that outlives a test keeps the context that it began with."""
        test = pyfuncitem.stash.get(TEST, None)
        if test is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
            return (yield)
        function = pyfuncitem.obj

        @functools.wraps(function)
        async def bound_function(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            with bound(test):
                return await function(*args, **kwargs)

        pyfuncitem.obj = bound_function
        try:
            return (yield)
        finally:
            pyfuncitem.obj = function

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
        """Write what was recorded; fail for a miss that a fixture swallowed, and for requests that came too late."""
        test = item.stash.get(TEST, None)
        misses = len(test.cassette.misses) if test is not None else 0
        try:
            yield
        finally:
            if test is not None:
                session = self._session
                begun.enter(self._outer)
                self.ahead.leave(item)
                if nextitem is None or not asks(nextitem):
                    session.stand_ins.take_away()
                for message in [*session.finish(test), *test.cassette.misses[misses:], *session.engine.take_late()]:
                    session.engine.fail(message)
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the test's record to its last report, which is how it reaches the controller."""
        test = item.stash.get(TEST, None)
        report = yield
        if test is None:
            return report
        _note_outcome(test, report, call)
        test.tell_of_misses(report)
        if test.sample is not None:
            # While a test is called, its subtests report.
            note_sample(report, test, self._selected[case_nodeid(item.nodeid, test.sample.number)], self._calling)
        if call.when == "teardown" and test.outcome is not None:
            record = self._session.record(test)
            record.known_failing = item.stash.get(KNOWN_FAILING, None)
            report.llmeval = record.to_json()  # type: ignore[attr-defined]
            if test.candidate is not None and test.candidate.name not in self._told:
                # Who collects the records may never have seen the test: it may be in another process.
                self._told.add(test.candidate.name)
                report.llmeval_candidate = asdict(candidate_info(test.candidate))  # type: ignore[attr-defined]
            self._tell_texts(report, test)
            # JUnit XML takes its properties from here; a repeated run of the test replaces what the first one left.
            others = [pair for pair in item.user_properties if not pair[0].startswith("llm_")]
            item.user_properties[:] = report.user_properties = [*others, *record.properties()]
        if call.when == "teardown":
            del item.stash[TEST]
        return report

    def _tell_texts(self, report: pytest.TestReport, test: RunningTest) -> None:
        """Send the texts that the test's calls name by their digests to whoever collects the records, each once."""
        new = test.log.texts.keys() - self._texts
        if new and len(self._texts) < MOST_TEXTS:
            mask = self._session.engine.scanner.mask
            self._texts |= new
            texts = {digest: test.log.texts[digest] for digest in sorted(new)}
            report.llmeval_texts = {  # type: ignore[attr-defined]
                digest: mask(text) for digest, text in texts.items() if len(text) <= LONGEST_TEXT
            }


def _note_outcome(test: RunningTest, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    error = call.excinfo.value if call.excinfo else None
    if hasattr(error, NOT_RUN) and not test.cassette.refused:
        # A wider fixture was refused for a test before this one, and pytest remembers that.
        test.cassette.refused.append(str(error))
    outcome = outcome_of(test, report.when, report.outcome, error, xfail=hasattr(report, "wasxfail"))
    if outcome != test.outcome:
        test.outcome = outcome
        # Whoever swallows a refusal may raise something else, or nothing.
        told = test.cassette.refused[0] if outcome == "not_run" else error
        test.message = None if told is None else str(told)
