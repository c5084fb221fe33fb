"""Gathers the records that tests leave, from this process and from xdist's workers, and prints the summary."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options
    from pytest_llmeval.records import Run

hookimpl = pluggy.HookimplMarker("pytest")


class Collector:
    """Lives where reports are: on the controller, never in a worker."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._records: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's record off its last report; a repeated run of a test replaces the one before."""
        record = getattr(report, "llmeval", None)
        if record is not None:
            self._records[report.nodeid] = record

    @hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of candidates."""
        if not self._records:
            return
        run = self.run()
        self._config.hook.pytest_llmeval_run_finished(config=self._config, run=run)
        if self._options.summary == "off":
            return
        from pytest_llmeval.reports.terminal import render_summary

        writer = self._config.get_terminal_writer()
        brief = self._config.get_verbosity() < 0
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = render_summary(run, width=writer.fullwidth, color=writer.hasmarkup, brief=brief, encoding=encoding)
        if text:
            terminalreporter.section("LLM evaluation")
            terminalreporter.write(text if text.endswith("\n") else f"{text}\n")

    def run(self) -> Run:
        """Return the records gathered so far."""
        from pytest_llmeval.candidates import split_names
        from pytest_llmeval.records import Run, TestRecord

        tests = [TestRecord.from_json(record) for record in self._records.values()]
        unpinned = {test.candidate: test.unpinned for test in tests if test.unpinned}
        return Run(split_names(self._options.models), self._options.record, tests, unpinned)
