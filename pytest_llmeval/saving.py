"""Writes the run: each record as its test finishes, and the kept run and the reports at the end. Controller only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import RunError
from pytest_llmeval.masking import masked
from pytest_llmeval.reports.formats import FORMATS, rendered
from pytest_llmeval.runfiles import RunFile, put_lines, run_path
from pytest_llmeval.runlines import end_line, header_line, record_line, run_lines

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options
    from pytest_llmeval.origins import RunOrigin
    from pytest_llmeval.records import Run
    from pytest_llmeval.reports.comparison import Compared
    from pytest_llmeval.runheader import CandidateInfo

hookimpl = pluggy.HookimplMarker("pytest")

GOOD = (0, 5)


class Saving:
    """Registered where ``--llm-save`` or ``--llm-report`` was given.

    Args:
        options: What was asked for.
        run: Returns the records so far.
        origin: What the header of the run says.
        compared: Returns what became of it since its baseline, if it has one.
    """

    def __init__(
        self,
        options: Options,
        run: Callable[[], Run],
        origin: RunOrigin,
        compared: Callable[[], Compared | None] = lambda: None,
    ) -> None:
        self._compared = compared
        self._options = options
        self._run = run
        self._origin = origin
        self._scanner = SecretScanner(os.environ)
        self._session: pytest.Session | None = None
        self._told: list[CandidateInfo] | None = None
        self._kept = RunFile(run_path(options.run_dir, options.save)) if options.save else None
        self._logs = {path: RunFile(path) for path in options.reports if path.suffix.lower() == ".jsonl"}
        self._said: list[str] = []
        self._errors: list[str] = []

    @hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Begin, where there are tests to be run."""
        if not session.config.getoption("collectonly", False):
            self._session = session
            self._origin.begin(session)

    @hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append a test's record; before that the header, whenever it knows of one more candidate."""
        record = getattr(report, "llmeval", None)
        if record is None or self._session is None:
            return
        self._origin.learn(report)
        line = record_line(record)
        if self._scanner.mask(line) != line:
            # What is written is what everybody else gets, too.
            report.llmeval = masked(record, self._scanner.mask)  # type: ignore[attr-defined]
            line = record_line(report.llmeval)
        if self._told != self._origin.candidates:
            self._told = self._origin.candidates
            self._append(header_line(self._origin.header))
        self._append(line)

    def _append(self, line: str) -> None:
        for file in (self._kept, *self._logs.values()):
            if file is not None:
                file.add(line)

    @hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write what is to be written, and say where it is."""
        self._finish()
        for line in filter(None, self._said):
            terminalreporter.write_line(line)
        for error in self._errors:
            terminalreporter.write_line(error, red=True)

    @hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Do it where there is no summary: without a terminal, with ``--no-summary``, after an internal error."""
        result = yield
        if self._finish():
            for error in self._errors:
                print(error, file=sys.stderr)  # noqa: T201 - no other plugin may be there to say it
        return result

    def _finish(self) -> bool:
        """Write the kept run and the reports; return whether it was this call that did."""
        session, self._session = self._session, None
        if session is None:
            return False
        run = self._origin.whole(self._run())
        for path in (None, *self._options.reports):
            try:
                self._said.append(self._keep(run) if path is None else self._report(path, run))
            except RunError as exc:
                self._errors.append(str(exc))
        if self._errors and session.exitstatus in GOOD:
            session.exitstatus = 1
        return True

    def _keep(self, run: Run) -> str:
        """Keep the run under its name; return what to say of that."""
        name, kept = self._options.save, self._kept
        if kept is None:
            return ""
        if not run.tests:
            return f"No test asked a model, so that nothing is kept as {name}."
        if run.end is not None and run.end.stopped:
            kept.leave(end_line(run.end))
            return f"The run was cut ({run.end.stopped}): it is in {shown_path(kept.partial)}, and {name} is as it was."
        kept.finish(run_lines(run))
        return f"Kept as {name}: {shown_path(kept.path)}"

    def _report(self, path: Path, run: Run) -> str:
        """Write a report; return what to say of that."""
        if path in self._logs:
            self._logs[path].finish(run_lines(run))
        else:
            put_lines(path, rendered(run, FORMATS[path.suffix.lower()], self._options.rootdir, self._compared()))
        return f"Report: {shown_path(path)}"
