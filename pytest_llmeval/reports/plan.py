"""The plan of a run as text: the table of a dry run, and what is said before a run with a budget."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pytest_llmeval.plan import CASES, LIMIT, OTHERS, OWN, CandidatePlan, Plan
from pytest_llmeval.prices import TotalCost, format_usd
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, Column, format_count
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import NARROWEST, Screen

NOBODY = "(no candidate)"
#: What a plan is not, in a few words.
LEFT_OUT = "retries and what wider fixtures ask are not counted"


def render_plan(plan: Plan, *, width: int, color: bool, encoding: str = "utf-8", budget: Decimal | None = None) -> str:
    """Return a plan as a table, two rows a candidate that will be asked: what is likely, and the most.

    Args:
        plan: The plan.
        width: Cells that a line may take.
        color: Whether to use ANSI styles.
        encoding: Of the stream that the text is for.
        budget: Most that the run may spend.
    """
    if not plan.total("tests"):
        return "No test asks a model.\n"
    rows = [(part, most) for part in plan.candidates.values() for most in ((False, True) if part.calls else (False,))]
    screen = Screen(max(width, NARROWEST), color, encoding)
    names = ["" if most else part.name or NOBODY for part, most in rows]
    screen.table(names, _columns(rows), head=True)
    screen.notes(_notes(plan, budget))
    return screen.text()


def _columns(rows: list[tuple[CandidatePlan, bool]]) -> list[Column]:
    once = [None if most else part for part, most in rows]
    return [
        Column("tests", 4, tuple("" if part is None else f"{part.tests:,}" for part in once)),
        Column("recorded\ncalls", 3, tuple("" if part is None else f"{part.replayed:,}" for part in once)),
        Column("calls\nto ask", 1, tuple("" if part is None else _asked(part) for part in once)),
        Column("", 2, tuple(("at most" if most else "about") if part.calls else "" for part, most in rows)),
        Column("tokens\nin", 6, tuple(_tokens(part, most, 0) for part, most in rows)),
        Column("tokens\nout", 5, tuple(_tokens(part, most, 1) for part, most in rows)),
        Column("cost", 0, tuple(_cost(part, most) for part, most in rows)),
    ]


def _asked(part: CandidatePlan) -> str:
    """Return how many calls will be made: tests that do not say make it more."""
    return f"{'≥' * (part.unknown > 0)}{len(part.calls):,}"


def _tokens(part: CandidatePlan, most: bool, index: int) -> str:
    if not part.calls:
        return NOT_APPLICABLE
    if most:
        counts = [(call.bounds.read, call.bounds.written)[index] for call in part.calls]
    else:
        counts = [(call.read, call.written)[index] for call in part.calls]
    known = [count for count in counts if count is not None]
    if not known:
        return UNKNOWN
    return f"{'≥' * (len(known) < len(counts))}{format_count(sum(known))}"


def _cost(part: CandidatePlan, most: bool) -> str:
    if not part.calls:
        return NOT_APPLICABLE
    return _total(part.most if most else part.about)


def _total(cost: TotalCost) -> str:
    if not cost.known:
        return UNKNOWN if cost.unpriced else NOT_APPLICABLE
    return "free" if cost.is_free else f"{'≥ ' * (cost.unpriced > 0)}{format_usd(cost.amount)}"


def _notes(plan: Plan, budget: Decimal | None) -> list[Note]:
    notes = [("mode", f"{plan.mode}: {_what_mode_does(plan)}")]
    if plan.calls:
        notes.append(("total", f"{_calls(len(plan.calls))}: {estimate(plan)}; {LEFT_OUT}"))
        notes.append(("output", f"length of answers as in {_bases(plan)}"))
    if budget is not None:
        notes.append(("budget", reach(plan, budget)))
    notes += [("unknown" if index == 0 else "", line) for index, line in enumerate(_unknown(plan))]
    reasons = {call.most.source for call in plan.calls if call.most.amount is None and call.most.source}
    notes += [("unbounded", reason) for reason in sorted(reasons)[:3]]
    return notes


def _what_mode_does(plan: Plan) -> str:
    return {
        "none": "nobody is asked",
        "once": "tests that have a recording replay it, the others ask",
        "new": "what is recorded replays, the rest is asked",
        "stale": "what is recorded and not too old replays, the rest is asked",
        "all": "everything is asked again",
        "live": "everything is asked, and nothing kept",
    }[plan.mode]


def estimate(plan: Plan) -> str:
    """Say what the calls of a plan cost.

    >>> estimate(Plan("once"))
    'nothing to pay'
    """
    about = sum((part.about for part in plan.candidates.values()), TotalCost(Decimal(0)))
    most = sum((part.most for part in plan.candidates.values()), TotalCost(Decimal(0)))
    if not plan.calls:
        return "nothing to pay"
    if about.is_free:
        return "free"
    if not about.known:
        return "at a cost that nobody knows"
    apart = [f"{_calls(about.unpriced)} whose price is unknown"] if about.unpriced else []
    if most.unpriced > about.unpriced:
        apart.append(f"{_calls(most.unpriced - about.unpriced)} that nothing bounds")
    at_most = f"at most {format_usd(most.amount)}" if most.known else "and nothing bounds it"
    return f"about {format_usd(about.amount)}, {at_most}{', not counting ' if apart else ''}{' and '.join(apart)}"


def _bases(plan: Plan) -> str:
    return ", ".join(
        f"{basis} ({_calls(plan.bases[basis])})" for basis in (OWN, OTHERS, CASES, LIMIT) if plan.bases[basis]
    )


def reach(plan: Plan, budget: Decimal) -> str:
    """Say whether a budget reaches for a plan."""
    about = sum((part.about.amount for part in plan.candidates.values()), Decimal(0))
    most = sum((part.most.amount for part in plan.candidates.values()), Decimal(0))
    bounded = all(not part.most.unpriced and not part.unknown for part in plan.candidates.values())
    if about > budget:
        reaches = "does not reach for all of it"
    elif most <= budget and bounded:
        reaches = "reaches for all of it"
    else:
        reaches = "may not reach for all of it"
    return f"{format_usd(budget)} {reaches}"


def estimate_lines(plan: Plan, budget: Decimal) -> list[str]:
    """Return what is said before a run with a budget; nothing where nobody is asked."""
    if not plan.calls and not plan.total("unknown"):
        return []
    return [
        f"llmeval: budget {format_usd(budget)}: {_calls(len(plan.calls))} to ask, {estimate(plan)}",
        f"llmeval: {LEFT_OUT}; {reach(plan, budget)}",
        *(f"llmeval: {line}" for line in _unknown(plan)),
    ]


def _unknown(plan: Plan) -> Iterator[str]:
    unknown, failing = plan.total("unknown"), plan.total("failing")
    if unknown:
        do = "test does" if unknown == 1 else "tests do"
        also = "asks" if unknown == 1 else "ask"
        yield (
            f"{unknown:,} {do} not declare what to ask, or {also} what depends on an answer, and nothing is recorded "
            "that would tell: not in the estimate"
        )
    if failing:
        will = "1 test fails" if failing == 1 else f"{failing:,} tests fail"
        yield f"{will}: a recording is stale, missing or damaged, which mode '{plan.mode}' does not mend"


def _calls(count: int) -> str:
    return f"{count:,} call{'s' * (count != 1)}"
