"""Runs a test several times per case, and lets the case pass or fail by how many of its samples passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmeval.collected import sample_of
from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.samples import PASSED, VERDICTS, case_nodeid, rate_is_met, sample_nodeid, samples_of

if TYPE_CHECKING:
    from pytest_llmeval.runningtest import RunningTest

MARKER = "llm_repeat"
FIXTURE = "llm_sample"
LASTFAILED = "cache/lastfailed"
#: A message of hundreds of failed samples, or a very long one, would bury the rest.
MOST_LINES = 10
MOST_CHARACTERS = 200


def run_per_sample(metafunc: pytest.Metafunc, asked: int) -> None:
    """Parametrize a test with its samples: those that its marker asks for, else the option.

    Raises:
        pytest.Collector.CollectError: The marker cannot be used, or the test asks nobody.
    """
    test = metafunc.definition
    if "llm_candidate" not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"{test.nodeid} has the marker {MARKER} and asks no candidate: take the fixture llm."
        )
    marker = test.get_closest_marker(MARKER)
    try:
        samples = samples_of(marker.args, marker.kwargs, asked) if marker else samples_of((), {}, asked)
    except ConfigError as exc:
        raise pytest.Collector.CollectError(f"{test.nodeid}: {exc}") from None
    if len(samples) > 1:
        if FIXTURE not in metafunc.fixturenames:
            metafunc.fixturenames.append(FIXTURE)
        # The first one goes by the name that the test has without repeats, and so does its recording.
        ids = [pytest.HIDDEN_PARAM, *(sample.id for sample in samples[1:])]
        metafunc.parametrize(FIXTURE, samples, ids=ids, indirect=True)


def selected_samples(items: Iterable[pytest.Item]) -> Counter[str]:
    """Return how many samples of each case are to run, by the case's node id.

    Raises:
        pytest.UsageError: A sample has the name of another test.
    """
    selected: Counter[str] = Counter()
    names: dict[str, bool] = {}
    for item in items:
        sample = sample_of(item)
        later = sample is not None and sample.number > 1
        if names.setdefault(item.nodeid, later) != later:
            raise pytest.UsageError(
                f"{item.nodeid} is a test, and a sample of another one, so that both would have one recording. Rename "
                "the parameter id that ends like a sample's."
            )
        if sample is not None:
            selected[case_nodeid(item.nodeid, sample.number)] += 1
    return selected


def note_sample(report: pytest.TestReport, test: RunningTest, selected: int, in_subtest: bool) -> None:
    """Note in a report which sample it is of; hold a failure where the case has a pass rate to meet.

    Args:
        report: Changed in place.
        test: A test with a sample.
        selected: How many samples of its case are to run.
        in_subtest: Whether the report is of a subtest.
    """
    assert test.sample is not None
    report.llmeval_sample = [test.sample.number, selected]  # type: ignore[attr-defined]
    failed = report.outcome == "failed" or (report.outcome == "passed" and not in_subtest)
    if test.sample.min_pass_rate is None or report.when != "call" or test.outcome != "failed" or not failed:
        return
    if report.longrepr is None:
        report.longrepr = "A subtest failed."
    # To others this is a failure that was expected: they neither count it as a pass, nor stop for it, nor run it again.
    report.outcome = "skipped"
    report.wasxfail = first_line(test.message or "")
    report.llmeval_held = "subtest" if in_subtest else "sample"  # type: ignore[attr-defined]


class Explanation(str):
    """Why a case fails, in lines, the first of which says it all."""

    @property
    def reprcrash(self) -> Crash:
        """What pytest and JUnit XML show where there is one line."""
        return Crash(self.partition("\n")[0])


@dataclass(frozen=True, slots=True)
class Crash:
    """One line in place of a whole explanation."""

    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(slots=True)
class _Case:
    """What has been reported of a case.

    Attributes:
        last: A report of one of its samples, and that sample's number.
        selected: How many samples are to run.
        outcomes: Outcome and message of each sample that has run, by its number.
        failure: The first failure as pytest shows it, and its sample's number.
        again: Samples that another plugin runs again.
    """

    last: tuple[pytest.TestReport, int]
    selected: int
    asked: int = 1
    min_pass_rate: float | None = None
    outcomes: dict[int, tuple[str, str]] = field(default_factory=dict)
    failure: tuple[int, str] | None = None
    again: set[int] = field(default_factory=set)
    judged: bool = False

    def take(self, report: pytest.TestReport, number: int) -> None:
        """Note a report of one of the samples."""
        self.last = report, number
        if report.when == "setup":
            self.again.discard(number)
        # pytest-rerunfailures has an outcome of its own.
        if str(report.outcome) == "rerun":
            self.again.add(number)
        if getattr(report, "llmeval_held", None) and self.failure is None:
            self.failure = number, report.longreprtext
        record: dict[str, Any] | None = getattr(report, "llmeval", None)
        if record is None:
            return
        self.asked, self.min_pass_rate = record["samples"], record["min_pass_rate"]
        if number not in self.again:
            self.outcomes[number] = record["outcome"], record["message"] or ""
        elif self.failure is not None and self.failure[0] == number:
            self.failure = None

    @property
    def complete(self) -> bool:
        """Whether each sample that is to run has run."""
        return len(self.outcomes) >= self.selected

    @property
    def fails(self) -> bool:
        """Whether too many samples failed. A failure that was expected (`xfail`) fails no case."""
        failed = any(outcome == "failed" for outcome, _ in self.outcomes.values())
        return failed and self.min_pass_rate is not None and not rate_is_met(*self._counts(), self.min_pass_rate)

    def explain(self) -> Explanation:
        """Return why the case fails."""
        lines = [f"{self._count()}; min_pass_rate is {self.min_pass_rate}", *self._samples()]
        if self.failure is not None:
            number, text = self.failure
            lines += ["", f"Sample {number}:", text]
        return Explanation("\n".join(lines))

    def _counts(self) -> tuple[int, int]:
        """Return how many samples passed, and how many passed or failed."""
        outcomes = Counter(outcome for outcome, _ in self.outcomes.values())
        return sum(outcomes[each] for each in PASSED), sum(outcomes[each] for each in VERDICTS)

    def _count(self) -> str:
        passes, verdicts = self._counts()
        if verdicts < self.asked:
            return f"{passes} of {verdicts} samples that ran passed ({self.asked} asked)"
        return f"{passes} of {verdicts} samples passed"

    def _samples(self) -> Iterator[str]:
        told = [number for number, (outcome, _) in sorted(self.outcomes.items()) if outcome not in PASSED]
        for number in told[:MOST_LINES]:
            outcome, message = self.outcomes[number]
            verdict = "" if outcome == "failed" else f" {outcome}" if outcome in VERDICTS else f" no verdict, {outcome}"
            yield ": ".join(filter(None, (f"  sample {number}{verdict}", first_line(message))))
        if len(told) > MOST_LINES:
            yield f"  ... and {len(told) - MOST_LINES} more"


def first_line(message: str) -> str:
    """Return the first line of a message, without anything that could steer a terminal."""
    return escape(message.strip().partition("\n")[0])[:MOST_CHARACTERS]


class CaseReports:
    """Fails cases too few samples of which passed; lives where reports are, on the controller.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cases: dict[str, _Case] = {}

    def take(self, report: pytest.TestReport) -> None:
        """Note a report of a sample; after the last one, say what became of its case."""
        number, selected = report.llmeval_sample
        nodeid = case_nodeid(report.nodeid, number)
        case = self._cases.setdefault(nodeid, _Case((report, number), selected))
        case.take(report, number)
        if case.complete:
            self._judge(nodeid, case)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Judge the cases that were left unfinished; have `--lf` run all samples of a case again."""
        failed = [self._judge(nodeid, case) for nodeid, case in self._cases.items()]
        if any(failed) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        yield
        self._widen_last_failed()

    def _judge(self, nodeid: str, case: _Case) -> bool:
        """Report a case as failed if it is, once; return whether that was done."""
        if case.judged or not case.outcomes:
            return False
        case.judged = True
        if case.fails:
            self._report(nodeid, case)
        return case.fails

    def _report(self, nodeid: str, case: _Case) -> None:
        (last, number), text = case.last, case.explain()
        path, line, name = last.location
        for when, longrepr in (("call", text), ("teardown", None)):
            report = pytest.TestReport(
                nodeid=nodeid,
                location=(path, line, case_nodeid(name, number)),
                keywords=last.keywords,
                outcome="passed" if longrepr is None else "failed",
                longrepr=longrepr,
                when=when,  # type: ignore[arg-type]
            )
            self._config.hook.pytest_runtest_logreport(report=report)
        self._count_in_xdist()

    def _count_in_xdist(self) -> None:
        """Count a failure for -x and --maxfail: xdist counts what workers send, and nothing else."""
        dsession = self._config.pluginmanager.get_plugin("dsession")
        if dsession is not None:
            dsession.countfailures += 1
            if dsession.maxfail and dsession.countfailures >= dsession.maxfail and not dsession.shouldstop:
                dsession.shouldstop = f"stopping after {dsession.countfailures} failures"

    def _widen_last_failed(self) -> None:
        cache = getattr(self._config, "cache", None)
        if cache is None:
            return
        failed = cache.get(LASTFAILED, {})
        cases = ([sample_nodeid(nodeid, n) for n in range(1, case.asked + 1)] for nodeid, case in self._cases.items())
        missing = [each for samples in cases if failed.keys() & set(samples) for each in samples if each not in failed]
        if missing:
            cache.set(LASTFAILED, {**failed, **dict.fromkeys(missing, True)})
