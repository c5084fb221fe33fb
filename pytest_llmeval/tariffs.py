"""By what the calls to one model are priced: whose prices hold, and what a call costs by them, at most or in fact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from pytest_llmeval.candidates import Candidate, leaves_of
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.prices import NOT_BILLED_SOURCE, context_window, cost_of, is_unbilled
from pytest_llmeval.providers.endpoints import connection_of, endpoint_of
from pytest_llmeval.response import Cost, Response, Try, Usage

#: Seconds that a call takes at most where nothing else is said: the time-out of both SDKs.
LONGEST_CALL = 600.0
UNBILLED = Cost(Decimal(0), "free", NOT_BILLED_SOURCE)


@dataclass(frozen=True, slots=True)
class Tariff:
    """By what the calls to one model are priced.

    Attributes:
        candidate: Whose prices come before published ones.
        billing: Provider id in genai-prices, or None.
        hosting: ``api``, ``self-hosted`` or ``local``.
        reports_cost: Whether the provider's answers say what they cost.
    """

    candidate: Candidate
    billing: str | None
    hosting: str
    reports_cost: bool = False

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Let requests of this context be priced by this."""
        token = asking.set(self)
        try:
            yield
        finally:
            asking.reset(token)

    def cost(
        self,
        usage: Usage,
        *,
        when: datetime,
        model: str | None = None,
        latency_ms: float | None = None,
        charged: Decimal | None = None,
    ) -> Cost:
        """Return what a call cost; see `prices.cost_of`."""
        return cost_of(
            self.candidate,
            usage,
            model=model,
            billing=self.billing,
            hosting=self.hosting,
            when=when,
            latency_ms=latency_ms,
            reported=charged if self.reports_cost else None,
        )

    def of_response(self, response: Response) -> Cost:
        """Return what an answer cost that was asked through the candidate's own provider."""
        when = datetime.fromisoformat(response.recorded_at) if response.recorded_at else datetime.now(UTC)
        return cost_of(
            self.candidate,
            response.usage,
            model=response.model,
            billing=self.billing,
            hosting=self.hosting,
            when=when,
            latency_ms=response.latency_ms,
            reported=response.reported_cost,
        )

    def most(self, read: int, written: int, *, when: datetime, cache_write: bool = False) -> Cost:
        """Return the most that a call can cost.

        Args:
            read: Most tokens that the model reads.
            written: Most tokens that it writes.
            when: Date whose prices count.
            cache_write: Whether what is read may be written to the provider's cache, at a price of its own.

        >>> chat = Candidate("gpt-4o-mini", "openai", "gpt-4o-mini")
        >>> str(Tariff(chat, "openai", "api").most(1000, 1000, when=datetime(2025, 6, 1)).amount)
        '0.00075'
        """
        latency_ms = (self.candidate.timeout or LONGEST_CALL) * 1000

        def cost(usage: Usage) -> Cost:
            return self.cost(usage, when=when, latency_ms=latency_ms)

        plain = cost(Usage(read, written))
        if plain.amount is None:
            return plain
        # Where reasoning or what goes into the cache has a price of its own, all of it may be that.
        others = [cost(Usage(read, written, reasoning_tokens=written))]
        if cache_write:
            others.append(cost(Usage(read, written, cache_write_tokens=read)))
        return max([plain, *others], key=lambda found: found.amount or Decimal(0))

    def window(self) -> int | None:
        """Return the most tokens that a call can read or write, whatever it says; None if nobody tells."""
        return None if self.billing is None else context_window(self.billing, self.candidate.model)


#: By what the call that is on its way is priced, where a candidate's own client makes it.
asking: ContextVar[Tariff | None] = ContextVar("llmeval_asking", default=None)


def tariff_of(uri: str, candidate: Candidate | None, asked: str | None) -> Tariff | None:
    """Return by what a call to a URL is priced; None where nobody publishes prices for that address.

    Args:
        uri: Where the call goes.
        candidate: Who is asked, with the user's own prices; None takes the provider of the URL.
        asked: The model that is asked for, where there is no candidate.

    >>> tariff_of("https://api.openai.com/v1/chat/completions", None, "gpt-4o").billing
    'openai'
    """
    if candidate is not None and candidate.members:
        # Several answer for it: which of them is told by the model that was asked for.
        candidate = next((leaf for leaf in leaves_of(candidate) if leaf.model == asked), None)
    endpoint = endpoint_of(uri, candidate.provider if candidate else None)
    if candidate is None:
        if endpoint is None:
            return None
        candidate = Candidate(asked or "", endpoint.name, asked or "")
    if endpoint is None:
        return Tariff(candidate, None, candidate.hosting or "api")
    try:
        connection = connection_of(endpoint, candidate)
    except ConfigError:
        return None
    return Tariff(candidate, connection.billing, connection.hosting, connection.reports_cost)


def with_reports(tariff: Tariff, uri: str) -> Tariff:
    """Return a tariff of a candidate's own client, which does not know whether the provider reports costs."""
    same = tariff_of(uri, tariff.candidate, None)
    return replace(tariff, reports_cost=same is not None and same.reports_cost)


def cost_together(tries: Sequence[Try]) -> Cost:
    """Return what calls cost together; unknown as soon as one is that may have been paid for.

    >>> one = Try("a", cost=Cost(Decimal("0.01"), "priced", "user", "2026-01-01"))
    >>> cost_together([one, one]).amount, cost_together([one, Try("b")]).status
    (Decimal('0.02'), 'unknown')
    """
    known = [tried.cost for tried in tries if tried.cost.amount is not None]
    without = next((tried for tried in tries if tried.cost.amount is None and not _is_unbilled(tried)), None)
    if without is not None:
        why = without.cost.source or "nobody knows what a call that failed has cost"
        return Cost(None, "unknown", f"{without.candidate}: {why}")
    if not known:
        return Cost(Decimal(0), UNBILLED.status, UNBILLED.source)
    # Where a candidate was tried in vain, that alone is no price list.
    prices = [cost for cost in known if cost is not UNBILLED] or known
    status = next(each for each in ("estimated", "priced", "free") if each in {cost.status for cost in prices})
    sources = dict.fromkeys(cost.source for cost in prices if cost.status == status)
    days = [cost.as_of for cost in prices if cost.as_of]
    amount = sum((cost.amount or Decimal(0) for cost in known), Decimal(0))
    return Cost(amount, status, "; ".join(sources), min(days, default=None))


def _is_unbilled(tried: Try) -> bool:
    return tried.error is not None and is_unbilled(tried.error)
