"""What requirements make of the candidates, in words: a row per candidate and requirement, and what follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_llmeval.prices import format_usd
from pytest_llmeval.reports.columns import one_line
from pytest_llmeval.verdicts import CandidateVerdict, Recommendation, Verdict

Note = tuple[str, str]

NOT_CERTAIN = "not certain"


def verdict_text(verdict: Verdict) -> str:
    """Say what a verdict is worth.

    >>> verdict_text(Verdict("availability", "met", "40 of 40 calls answered >= 99%", established=False))
    'met, not certain'
    """
    unsure = verdict.status != "unknown" and not verdict.established
    return f"{verdict.status}, {NOT_CERTAIN}" if unsure else verdict.status


def heading(candidate: CandidateVerdict, recommendation: Recommendation) -> str:
    """Say in a line how many requirements a candidate meets, and what it costs a month."""
    total = len(candidate.verdicts)
    met = sum(verdict.status == "met" for verdict in candidate.verdicts)
    parts = [] if not total else [f"meets {met} of {total}" if met < total else "meets all requirements"]
    requests = recommendation.requirements.requests_per_month
    if requests is not None and candidate.monthly_cost is None:
        parts.append("nobody knows what a month costs")
    elif requests is not None and candidate.monthly_cost is not None:
        month = "free" if candidate.figures.cost.is_free else f"{format_usd(candidate.monthly_cost)} a month"
        parts.append(f"{month} for {requests:,} requests")
    return f"{one_line(candidate.name)}: {', '.join(parts)}"


def conclusions(recommendation: Recommendation) -> list[Note]:
    """Return what follows: whom to take, what the others would save and miss, and of what nobody can be certain."""
    return [
        *_cheapest(recommendation),
        *_unmet(recommendation),
        *(
            (
                "dominated",
                f"{one_line(each.name)}, by {one_line(each.dominated_by)}: no better in quality, p95 and cost",
            )
            for each in recommendation.candidates
            if each.dominated_by is not None
        ),
        *_not_certain(recommendation),
    ]


def _cheapest(recommendation: Recommendation) -> Iterator[Note]:
    best, second = recommendation.best, recommendation.runner_up
    if best is not None:
        yield "cheapest", f"{one_line(best.name)} meets all requirements{_price(best)}{_unsure(best)}"
    if second is not None:
        yield "runner-up", f"{one_line(second.name)} meets all requirements{_price(second)}{_unsure(second)}"
    unpriced = [each for each in recommendation.candidates if each.meets_all and each.figures.cost_per_request is None]
    for each in unpriced:
        yield "cheapest", f"{one_line(each.name)} meets all requirements; nobody knows what it costs"
    if best is None and not unpriced:
        yield "cheapest", "no candidate meets all requirements"


def _price(candidate: CandidateVerdict) -> str:
    cost = candidate.figures.cost_per_request
    if cost is None:
        return ""
    if candidate.figures.cost.is_free:
        return ", free"
    month = "" if candidate.monthly_cost is None else f", {format_usd(candidate.monthly_cost)} a month"
    return f", at {format_usd(cost)} a request{month}"


def _unsure(candidate: CandidateVerdict) -> str:
    keys = [verdict.key for verdict in candidate.unsure]
    return f"; {NOT_CERTAIN}: {', '.join(keys)}" if keys else ""


def _unmet(recommendation: Recommendation, *, reasons: bool = False) -> Iterator[Note]:
    best = recommendation.best
    for each in recommendation.candidates:
        missed = [verdict.text for verdict in each.unmet]
        unknown = [verdict for verdict in each.verdicts if verdict.status == "unknown"]
        missed += [f"{verdict.key} unknown{f', {verdict.text}' * reasons}" for verdict in unknown]
        if missed:
            yield "misses", f"{one_line(each.name)}: {'; '.join(missed)}{_saving(each, best)}"


def _saving(candidate: CandidateVerdict, best: CandidateVerdict | None) -> str:
    """Say what it would save to do without what a candidate misses."""
    cost = candidate.figures.cost_per_request
    least = None if best is None else best.figures.cost_per_request
    if cost is None or least is None or cost >= least or not candidate.figures.answers:
        return ""
    saved = f"{format_usd(least - cost)} a request"
    if best is not None and best.monthly_cost is not None and candidate.monthly_cost is not None:
        saved += f", {format_usd(best.monthly_cost - candidate.monthly_cost)} a month"
    return f"; without that, it would save {saved}"


def _not_certain(recommendation: Recommendation) -> Iterator[Note]:
    verdicts = [verdict for each in recommendation.candidates for verdict in each.verdicts]
    if any(verdict.status != "unknown" and not verdict.established for verdict in verdicts):
        yield NOT_CERTAIN, "these data cannot tell: the limit lies within the 95% interval; more cases narrow it"


def not_met_lines(recommendations: Iterable[Recommendation]) -> list[str]:
    """Say where no candidate meets all requirements, and what each of them misses; no line if one does."""
    lines = []
    for each in recommendations:
        if not any(candidate.meets_all for candidate in each.candidates):
            what = "" if each.task is None else f" of {one_line(each.task)}"
            lines.append(f"No candidate meets all requirements{what} (--llm-require-fail):")
            lines += [f"  {text}" for _, text in _unmet(each, reasons=True)]
    return lines
