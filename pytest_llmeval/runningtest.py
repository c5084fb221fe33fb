"""A test from its setup to its teardown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.outcomes import NOT_RUN
from pytest_llmeval.testlog import TestLog, running_log

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cases import Case
    from pytest_llmeval.samples import Sample


@dataclass(slots=True)
class RunningTest:
    """A test from its setup to its teardown."""

    nodeid: str
    candidate: Candidate | None
    log: TestLog
    cassette: Cassette
    case: Case | None = None
    sample: Sample | None = None
    task: str | None = None
    source: str | None = None
    outer: tuple[Cassette | None, TestLog | None] = (None, None)
    fixtures: list[Cassette] = field(default_factory=list)
    outcome: str | None = None
    message: str | None = None
    unwritten: bool = False
    _told: int = 0
    #: Whether an answer is still on its way when the test is over: whoever takes it ends the recording.
    held: bool = False

    def tell_of_misses(self, report: Any) -> None:
        """Make a report say that recordings are missing, whatever the code under test made of that."""
        misses = self.cassette.misses
        if not misses and len(self.cassette.refused) > (self._told if report.when == "teardown" else 0):
            self._tell_of_refusal(report)
        if misses and report.outcome == "skipped":
            # That a recording is missing is neither a reason to skip nor the failure that was expected.
            report.outcome, report.longrepr = "failed", misses[0]
            vars(report).pop("wasxfail", None)
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and misses and crash.message.endswith(misses[0]):
            # pytest repeats this in its last lines, where the nearest request and the command would bury the rest.
            crash.message = crash.message.partition("\n")[0]

    def _tell_of_refusal(self, report: Any) -> None:
        """Make a report say that the test was not run, whatever the code under test made of the refusal."""
        self._told = len(self.cassette.refused)
        path, line, _ = report.location
        report.outcome = "skipped"
        report.longrepr = path, (line or 0) + 1, f"Skipped: {self.cassette.refused[0]}"
        vars(report).pop("wasxfail", None)
        setattr(report, NOT_RUN, True)


class bound:  # noqa: N801 - used as the functions of contextlib are
    """Bind a test to this context, so that tasks and executors started inside keep belonging to it."""

    __slots__ = ("_cassette", "_log")

    def __init__(self, test: RunningTest) -> None:
        self._cassette = running_cassette.bound(test.cassette)
        self._log = running_log.bound(test.log)

    def __enter__(self) -> None:
        self._cassette.__enter__()
        self._log.__enter__()

    def __exit__(self, *_: object) -> None:
        self._log.__exit__()
        self._cassette.__exit__()
