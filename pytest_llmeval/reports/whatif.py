"""What mixes of candidates would have done: figures with intervals, a chart, and the best that meets requirements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_llmeval.prices import decimals_of, format_usd
from pytest_llmeval.provenance import context_of
from pytest_llmeval.reports.chart import Point, chart_lines
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, Column, format_ms
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.stats import Interval
from pytest_llmeval.stats.differences import Estimate
from pytest_llmeval.stats.quantities import mean_of, percentile_of
from pytest_llmeval.verdicts import Figures, Recommendation, recommend
from pytest_llmeval.whatif import Mix, pareto

if TYPE_CHECKING:
    from decimal import Decimal

    from pytest_llmeval.runheader import CandidateInfo
    from pytest_llmeval.settings import Requirements

WIDEST_CHART = 72
#: Where data go, the least private place first.
LEAST_PRIVATE = ("api", "self-hosted", "private", "local")


def figures_of_mix(mix: Mix, described: Mapping[str, CandidateInfo]) -> Figures:
    """Return what requirements are held against; a case is a request, whomever it takes to serve it.

    >>> from pytest_llmeval.whatif import Outcome
    >>> from pytest_llmeval.prices import TotalCost
    >>> from decimal import Decimal
    >>> cost = TotalCost(Decimal("0.02"), priced=2)
    >>> found = figures_of_mix(Mix("a, then b", "cascade", ("a", "b"), {("x", 0): Outcome(1.0, cost, 5.0)}), {})
    >>> found.cost_per_request, found.p95_ms, found.hosting
    (Decimal('0.02'), 5.0, None)
    """
    outcomes = list(mix.outcomes.values())
    infos = [described.get(name) for name in mix.candidates]
    hostings = {None if info is None else "private" if _is_private(info) else info.hosting for info in infos}
    contexts = [None if info is None else context_of(info) for info in infos]
    everywhere = next((each for each in LEAST_PRIVATE if each in hostings), None)
    longest = [outcome.longest for outcome in outcomes if outcome.longest is not None]
    return Figures(
        name=mix.name,
        quality=mix.quality,
        cost=mix.cost,
        call_costs=tuple(map(tuple, mix.costs())),
        latencies_ms=tuple(map(tuple, mix.times())),
        answers=sum(outcome.answered for outcome in outcomes),
        errors=sum(not outcome.answered for outcome in outcomes),
        replayed=sum(outcome.replayed for outcome in outcomes),
        json_valid=sum(outcome.json_valid for outcome in outcomes),
        json_checked=sum(outcome.json_checked for outcome in outcomes),
        longest_tokens=max(longest, default=None),
        # Whichever is asked has to hold it, and data go wherever one of them is.
        context=None if None in contexts else min(each for each in contexts if each is not None),
        hosting=None if None in hostings else everywhere,
    )


def _is_private(info: CandidateInfo) -> bool:
    return info.hosting == "self-hosted" and bool(info.private)


def judged(mixes: Sequence[Mix], requirements: Requirements, described: Mapping[str, CandidateInfo]) -> Recommendation:
    """Hold mixes against requirements; those that nobody can have (`bound`) are left out."""
    return recommend([figures_of_mix(mix, described) for mix in mixes if mix.kind != "bound"], requirements)


def shown_mixes(mixes: Sequence[Mix]) -> list[Mix]:
    """Return those that are worth a row: each candidate alone, and what nothing beats, the best quality first."""
    best = pareto([mix for mix in mixes if mix.kind != "bound"])
    rows = [mix for mix in mixes if mix.kind == "alone" or mix in best]
    return sorted(rows, key=lambda mix: -(mix.quality.mean if mix.quality else 0.0))


def show_mixes(screen: Screen, mixes: Sequence[Mix], rows: Sequence[Mix], width: int) -> None:
    """Show figures, their intervals and a chart of some mixes among all."""
    names = [f"{number} {mix.name}" for number, mix in enumerate(rows, 1)]
    figures = [_measured(mix) for mix in rows]
    costs = usd_texts([None if mix.cost.unpriced else mix.cost.per_request for mix in rows])
    free = [mix.cost.is_free for mix in rows]
    built = [
        Column("quality", 0, tuple(_mean(mix.quality) for mix in rows)),
        Column(
            "cost\na case", 1, tuple("free" if is_free else text for is_free, text in zip(free, costs, strict=True))
        ),
        Column("p95", 2, tuple(UNKNOWN if mix.p95_ms is None else format_ms(mix.p95_ms) for mix in rows)),
        Column("other\nasked", 8, tuple(NOT_APPLICABLE if not mix.second else f"{mix.second:.0%}" for mix in rows)),
    ]
    screen.table(names, built, head=True, name_head="mix")
    screen.line()
    screen.line("95% intervals", "bold")
    intervals = [
        Column("quality", 0, tuple(_quality(mix.quality) for mix in rows)),
        Column("cost a case", 1, tuple(_usd_interval(cost) for cost, _ in figures)),
        Column("p95", 2, tuple(_ms_interval(p95) for _, p95 in figures)),
    ]
    screen.table(names, intervals, head=True, name_head="mix")
    for line in _chart(mixes, rows, width):
        screen.drawn(line)


def _measured(mix: Mix) -> tuple[Estimate | None, Estimate | None]:
    cost = None if mix.cost.unpriced else mean_of(mix.costs())
    return cost, percentile_of(mix.times(), 95)


def _mean(quality: Interval | None) -> str:
    return NOT_APPLICABLE if quality is None else f"{quality.mean:.3f}"


def _quality(quality: Interval | None) -> str:
    return NOT_APPLICABLE if quality is None else f"{quality.low:.2f}-{quality.high:.2f}"


def usd_texts(amounts: Sequence[Decimal | None]) -> list[str]:
    """Write amounts with the decimals that the smallest needs."""
    decimals = max((decimals_of(amount) for amount in amounts if amount), default=2)
    return [UNKNOWN if amount is None else format_usd(amount, decimals) for amount in amounts]


def _usd_interval(cost: Estimate | None) -> str:
    from decimal import Decimal

    if cost is None or cost.low is None or cost.high is None:
        return UNKNOWN
    if cost.high == 0:
        return "free"
    decimals = decimals_of(Decimal(str(cost.high)))
    return f"${cost.low:.{decimals}f}-{cost.high:.{decimals}f}"


def _ms_interval(p95: Estimate | None) -> str:
    if p95 is None or p95.low is None or p95.high is None:
        return UNKNOWN
    return f"{p95.low / 1000:.2f}-{p95.high / 1000:.2f} s"


def _chart(mixes: Sequence[Mix], rows: Sequence[Mix], width: int) -> Iterator[str]:
    """Yield quality against cost; against p95 where all cost the same or nobody knows."""
    costs = {mix.cost.per_request for mix in mixes if not mix.cost.unpriced}
    by_cost = len(costs) > 1 and not any(mix.cost.unpriced for mix in mixes)
    numbers = {id(mix): str(number) for number, mix in enumerate(rows, 1)}
    points = []
    for mix in mixes:
        x = mix.cost.per_request if by_cost else mix.p95_ms
        if mix.quality is not None and x is not None and mix.kind != "bound":
            points.append(Point(float(x), mix.quality.mean, numbers.get(id(mix), "")))
    if len(points) < 2:
        return
    yield ""
    yield from chart_lines(
        points,
        width=min(width, WIDEST_CHART),
        x_name="cost a case" if by_cost else "p95",
        y_name="quality",
        x_text=_usd_text if by_cost else format_ms,
    )


def _usd_text(amount: float) -> str:
    from decimal import Decimal

    return format_usd(Decimal(str(round(amount, 9))))


def mix_notes(mixes: Sequence[Mix], rows: Sequence[Mix], left_out: int, found: Recommendation | None) -> Iterator[Note]:
    """Yield what the figures cannot say."""
    cases = len(mixes[0].outcomes)
    tried = [mix for mix in mixes if mix.kind in ("cascade", "route")]
    hidden = len([mix for mix in mixes if mix.kind != "bound"]) - len(rows)
    yield "mixes", f"{len(tried):,} cascades and routes over {cases:,} cases, from records alone: nothing was asked"
    best = {id(mix) for mix in pareto([mix for mix in mixes if mix.kind != "bound"])}
    unbeaten = ", ".join(str(number) for number, mix in enumerate(rows, 1) if id(mix) in best)
    yield "unbeaten", f"{unbeaten}: no other is better in quality, cost or p95 without being worse in another of them"
    if hidden:
        yield "unbeaten", f"{hidden:,} others are not shown, since one of these beats them; --all shows them"
    several = sum(outcome.calls > 1 for outcome in mixes[0].outcomes.values())
    if several:
        yield "cases", f"{several:,} make several calls: cost and time of such a case are those of all of them"
    untimed = max((sum(outcome.ms is None for outcome in mix.outcomes.values()) for mix in rows), default=0)
    if untimed:
        yield "p95", f"up to {untimed:,} cases are left out of it: how long what failed in them took, no run tells"
    if left_out:
        yield "cases", f"{left_out:,} left out, since not every candidate has a result of them; --models chooses fewer"
    yield (
        "cascade",
        "the other is asked too where an answer is missing, cut off or no valid JSON; --escalate adds a check",
    )
    if any(mix.kind == "route" for mix in mixes):
        yield "route", "by tag or length, as if a router knew it at no cost; --routing-cost and --routing-ms add that"
    for mix in sorted((mix for mix in mixes if mix.kind == "bound"), key=_quality_of)[-1:]:
        yield "bound", f"no route exceeds {_mean(mix.quality)}: {mix.name}, {mix.second:.0%} of the cases"
    if len(tried) > 1:
        yield "careful", "the best of many on the same cases looks better than it is: test the one that you take"
    if found is not None:
        yield from _best(found)


def _quality_of(mix: Mix) -> float:
    return mix.quality.mean if mix.quality is not None else 0.0


def _best(found: Recommendation) -> Iterator[Note]:
    if found.best is None:
        yield "best", "none meets all requirements"
        closest = min(found.candidates, key=lambda each: len(each.unmet))
        yield "closest", f"{closest.name}: {'; '.join(verdict.text for verdict in closest.unmet) or 'cost unknown'}"
        return
    best = found.best
    yield "best", f"{best.name}: the cheapest that meets all requirements"
    for verdict in best.verdicts:
        sure = "" if verdict.established else " (not established by this number of cases)"
        yield "", f"{verdict.text}{sure}"
    if best.monthly_cost is not None:
        yield "", f"${best.monthly_cost:,.2f} a month"
    if found.runner_up is not None:
        yield "runner-up", found.runner_up.name


def mix_json(mix: Mix, unbeaten: bool) -> dict[str, Any]:
    """Return a mix as plain JSON types; null is what nobody knows."""
    cost, p95 = _measured(mix)
    quality = mix.quality
    return {
        "name": mix.name,
        "kind": mix.kind,
        "candidates": list(mix.candidates),
        "other_asked": mix.second,
        "quality": None if quality is None else {"mean": quality.mean, "low": quality.low, "high": quality.high},
        "cost_per_case_usd": _estimate_json(cost),
        "total_cost_usd": None if mix.cost.unpriced else str(mix.cost.amount),
        "p95_ms": _estimate_json(p95),
        "unbeaten": unbeaten,
    }


def _estimate_json(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}
