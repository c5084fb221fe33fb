"""What happens while one test runs, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from operator import itemgetter
from statistics import fmean

from pytest_llmeval.records import DEFAULT_SCORE, NO_VERDICT, Call, TestRecord
from pytest_llmeval.response import Response
from pytest_llmeval.running import Running


class TestLog:
    """Collects what happens while one test runs: calls, scores, JSON checks. Thread-safe: it only appends."""

    __test__ = False

    def __init__(self, candidate: str, unpinned: str | None = None) -> None:
        self.candidate = candidate
        self.unpinned = unpinned
        self.prompts: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._places = count()
        self._calls: list[tuple[int, Call]] = []
        self._scores: list[tuple[str, float]] = []
        self._fields: list[tuple[str, float]] = []
        self._json: dict[int, tuple[bool, object]] = {}

    @property
    def calls(self) -> list[Call]:
        """The calls so far, in the order in which they began: which of several ends first is chance."""
        return [call for _, call in sorted(self._calls, key=itemgetter(0))]

    def begin_call(self) -> int:
        """Return the place of a call that begins now."""
        return next(self._places)

    def note_call(self, call: Call, place: int | None = None) -> None:
        """Add a finished or failed call, at the place that it got when it began."""
        self._calls.append((self.begin_call() if place is None else place, call))

    def note_prompt(self, name: str, sha256: str) -> None:
        """Add a file that a prompt was read from."""
        self.prompts[name] = sha256

    def note_score(self, value: float, name: str = DEFAULT_SCORE) -> None:
        """Add a score (0-1) under a name."""
        self._scores.append((name, value))

    def note_fields(self, scores: Iterable[tuple[str, float]]) -> None:
        """Add the scores of single fields."""
        self._fields.extend(scores)

    def note_json(self, valid: bool, reply: object) -> None:
        """Add the outcome of a check for valid JSON. A `Response` that is checked several times counts once."""
        # A text gets an entry of its own each time; whatever is kept here also keeps its id from another answer.
        subject = reply if isinstance(reply, Response) else object()
        before, _ = self._json.get(id(subject), (True, subject))
        self._json[id(subject)] = (before and valid, subject)

    def record(
        self, nodeid: str, outcome: str, *, message: str | None = None, cassette: str | None = None
    ) -> TestRecord:
        """Return the finished record. A test that noted no score counts 1 if it passed and 0 if it failed."""
        scores = _means(self._scores)
        return TestRecord(
            nodeid=nodeid,
            candidate=self.candidate,
            outcome=outcome,
            score=overall_score(scores, outcome),
            scores=scores,
            fields=_means(self._fields),
            json_checked=len(self._json),
            json_valid=sum(valid for valid, _ in self._json.values()),
            calls=self.calls,
            message=message,
            cassette=cassette,
            unpinned=self.unpinned,
            prompts=dict(self.prompts),
        )


def overall_score(scores: dict[str, float], outcome: str) -> float | None:
    """Return a test's score: the unnamed one, else the mean of the named ones, else pass or fail; None for errors.

    >>> overall_score({}, "passed"), overall_score({"tone": 0.5}, "failed"), overall_score({"score": 1.0}, "error")
    (1.0, 0.5, None)
    """
    if outcome in NO_VERDICT:
        return None
    if DEFAULT_SCORE in scores:
        return scores[DEFAULT_SCORE]
    if scores:
        return fmean(scores.values())
    return 1.0 if outcome in ("passed", "xpassed") else 0.0


def _means(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    # By name, as threads note theirs in any order.
    return {name: fmean(values) for name, values in sorted(groups.items())}


running_log: Running[TestLog] = Running("llmeval_log")
