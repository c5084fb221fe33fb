"""Requirements to verdicts: does a candidate meet them, can the data tell, and which is the cheapest that meets all.

Figures and requirements go in, values come out. A verdict has two parts: whether the measured figure meets the
requirement, and whether that is *established*, which means that the 95% interval lies on the same side of the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from pytest_llmeval.prices import TotalCost, format_usd
from pytest_llmeval.stats import Interval, mean_interval, percentile

if TYPE_CHECKING:
    from pytest_llmeval.settings import Requirements

Status = Literal["met", "not met", "unknown"]

NO_COST = TotalCost(Decimal(0))
#: The share of answers that are valid JSON for sure, at least, where all that were seen are: of 73 or more.
SURELY_VALID = 0.95
#: The share of answers that may be slower than `max_latency_ms`: the limit is on the 95th percentile.
SLOW_SHARE = 0.05
#: Which hosting `data_privacy` admits; any is `standard`.
PRIVATE: Mapping[str, tuple[str, ...]] = {
    "strict": ("self-hosted", "local", "private"),
    "air-gapped": ("local", "private"),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of one candidate.

    Attributes:
        name: Name of the candidate.
        quality: Mean score with its interval; None without a score.
        cost: Of all its calls.
        call_costs: USD of the calls whose cost is known, by case.
        latencies_ms: Of the answers, by case.
        answers, errors: Calls that got an answer, and calls that got none.
        replayed: Answers from recordings, which keep no calls that failed for a time.
        json_valid, json_checked: Answers that were valid JSON, of those that were checked.
        longest_tokens: Tokens in and out of the longest call; None if nobody counted.
        context: Tokens that the model can hold; None if no catalog knows.
        hosting: ``api``, ``self-hosted``, ``local``, or ``private`` for self-hosted at a private address; None if
            nobody knows.
    """

    name: str
    quality: Interval | None = None
    cost: TotalCost = NO_COST
    call_costs: Sequence[Sequence[float]] = ()
    latencies_ms: Sequence[Sequence[float]] = ()
    answers: int = 0
    errors: int = 0
    replayed: int = 0
    json_valid: int = 0
    json_checked: int = 0
    longest_tokens: int | None = None
    context: int | None = None
    hosting: str | None = None

    @property
    def cost_per_request(self) -> Decimal | None:
        """Mean USD of a request; None as soon as the cost of one is unknown."""
        return None if self.cost.unpriced else self.cost.per_request

    @property
    def p95_ms(self) -> float | None:
        """95th percentile of the latency in milliseconds."""
        return percentile([ms for case in self.latencies_ms for ms in case], 95)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One requirement of one candidate.

    Attributes:
        key: The requirement, as in the settings: ``max_latency_ms``.
        status: ``met``, ``not met``, or ``unknown`` where nobody measured it.
        text: The figure and the limit: ``p95 2.40 s > 2.00 s``.
        established: Whether the data can support it. What is declared rather than measured is.
    """

    key: str
    status: Status
    text: str
    established: bool = True


@dataclass(frozen=True, slots=True)
class CandidateVerdict:
    """All requirements of one candidate."""

    figures: Figures
    verdicts: tuple[Verdict, ...]
    monthly_cost: Decimal | None = None
    dominated_by: str | None = None

    @property
    def name(self) -> str:
        """Name of the candidate."""
        return self.figures.name

    @property
    def unmet(self) -> list[Verdict]:
        """The requirements that it does not meet."""
        return [verdict for verdict in self.verdicts if verdict.status == "not met"]

    @property
    def unsure(self) -> list[Verdict]:
        """The requirements of which nobody can tell: unknown, or met without the data to establish it."""
        return [v for v in self.verdicts if v.status == "unknown" or (v.status == "met" and not v.established)]

    @property
    def meets_all(self) -> bool:
        """Whether every measured figure meets its requirement; `unsure` says of which that is not established."""
        return all(verdict.status == "met" for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which candidate to take.

    Attributes:
        requirements: What they were held against.
        candidates: One verdict a candidate, in the order in which the figures came.
        best: The cheapest that meets all requirements; None if there is none whose cost is known.
        runner_up: The next cheapest that meets all.
        task: The task that all this is about; None for the whole run.
    """

    requirements: Requirements
    candidates: tuple[CandidateVerdict, ...]
    best: CandidateVerdict | None = None
    runner_up: CandidateVerdict | None = None
    task: str | None = None


def recommend(figures: Sequence[Figures], requirements: Requirements) -> Recommendation:
    """Hold candidates against requirements, and choose the cheapest that meets them all.

    Of equally cheap ones the one of higher quality comes first. A candidate whose cost is unknown is never the
    cheapest: unknown is not zero.

    >>> from pytest_llmeval.settings import Requirements
    >>> figures = [
    ...     Figures("small", Interval(0.80, 0.76, 0.84), TotalCost(Decimal("0.01"), priced=10)),
    ...     Figures("large", Interval(0.93, 0.90, 0.96), TotalCost(Decimal("0.90"), priced=10)),
    ... ]
    >>> found = recommend(figures, Requirements(min_quality_score=0.85))
    >>> found.best.name, found.candidates[0].unmet[0].text
    ('large', 'quality 0.80 < 0.85')
    """
    dominated = {each.name: _dominated_by(each, figures) for each in figures}
    candidates = tuple(
        CandidateVerdict(each, judge(each, requirements), _monthly(each, requirements), dominated[each.name])
        for each in figures
    )
    fit = [each for each in candidates if each.meets_all and each.figures.cost_per_request is not None]
    fit.sort(key=lambda each: (each.figures.cost_per_request, -(each.figures.quality or _NOTHING).mean))
    best, runner_up, *_ = [*fit, None, None]
    return Recommendation(requirements, candidates, best, runner_up)


_NOTHING = Interval(0.0, 0.0, 0.0)


def judge(figures: Figures, requirements: Requirements) -> tuple[Verdict, ...]:
    """Hold one candidate against each requirement that is set, in the order of the settings."""
    verdicts = []
    for key, check in CHECKS.items():
        limit = getattr(requirements, key)
        if limit is not None:
            verdicts.append(check(figures, limit))
    return tuple(verdicts)


def _latency(figures: Figures, limit: float) -> Verdict:
    key, p95 = "max_latency_ms", figures.p95_ms
    if p95 is None:
        return Verdict(key, "unknown", "no latency was measured", established=False)
    met = p95 <= limit
    # The 95th percentile is below the limit exactly where at most 5% of all answers are slower than it.
    slower = mean_interval([fmean(ms > limit for ms in case) for case in figures.latencies_ms]) or _NOTHING
    established = slower.high <= SLOW_SHARE if met else slower.low > SLOW_SHARE
    sign = "<=" if met else ">"
    return Verdict(key, _status(met), f"p95 {_ms(p95)} {sign} {_ms(limit)}", established)


def _cost(figures: Figures, limit: Decimal) -> Verdict:
    key, cost = "max_cost_per_request", figures.cost_per_request
    if cost is None:
        why = f"{figures.cost.unpriced} calls unpriced" if figures.cost.unpriced else "no call was made"
        return Verdict(key, "unknown", f"cost unknown ({why})", established=False)
    met = cost <= limit
    shown = "free" if figures.cost.is_free else format_usd(cost)
    from pytest_llmeval.stats.quantities import mean_of

    found = mean_of(figures.call_costs)
    low, high = (None, None) if found is None else (found.low, found.high)
    # What is free is declared, and needs no sample.
    established = figures.cost.is_free or (
        low is not None and high is not None and (high <= float(limit) if met else low > float(limit))
    )
    return Verdict(key, _status(met), f"{shown} {'<=' if met else '>'} {format_usd(limit)} a request", established)


def _quality(figures: Figures, limit: float) -> Verdict:
    key, quality = "min_quality_score", figures.quality
    if quality is None:
        return Verdict(key, "unknown", "nothing was scored", established=False)
    met = quality.mean >= limit
    established = quality.low >= limit if met else quality.high < limit
    return Verdict(key, _status(met), f"quality {quality.mean:.2f} {'>=' if met else '<'} {limit:.2f}", established)


def _context(figures: Figures, limit: int) -> Verdict:
    key, context, longest = "context_needed", figures.context, figures.longest_tokens or 0
    needed = max(limit, longest)
    if context is None:
        return Verdict(key, "unknown", "no catalog knows its context; set `context` for the model", established=False)
    met = context >= needed
    of = " of the longest case" if longest > limit else ""
    return Verdict(key, _status(met), f"context {context:,} {'>=' if met else '<'} {needed:,} tokens{of}")


def _privacy(figures: Figures, level: str) -> Verdict:
    key, hosting = "data_privacy", figures.hosting
    if level == "standard":
        return Verdict(key, "met", "any hosting is standard")
    if hosting is None:
        return Verdict(key, "unknown", "nobody knows where it is hosted", established=False)
    met = hosting in PRIVATE[level]
    return Verdict(key, _status(met), f"hosting {hosting} {'is' if met else 'is not'} {level}")


def _format(figures: Figures, wanted: str) -> Verdict:
    key = "output_format"
    if wanted == "text":
        return Verdict(key, "met", "text")
    if wanted == "code":
        return Verdict(key, "unknown", "whether answers are code, no check tells", established=False)
    if not figures.json_checked:
        return Verdict(key, "unknown", "no answer was checked for JSON", established=False)
    met = figures.json_valid == figures.json_checked
    shown = f"{figures.json_valid:,} of {figures.json_checked:,} answers are valid JSON"
    # One that is not is enough to know; of a few that are, nobody knows the next.
    valid = mean_interval([1.0] * figures.json_checked) or _NOTHING
    return Verdict(key, _status(met), shown, established=not met or valid.low >= SURELY_VALID)


def _availability(figures: Figures, limit: float) -> Verdict:
    key, calls = "availability", figures.answers + figures.errors
    if not calls:
        return Verdict(key, "unknown", "no call was made", established=False)
    share = figures.answers / calls
    met = share >= limit
    interval = mean_interval([1.0] * figures.answers + [0.0] * figures.errors) or _NOTHING
    # A call that failed and was made again is in no recording, so that a replay has no word in this.
    established = not figures.replayed and interval.low >= limit if met else interval.high < limit
    percent = f"{100 * limit:.4f}".rstrip("0").rstrip(".")
    shown = f"{figures.answers:,} of {calls:,} calls answered {'>=' if met else '<'} {percent}%"
    replayed = " (recordings keep no failures)" if figures.replayed else ""
    return Verdict(key, _status(met), f"{shown}{replayed}", established)


CHECKS: Mapping[str, Callable[..., Verdict]] = {
    "max_latency_ms": _latency,
    "max_cost_per_request": _cost,
    "min_quality_score": _quality,
    "context_needed": _context,
    "data_privacy": _privacy,
    "output_format": _format,
    "availability": _availability,
}


def _status(met: bool) -> Status:
    return "met" if met else "not met"


def _ms(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def _monthly(figures: Figures, requirements: Requirements) -> Decimal | None:
    cost, requests = figures.cost_per_request, requirements.requests_per_month
    return None if cost is None or requests is None else cost * requests


def _dominated_by(figures: Figures, others: Sequence[Figures]) -> str | None:
    """Return a candidate that is at least as good in quality, latency and cost, and better in one of them."""
    own = _merits(figures)
    for other in others:
        theirs = _merits(other)
        if None in own or None in theirs or other is figures:
            continue
        pairs = [(a, b) for a, b in zip(own, theirs, strict=True) if a is not None and b is not None]
        if all(b >= a for a, b in pairs) and any(b > a for a, b in pairs):
            return other.name
    return None


def _merits(figures: Figures) -> tuple[float | None, ...]:
    quality, p95, cost = figures.quality, figures.p95_ms, figures.cost_per_request
    return (
        None if quality is None else quality.mean,
        None if p95 is None else -p95,
        None if cost is None else -float(cost),
    )
