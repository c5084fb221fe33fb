"""What a comparison says, in words: the same in a terminal and in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from pytest_llmeval.comparison import CandidateChange, Change, Comparison, Resolution, Standings, Uncompared
from pytest_llmeval.gate import FIGURES, TIMES
from pytest_llmeval.prices import format_usd
from pytest_llmeval.reports.columns import format_ms, one_line
from pytest_llmeval.stats.differences import Estimate

MOST_NAMES = 5
LONGEST_NAME = 60
LONGEST_TEXT = 300
FEW_NAMES = 1
#: How reports call the figures of a gate.
NAMES = {"pass": "passed", "json": "valid JSON", "p50": "latency p50", "p95": "latency p95", "ttft": "TTFT p50"}
#: How an outcome reads of a case that has no score.
OUTCOMES = {
    "error": "ended in an error",
    "skipped": "was skipped",
    "not_run": "was not run",
    "known_failing": "known to fail",
}


def headline(candidate: CandidateChange) -> str:
    """Say what became of a candidate's score, and which cases it lost.

    >>> from pytest_llmeval.comparison import CaseChange
    >>> gap = Estimate(-0.07, -0.12, -0.02)
    >>> score = Change("score", 0.91, 0.84, gap, None, 0.004, 40)
    >>> lost = tuple(CaseChange(name, name, 1.0, 0.5) for name in ("refund", "parcel"))
    >>> headline(CandidateChange("gpt-4o-mini", "gpt-4o-mini", {"score": score}, lost=lost))
    '0.91 → 0.84 (−0.07, 95% −0.12…−0.02): worse. 2 cases lost: refund, parcel'
    """
    change = candidate.changes["score"]
    if change.change is None:
        return f"score unknown: {change.why}"
    if change.verdict == "same":
        where = "the one case" if change.n == 1 else f"all {change.n:,} cases"
        if candidate.lost or candidate.won:
            return f"{arrow(change)}: the same score in {where}. {_lost(candidate)}"
        return f"{arrow(change)}: the same in {where}"
    parts = [f"{arrow(change)} ({difference(change)}): {change.verdict}"]
    if change.verdict == "cannot tell":
        parts[0] += f"{_among(change)}: {resolution(candidate.resolution)}"
    return ". ".join([*parts, _lost(candidate)])


def _lost(candidate: CandidateChange) -> str:
    named = names([case.name for case in candidate.lost])
    lost = f"{cases(len(candidate.lost))} lost: {named}" if named else "no case lost"
    return f"{lost}; {len(candidate.won):,} won" if candidate.won else lost


def _among(change: Change) -> str:
    """Say why a difference is not established whose interval alone would do."""
    outside = change.shown is not None and 0 not in change.shown
    return f" among several candidates (p = {change.p:.2g})" if outside and change.p is not None else ""


def resolution(found: Resolution | None) -> str:
    """Say what the cases can tell.

    >>> resolution(Resolution(40, 0.11, 0.05, 163))
    '40 cases resolve differences of 0.11 or more; about 160 would resolve 0.05'
    """
    if found is None:
        return "nothing was scored"
    if found.resolves is None:
        told = f"{cases(found.n)} {'resolves' if found.n == 1 else 'resolve'} no difference"
        return told if found.needed is None else f"{told}; about {_round(found.needed)} would resolve {found.target:g}"
    told = f"{cases(found.n)} resolve differences of {_decimal(found.resolves)} or more"
    return told if found.needed is None else f"{told}; about {_round(found.needed)} would resolve {found.target:g}"


def arrow(change: Change) -> str:
    """Write a figure before and after."""
    before, after = _values(change)
    return f"{before} → {after}"


def difference(change: Change) -> str:
    """Write the difference of a figure with its interval."""
    found = change.shown
    if found is None:
        return "?"
    value, low, high = (_signed(change, end) for end in (found.value, found.low, found.high))
    if found.low is None or found.high is None:
        return f"{value}, too few cases for an interval"
    return f"{value}, {found.confidence:.0%} {low}…{high}"


def figures(candidate: CandidateChange) -> Iterator[str]:
    """Say what became of the other figures: a line for each that changed, one for those of which nobody can tell."""
    others = list(_others(candidate))
    yield from established(candidate)
    for change in others:
        if change.verdict == "unknown" and "unpriced" in change.why:
            yield f"{figure_name(change.figure)} unknown: {change.why}"
    quiet = [f"{_figure_line(change)}{_among(change)}" for change in others if change.verdict == "cannot tell"]
    if quiet:
        yield f"cannot tell: {'; '.join(quiet)}"
    if candidate.prices:
        yield f"prices changed: {names(candidate.prices, LONGEST_TEXT)}"


def established(candidate: CandidateChange) -> Iterator[str]:
    """Say which figures beside the score differ for sure."""
    for change in _others(candidate):
        if change.established:
            yield f"{_figure_line(change)}: {change.verdict}"


def _others(candidate: CandidateChange) -> Iterator[Change]:
    for change in candidate.changes.values():
        if change.figure != "score" and not _repeats_score(candidate, change):
            yield change


def _figure_line(change: Change) -> str:
    return f"{figure_name(change.figure)} {arrow(change)} ({difference(change)})"


def losses(candidate: CandidateChange) -> Iterator[str]:
    """Say what the lost cases follow, those of one cause together.

    >>> from pytest_llmeval.attribution import Cause
    >>> from pytest_llmeval.comparison import CaseChange
    >>> edit = Cause("prompt", "the system text", ("Return JSON.", "Return the JSON."))
    >>> lost = [CaseChange(name, name, 1.0, 0.0, edit) for name in "ab"]
    >>> lost.append(CaseChange("c", "c", 1.0, 0.0, Cause("sampling", "the same was asked, and answered otherwise")))
    >>> for line in losses(CandidateChange("mini", "mini", {}, lost=tuple(lost))):
    ...     print(line)
    2 of 3 losses follow the prompt edit, the system text: Return {+the+} JSON.
    1 of 3 losses is only the sampling: the same was asked, and answered otherwise (c)
    """
    total = len(candidate.lost)
    for cause, named in candidate.causes:
        part = f"{len(named):,} of {total:,} losses" if total > 1 else "the loss"
        lead, one, many = FOLLOWS[cause.kind]
        text = f"{part} {one if len(named) == 1 else many}{lead}{_clip(cause.what, LONGEST_TEXT)}"
        if cause.diff:
            shown = cause.diff[:MOST_NAMES]
            more = f"; and {len(cause.diff) - len(shown)} more" if len(cause.diff) > len(shown) else ""
            text += f": {one_line('; '.join(shown))}{more}"
        if cause.also:
            text += f"; besides, {names(cause.also, LONGEST_TEXT)}"
        few = len(named) < total and len(named) <= FEW_NAMES
        yield f"{text} ({names(named)})" if few else text


#: How each kind of cause reads: what stands before its words, and the verb for one loss and for several.
FOLLOWS = {
    "prompt": (" the prompt edit, ", "follows", "follow"),
    "parameters": (" the parameters, ", "follows", "follow"),
    "settings": (" ", "follows", "follow"),
    "requests": (" ", "follows", "follow"),
    "model": (" ", "follows", "follow"),
    "check": (" the check, ", "follows", "follow"),
    "sampling": (" only the sampling: ", "is", "are"),
    "unknown": (" of an unknown cause: ", "is", "are"),
}


def figure_name(figure: str) -> str:
    """Return what reports call a figure."""
    return NAMES.get(figure, figure)


def _repeats_score(candidate: CandidateChange, change: Change) -> bool:
    """Whether tests that score nothing else count 1 if they pass, so that both figures say the same."""
    score = candidate.changes["score"]
    return change.figure == "pass" and (change.before, change.after, change.n) == (score.before, score.after, score.n)


def uncompared(candidate: CandidateChange) -> Iterator[str]:
    """Say which cases could not be compared, and why."""
    found = candidate.uncompared
    for told, which in (
        ("not in the later run", [each for each in found if each.after is None]),
        ("not in the earlier run", [each for each in found if each.before is None]),
    ):
        if which:
            yield f"{cases(len(which))} {told}: {_uncompared_names(which)}"
    rest = [each for each in found if each.before is not None and each.after is not None]
    if rest:
        why = Counter(text for each in rest for text in _why(each))
        shown = ", ".join(f"{count:,} {text}" for text, count in why.most_common())
        yield f"{cases(len(rest))} without a verdict ({shown}): {_uncompared_names(rest)}"


def _uncompared_names(found: Sequence[Uncompared]) -> str:
    return names([each.name for each in found])


def _why(case: Uncompared) -> Iterator[str]:
    for outcome, when in ((case.before, "before"), (case.after, "now")):
        if outcome in OUTCOMES:
            yield f"{OUTCOMES[outcome]} {when}"


def candidates_apart(comparison: Comparison) -> Iterator[str]:
    """Say which candidates only one of the runs has."""
    for names_, which in ((comparison.only_before, "earlier"), (comparison.only_after, "later")):
        if names_:
            yield f"only in the {which} run: {names(names_)}"


def ranking(standings: Standings) -> Iterator[tuple[str, str]]:
    """Yield each rank, and who shares it."""
    places: dict[int, list[str]] = {}
    for name, rank in standings.ranks.items():
        places.setdefault(rank, []).append(one_line(name))
    for rank, sharing in places.items():
        alike = ": cannot be separated" if len(sharing) == 2 else ": not all separated" if len(sharing) > 2 else ""
        yield f"rank {rank}", f"{', '.join(sharing)}{alike}"
    if standings.unranked:
        yield "no rank", f"{', '.join(map(one_line, standings.unranked))}: no case in common with the others"


def pair_name(candidate: CandidateChange) -> str:
    """Return what a comparison is called: the candidate, or both where they are two."""
    if candidate.before_name == candidate.name:
        return one_line(candidate.name)
    return f"{one_line(candidate.before_name)} → {one_line(candidate.name)}"


def names(found: Sequence[str], longest: int = LONGEST_NAME) -> str:
    """List names, as many as can be read.

    >>> names(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    shown = ", ".join(_clip(name, longest) for name in found[:MOST_NAMES])
    return shown if len(found) <= MOST_NAMES else f"{shown} and {len(found) - MOST_NAMES:,} more"


def cases(count: int) -> str:
    """Write a number of cases."""
    return f"{count:,} case{'s' * (count != 1)}"


def _clip(name: str, limit: int = LONGEST_NAME) -> str:
    name = one_line(name)
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def _round(count: int) -> str:
    """Write a number that is an estimate by its first two digits."""
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"


def _decimal(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 else f"{value:.1g}"


def _values(change: Change) -> tuple[str, str]:
    before, after = change.before, change.after
    if before is None or after is None:
        return "?", "?"
    if change.figure in TIMES:
        return format_ms(before), format_ms(after)
    if change.figure == "cost":
        return format_usd(Decimal(str(before))), format_usd(Decimal(str(after)))
    decimals = decimals_of_share(change)
    return f"{before:.{decimals}f}", f"{after:.{decimals}f}"


def decimals_of_share(change: Change) -> int:
    """Return how many decimals a share takes to differ from what it was, two at least."""
    gap = abs(change.change.value) if change.change is not None else 0.0
    return next((decimals for decimals in (2, 3) if not 0 < gap < 0.5 * 10**-decimals), 4)


def _signed(change: Change, value: float | None) -> str:
    """Write a difference with its sign."""
    if value is None:
        return "?"
    if FIGURES[change.figure]:
        text = f"{value:+.{decimals_of_share(change)}f}"
    elif change.relative is not None:
        text = f"{value:+.0%}" if abs(value) >= 0.01 or value == 0 else f"{value:+.1%}"
    elif change.figure in TIMES:
        text = f"{value:+.0f} ms"
    else:
        text = f"{'-' if value < 0 else '+'}{format_usd(Decimal(str(abs(value))))}"
    return text.replace("-", "−")


def estimate_text(change: Change, found: Estimate | None) -> str:
    """Write an interval for a cell of a table."""
    if found is None or found.low is None or found.high is None:
        return "-"
    return f"{_signed(change, found.low)}…{_signed(change, found.high)}"
