"""Gathers the records that tests leave, from this process and from xdist's workers, and prints the summary."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options
    from pytest_llmeval.records import Run
    from pytest_llmeval.repeats import CaseReports

#: Variables by which GitHub Actions says that it is there.
GITHUB = ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS")

hookimpl = pluggy.HookimplMarker("pytest")


class Collector:
    """Lives where reports are: on the controller, never in a worker."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._options = options
        self._records: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, str] = {}
        self._run: Run | None = None
        self._session: pytest.Session | None = None
        self._tests: int | None = None
        self._described: dict[str, dict[str, Any]] = {}
        self._over = 0
        self._since = time.monotonic()
        #: What others make of the whole run, once it is gathered.
        self.looks: list[Callable[[Run], Run]] = []
        #: Messages of requests that came after the last test had ended.
        self.late: list[str] = []

    @hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a test's record off its last report; a repeated run of a test replaces the one before."""
        self._over += report.when == "teardown"
        record = getattr(report, "llmeval", None)
        if hasattr(report, "llmeval_candidate"):
            self._described[report.llmeval_candidate["name"]] = report.llmeval_candidate
        if record is not None:
            if not self._records and any(os.environ.get(name) for name in GITHUB):
                self._register_actions(report)
            if not self._records and self._tests is not None:
                from pytest_llmeval.progress import register_reports

                register_reports(self._config, total=self._tests, done=self._over, since=self._since)
            self._records[report.nodeid] = record
            self._texts.update(getattr(report, "llmeval_texts", {}))
            self._run = None
        if hasattr(report, "llmeval_sample"):
            self._cases.take(report)

    def _register_actions(self, report: pytest.TestReport) -> None:
        from pytest_llmeval.actions import Actions

        actions = Actions(self._config, self._options, self.run)
        self._config.pluginmanager.register(actions, "llmeval_actions")
        # Who registers while a hook is called is not called for it.
        actions.pytest_runtest_logreport(report)

    @cached_property
    def _cases(self) -> CaseReports:
        from pytest_llmeval.repeats import CaseReports

        cases = CaseReports(self._config)
        self._config.pluginmanager.register(cases, "llmeval_cases")
        return cases

    @hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn how many tests the workers of xdist share."""
        if self._tests is None:
            self._tests, self._since = len(ids), time.monotonic()

    @hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the run to those who asked for it, where no terminal does so later."""
        self._session = session
        if self.late:
            session.exitstatus = 1
        if self._records and not self._config.pluginmanager.has_plugin("terminalreporter"):
            self._hand_over()

    @hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where it is at home, and be ready for what it brings if that is far away."""
        from pytest_llmeval.farworkers import HOME, Receiver, place_of

        node.workerinput[HOME] = place_of(self._config.rootpath)
        if not self._config.pluginmanager.has_plugin("llmeval_receiver"):
            self._config.pluginmanager.register(Receiver(self._options), "llmeval_receiver")

    @hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker of xdist has to say at its end."""
        self.late += getattr(node, "workeroutput", {}).get("llmeval_late", [])

    @hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of candidates."""
        for message in self.late:
            terminalreporter.write_line(f"\n{message}", red=True)
        if not self._records:
            return
        for title, text in () if self._options.summary == "off" else self._render():
            terminalreporter.section(title)
            terminalreporter.write(text if text.endswith("\n") else f"{text}\n")
        self._tell_of_recordings(terminalreporter)
        error = self._hand_over()
        if error:
            terminalreporter.section("pytest_llmeval_run_finished failed", red=True)
            terminalreporter.write(error)

    def _tell_of_recordings(self, terminalreporter: pytest.TerminalReporter) -> None:
        from pytest_llmeval.cassettes.redact import SecretScanner
        from pytest_llmeval.reports.recordings import recording_lines

        option = self._config.getoption
        narrowed = any(option(name, None) for name in ("keyword", "markexpr", "lf", "deselect"))
        narrowed = narrowed or not all(Path(argument).is_dir() for argument in self._config.args)
        lines = recording_lines(self.run(), self._config.invocation_params.args, whole=not narrowed)
        if lines:
            # Projects have options of their own, and take keys by them.
            mask = SecretScanner(os.environ).mask
            terminalreporter.section("LLM recordings")
            for line in lines:
                terminalreporter.write_line(mask(line))

    def _render(self) -> list[tuple[str, str]]:
        from pytest_llmeval.reports.sections import sections

        writer = self._config.get_terminal_writer()
        return sections(
            self.run(),
            width=writer.fullwidth,
            color=writer.hasmarkup,
            brief=self._config.get_verbosity() < 0,
            encoding=getattr(sys.stdout, "encoding", None) or "utf-8",
        )

    def _hand_over(self) -> str:
        """Call the hook; a fault of its implementation fails the run, and costs nobody the summary."""
        try:
            self._config.hook.pytest_llmeval_run_finished(config=self._config, run=self.run())
        except Exception:
            # Anybody's code, and the last that runs: let through, it would cost other plugins what they have to say.
            if self._session is not None:
                self._session.exitstatus = 1
            from pytest_llmeval.cassettes.redact import SecretScanner

            return SecretScanner(os.environ).mask(traceback.format_exc())
        return ""

    def run(self) -> Run:
        """Return the records gathered so far."""
        if self._run is None:
            # Those who look may ask for the run themselves.
            self._run = self._judged(self._gathered())
            for look in self.looks:
                self._run = look(self._run)
        return self._run

    def _gathered(self) -> Run:
        from pytest_llmeval.candidates import split_names
        from pytest_llmeval.records import Run, TestRecord
        from pytest_llmeval.samples import case_nodeid

        tests = [TestRecord.from_json(record) for record in self._records.values()]
        # Workers of xdist finish in any order; the report must not depend on it.
        tests.sort(key=lambda test: (case_nodeid(test.nodeid, test.sample), test.sample or 0))
        unpinned = {test.candidate: test.unpinned for test in tests if test.unpinned}
        budgeting = self._config.pluginmanager.get_plugin("llmeval_budget")
        spending = budgeting.spending if budgeting is not None else None
        names, texts = split_names(self._options.models), dict(sorted(self._texts.items()))
        return Run(names, self._options.record, tests, unpinned, budget=spending, texts=texts)

    def _judged(self, run: Run) -> Run:
        if not self._options.require and not _may_require(self._config.rootpath):
            return run
        from pytest_llmeval.errors import ConfigError
        from pytest_llmeval.judging import judged, requirements_of, task_requirements_of
        from pytest_llmeval.runheader import CandidateInfo

        try:
            requirements = requirements_of(self._config.rootpath, self._options.require)
            tasks = task_requirements_of(self._config.rootpath, self._options.require)
        except ConfigError:
            # Each test has failed of it, and said so.
            return run
        return judged(run, requirements, map(CandidateInfo.from_json, self._described.values()), tasks)


def _may_require(rootdir: Path) -> bool:
    """Whether settings speak of requirements. Where xdist's workers ask, nothing here has needed the settings yet."""
    files = (rootdir / "llmeval.toml", rootdir / "pyproject.toml")
    return any(b"requirements" in file.read_bytes() for file in files if file.is_file())


def collect(config: pytest.Config, options: Options) -> None:
    """Register what collects the records of a run, and what others make of them: gates, files, comparisons."""
    collector = Collector(config, options)
    register = config.pluginmanager.register
    register(collector, "llmeval_collector")
    if options.require or options.require_fail or options.fail_on[1]:
        from pytest_llmeval.gating import Gating

        register(Gating(options, config, collector), "llmeval_gating")
    if not (options.save or options.reports or options.compare):
        return
    from pytest_llmeval.origins import RunOrigin

    origin = RunOrigin(options)
    regression = None
    if options.compare:
        from pytest_llmeval.regression import Regression

        regression = Regression(config, options, collector.run, origin)
    if options.save or options.reports:
        from pytest_llmeval.saving import Saving

        compared = [regression.shown] if regression is not None else []
        register(Saving(options, collector.run, origin, *compared), "llmeval_saving")
    if regression is not None:
        register(regression, "llmeval_regression")
