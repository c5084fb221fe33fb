"""Two runs, case by case: what became better or worse for each candidate, and of what nobody can tell.

Each case is held against itself. Repeats are averaged within their case first; cases weigh in scores what their dataset
says, and all the same elsewhere. `comparison` has the values that come of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from operator import attrgetter

from pytest_llmeval.attribution import Attribution, Messages
from pytest_llmeval.casefigures import PERCENTILES, SHARES, CaseFigures, Cases, figures_of
from pytest_llmeval.comparison import (
    CandidateChange,
    CaseChange,
    Change,
    Comparison,
    Resolution,
    Standings,
    Uncompared,
)
from pytest_llmeval.gate import FIGURES
from pytest_llmeval.records import Run
from pytest_llmeval.samples import name_of
from pytest_llmeval.stats.differences import FEWEST_CASES, Estimate, PairedDifference, QuantityDifference
from pytest_llmeval.stats.multiple import holm, ranks
from pytest_llmeval.stats.power import needed, resolvable
from pytest_llmeval.stats.quantities import Sample, difference_of_mean, difference_of_percentile
from pytest_llmeval.stats.scores import paired_difference

#: Differences of scores that people ask for; the largest that the cases do not resolve is told of.
TARGETS = (0.05, 0.02, 0.01, 0.005)
CLEARLY = 0.8
NOTHING = "no case has it on both sides"
NOT_COMPARED = "it is not compared here"
# Sums of the same scores in another order differ by less.
ROUNDING = 1e-9

Pair = tuple[CaseFigures, CaseFigures]


def compare_runs(before: Run, after: Run, *, confidence: float = 0.95, messages: Messages | None = None) -> Comparison:
    """Return what changed from one run to another, for each candidate that both have.

    Where the runs have one candidate each, of different names, these are compared.

    Args:
        before: The baseline.
        after: The run that is held against it.
        confidence: Of the intervals; less than 1 minus this is the chance that any candidate of a comparison without
            real changes is said to be better or worse in a figure.
        messages: Looks up what was asked before and now, to show what changed in it.

    >>> from pytest_llmeval.records import TestRecord
    >>> tests = [TestRecord(f"test_x[mini-{n}]", "mini", score=1.0) for n in range(12)]
    >>> worse = [TestRecord(test.nodeid, "mini", "failed", score=0.0) for test in tests]
    >>> [candidate] = compare_runs(Run(tests=tests), Run(tests=worse)).candidates
    >>> candidate.verdict, len(candidate.lost), candidate.changes["score"].change.value
    ('worse', 12, -1.0)
    """
    old, new = before.by_candidate(), after.by_candidate()
    names = [(name, name) for name in new if name in old]
    if not names and len(old) == len(new) == 1:
        names = [(next(iter(old)), next(iter(new)))]
    figures = {name: figures_of(tests) for name, tests in new.items()}
    compared = []
    for was, name in names:
        sides = figures_of(old[was]), figures[name]
        found = _compared(was, name, *sides, confidence)
        compared.append(_attributed(found, *sides, Attribution(before, after, was, name, messages)))
    return Comparison(
        candidates=tuple(_adjusted(compared)),
        only_before=tuple(name for name in old if name not in {was for was, _ in names}),
        only_after=tuple(name for name in new if name not in {name for _, name in names}),
        remarks=(*_cut("earlier", before), *_cut("later", after)),
        standings=_standings(figures, confidence, only=("score",)) if len(figures) > 1 else None,
    )


def compare_candidates(run: Run, *, confidence: float = 0.95) -> Standings:
    """Return how the candidates of a run stand: each against each other, over the cases that both were asked.

    >>> from pytest_llmeval.records import TestRecord
    >>> tests = [TestRecord(f"test_x[{name}]", name, score=0.5) for name in ("a", "b")]
    >>> compare_candidates(Run(tests=tests)).ranks
    {'a': 1, 'b': 1}
    """
    return _standings({name: figures_of(tests) for name, tests in run.by_candidate().items()}, confidence)


def _standings(sides: Mapping[str, Cases], confidence: float, only: Iterable[str] = FIGURES) -> Standings:
    means = {name: _mean_score(cases.values()) for name, cases in sides.items()}
    # What is compared is told from the worse one to the better one.
    order = sorted(sides, key=means.__getitem__)
    pairs = [_compared(was, name, sides[was], sides[name], confidence, only) for was, name in combinations(order, 2)]
    scores = {(pair.before_name, pair.name): pair.score for pair in pairs if pair.score is not None}
    # What has no case in common with any other is neither better nor worse than one.
    alone = [name for name in sides if not any(name in pair for pair in scores)]
    places = ranks([name for name in sides if name not in alone], scores)
    best_first = sorted(places, key=lambda name: (places[name], -means[name]))
    return Standings({name: places[name] for name in best_first}, tuple(_adjusted(pairs)), tuple(alone))


def _mean_score(cases: Iterable[CaseFigures]) -> float:
    scored = [(case.score, case.weight) for case in cases if case.score is not None]
    return sum(score * weight for score, weight in scored) / sum(weight for _, weight in scored) if scored else -1.0


def _cut(which: str, run: Run) -> Iterable[str]:
    if run.incomplete:
        stopped = run.end.stopped if run.end is not None else None
        yield f"The {which} run was cut{f' ({stopped})' if stopped else ''}: tests that were to run are not in it."


def _compared(
    was: str, name: str, old: Cases, new: Cases, confidence: float, only: Iterable[str] = FIGURES
) -> CandidateChange:
    pairs = [(old[key], case) for key, case in new.items() if key in old]
    score = _shares(pairs, "score", confidence)
    changes = {figure: Change(figure, why=NOT_COMPARED) for figure in FIGURES}
    changes |= {figure: _change(figure, pairs, confidence) for figure in only if figure != "score"}
    changes["score"] = _of_share("score", score)
    lost, won = _differing(old, new)
    return CandidateChange(
        name=name,
        before_name=was,
        changes=changes,
        score=score,
        lost=tuple(sorted(lost, key=lambda case: case.after - case.before)),
        won=tuple(sorted(won, key=lambda case: case.before - case.after)),
        uncompared=tuple(_uncompared(old, new)),
    )


def _differing(old: Cases, new: Cases) -> tuple[list[CaseChange], list[CaseChange]]:
    """Return the cases that score lower, and those that score higher; of those that score the same, passing decides."""
    lost: list[CaseChange] = []
    won: list[CaseChange] = []
    for key, case in new.items():
        was = old.get(key)
        if was is None or was.score is None or case.score is None:
            continue
        gap, flipped = case.score - was.score, False
        if abs(gap) <= ROUNDING:
            gap, flipped = (case.passed or 0.0) - (was.passed or 0.0), True
            if not gap or case.passed is None or was.passed is None:
                continue
        change = CaseChange(name_of(case.tests[0]), key, was.score, case.score, flipped=flipped)
        (lost if gap < 0 else won).append(change)
    return lost, won


def _attributed(candidate: CandidateChange, old: Cases, new: Cases, attribution: Attribution) -> CandidateChange:
    """Say of each loss what it follows."""
    lost = [replace(case, cause=attribution.cause(old[case.key].tests, new[case.key].tests)) for case in candidate.lost]
    return replace(candidate, lost=tuple(lost), prices=attribution.prices)


def _uncompared(old: Cases, new: Cases) -> Iterable[Uncompared]:
    for key in [*new, *(key for key in old if key not in new)]:
        before, after = old.get(key), new.get(key)
        known = after or before
        if known is not None and (before is None or after is None or before.score is None or after.score is None):
            outcomes = [None if case is None else case.outcome for case in (before, after)]
            yield Uncompared(name_of(known.tests[0]), key, *outcomes)


def _change(figure: str, pairs: Sequence[Pair], confidence: float) -> Change:
    if figure in SHARES:
        return _of_share(figure, _shares(pairs, SHARES[figure], confidence))
    if figure in PERCENTILES:
        name, q = PERCENTILES[figure]
        old, new = _amounts(pairs, name)
        return _of_quantity(figure, difference_of_percentile(old, new, q, confidence=confidence), old == new)
    unpriced = [sum([pair[side].unpriced for pair in pairs]) for side in (0, 1)]
    if any(unpriced):
        told = [
            f"{count:,} call{'s' * (count != 1)} unpriced {when}"
            for count, when in zip(unpriced, ("before", "now"), strict=True)
        ]
        return Change(figure, why=" and ".join(text for text, count in zip(told, unpriced, strict=True) if count))
    old, new = _amounts(pairs, "cost")
    return _of_quantity(figure, difference_of_mean(old, new, confidence=confidence), old == new)


def _shares(pairs: Sequence[Pair], name: str, confidence: float) -> PairedDifference | None:
    """Compare a share of the cases that have it on both sides; only scores weigh."""
    share = attrgetter(name)
    found = [(share(before), share(after), after.weight) for before, after in pairs]
    known = [each for each in found if each[0] is not None and each[1] is not None]
    if not known:
        return None
    old, new, weights = zip(*known, strict=True)
    return paired_difference(old, new, weights=weights if name == "score" else None, confidence=confidence)


def _amounts(pairs: Sequence[Pair], name: str) -> tuple[list[Sample], list[Sample]]:
    """Return what the answers of each case took, on both sides, of the cases that have it on both."""
    amount = attrgetter(name)
    found = [(amount(before), amount(after)) for before, after in pairs]
    known = [each for each in found if each[0] is not None and each[1] is not None]
    return [old for old, _ in known], [new for _, new in known]


def _of_share(figure: str, found: PairedDifference | None) -> Change:
    if found is None:
        return Change(figure, why=NOTHING)
    gap = found.difference
    relative = Estimate(found.after / found.before - 1, None, None, gap.confidence) if found.before else None
    same = not found.lost and not found.won
    return Change(figure, found.before, found.after, gap, relative, found.p, found.n, same)


def _of_quantity(figure: str, found: QuantityDifference | None, same: bool) -> Change:
    if found is None:
        return Change(figure, why=NOTHING)
    return Change(figure, found.before, found.after, found.difference, found.relative, found.p, found.n_after, same)


def _adjusted(candidates: Sequence[CandidateChange]) -> Iterable[CandidateChange]:
    """Return candidates with p values that allow for each other, figure by figure."""
    changes = [dict(candidate.changes) for candidate in candidates]
    for figure in FIGURES:
        tested = [(number, each[figure]) for number, each in enumerate(changes) if each[figure].p is not None]
        for (number, change), p in zip(tested, holm([change.p or 0.0 for _, change in tested]), strict=True):
            changes[number][figure] = replace(change, p=p)
    adjusted = [replace(candidate, changes=found) for candidate, found in zip(candidates, changes, strict=True)]
    return [
        replace(each, resolution=_resolution(each.score))
        if each.score is not None and each.verdict == "cannot tell"
        else each
        for each in adjusted
    ]


def _resolution(score: PairedDifference) -> Resolution:
    confidence = score.difference.confidence
    if score.n < FEWEST_CASES:
        return Resolution(score.n, None, TARGETS[0], None)
    found = resolvable(score.n, score.sd, pass_fail=score.pass_fail, confidence=confidence)
    # Clearly less than what they resolve already; below the last, nobody asks for more.
    target = next((target for target in TARGETS if found is None or target < CLEARLY * found), None)
    if target is None:
        return Resolution(score.n, found, TARGETS[-1], None)
    cases = needed(target, score.sd, pass_fail=score.pass_fail, confidence=confidence)
    return Resolution(score.n, found, target, cases)
