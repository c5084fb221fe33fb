"""Ways to serve a month's traffic, one model for all or a split over several, and what each costs.

Pure functions over values, for notebooks too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pytest_llmeval.catalog import published_costs
from pytest_llmeval.errors import ConfigError

#: Volumes of a table, in requests a month.
VOLUMES = (10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000)


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to serve all requests.

    Attributes:
        shares: Share of the traffic by model; they add up to 1.
        per_request: USD for a request, on average; None if the price of a model is unknown.
    """

    shares: Mapping[str, Decimal]
    per_request: Decimal | None

    @property
    def name(self) -> str:
        """What reports call it: the model, or the models with their shares."""
        if len(self.shares) == 1:
            return next(iter(self.shares))
        return " + ".join(f"{_percent(share)} {name}" for name, share in self.shares.items())

    def renamed(self, names: Mapping[str, str]) -> Strategy:
        """Return it with other names for its models."""
        return Strategy({names.get(name, name): share for name, share in self.shares.items()}, self.per_request)

    def monthly(self, requests: int) -> Decimal | None:
        """Return USD a month.

        >>> Strategy({"a": Decimal(1)}, Decimal("0.00875")).monthly(1_000_000)
        Decimal('8750.00000')
        """
        return None if self.per_request is None else self.per_request * requests


def strategy(
    shares: Mapping[str, Decimal], each: Mapping[str, Decimal | None], routing: Decimal | None = Decimal(0)
) -> Strategy:
    """Return what a split of the traffic costs a request.

    Args:
        shares: Share of the traffic by model.
        each: USD for a request by model; None where it is unknown.
        routing: USD that it takes to choose the model of a request; only where there are several. None if unknown.

    >>> each = {"mini": Decimal("0.00075"), "large": Decimal("0.0125")}
    >>> strategy({"mini": Decimal("0.7"), "large": Decimal("0.3")}, each).per_request
    Decimal('0.004275')
    """
    costs = [(share, each[name]) for name, share in shares.items()]
    known = [share * cost for share, cost in costs if cost is not None]
    added = routing if len(costs) > 1 else Decimal(0)
    if len(known) < len(costs) or added is None:
        return Strategy(shares, None)
    return Strategy(shares, (sum(known, Decimal(0)) + added).normalize())


def ranked(strategies: Iterable[Strategy]) -> list[Strategy]:
    """Return strategies, the cheapest first; those of unknown cost last: unknown is not zero."""
    return sorted(strategies, key=lambda each: (each.per_request is None, each.per_request or Decimal(0)))


def parse_split(text: str) -> dict[str, Decimal]:
    """Return the shares of a split of the traffic, as it is written on a command line.

    Raises:
        ConfigError: It cannot be used, or the shares do not add up to 1.

    >>> parse_split("openai:gpt-4o-mini=70%, openai:gpt-4o=30%")
    {'openai:gpt-4o-mini': Decimal('0.7'), 'openai:gpt-4o': Decimal('0.3')}
    """
    shares: dict[str, Decimal] = {}
    for part in text.split(","):
        name, _, written = (each.strip() for each in part.rpartition("="))
        share = _share(written)
        if not name or name in shares or share is None:
            raise ConfigError(f"--split={text}: write each model once, with its share: gpt-4o-mini=70%,gpt-4o=30%.")
        shares[name] = share
    if sum(shares.values()) != 1:
        raise ConfigError(
            f"--split={text}: the shares add up to {_percent(sum(shares.values(), Decimal(0)))}, not 100%."
        )
    return shares


def contradictions(
    strategies: Sequence[Strategy], requests: int, tokens_in: int, tokens_out: int, catalog: str = "reference"
) -> list[tuple[Strategy, Decimal]]:
    """Return strategies whose published cost is not what prices and tokens come to, with that.

    >>> from pytest_llmeval.catalog import cost_per_request, reference_model
    >>> sonnet = cost_per_request(reference_model("Claude Sonnet"), 1500, 500)
    >>> [(_, said)] = contradictions([Strategy({"Claude Sonnet": Decimal(1)}, sonnet)], 1_000_000, 1500, 500)
    >>> str(said), str(sonnet * 1_000_000)
    ('11250.00', '12000.000')
    """
    found = []
    for each in strategies:
        for published in published_costs(catalog):
            scenario = published.requests, published.tokens_in, published.tokens_out
            cost = each.monthly(requests)
            if scenario == (requests, tokens_in, tokens_out) and published.shares == each.shares and cost is not None:
                off = abs(published.said - cost)
                if off > (published.about if len(each.shares) > 1 else Decimal("0.005")):
                    found.append((each, published.said))
    return found


def _share(written: str) -> Decimal | None:
    try:
        value = Decimal(written.removesuffix("%").strip())
    except InvalidOperation:
        return None
    share = value / 100 if written.endswith("%") else value
    return share if share.is_finite() and 0 < share <= 1 else None


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f}%"
