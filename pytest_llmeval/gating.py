"""Fails a run that is not good enough, though each of its tests may have passed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.judging import requirements_of
from pytest_llmeval.reports.verdicts import not_met_lines

if TYPE_CHECKING:
    from pytest_llmeval.options import Options
    from pytest_llmeval.records import Run


class Gating:
    """Registered on the controller where a run has to meet something.

    Args:
        options: What was asked for.
        config: pytest's configuration.
        run: Returns the records so far.

    Raises:
        pytest.UsageError: Requirements that cannot be used, or none where the run is to fail for them.
    """

    def __init__(self, options: Options, config: pytest.Config, run: Callable[[], Run]) -> None:
        self._options = options
        self._config = config
        self._run = run
        self._lines: list[str] = []
        try:
            requirements = requirements_of(options.rootdir, options.require)
        except ConfigError as exc:
            raise pytest.UsageError(str(exc)) from None
        if options.require_fail and not requirements:
            raise pytest.UsageError(
                "--llm-require-fail: nothing is required. Write --llm-require=max_latency_ms=2000, or "
                "[tool.llmeval.requirements] in pyproject.toml."
            )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Set the exit status."""
        recommendation = self._run().recommendation
        if self._options.require_fail and recommendation is not None:
            self._lines += not_met_lines(recommendation)
        if self._lines and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if not self._config.pluginmanager.has_plugin("terminalreporter"):
            for line in self._lines:
                print(line, file=sys.stderr)  # noqa: T201 - nobody else is there to say it

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why the run failed."""
        for line in self._lines:
            terminalreporter.write_line(line, red=True, bold=True)
