"""Keeps a run within its budget (``--llm-max-cost``): no request goes out whose answer could exceed it.

It stands where only real requests pass, after the lookup of recordings: what replays never gets here, and each retry
of an SDK does, as does what the code under test asks by itself.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from pytest_llmeval.bounds import asks_model, bounds_of, most_cost
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import json_body, scrub_uri
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.ledger import Answer, Ledger
from pytest_llmeval.prices import NOT_BILLED_STATUSES, NOT_SENT, UNPUBLISHED, format_usd
from pytest_llmeval.providers.endpoints import connection_of, endpoint_of
from pytest_llmeval.recorded import answer_of, cost_by
from pytest_llmeval.response import Cost
from pytest_llmeval.tariffs import Tariff, asking, tariff_of, with_reports

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cassettes.exchange import Exchange
    from pytest_llmeval.cassettes.store import Cassette

#: Seconds between two looks at the ledger, and how long anybody looks: as long as the SDKs wait for a call.
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.2
PATIENCE = 600.0


class Budget:
    """What a session asks before each request, and tells after it.

    Args:
        limit: Most that the run may spend, in USD.
        ledger: Who keeps the run's money.
        ignores_unknown: Whether calls without a price are let through.
        worker: Name of this process among those of the run.
        refuse: Raises what no SDK swallows and pytest does not count as a failure.
    """

    def __init__(
        self, limit: Decimal, ledger: Ledger, refuse: Callable[[str], NoReturn], *, ignores_unknown: bool, worker: str
    ) -> None:
        self.limit = limit
        self._ledger = ledger
        self.refuse = refuse
        self._ignores_unknown = ignores_unknown
        self._worker = worker
        self._numbers = itertools.count(1)
        self._open: dict[str, Hold] = {}
        #: Candidates with prices of their own, for what the code under test asks of them by itself.
        self.candidates: Callable[[], Iterable[Candidate]] = tuple

    def hold(self, exchange: Exchange, body: bytes) -> None:
        """Set money aside for a request, once others have left enough.

        Args:
            exchange: The request.
            body: Its body as it goes out: what the cassette sees may be redacted.

        Raises:
            BaseException: What `refuse` or the engine's `fail` raises: there is not enough, or nobody knows the price.
        """
        with closing(self._steps(exchange, body, self._owner())) as steps:
            for pause in steps:
                time.sleep(pause)

    async def ahold(self, exchange: Exchange, body: bytes) -> None:
        """Do what `hold` does, without holding up the event loop."""
        import anyio

        owner = f"{self._owner()}/{anyio.get_current_task().id}"
        with closing(self._steps(exchange, body, owner)) as steps:
            for pause in steps:
                await anyio.sleep(pause)

    def watches(self, host: str) -> bool:
        """Whether a host is known to take money for answers."""
        return endpoint_of(f"https://{host}") is not None

    def close(self, cassette: Cassette) -> None:
        """Settle what a test has left open when it ended."""
        for hold in [hold for hold in list(self._open.values()) if hold.exchange.cassette is cassette]:
            hold.failed("the test ended before the answer did")

    def _owner(self) -> str:
        return f"{self._worker}:{threading.get_ident()}"

    def _steps(self, exchange: Exchange, body: bytes, owner: str) -> Generator[float, None, None]:
        """Set money aside; yield the seconds to wait before looking again."""
        request = exchange.request
        asked = json_body(body)
        if not asks_model(request.method, request.uri, asked):
            return
        model = asked.get("model") if isinstance(asked, dict) else None
        tariff = self._tariff(request.uri, model if isinstance(model, str) else None)
        most = self._most(exchange, body, tariff)
        if most.status == "free":
            return
        ticket = f"{self._worker}:{next(self._numbers)}"
        yield from self._wait(exchange, ticket, owner, most)
        exchange.hold = self._open[ticket] = Hold(self, ticket, exchange, body, tariff)

    def _wait(self, exchange: Exchange, ticket: str, owner: str, most: Cost) -> Generator[float, None, None]:
        pause, end = FIRST_PAUSE, time.monotonic() + PATIENCE
        try:
            while (answer := self._ledger.reserve(ticket, owner, most.amount)).verdict == "wait":
                if time.monotonic() > end:
                    self._stop(exchange, most, answer)
                yield pause
                pause = min(pause * 1.5, LONGEST_PAUSE)
        except BaseException:
            self._ledger.leave(owner)
            raise
        if answer.verdict == "refused":
            self._stop(exchange, most, answer)

    def _stop(self, exchange: Exchange, most: Cost, answer: Answer) -> NoReturn:
        exchange.failed("not sent: the budget does not reach")
        spending = answer.spending
        gone, held = Decimal(spending.spent) + Decimal(spending.assumed), Decimal(spending.held)
        others = f", {format_usd(held)} is set aside for calls that have not ended" if held else ""
        may_cost = format_usd(most.amount or Decimal(0))
        message = (
            f"not run: the budget of {format_usd(self.limit)} (--llm-max-cost) does not reach: "
            f"{format_usd(gone)} is spent{others}, and this call may cost up to {may_cost}."
        )
        exchange.cassette.refused.append(message)
        self.refuse(message)

    def _tariff(self, uri: str, model: str | None) -> Tariff | None:
        own = asking.get()
        if own is not None:
            return with_reports(own, uri)
        for base, candidate in self._bases:
            if candidate.model == model and uri.startswith(f"{base}/"):
                return tariff_of(uri, candidate, model)
        return tariff_of(uri, None, model)

    @cached_property
    def _bases(self) -> list[tuple[str, Candidate]]:
        """The candidates by the beginning of the URLs at which they are asked."""
        bases = []
        for candidate in self.candidates():
            endpoint = endpoint_of("", candidate.provider)
            if endpoint is not None:
                try:
                    bases.append((connection_of(endpoint, candidate).base_url.rstrip("/"), candidate))
                except ConfigError:
                    continue
        return bases

    def _most(self, exchange: Exchange, body: bytes, tariff: Tariff | None) -> Cost:
        """Return the most that a request can cost; fail it where nobody knows and nobody said to ignore that."""
        uri = exchange.request.uri
        if tariff is None:
            most = Cost(None, "unknown", UNPUBLISHED)
        else:
            most = most_cost(bounds_of(uri, body, tariff), tariff, datetime.now(UTC))
        if most.amount is None and not self._ignores_unknown:
            exchange.failed("not sent: its price is unknown")
            parts = urlsplit(scrub_uri(uri))
            named = tariff.candidate.name if tariff is not None else ""
            what = f"{named or 'a model'} at {parts.scheme}://{parts.netloc}"
            message = unknown_prices(self.limit, {what: most.source})
            exchange.cassette.misses.append(message)
            exchange.cassette.engine.fail(message)
        return most

    def settle(self, hold: Hold, amount: Decimal | None) -> None:
        """Note what a call cost; None where nobody knows."""
        if self._open.pop(hold.ticket, None) is not None:
            self._ledger.settle(hold.ticket, amount)


class Hold:
    """What is set aside for one request."""

    def __init__(self, budget: Budget, ticket: str, exchange: Exchange, body: bytes, tariff: Tariff | None) -> None:
        self.ticket = ticket
        self.exchange = exchange
        self._budget = budget
        self._body = body
        self._tariff = tariff

    def answered(self, status: int, headers: dict[str, list[str]], content: bytes) -> None:
        """Take the whole answer."""
        self._budget.settle(self, self._cost(status, headers, content))

    def failed(self, reason: str) -> None:
        """Note that there is no whole answer."""
        self._budget.settle(self, Decimal(0) if reason in NOT_SENT else None)

    def _cost(self, status: int, headers: dict[str, list[str]], content: bytes) -> Decimal | None:
        if status in NOT_BILLED_STATUSES:
            return Decimal(0)
        if status >= 400 or self._tariff is None:
            return None
        request, latency = self.exchange.request, self.exchange.timing.latency_ms
        meta = {"latency_ms": latency}
        done = Interaction(request.method, request.uri, self._body, {}, status, "", headers, content, meta)
        return cost_by(self._tariff, done, answer_of(done), datetime.now(UTC)).amount


def unknown_prices(limit: Decimal, reasons: dict[str, Any]) -> str:
    """Say whose prices are unknown, why, and what to do.

    >>> print(unknown_prices(Decimal(5), {"inhouse": "`prices` of the model has no `output`"}))
    --llm-max-cost=5 needs to know what calls can cost, and cannot tell for:
      inhouse: `prices` of the model has no `output`
    Set prices in [tool.llmeval.models.NAME], or make such calls uncounted with --llm-unknown-price=ignore.
    """
    lines = [f"  {who}: {why}" for who, why in reasons.items()]
    return "\n".join(
        [
            f"--llm-max-cost={limit} needs to know what calls can cost, and cannot tell for:",
            *lines,
            "Set prices in [tool.llmeval.models.NAME], or make such calls uncounted with --llm-unknown-price=ignore.",
        ]
    )
