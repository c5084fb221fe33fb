"""What a run leaves in GitHub Actions: the summary of its step, and annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.reports.gate import gate_lines
from pytest_llmeval.reports.github import FAILING, address_of, folder_in_repository, workflow_commands
from pytest_llmeval.reports.markdown import render
from pytest_llmeval.reports.verdicts import not_met_lines

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options
    from pytest_llmeval.records import Run
    from pytest_llmeval.reports.comparison import Compared

hookimpl = pluggy.HookimplMarker("pytest")


class Actions:
    """Registered on the controller for the first record of a run in GitHub Actions.

    Args:
        config: pytest's configuration.
        options: What was asked for.
        run: Returns the records so far.
    """

    def __init__(self, config: pytest.Config, options: Options, run: Callable[[], Run]) -> None:
        self._config = config
        self._options = options
        self._run = run
        self._lines: dict[str, int] = {}
        self._done = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note where tests are."""
        record = getattr(report, "llmeval", None)
        if record is not None and record["outcome"] in FAILING and report.location[1] is not None:
            self._lines[report.nodeid] = report.location[1] + 1

    @hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell GitHub of the run."""
        # A command counts at the beginning of a line alone.
        for line in self._publish():
            terminalreporter.ensure_newline()
            terminalreporter.write_line(line)

    @hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Do it where there is no terminal."""
        for line in self._publish():
            print(line)  # noqa: T201 - a command to the runner

    def _publish(self) -> list[str]:
        """Append to the summary of the step; return the lines for the log."""
        if self._done:
            return []
        self._done = True
        run, mask = self._run(), SecretScanner(os.environ).mask
        path, base = os.environ.get("GITHUB_STEP_SUMMARY"), address_of(self._options.rootdir, os.environ)
        try:
            if path:
                with Path(path).open("a", encoding="utf-8", newline="\n") as file:
                    file.write("".join(f"{mask(part)}\n" for part in (render(run, base), self._comparison()) if part))
        except OSError as exc:
            print(f"llmeval: the summary of the step could not be written: {exc}", file=sys.stderr)  # noqa: T201
        if not os.environ.get("GITHUB_ACTIONS"):
            return []
        folder = folder_in_repository(self._options.rootdir, os.environ)
        return [mask(line) for line in workflow_commands(run, self._lines, folder, self._failing(run))]

    def _comparison(self) -> str:
        regression = self._config.pluginmanager.get_plugin("llmeval_regression")
        compared: Compared | None = regression.shown() if regression is not None else None
        if compared is None:
            return ""
        from pytest_llmeval.reports.comparison import render_markdown

        return render_markdown(compared)

    def _failing(self, run: Run) -> list[str]:
        failing = gate_lines(run.gate)[0] if run.gate is not None else []
        if self._options.require_fail:
            failing += not_met_lines(run.recommendations)
        return failing
