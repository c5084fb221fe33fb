"""Compares the run with a baseline (``--llm-compare``), and says what got better or worse. Controller only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_llmeval.baselines import GIT, baseline_at
from pytest_llmeval.errors import RunError
from pytest_llmeval.kept import load

if TYPE_CHECKING:
    from pytest_llmeval.comparison import Comparison
    from pytest_llmeval.options import Options
    from pytest_llmeval.origins import RunOrigin
    from pytest_llmeval.records import Run
    from pytest_llmeval.reports.comparison import Compared

THIS = "this run"


class Regression:
    """Registered where ``--llm-compare`` was given.

    Attributes:
        baseline: What the run is compared with; None where no test is to be run.

    Args:
        config: pytest's configuration.
        options: What was asked for.
        run: Returns the records so far.
        origin: What the header of the run says.
    """

    def __init__(self, config: pytest.Config, options: Options, run: Callable[[], Run], origin: RunOrigin) -> None:
        self._config = config
        self._options = options
        self._written = options.compare or ""
        self._run = run
        self._origin = origin
        self._found: tuple[Run, Comparison] | None = None
        self.baseline: Run | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Read the baseline: before the run is kept under the same name, and before anything is paid for."""
        if session.config.getoption("collectonly", False) or self._options.dry_run:
            return
        self._origin.begin(session)
        try:
            self.baseline = self._load()
        except RunError as exc:
            raise pytest.UsageError(f"--llm-compare={self._written}: {exc}") from None

    def _load(self) -> Run:
        if not self._written.startswith(GIT):
            return load(self._written, self._options.run_dir, lean=True)
        options = self._options
        return baseline_at(
            self._written.removeprefix(GIT),
            rootdir=options.rootdir,
            run_dir=options.run_dir,
            name=options.save,
            arguments=self._config.invocation_params.args,
            start=options.invocation_dir,
            one_process=["-n0", "--dist=no"] if self._config.pluginmanager.has_plugin("xdist") else [],
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Learn who is asked, and with which settings."""
        self._origin.learn(report)

    def compared(self) -> tuple[Run, Comparison] | None:
        """Return the run as it ended, and what it comes to beside the baseline; None where no test asked a model."""
        if self._found is None and self.baseline is not None:
            from pytest_llmeval.comparing import compare_runs
            from pytest_llmeval.recordedmessages import RecordedMessages

            run = self._run()
            if run.by_candidate():
                run = self._origin.whole(run)
                messages = RecordedMessages(self.baseline, run, self._options.rootdir)
                self._found = run, compare_runs(self.baseline, run, messages=messages)
        return self._found

    def shown(self) -> Compared | None:
        """Return what reports show of the comparison; None where no test asked a model."""
        found = self.compared()
        if found is None or self.baseline is None:
            return None
        from pytest_llmeval.reports.comparison import Compared, Side

        run, comparison = found
        return Compared(Side.of(THIS, run), Side.of(self._written, self.baseline), comparison, comparison.standings)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what got better or worse."""
        compared = self.shown()
        if compared is None:
            return
        from pytest_llmeval.reports.comparison import render_comparison

        writer = self._config.get_terminal_writer()
        text = render_comparison(
            compared,
            width=writer.fullwidth,
            color=writer.hasmarkup,
            encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
        )
        terminalreporter.section("LLM comparison")
        terminalreporter.write(text)
