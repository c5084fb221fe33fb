"""Lets answers be fetched ahead while the tests of a run go on, and ends that with the run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pluggy

from pytest_llmeval.progress import Waiting
from pytest_llmeval.readahead import GRACE, ReadAhead
from pytest_llmeval.upcoming import Held, InOrder

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.session import EvalSession

hookimpl = pluggy.HookimplMarker("pytest")


class Fetching:
    """Registered for the first test that has to do with LLMs.

    Args:
        config: pytest's configuration.
        session: What lives as long as the test session.

    Attributes:
        ahead: Fetches the answers.
    """

    def __init__(self, config: pytest.Config, session: EvalSession) -> None:
        # Where the first failures end the run, or nothing is recorded, an answer that no test gets to see is wasted.
        careful = session.options.record == "live" or any(config.getoption(name, 0) for name in ("maxfail", "stepwise"))
        upcoming = Held(config) if hasattr(config, "workerinput") else InOrder()
        self.ahead = ReadAhead(session, upcoming, Waiting(config), careful=careful)
        self._pytest: pytest.Session | None = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Learn who says that the run is to end."""
        self._pytest = session

    @hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        """Send nothing new after the failure that ends the run."""
        if self._pytest is not None and (self._pytest.shouldfail or self._pytest.shouldstop):
            self.ahead.stop()

    def pytest_keyboard_interrupt(self) -> None:
        """Send nothing new after Ctrl-C."""
        self.ahead.stop()

    @hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Take what is still on its way, and end what never began."""
        # A second Ctrl-C while pytest told of the first: who presses it wants no answers any more.
        self.ahead.finish(GRACE if sys.exc_info()[0] is None else 0)
