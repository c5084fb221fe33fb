"""What a call costs: reported, set by the user, free, published, or unknown; and what many calls cost together.

The first source that knows sets the price: the provider's own figure; the user's prices; free, where the machine is
the user's own; genai-prices, as of the date of the call. Else the cost is unknown, with the reason as `Cost.source`.

Writes to Anthropic's prompt cache are priced as those to the 5-minute cache: the usage does not tell the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.response import Cost, CostStatus, Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

    from pytest_llmeval.errors import ProviderError
    from pytest_llmeval.records import Call
    from pytest_llmeval.settings import Prices

MILLION = Decimal(1_000_000)
MS_PER_HOUR = Decimal(3_600_000)

#: Source of published prices.
PUBLISHED = "genai-prices"
NO_USAGE = "the provider reported no token usage"
BAD_USAGE = "the reported token usage does not add up"
UNPUBLISHED = "nobody publishes prices for this endpoint; set `prices` for the model"
NO_LATENCY = "`gpu_hour` needs a latency, and none was measured"

#: Errors that come before a model starts to write; no provider bills them.
NOT_BILLED = {"auth", "rate_limit", "bad_request", "not_found", "circuit_open"}
NOT_BILLED_SOURCE = "failed before a model wrote; not billed"
#: Statuses with which a provider says that no model began to write; no provider bills them. Those of 5xx that are not
#: here may come after the model has written.
NOT_BILLED_STATUSES = {*range(300, 408), *range(409, 500), 503, 529}
#: What clients raise, or say last, where the request never left this machine.
NOT_SENT = {
    *("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError"),
    *("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ConnectionRefusedError", "gaierror"),
    *("ClientConnectorError", "InvalidURL"),
}


def cost_of(
    candidate: Candidate,
    usage: Usage,
    *,
    model: str | None,
    billing: str | None,
    hosting: str,
    when: datetime,
    latency_ms: float | None = None,
    reported: Decimal | float | None = None,
) -> Cost:
    """Return what one call cost, from the first source that knows.

    Args:
        candidate: Its `prices` come before published ones; its `model` is what was asked for.
        usage: Tokens of the call.
        model: What the server says answered; looked up before the id that was asked for.
        billing: Provider id in genai-prices, or None.
        hosting: ``api``, ``self-hosted`` or ``local``.
        when: Time of the call; of the recording, for a replayed answer. UTC, if it names no time zone.
        latency_ms: Wall time of the call in milliseconds, for prices by the hour.
        reported: USD that the provider says it charges.

    >>> mini = Candidate("gpt-4o-mini", "openai", "gpt-4o-mini")
    >>> june = datetime(2025, 6, 1, tzinfo=UTC)
    >>> cost_of(mini, Usage(1500, 500), model="gpt-4o-mini-2024-07-18", billing="openai", hosting="api", when=june)
    Cost(amount=Decimal('0.000525'), status='priced', source='genai-prices', as_of='2025-06-01')
    """
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    as_of = when.date().isoformat()
    if (charged := _amount_reported(reported)) is not None:
        return Cost(charged, "priced", "provider", as_of)
    if candidate.prices is not None:
        return _by_user(candidate.prices, usage, latency_ms, as_of)
    if hosting == "local":
        return Cost(Decimal(0), "free", "local; hardware is not counted", as_of)
    if billing is None:
        return _unknown(UNPUBLISHED)
    return _by_genai_prices(billing, [model, candidate.model], usage, when)


def _unknown(why: str) -> Cost:
    return Cost(None, "unknown", why)


def _amount_reported(reported: Decimal | float | None) -> Decimal | None:
    if reported is None:
        return None
    amount = Decimal(str(reported))
    return amount if amount.is_finite() and amount >= 0 else None


@dataclass(frozen=True, slots=True)
class _Billed:
    """Tokens of one call by price class, each counted once; `total_input` selects the tier."""

    input: int
    output: int
    cached: int
    cache_write: int
    total_input: int


def _billed(usage: Usage) -> _Billed | str:
    """Return the tokens by price class, or why that cannot be told."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return NO_USAGE
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    plain = usage.input_tokens - cached - written
    if min(plain, usage.output_tokens, cached, written) < 0:
        return BAD_USAGE
    return _Billed(plain, usage.output_tokens, cached, written, usage.input_tokens)


def _by_user(prices: Prices | str, usage: Usage, latency_ms: float | None, as_of: str) -> Cost:
    if isinstance(prices, str):
        return Cost(Decimal(0), "free", "declared free", as_of)
    if prices.gpu_hour is not None:
        if latency_ms is None:
            return _unknown(NO_LATENCY)
        amount = prices.gpu_hour * Decimal(str(latency_ms)) / MS_PER_HOUR / prices.concurrency
        return Cost(amount, "estimated", "user; price of the machine for the time of the call", as_of)
    tokens = _billed(usage)
    if isinstance(tokens, str):
        return _unknown(tokens)
    status: CostStatus = "priced"
    source = "user"
    amount = Decimal(0)
    for name, count in (
        ("input", tokens.input),
        ("output", tokens.output),
        ("cached_input", tokens.cached),
        ("cache_write", tokens.cache_write),
    ):
        price: Decimal | None = getattr(prices, name)
        if count and price is None and name in ("cached_input", "cache_write"):
            price, status, source = prices.input, "estimated", "user; cached tokens at the input price"
        if count and price is None:
            return _unknown(f"`prices` of the model has no `{name}`")
        amount += (price or 0) * count / MILLION
    return Cost(amount, status, source, as_of)


def _by_genai_prices(billing: str, models: Iterable[str | None], usage: Usage, when: datetime) -> Cost:
    tokens = _billed(usage)
    if isinstance(tokens, str):
        return _unknown(tokens)
    asked = [model for model in dict.fromkeys(models) if model]
    for model in asked:
        info = published_model(billing, model)
        if info is not None:
            amount = _published_amount(info.get_prices(when), tokens, usage)
            if isinstance(amount, str):
                return _unknown(amount)
            return Cost(amount, "priced", PUBLISHED, when.date().isoformat())
    return _unknown(f"genai-prices does not know {' or '.join(map(repr, asked))} of {billing!r}")


def context_window(billing: str, model: str) -> int | None:
    """Return how many tokens a model can hold, as genai-prices has it; None if it does not say.

    >>> context_window("openai", "gpt-4o-mini")
    128000
    """
    info = published_model(billing, model)
    return None if info is None else info.context_window


@lru_cache(maxsize=1024)
def published_model(billing: str, model: str) -> ModelInfo | None:
    """Return what genai-prices says of a model of a provider, by any of its names; None if it does not know it."""
    from genai_prices import Usage as NoUsage
    from genai_prices import calc_price

    try:
        found = calc_price(NoUsage(), model, provider_id=billing)
    except LookupError:
        return None
    # genai-prices takes any id that contains "openai" for OpenAI: a wrong price is worse than none.
    return found.model if found.provider.id == billing else None


def published_prices(billing: str | None, models: Iterable[str | None], day: str) -> dict[str, str | None]:
    """Return the published prices of the first of `models` that is known, as of a day, in USD per 1M tokens.

    None stands for what nobody publishes. What depends on the length of the request is told with its steps.

    >>> published_prices("openai", ["gpt-4o-mini-2024-07-18"], "2025-06-01")
    {'input': '0.15', 'output': '0.6', 'cached_input': '0.075', 'cache_write': None}
    >>> published_prices("anthropic", ["claude-sonnet-4-5"], "2026-01-01")["output"]
    '15 (22.5 above 200000 tokens)'
    """
    found = (published_model(billing, model) for model in models if billing and model)
    info = next((info for info in found if info is not None), None)
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    by_class: dict[str, Any] = vars(info.get_prices(when)) if info is not None else {}
    names = {"input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok"}
    prices = {name: by_class.get(key) for name, key in (names | {"cache_write": "cache_write_mtok"}).items()}
    return {name: None if price is None else _price_text(price) for name, price in prices.items()}


def _price_text(price: Any) -> str:
    if isinstance(price, Decimal):
        return str(price)
    steps = (f"{tier.price} above {tier.start} tokens" for tier in price.tiers)
    return f"{price.base} ({', '.join(steps)})"


#: Price classes that few models have and that `_published_amount` leaves to genai-prices, at 30 times the time.
RARE_PRICES = ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok")


def _published_amount(prices: ModelPrice, tokens: _Billed, usage: Usage) -> Decimal | str:
    """Return the price of the tokens, or why there is none: genai-prices counts a class without a price as 0."""
    from genai_prices.types import calc_unit_price

    by_class: dict[str, Any] = vars(prices)
    amount = Decimal(0)
    for name, key, count in (
        ("input tokens", "input_mtok", tokens.input),
        ("output tokens", "output_mtok", tokens.output),
        ("tokens read from the prompt cache", "cache_read_mtok", tokens.cached),
        ("tokens written to the prompt cache", "cache_write_mtok", tokens.cache_write),
    ):
        if count:
            price = by_class.get(key)
            if price is None:
                return f"genai-prices has no price for the model's {name}"
            amount += calc_unit_price(price, count, tokens.total_input, 1_000_000)
    if any(by_class.get(key) is not None for key in RARE_PRICES):
        return _amount_by_genai_prices(prices, usage)
    return amount


def _amount_by_genai_prices(prices: ModelPrice, usage: Usage) -> Decimal | str:
    from genai_prices import Usage as Counts

    counts = Counts(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    try:
        return prices.calc_price(counts)["total_price"]
    except ValueError:
        return BAD_USAGE


@dataclass(frozen=True, slots=True)
class TotalCost:
    """What many calls cost together, and how many of them each way.

    `amount` adds up the calls whose cost is known; it is a lower bound as soon as one is `unpriced`. What is known of
    such calls, which are those of a mix, is `part` of it.

    >>> str(TotalCost(Decimal("0.0123"), unpriced=2, priced=3))
    '≥ $0.0123 (2 calls unpriced)'
    >>> str(TotalCost(Decimal(0), unpriced=1)), str(TotalCost(Decimal(0), free=3)), str(TotalCost(Decimal(0)))
    ('?', 'free', '-')
    """

    amount: Decimal
    unpriced: int = 0
    estimated: int = 0
    free: int = 0
    priced: int = 0
    part: Decimal = Decimal(0)

    @property
    def known(self) -> int:
        """Number of calls whose cost is known."""
        return self.priced + self.estimated + self.free

    @property
    def per_request(self) -> Decimal | None:
        """Mean cost of the calls whose cost is known; None if there are none."""
        return (self.amount - self.part) / self.known if self.known else None

    @property
    def is_free(self) -> bool:
        """Whether every call was free."""
        return self.free > 0 and self.free == self.known and not self.unpriced

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return {**asdict(self), "amount": str(self.amount), "part": str(self.part)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TotalCost:
        """Build it from `to_json`'s output."""
        return cls(**{**data, "amount": Decimal(data["amount"]), "part": Decimal(data.get("part", 0))})

    def __add__(self, other: TotalCost) -> TotalCost:
        return TotalCost(
            self.amount + other.amount,
            self.unpriced + other.unpriced,
            self.estimated + other.estimated,
            self.free + other.free,
            self.priced + other.priced,
            self.part + other.part,
        )

    def __str__(self) -> str:
        if not self.known and not self.amount:
            return "?" if self.unpriced else "-"
        if self.is_free:
            return "free"
        if not self.unpriced:
            return format_usd(self.amount)
        return f"≥ {format_usd(self.amount)} ({self.unpriced} call{'s' * (self.unpriced > 1)} unpriced)"


def total_cost(calls: Iterable[Call]) -> TotalCost:
    """Add up what calls cost.

    A call that failed before the model could write (`NOT_BILLED`) is left out; one that failed later, by a time-out
    for example, may well be billed and counts as unpriced unless its cost is known.
    """
    amount = part = Decimal(0)
    unpriced = estimated = free = priced = 0
    for call in calls:
        if call.error is not None and call.cost_source == NOT_BILLED_SOURCE:
            # Of a mix of which nobody was billed, as of one candidate.
            continue
        if call.cost is not None:
            amount += Decimal(call.cost)
            estimated += call.cost_status == "estimated"
            free += call.cost_status == "free"
            priced += call.cost_status == "priced"
        elif is_unpriced(call):
            unpriced += 1
            # Of several candidates, what is known counts, as far as it goes.
            part += total_cost(call.calls).amount
    return TotalCost(amount + part, unpriced, estimated, free, priced, part)


def is_unpriced(call: Call) -> bool:
    """Whether a call may have cost money and nobody knows how much.

    >>> from pytest_llmeval.records import Call
    >>> is_unpriced(Call("a")), is_unpriced(Call("a", error="refused", error_kind="auth"))
    (True, False)
    """
    if call.calls:
        return call.cost is None and any(map(is_unpriced, call.calls))
    return call.cost is None and not (call.error is not None and call.error_kind in NOT_BILLED)


def is_unbilled(error: ProviderError) -> bool:
    """Whether a call that failed has cost nothing for sure.

    >>> from pytest_llmeval.errors import ProviderError
    >>> [is_unbilled(ProviderError("", candidate="a", kind="server", status=status)) for status in (503, 500)]
    [True, False]
    """
    if error.kind in NOT_BILLED or error.status in NOT_BILLED_STATUSES:
        return True
    cause = error.cause
    while cause is not None and type(cause).__name__ not in NOT_SENT:
        cause = cause.__cause__
    return cause is not None


def format_usd(amount: Decimal, decimals: int | None = None) -> str:
    """Write USD with `decimals`, or with as many as three significant digits take and at least two.

    >>> format_usd(Decimal("1234.5")), format_usd(Decimal("0.000525")), format_usd(Decimal("0.1"))
    ('$1,234.50', '$0.000525', '$0.10')
    """
    return f"${amount:,.{decimals_of(amount) if decimals is None else decimals}f}"


def decimals_of(amount: Decimal, significant: int = 3) -> int:
    """Return how many decimals show `significant` digits of an amount of USD: at least two, no trailing zeros beyond.

    >>> decimals_of(Decimal("0.01234")), decimals_of(Decimal("0.5")), decimals_of(Decimal(0))
    (4, 2, 2)
    """
    if not amount:
        return 2
    places = max(2, significant - 1 - amount.adjusted())
    exponent = round(amount, places).normalize().as_tuple().exponent
    return max(2, -exponent) if isinstance(exponent, int) else 2
