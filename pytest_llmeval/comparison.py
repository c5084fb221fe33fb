"""What comes of comparing two runs, or the candidates of one: values that `comparing` makes, for reports and gates.

comparison = compare_runs(baseline, run)            # `comparing.compare_runs`
for candidate in comparison.candidates:             # those that both runs have
    change = candidate.changes["p95"]               # one for each of `gate.FIGURES`, always
    change.before, change.after                     # None where nobody knows
    change.change, change.relative                  # `Estimate`: value, low, high; None where a side is unknown
    change.p, change.established, change.verdict    # Holm's p value over all candidates; at the interval's level
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_llmeval.attribution import Cause, grouped
from pytest_llmeval.gate import FIGURES
from pytest_llmeval.stats.differences import Estimate, PairedDifference

Verdict = Literal["better", "worse", "same", "cannot tell", "unknown"]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one candidate, before and after, over the cases in which both have it.

    Attributes:
        figure: One of `gate.FIGURES`.
        before, after: In the figure's own unit: 0-1, milliseconds, USD; None for what nobody knows.
        change: ``after - before``, with its interval; None if a side is unknown.
        relative: The same as a fraction of `before`; None if a side is unknown or 0. That of a share has no interval.
        p: p value of no difference, which allows for the other candidates (Holm); None where the cases are too few.
        n: Cases; repeats count once.
        same: Whether each case has what it had.
        why: Why a side is unknown; empty if none is.
    """

    figure: str
    before: float | None = None
    after: float | None = None
    change: Estimate | None = None
    relative: Estimate | None = None
    p: float | None = None
    n: int = 0
    same: bool = False
    why: str = ""

    @property
    def shown(self) -> Estimate | None:
        """The difference as people read it: relative for times and costs, else in points."""
        return self.change if FIGURES[self.figure] or self.relative is None else self.relative

    @property
    def established(self) -> bool:
        """Whether there is a difference, at the interval's confidence."""
        found = self.shown
        if found is None or self.p is None:
            return False
        return self.p <= 1 - found.confidence + 1e-12 and found.value != 0 and 0 not in found

    @property
    def verdict(self) -> Verdict:
        """What can be said of the figure: of shares more is better, of times and costs less."""
        if self.change is None:
            return "unknown"
        if self.established:
            return "better" if (self.change.value > 0) == FIGURES[self.figure] else "worse"
        return "same" if self.same else "cannot tell"


@dataclass(frozen=True, slots=True)
class CaseChange:
    """One case that scores differently, or passes no more, or passes now.

    Attributes:
        name: What a list of one candidate's cases calls it.
        key: The node id of its first sample, without the candidate.
        before, after: Its score; the mean of its repeats.
        cause: What a loss follows; None for what was won, and between two candidates.
        flipped: Whether it scores the same, and passed before or passes now.
    """

    name: str
    key: str
    before: float
    after: float
    cause: Cause | None = None
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Uncompared:
    """One case whose scores cannot be compared.

    Attributes:
        name, key: As in `CaseChange`.
        before, after: Its outcome (``error``, ``skipped``, ``not_run``; ``passed`` and others where it has a score);
            None if it is not in that run.
    """

    name: str
    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the cases can tell.

    Attributes:
        n: Cases that were compared.
        resolves: The smallest difference of scores that they establish with a chance of 80%; None if they are too few
            to establish any.
        target: A smaller difference that may matter.
        needed: How many cases establish that; None if nobody could have as many.
    """

    n: int
    resolves: float | None
    target: float
    needed: int | None


@dataclass(frozen=True, slots=True)
class CandidateChange:
    """One candidate before and after; or one candidate (`before_name`) and another.

    Attributes:
        name: Name of the candidate.
        before_name: Its name before, which is the same, but where one candidate is compared with another.
        changes: By figure: one for each of `gate.FIGURES`; in the standings of a comparison, all but the score unknown.
        score: What is known of the scores; None if no case has one on both sides.
        lost, won: Cases that score lower or higher, the largest difference first.
        uncompared: Cases that only one side has, or that have no score on one of them.
        resolution: What the cases can tell of scores; None where they do tell.
        prices: What changed in the candidate's prices, a line each.
    """

    name: str
    before_name: str
    changes: Mapping[str, Change]
    score: PairedDifference | None = None
    lost: tuple[CaseChange, ...] = ()
    won: tuple[CaseChange, ...] = ()
    uncompared: tuple[Uncompared, ...] = ()
    resolution: Resolution | None = None
    prices: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What can be said of its score."""
        return self.changes["score"].verdict

    @property
    def causes(self) -> list[tuple[Cause, tuple[str, ...]]]:
        """What the losses follow, the most first, and the names of the cases."""
        return grouped([(case.name, case.cause) for case in self.lost if case.cause is not None])


@dataclass(frozen=True, slots=True)
class Standings:
    """The candidates of one run.

    Attributes:
        ranks: Rank by candidate, the best first; those that cannot be separated share one.
        pairs: Each candidate against each other, the one of the lower score before.
        unranked: Candidates that have no scored case in common with any other.
    """

    ranks: Mapping[str, int]
    pairs: tuple[CandidateChange, ...]
    unranked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs.

    Attributes:
        candidates: Those that can be compared, in the order of the later run.
        only_before, only_after: Candidates of just one of the runs.
        remarks: What is to be known before anything is read into it, a sentence each: a run that was cut, say.
        standings: The candidates of the later run, if it has several.
    """

    candidates: tuple[CandidateChange, ...] = ()
    only_before: tuple[str, ...] = ()
    only_after: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    standings: Standings | None = None
