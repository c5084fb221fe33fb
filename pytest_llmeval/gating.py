"""Fails a run that is not good enough, though each of its tests may have passed."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.gate import Condition, Gate, hold, parse_conditions
from pytest_llmeval.options import Options

if TYPE_CHECKING:
    from pytest_llmeval.collector import Collector
    from pytest_llmeval.comparison import Comparison
    from pytest_llmeval.records import Run


class Gating:
    """Registered on the controller where a run has to meet something.

    Args:
        options: What was asked for.
        config: pytest's configuration.
        collector: Has the records.

    Raises:
        pytest.UsageError: Conditions or requirements that cannot be used, or of which there is none.
    """

    def __init__(self, options: Options, config: pytest.Config, collector: Collector) -> None:
        self._options = options
        self._config = config
        self._collector = collector
        self._conditions: list[Condition] = []
        self._left_out: list[Condition] = []
        self._lines: list[tuple[str, dict[str, bool]]] = []
        try:
            if options.require or options.require_fail:
                _check_requirements(options)
            if options.fail_on[1]:
                self._conditions, self._left_out = _conditions(*options.fail_on, compares=bool(options.compare))
                collector.looks.append(self._gated)
        except ConfigError as exc:
            raise pytest.UsageError(str(exc)) from None

    def _gated(self, run: Run) -> Run:
        """Return a run with what became of its conditions."""
        from pytest_llmeval.measuring import measured_of

        strict = self._options.gate == "strict"
        measured = measured_of(run, [condition.figure for condition in self._conditions], self._comparison())
        outcomes = hold(self._conditions, measured, strict=strict)
        gate = Gate(tuple(self._conditions), strict, tuple(measured), tuple(outcomes), tuple(self._left_out))
        return replace(run, gate=gate)

    def _comparison(self) -> Comparison | None:
        """Return what became of the figures since the baseline, if a condition is about that."""
        regression = self._config.pluginmanager.get_plugin("llmeval_regression")
        if regression is None or not any(condition.needs_baseline for condition in self._conditions):
            return None
        compared: tuple[Run, Comparison] | None = regression.compared()
        return compared[1] if compared is not None else None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Set the exit status."""
        from pytest_llmeval.reports.gate import gate_lines
        from pytest_llmeval.reports.verdicts import not_met_lines

        run = self._collector.run()
        failing = not_met_lines(run.recommendations) if self._options.require_fail else []
        unsure: list[str] = []
        if run.gate is not None:
            failed, unsure = gate_lines(run.gate)
            failing += failed
        self._lines = [(line, {"yellow": True}) for line in unsure]
        self._lines += [(line, {"red": True, "bold": True}) for line in failing]
        if failing and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if not self._config.pluginmanager.has_plugin("terminalreporter"):
            for line, _ in self._lines:
                print(line, file=sys.stderr)  # noqa: T201 - nobody else is there to say it

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why the run failed, and what may be a reason to fail that nobody can establish."""
        for line, style in self._lines:
            terminalreporter.write_line(line, **style)


def _check_requirements(options: Options) -> None:
    from pytest_llmeval.judging import requirements_of, task_requirements_of

    wanted = requirements_of(options.rootdir, options.require), *task_requirements_of(options.rootdir).values()
    if not any(wanted) and options.require_fail:
        raise ConfigError(
            "--llm-require-fail: nothing is required. Write --llm-require=max_latency_ms=2000, or "
            "[tool.llmeval.requirements] in pyproject.toml."
        )


def _conditions(text: str, source: str, *, compares: bool) -> tuple[list[Condition], list[Condition]]:
    """Return the conditions that can be looked at, and those on changes where there is nothing to compare with."""
    conditions = parse_conditions(text, source)
    changes = [condition for condition in conditions if condition.needs_baseline and not compares]
    if changes and source == "--llm-fail-on":
        raise ConfigError(
            f"{source}: {', '.join(condition.text for condition in changes)}: a change needs a run to compare with: "
            "--llm-compare=NAME. A limit on the figure itself needs none: score<0.8, p95>2s."
        )
    # What stands in the configuration is for every run, also for those that compare with nothing.
    return [condition for condition in conditions if condition not in changes], changes
