"""What mixes of candidates would have done: figures with intervals, a chart, and the best that meets requirements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_llmeval.prices import decimals_of, format_usd
from pytest_llmeval.provenance import context_of
from pytest_llmeval.reports.chart import Point, chart_lines
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, Column, format_ms, format_share
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.stats import Interval
from pytest_llmeval.stats.differences import Estimate
from pytest_llmeval.stats.quantities import mean_of, percentile_of
from pytest_llmeval.verdicts import CandidateVerdict, Figures, Recommendation, recommend
from pytest_llmeval.whatif import Key, LeftOut, Mix, pareto

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
    """Hold mixes against requirements, but for those that nobody can have (`bound`) or of one that never answers."""
    silent = _silent(mixes)
    useful = [mix for mix in _real(mixes) if mix.kind == "alone" or not silent.intersection(mix.candidates)]
    # Of those that are equally cheap and good the first is taken: the one that answers most.
    real = sorted(useful, key=lambda mix: len(mix.unanswered))
    return recommend([figures_of_mix(mix, described) for mix in real], requirements)


def _silent(mixes: Sequence[Mix]) -> set[str]:
    """Return the candidates that answered nothing: where they are asked is cheap, and worth nothing."""
    return {mix.name for mix in mixes if mix.kind == "alone" and len(mix.unanswered) == len(mix.outcomes)}


def _real(mixes: Sequence[Mix]) -> list[Mix]:
    return [mix for mix in mixes if mix.kind != "bound"]


def shown_mixes(mixes: Sequence[Mix], found: Recommendation | None = None) -> list[Mix]:
    """Return those that are worth a row: each candidate alone, what nothing beats, and what is recommended.

    The best quality comes first.
    """
    best = {id(mix) for mix in pareto(_real(mixes))}
    chosen = {each.name for each in (found.best, found.runner_up) if each is not None} if found is not None else set()
    rows = [mix for mix in _real(mixes) if mix.kind == "alone" or id(mix) in best or mix.name in chosen]
    return sorted(rows, key=lambda mix: -_quality_of(mix))


def show_mixes(screen: Screen, mixes: Sequence[Mix], rows: Sequence[Mix], width: int) -> None:
    """Show figures, their intervals and a chart of some mixes among all."""
    names = [f"{number} {mix.name}" for number, mix in enumerate(rows, 1)]
    costs = usd_texts([None if mix.cost.unpriced else mix.cost.per_request for mix in rows])
    built = [
        Column("quality", 0, tuple(_mean(mix.quality) for mix in rows)),
        Column("cost\na case", 1, tuple(_cost(mix, text) for mix, text in zip(rows, costs, strict=True))),
        Column("p95", 3, tuple(_time(mix, None if mix.p95_ms is None else format_ms(mix.p95_ms)) for mix in rows)),
        Column("other\nasked", 8, tuple(NOT_APPLICABLE if not mix.second else f"{mix.second:.0%}" for mix in rows)),
    ]
    if any(mix.unanswered for mix in rows):
        built.insert(1, Column("availability", 2, tuple(map(_availability, rows))))
    screen.table(names, built, head=True, name_head="mix")
    screen.line()
    screen.line("95% intervals", "bold")
    figures = [(mix, *_measured(mix)) for mix in rows]
    intervals = [
        Column("quality", 0, tuple(_quality(mix.quality) for mix in rows)),
        Column("cost a case", 1, tuple(_cost(mix, _usd_interval(cost)) for mix, cost, _ in figures)),
        Column("p95", 2, tuple(_time(mix, _ms_interval(p95)) for mix, _, p95 in figures)),
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


def _availability(mix: Mix) -> str:
    return format_share(len(mix.outcomes) - len(mix.unanswered), len(mix.outcomes))


def _cost(mix: Mix, text: str) -> str:
    """Return the text of an amount, or what there is instead of one."""
    if mix.cost.is_free:
        return "free"
    return text if mix.cost.known or mix.cost.unpriced else NOT_APPLICABLE


def _time(mix: Mix, text: str | None) -> str:
    """Return the text of a time; where nobody answered, none applies."""
    if len(mix.unanswered) == len(mix.outcomes):
        return NOT_APPLICABLE
    return UNKNOWN if text is None else text


def usd_texts(amounts: Sequence[Decimal | None]) -> list[str]:
    """Write amounts with the decimals that the smallest needs."""
    decimals = max((decimals_of(amount) for amount in amounts if amount), default=2)
    return [UNKNOWN if amount is None else format_usd(amount, decimals) for amount in amounts]


def _usd_interval(cost: Estimate | None) -> str:
    from decimal import Decimal

    if cost is None or cost.low is None or cost.high is None:
        return UNKNOWN
    decimals = decimals_of(Decimal(str(cost.high)))
    return f"${cost.low:.{decimals}f}-{cost.high:.{decimals}f}"


def _ms_interval(p95: Estimate | None) -> str | None:
    if p95 is None or p95.low is None or p95.high is None:
        return None
    return f"{p95.low / 1000:.2f}-{p95.high / 1000:.2f} s"


def _points(mixes: Sequence[Mix], rows: Sequence[Mix]) -> tuple[list[Point], bool]:
    """Return what can be drawn, and whether against cost: against p95 where all known costs are the same."""
    scored = [(mix, mix.quality.mean) for mix in _real(mixes) if mix.quality is not None]
    costs = [None if mix.cost.unpriced else mix.cost.per_request for mix, _ in scored]
    by_cost = len(set(costs) - {None}) > 1
    numbers = {id(mix): str(number) for number, mix in enumerate(rows, 1)}
    points = []
    for (mix, quality), cost in zip(scored, costs, strict=True):
        x = cost if by_cost else mix.p95_ms
        if x is not None:
            points.append(Point(float(x), quality, numbers.get(id(mix), "")))
    return points, by_cost


def _chart(mixes: Sequence[Mix], rows: Sequence[Mix], width: int) -> Iterator[str]:
    points, by_cost = _points(mixes, rows)
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


def mix_notes(
    mixes: Sequence[Mix], rows: Sequence[Mix], left_out: LeftOut, found: Recommendation | None
) -> Iterator[Note]:
    """Yield what the figures cannot say."""
    tried = [mix for mix in mixes if mix.kind in ("cascade", "route")]
    over = _counted(mixes[0].outcomes, mixes)
    yield "mixes", f"{len(tried):,} cascades and routes over {over}, from records alone: nothing was asked"
    yield from _unbeaten(mixes, rows)
    yield from _about_cases(mixes, rows, left_out)
    yield "cascade", _escalation(mixes)
    if any(mix.kind == "route" for mix in mixes):
        yield "route", "by tag or length, as if a router knew it at no cost; --routing-cost and --routing-ms add that"
    for mix in sorted((mix for mix in mixes if mix.kind == "bound"), key=_quality_of)[-1:]:
        yield "bound", f"no route exceeds {_mean(mix.quality)}: {mix.name}, {mix.second:.0%} of the cases"
    if len(tried) > 1:
        yield "careful", "the best of many on the same cases looks better than it is: test the one that you take"
    if found is not None:
        yield from _best(found, _unit(mixes))
        silent = ", ".join(sorted(_silent(mixes)))
        if silent:
            yield "availability", f"{silent} answered nothing: no mix is chosen that asks such a candidate"


def _unbeaten(mixes: Sequence[Mix], rows: Sequence[Mix]) -> Iterator[Note]:
    real = _real(mixes)
    best = {id(mix) for mix in pareto(real)}
    unbeaten = [(str(number), mix) for number, mix in enumerate(rows, 1) if id(mix) in best]
    failing = any(mix.unanswered for mix in real)
    figures = "quality, cost, p95 or availability" if failing else "quality, cost or p95"
    # What lacks a figure does not beat what has it, however good it is.
    worse = "worse, or unknown," if any(map(_lacks_a_figure, real)) else "worse"
    numbers = ", ".join(number for number, _ in unbeaten)
    yield "unbeaten", f"{numbers}: no other is better in {figures} without being {worse} in another of them"
    if len(real) > len(rows):
        yield "unbeaten", f"{len(real) - len(rows):,} others are not shown, since one of these beats them; --all does"
    if any(mix.unanswered for mix in rows):
        yield "availability", "what got no answer has no score: quality is of the others alone"
    failed: dict[int, list[str]] = {}
    for number, mix in unbeaten:
        failed.setdefault(len(mix.unanswered), []).append(number)
    for count, those in sorted(failed.items()):
        if count:
            yield "availability", f"{', '.join(those)}: {_no_answer(count, len(real[0].outcomes), _unit(mixes))}"
    points, by_cost = _points(mixes, rows)
    if 1 < len(points) < len(real):
        count, lacking = len(real) - len(points), "cost" if by_cost else "p95"
        figure = f"quality or {lacking}" if any(mix.quality is None for mix in real) else lacking
        several = f"{count:,} mixes are not in it: their" if count > 1 else "1 mix is not in it: its"
        yield "chart", f"{several} {figure} is not known"


def _lacks_a_figure(mix: Mix) -> bool:
    cost = None if mix.cost.unpriced else mix.cost.per_request
    return None in (mix.quality, cost, mix.p95_ms)


def _about_cases(mixes: Sequence[Mix], rows: Sequence[Mix], left_out: LeftOut) -> Iterator[Note]:
    if several := [key for key, outcome in mixes[0].outcomes.items() if outcome.calls > 1]:
        yield "cases", f"{_counted(several, mixes)} of several calls: cost and time are those of all of them"
    untimed = max(([key for key, each in mix.outcomes.items() if each.ms is None] for mix in rows), key=len, default=[])
    if untimed:
        text = _counted(untimed, mixes)
        yield "p95", f"up to {text} left out of it: how long what failed there took, no run tells"
    if left_out.incomplete:
        text = _counted(left_out.incomplete, mixes)
        yield "cases", f"{text} left out, since not every candidate has a result; --models chooses fewer"
    if left_out.without_calls:
        yield "cases", f"{_counted(left_out.without_calls, mixes)} left out, since the test asked nothing"


def _escalation(mixes: Sequence[Mix]) -> str:
    """Say when a cascade asks the other one, and where that cannot be told."""
    # A cascade that runs looks at each answer; a record knows of those that the test looked at.
    checked = any(each.json_checked for mix in mixes if mix.kind == "alone" for each in mix.outcomes.values())
    if not checked:
        return (
            "the other is asked too where an answer is missing or cut off; --escalate adds a check; no answer was "
            "checked for JSON by the tests, so cascades on invalid JSON cannot be worked out"
        )
    text = "the other is asked too where an answer is missing, cut off or no valid JSON; --escalate adds a check"
    unchecked = not_checked(mixes)
    some = f"; answers to {_counted(unchecked, mixes)} were not checked for JSON by the tests, and pass for valid"
    return f"{text}{some}" if unchecked else text


def not_checked(mixes: Sequence[Mix]) -> list[Key]:
    """Return the samples of cases of which some candidate's answer was not checked for JSON."""
    outcomes = [mix.outcomes for mix in mixes if mix.kind == "alone"]
    return [
        key for key in mixes[0].outcomes if any(each[key].answered and not each[key].json_checked for each in outcomes)
    ]


def _is_repeated(mixes: Sequence[Mix]) -> bool:
    return any(sample > 1 for _, sample in mixes[0].outcomes)


def _unit(mixes: Sequence[Mix]) -> str:
    return "samples" if _is_repeated(mixes) else "cases"


def _counted(keys: Collection[Key], mixes: Sequence[Mix]) -> str:
    """Write a number of cases, and of their samples where cases are repeated."""
    cases = len({case for case, _ in keys})
    text = f"{cases:,} case{'s' * (cases != 1)}"
    if len(keys) == cases and not _is_repeated(mixes):
        return text
    return f"{len(keys):,} sample{'s' * (len(keys) != 1)} of {text}"


def _no_answer(count: int, of: int, unit: str) -> str:
    return f"{count:,} of {of:,} {unit} got no answer"


def _quality_of(mix: Mix) -> float:
    return mix.quality.mean if mix.quality is not None else 0.0


def _best(found: Recommendation, unit: str) -> Iterator[Note]:
    # One that meets all, but of unknown cost, is none that could be the cheapest.
    unpriced = any(each.meets_all and each.figures.cost_per_request is None for each in found.candidates)
    known = " of known cost" if unpriced else ""
    if found.best is None:
        yield "best", f"none{known} meets all requirements"
        closest = min(found.candidates, key=_distance)
        lacking = [verdict.text for verdict in closest.verdicts if verdict.status != "met"]
        yield "closest", f"{closest.name}: {'; '.join([*lacking, *_failures(closest, unit)]) or 'cost unknown'}"
        return
    best = found.best
    yield "best", f"{best.name}: the cheapest{known} that meets all requirements"
    for failures in _failures(best, unit):
        yield "", failures
    for verdict in best.verdicts:
        sure = "" if verdict.established else " (not established by this number of cases)"
        yield "", f"{verdict.text}{sure}"
    if best.monthly_cost is not None:
        yield "", f"${best.monthly_cost:,.2f} a month"
    if found.runner_up is not None:
        yield "runner-up", ": ".join([found.runner_up.name, *_failures(found.runner_up, unit)])


def _distance(candidate: CandidateVerdict) -> int:
    """Count what keeps a candidate from being the best; what nobody measured does too."""
    return sum(verdict.status != "met" for verdict in candidate.verdicts)


def _failures(candidate: CandidateVerdict, unit: str) -> list[str]:
    missing = candidate.figures.errors
    return [_no_answer(missing, missing + candidate.figures.answers, unit)] if missing else []


def mixes_json(mixes: Sequence[Mix], left_out: LeftOut, found: Recommendation | None) -> dict[str, Any]:
    """Return all mixes as plain JSON types, with how much they are of, and the best of them."""
    best = {id(mix) for mix in pareto(_real(mixes))}
    samples = mixes[0].outcomes
    return {
        "cases": len({case for case, _ in samples}),
        "samples": len(samples),
        "left_out": len({case for case, _ in left_out.incomplete}),
        "left_out_samples": len(left_out.incomplete),
        "without_calls": len({case for case, _ in left_out.without_calls}),
        "not_checked_for_json": len(not_checked(mixes)),
        "mixes": [mix_json(mix, id(mix) in best) for mix in mixes],
        "best": found.best.name if found is not None and found.best is not None else None,
    }


def mix_json(mix: Mix, unbeaten: bool) -> dict[str, Any]:
    """Return a mix as plain JSON types; null is what nobody knows."""
    cost, p95 = _measured(mix)
    quality = mix.quality
    return {
        "name": mix.name,
        "kind": mix.kind,
        "candidates": list(mix.candidates),
        "other_asked": mix.second,
        "availability": mix.availability,
        "quality": None if quality is None else {"mean": quality.mean, "low": quality.low, "high": quality.high},
        "cost_per_case_usd": _estimate_json(cost),
        "total_cost_usd": None if mix.cost.unpriced else str(mix.cost.amount),
        "p95_ms": _estimate_json(p95),
        "unbeaten": unbeaten,
    }


def _estimate_json(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.value, "low": found.low, "high": found.high}
