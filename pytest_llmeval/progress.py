"""Shows how far a run is: a line at the bottom of a terminal while the run waits, or one a minute in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pluggy

from pytest_llmeval.prices import TotalCost, total_cost
from pytest_llmeval.records import TestRecord
from pytest_llmeval.reports.progress import Progress

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.readahead import ReadAhead

hookimpl = pluggy.HookimplMarker("pytest")

MINUTE = 60.0
#: Seconds for which a line of a terminal stays as it is.
STAYS = 0.2
# Below the line that pytest is writing, wherever the cursor stands on it, and back. The first makes room at the bottom
# of the screen: index, cursor up. https://vt100.net/docs/vt510-rm/chapter4.html
ROOM, SAVE, DOWN, CLEAR, BACK = "\x1bD\x1b[A", "\x1b7", "\x1b[B\r", "\x1b[K", "\x1b8"


class Output:
    """Where pytest writes, past its capturing.

    Args:
        config: pytest's configuration.
        reporter: Its terminal reporter.
    """

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._capturing: Any = config.pluginmanager.get_plugin("capturemanager")

    def write(self, text: str) -> None:
        """Write as it is."""
        with self._uncaptured():
            # Not the reporter's own `write`: it counts columns, and these leave the cursor where it was.
            file: Any = self._reporter._tw._file
            file.write(text)
            file.flush()

    def width(self) -> int:
        """Return how many cells a line may take."""
        with self._uncaptured():
            # Of the terminal as it is now: it may have been made smaller. While output is captured, it is a file.
            try:
                return os.get_terminal_size().columns - 1
            except OSError:
                return 79

    def write_line(self, text: str) -> None:
        """Write a line of its own, wherever pytest is in one."""
        with self._uncaptured():
            self._reporter.write_line(text)

    def _uncaptured(self) -> AbstractContextManager[Any]:
        if self._capturing is None:
            return nullcontext()
        context: AbstractContextManager[Any] = self._capturing.global_and_fixture_disabled()
        return context


class Line:
    """A line at the bottom of a terminal, below the one that pytest is writing."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown = False
        self._when = -STAYS

    def show(self, text: Callable[[int], str]) -> None:
        """Show a text, made for a width; leave the cursor where it was."""
        now = time.monotonic()
        if now - self._when >= STAYS:
            self._shown, self._when = True, now
            line = text(self._output.width())
            self._output.write(f"{ROOM}{SAVE}{DOWN}{line}{CLEAR}{BACK}")

    def clear(self) -> None:
        """Take it away: something else will be written here."""
        if self._shown:
            self._shown = False
            self._output.write(f"{SAVE}{DOWN}{CLEAR}{BACK}")


class Minutes:
    """A line a minute, for logs."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._when = time.monotonic()

    def show(self, text: Callable[[int], str]) -> None:
        """Write a text, made for a width, if it is time to."""
        now = time.monotonic()
        if now - self._when >= MINUTE:
            self._when = now
            self._output.write_line(text(120))

    def clear(self) -> None:
        """Leave what is written."""


class Waiting:
    """Shows how far things are while a test of this process waits for its answer."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @cached_property
    def _show(self) -> Line | Minutes | None:
        # Not before it is needed: pytest may not have its reporter yet when the session begins.
        return None if hasattr(self._config, "workerinput") else _show(self._config)

    def waits(self, ahead: ReadAhead) -> None:
        """Show it."""
        if self._show is not None:
            self._show.show(lambda width: _line_of(ahead, width))

    def goes_on(self) -> None:
        """Take it away before pytest writes."""
        if self._show is not None:
            self._show.clear()


class Reports:
    """Shows how far the workers of pytest-xdist are, by the reports that come from them.

    Args:
        show: How.
        total: How many tests there are.
        done: How many are over.
        since: When they began, by `time.monotonic`.
    """

    def __init__(self, show: Line | Minutes, *, total: int | None, done: int, since: float) -> None:
        self._show = show
        self._total, self._done, self._since = total, done, since
        self._asked = 0
        self._cost = TotalCost(Decimal(0))

    @hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Any:
        """Make room for what pytest writes of a report, and show how far things are by now."""
        self._show.clear()
        yield
        if report.when != "teardown":
            return
        self._done += 1
        record = getattr(report, "llmeval", None)
        if record is not None:
            calls = [call for call in TestRecord.from_json(record).calls if not call.replayed]
            self._asked += bool(calls)
            self._cost += total_cost(calls)
        if self._asked:
            self._show.show(self._line)

    @hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Make room."""
        self._show.clear()

    @hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Make room."""
        self._show.clear()

    @hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Make room."""
        self._show.clear()

    def _line(self, width: int) -> str:
        seconds = time.monotonic() - self._since
        return Progress(self._done, self._total, self._cost, seconds, self._asked, unit="tests").line(width)


def _line_of(ahead: ReadAhead, width: int) -> str:
    if ahead.stopped:
        number = ahead.in_flight
        line = f"llmeval: waiting a moment for {number} answer{'s' * (number > 1)} on the way; Ctrl-C leaves them"
        return line if len(line) <= width else line.partition(";")[0]
    seconds = time.monotonic() - ahead.since
    progress = Progress(ahead.done, ahead.total, ahead.cost, seconds, ahead.fetched, ahead.in_flight)
    return progress.line(width)


def register_reports(config: pytest.Config, *, total: int | None, done: int, since: float) -> None:
    """Show how far the workers of pytest-xdist are from here on, if they share the tests; see `Reports`."""
    show = _show(config) if config.getoption("dist", "no") not in ("no", "each") else None
    if show is not None:
        config.pluginmanager.register(Reports(show, total=total, done=done, since=since), "llmeval_progress")


def _show(config: pytest.Config) -> Line | Minutes | None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return None
    output = Output(config, reporter)
    if not reporter.isatty:
        return Minutes(output)
    # What is logged live is written by any thread at any time.
    live = config.getini("log_cli") or config.getoption("log_cli_level", None)
    moves = os.name == "posix" and os.environ.get("TERM", "dumb") != "dumb"
    return Line(output) if moves and not live else None
