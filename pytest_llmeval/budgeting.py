"""The budget of a run in pytest: the ledger, what tests that were not run look like, and the exit status."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NoReturn

import pytest

from pytest_llmeval.budget import Budget
from pytest_llmeval.ledger import RunLedger, WorkerLedger
from pytest_llmeval.options import Options
from pytest_llmeval.outcomes import NOT_RUN
from pytest_llmeval.runheader import Spending
from pytest_llmeval.workerlink import link_of, workers_of

CATEGORY = "not run: budget"


class Budgeting:
    """Lives in every process of a run that has a budget.

    Attributes:
        budget: What requests are paid from.

    Args:
        config: pytest's configuration.
        options: Limit, and what becomes of unknown prices.
        limit: Most that the run may spend, in USD.
    """

    def __init__(self, config: pytest.Config, options: Options, limit: Decimal) -> None:
        link = link_of(config)
        self._ledger = RunLedger(limit)
        ledger: RunLedger | WorkerLedger = self._ledger
        if link is not None:
            ledger = WorkerLedger(lambda data: link.ask("budget", data), lambda data: link.tell("budget", data))
        else:
            workers_of(config).on("budget", lambda _, request: self._ledger.serve(request))
        self.budget = Budget(
            limit,
            ledger,
            refuse,
            ignores_unknown=options.unknown_price == "ignore",
            worker=getattr(config, "workerinput", {}).get("workerid", "main"),
        )
        self._keeps = options.record != "live"
        self._not_run: set[str] = set()

    @property
    def spending(self) -> Spending:
        """How the run stands with its budget; of the controller alone."""
        return self._ledger.spending

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Count tests that were not run apart from those that were skipped."""
        if not hasattr(report, NOT_RUN):
            return None
        return CATEGORY, "b", (CATEGORY.upper(), {"yellow": True})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note which tests were not run."""
        if hasattr(report, NOT_RUN):
            self._not_run.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Settle what a worker of xdist has left open."""
        self._ledger.close(node.gateway.id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run of which a part was not run."""
        if self._not_run and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say that tests were not run."""
        if self._not_run:
            from pytest_llmeval.reports.budget import not_run_line

            line = not_run_line(len(self._not_run), self.spending, keeps=self._keeps)
            terminalreporter.write_line(line, red=True, bold=True)


def refuse(message: str) -> NoReturn:
    """Raise what no SDK swallows or retries, and what pytest does not count as a failure."""
    refusal = pytest.skip.Exception(message)
    setattr(refusal, NOT_RUN, True)
    raise refusal
