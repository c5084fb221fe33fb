"""Looks at what a run will ask before it asks: the estimate under a budget, prices that are unknown, the dry run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmeval.budget import unknown_prices
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.options import Options
from pytest_llmeval.plan import Plan, Planner, without_price
from pytest_llmeval.plugin import asks
from pytest_llmeval.reports.plan import estimate_lines, render_plan
from pytest_llmeval.workerlink import link_of, workers_of

if TYPE_CHECKING:
    from pytest_llmeval.session import EvalSession

#: Which of xdist's workers makes the plan: all collect the same tests, and the controller collects none.
PLANS = "llmeval_plans"


class Planning:
    """Lives in every process of a run that has a budget, or that is none.

    Args:
        config: pytest's configuration.
        options: What was asked for.
        session_of: Returns the session of this run; raises `ConfigError`.
    """

    def __init__(self, config: pytest.Config, options: Options, session_of: Callable[[], EvalSession]) -> None:
        self._config = config
        self._options = options
        self._session_of = session_of
        self._link = link_of(config)
        self._plan: Plan | None = None
        self._lines: list[str] = []
        self._error = ""
        self._nodes = 0
        if self._link is None:
            workers_of(config).on("plan", self._take)
        if options.dry_run and self._link is None:
            # One process is enough to run nothing; xdist looks at these after us.
            config.option.dist, config.option.tx = "no", []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Have the first worker make the plan."""
        node.workerinput[PLANS] = self._nodes == 0
        self._nodes += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Make the plan; refuse to begin where a budget cannot be kept, since prices are unknown."""
        if self._link is not None and not self._config.workerinput.get(PLANS):  # type: ignore[attr-defined]
            return
        items = [item for item in session.items if asks(item)]
        if items:
            self._look(items)
        if self._link is not None:
            self._link.tell("plan", [self._lines, self._error])
        elif self._error:
            raise pytest.UsageError(self._error)

    def _look(self, items: list[pytest.Item]) -> None:
        budget = self._options.max_cost
        try:
            session = self._session_of()
        except ConfigError as exc:
            raise pytest.UsageError(str(exc)) from None
        if budget is not None and self._options.unknown_price == "error":
            unknown = without_price(session, items)
            if unknown:
                self._error = unknown_prices(budget, unknown)
                return
        if budget is not None and self._options.record == "none" and not self._options.dry_run:
            return
        self._plan = Planner(session, counts_recorded=self._options.dry_run).plan(items)
        if budget is not None:
            self._lines = estimate_lines(self._plan, budget)

    def _take(self, _: str, plan: Any) -> None:
        """Take the plan of a worker."""
        self._lines, self._error = plan

    def pytest_report_collectionfinish(self) -> list[str]:
        """Say what the run will cost, where there are no workers."""
        return [] if self._options.dry_run else self._lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Say what the run will cost, or why it does not begin, as soon as the worker that knows has collected."""
        if self._error:
            raise pytest.UsageError(self._error)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        lines, self._lines = self._lines, []
        if terminal is not None and lines:
            terminal.ensure_newline()
            for line in lines:
                terminal.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Show the plan of a dry run instead of running it."""
        if not self._options.dry_run or (
            session.testsfailed and not session.config.option.continue_on_collection_errors
        ):
            # Faults of the collection are pytest's to tell.
            return None
        # Without one (-p no:terminal), what was asked for is shown all the same.
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        writer = None if terminal is None else self._config.get_terminal_writer()
        text = render_plan(
            self._plan or Plan(self._options.record),
            width=shutil.get_terminal_size().columns if writer is None else writer.fullwidth,
            color=writer is not None and writer.hasmarkup,
            encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
            budget=self._options.max_cost,
        )
        (sys.stdout if writer is None else writer).write(f"\n{text}")
        return True
