"""Independent samples of one case: how they are named, and what the case comes to over all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from pytest_llmeval.cassettes.paths import without_candidate
from pytest_llmeval.display import shorten
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.records import TestRecord
from pytest_llmeval.stats import Interval, pass_at_k, pass_hat_k, weighted_interval

#: Outcomes of samples that passed, and of all that say anything about the candidate.
PASSED = ("passed", "xpassed")
VERDICTS = (*PASSED, "failed", "xfailed")
#: Outcomes of samples that did not run.
LEFT_OUT = ("skipped", "not_run")
# 0.1 + 0.2 is not 0.3, and nobody should have to know.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sample:
    """Which of several independent samples of one case a test is.

    Attributes:
        number: From 1.
        of: How many were asked for.
        min_pass_rate: Share of the samples that has to pass, if not each one has to pass by itself.
    """

    number: int
    of: int
    min_pass_rate: float | None = None

    @property
    def id(self) -> str:
        """Part of the test id. The first sample has none: it is the test as it was before it was repeated."""
        return f"sample{self.number}"


def samples_of(args: Sequence[Any], kwargs: Mapping[str, Any], asked: int) -> list[Sample]:
    """Return the samples that the marker `llm_repeat` asks for.

    Args:
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        asked: How many samples are asked for where the marker does not say.

    Raises:
        ConfigError: Arguments that cannot be used.

    >>> samples_of([2], {"min_pass_rate": 0.5}, asked=1)
    [Sample(number=1, of=2, min_pass_rate=0.5), Sample(number=2, of=2, min_pass_rate=0.5)]
    """
    given = ", ".join([*map(shorten, args), *(f"{name}={shorten(value)}" for name, value in kwargs.items())])
    n, rate = (args[0] if args else kwargs.get("n", asked)), kwargs.get("min_pass_rate")
    if len(args) > 1 or kwargs.keys() - {"n", "min_pass_rate"} or (args and "n" in kwargs):
        raise ConfigError(f"llm_repeat({given}): it takes n and min_pass_rate: llm_repeat(10, min_pass_rate=0.8).")
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ConfigError(f"llm_repeat({given}): write how many samples as a whole number from 1: llm_repeat(10).")
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if rate is not None and not (number and 0 < rate <= 1):
        raise ConfigError(
            f"llm_repeat({given}): write the share of samples that has to pass as a number above 0, up to 1: "
            "min_pass_rate=0.8."
        )
    return [Sample(number, n, rate) for number in range(1, n + 1)]


def case_nodeid(nodeid: str, number: int | None) -> str:
    """Return the node id of a sample's case, which is that of its first sample.

    >>> case_nodeid("test_x.py::test_x[smol-case1-sample3]", 3)
    'test_x.py::test_x[smol-case1]'
    """
    if number is None or number == 1:
        return nodeid
    # xdist may have put the name of a group behind the id.
    test, _, rest = nodeid.rpartition(f"-sample{number}]")
    return f"{test}]{rest}"


def sample_nodeid(case: str, number: int) -> str:
    """Return the node id of one sample of a case.

    >>> sample_nodeid("test_x.py::test_x[smol-case1]", 3)
    'test_x.py::test_x[smol-case1-sample3]'
    """
    if number == 1:
        return case
    test, _, rest = case.rpartition("]")
    return f"{test}-sample{number}]{rest}"


def case_key(nodeid: str, candidate: str) -> str:
    """Return what is the same of a case for all candidates: its node id without that of the candidate.

    >>> case_key("tests/test_x.py::test_x[smol-case1]", "smol")
    'tests/test_x.py::test_x[case1]'
    """
    file, separator, test = nodeid.partition("::")
    return f"{file}{separator}{without_candidate(test, candidate)}" if separator else without_candidate(file, candidate)


@dataclass(slots=True)
class CaseResult:
    """One case with one candidate, over all of its samples; a test that is not repeated is a case of one sample.

    Attributes:
        nodeid: Node id of the case, which is that of its first sample.
        case: Id of the case, if it has one (`llm_cases`).
        samples: How many were asked for.
        ran: How many ran and were not skipped.
        passes, verdicts: Samples that passed, of those that passed or failed.
        errors: Samples without a verdict: a call, the setup or the recording failed.
        min_pass_rate: Share of the samples that has to pass; None if all of them have to.
        score: Mean score of the samples, 0-1; None if none has one.
        spread: Standard deviation of their scores (n - 1); None for fewer than two.
        scores: Mean score by name.
        weight: Weight of the case.
        digests: What was answered, sample by sample, as `Call.digest` has it.
        tests: The records of its samples.
    """

    nodeid: str
    candidate: str
    case: str | None
    samples: int
    ran: int
    passes: int
    verdicts: int
    errors: int
    min_pass_rate: float | None
    score: float | None
    spread: float | None
    scores: Mapping[str, float]
    weight: float
    digests: tuple[tuple[str | None, ...], ...]
    tests: Sequence[TestRecord] = ()

    @property
    def name(self) -> str:
        """What a list of one candidate's cases calls it: the id of the case, else the test without its file."""
        return _name(self.case, self.nodeid, self.candidate)

    @property
    def passed(self) -> bool:
        """Whether enough of the samples that passed or failed passed; never without one that did."""
        return self.passes > 0 and rate_is_met(self.passes, self.verdicts, self.min_pass_rate)

    @property
    def flaky(self) -> bool:
        """Whether some samples passed and others failed."""
        return 0 < self.passes < self.verdicts


def name_of(test: TestRecord) -> str:
    """Return what a list of one candidate's cases calls the case of a test.

    >>> name_of(TestRecord("tests/test_x.py::test_x[mini-1-sample2]", "mini", sample=2))
    'test_x[1]'
    """
    return _name(test.case, case_nodeid(test.nodeid, test.sample), test.candidate)


def _name(case: str | None, nodeid: str, candidate: str) -> str:
    return case or without_candidate(nodeid.partition("::")[2] or nodeid, candidate)


def rate_is_met(passes: int, verdicts: int, min_pass_rate: float | None) -> bool:
    """Whether enough samples passed: all of them, if no rate says otherwise.

    >>> rate_is_met(8, 10, 0.8), rate_is_met(7, 10, 0.8), rate_is_met(9, 10, None)
    (True, False, False)
    """
    wanted = 1.0 if min_pass_rate is None else min_pass_rate
    return passes >= wanted * verdicts - ROUNDING


def cases_of(tests: Iterable[TestRecord], *, known_failing: bool = False) -> list[CaseResult]:
    """Put the samples of each case together, in the order of their first samples.

    Args:
        tests: The records.
        known_failing: Whether to return those cases that do not count (`llm_known_failing`), instead of those that do.

    >>> [case] = cases_of([TestRecord("test_x[a]", "a", score=1.0, sample=1, samples=2),
    ...                    TestRecord("test_x[a-sample2]", "a", "failed", score=0.5, sample=2, samples=2)])
    >>> case.passes, case.verdicts, case.score
    (1, 2, 0.75)
    """
    groups: dict[tuple[str, str, int], list[TestRecord]] = {}
    for number, test in enumerate(tests):
        if (test.known_failing is not None) != known_failing:
            continue
        # Only samples belong together: of what else has one name, each is a case.
        key = test.candidate, case_nodeid(test.nodeid, test.sample), number if test.sample is None else -1
        groups.setdefault(key, []).append(test)
    return [_case(nodeid, samples) for (_, nodeid, _), samples in groups.items()]


def score_of(cases: Iterable[CaseResult]) -> Interval | None:
    """Return the mean score of cases by their weights, with its 95% interval; None if none has a score.

    >>> score_of(cases_of([TestRecord("test_x[a]", "a", score=1.0), TestRecord("test_y[a]", "a", score=0.5)])).mean
    0.75
    """
    return mean_score((case.score, case.weight) for case in cases)


def mean_score(scores: Iterable[tuple[float | None, float]]) -> Interval | None:
    """Return the mean of scores by their weights, with its 95% interval; None where there is none but None."""
    known = [(score, weight) for score, weight in scores if score is not None]
    return weighted_interval([score for score, _ in known], [weight for _, weight in known])


def _case(nodeid: str, samples: Sequence[TestRecord]) -> CaseResult:
    first = samples[0]
    outcomes = [test.outcome for test in samples]
    scores = [test.score for test in samples if test.score is not None]
    return CaseResult(
        nodeid=nodeid,
        candidate=first.candidate,
        case=first.case,
        samples=first.samples,
        ran=len([outcome for outcome in outcomes if outcome not in LEFT_OUT]),
        passes=len([outcome for outcome in outcomes if outcome in PASSED]),
        verdicts=len([outcome for outcome in outcomes if outcome in VERDICTS]),
        errors=outcomes.count("error"),
        min_pass_rate=first.min_pass_rate,
        score=fmean(scores) if scores else None,
        spread=_spread(scores) if len(scores) > 1 else None,
        scores=first.scores if len(samples) == 1 else _named(samples),
        weight=first.weight,
        digests=tuple([tuple([call.digest for call in test.calls]) for test in samples if test.outcome in VERDICTS]),
        tests=samples,
    )


def _named(samples: Sequence[TestRecord]) -> dict[str, float]:
    names = {name: None for test in samples for name in test.scores}
    return {name: fmean(test.scores[name] for test in samples if name in test.scores) for name in names}


def _spread(scores: Sequence[float]) -> float:
    # `statistics.stdev` is exact, and takes ten times as long.
    mean = fmean(scores)
    return math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the repeated cases of one candidate come to.

    Attributes:
        samples: Fewest and most samples that were asked for.
        cases: How many cases were repeated.
        counted: Cases with at least `k` samples that passed or failed: those that the figures of `k` samples are of.
        pass_at_1: Mean share of samples that passed; None if no sample passed or failed.
        k: Samples that `pass_at_k` and `pass_hat_k` are of, which is the fewest that were asked for.
        pass_at_k: Chance that at least one of k samples passes, on average over cases; None if no case counted.
        pass_hat_k: Chance that all k samples pass, likewise.
        spread: Mean standard deviation of the scores of a case's samples; None without two scores of one case.
        identical: Whether the samples of each case were answered with the same texts.
        flaky: Cases some of whose samples passed and others failed: the lowest share of passes first.
    """

    samples: tuple[int, int]
    cases: int
    counted: int
    pass_at_1: float | None
    k: int
    pass_at_k: float | None
    pass_hat_k: float | None
    spread: float | None
    identical: bool
    flaky: tuple[CaseResult, ...]


def repeats_of(cases: Iterable[CaseResult]) -> Repeats | None:
    """Return what those cases come to that were repeated; None without one."""
    repeated = [case for case in cases if case.samples > 1]
    if not repeated:
        return None
    asked = [case.samples for case in repeated]
    k = min(asked)
    counted = [(case.verdicts, case.passes, k) for case in repeated if case.verdicts >= k]
    spreads = [case.spread for case in repeated if case.spread is not None]
    return Repeats(
        samples=(k, max(asked)),
        cases=len(repeated),
        counted=len(counted),
        pass_at_1=_mean(case.passes / case.verdicts for case in repeated if case.verdicts),
        k=k,
        pass_at_k=_mean(pass_at_k(*each) for each in counted),
        pass_hat_k=_mean(pass_hat_k(*each) for each in counted),
        spread=_mean(spreads),
        identical=_identical(repeated),
        flaky=tuple(sorted((case for case in repeated if case.flaky), key=lambda case: case.passes / case.verdicts)),
    )


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return fmean(known) if known else None


def _identical(cases: Sequence[CaseResult]) -> bool:
    several = [case.digests for case in cases if len(case.digests) > 1]
    # A text that is not known, or no call at all, says nothing.
    told = all(digests[0] and None not in digests[0] for digests in several)
    return bool(several) and told and all(set(digests) == {digests[0]} for digests in several)
