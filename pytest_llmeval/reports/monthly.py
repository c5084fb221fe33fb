"""What a month costs: strategies beside each other, at one volume or several; an API against GPUs of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from pytest_llmeval.catalog import BreakEven
from pytest_llmeval.prices import decimals_of, format_usd
from pytest_llmeval.reports.columns import UNKNOWN, Column, format_share
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.strategies import Strategy

#: A request costs a millionth of what a million do, and that to the cent.
SIGNIFICANT = 5
#: Under this many requests a month an API is nearly always cheaper, above the other self-hosting starts to pay.
RULE_OF_THUMB = (100_000, 500_000)


def format_volume(requests: int) -> str:
    """Write a number of requests as the head of a column.

    >>> format_volume(10_000), format_volume(1_500_000), format_volume(1234)
    ('10K', '1.5M', '1,234')
    """
    for size, unit in ((1_000_000, "M"), (1_000, "K")):
        if requests >= size and requests % (size // 10) == 0:
            return f"{Decimal(requests) / size:g}{unit}" if requests % size else f"{requests // size:,}{unit}"
    return f"{requests:,}"


def cents(amount: Decimal | None) -> str:
    """Write an amount to the cent.

    >>> cents(Decimal("8750")), cents(Decimal("-0.5")), cents(None)
    ('$8,750.00', '-$0.50', '?')
    """
    if amount is None:
        return UNKNOWN
    return f"{'-' * (amount < 0)}${abs(amount):,.2f}"


def show_strategies(screen: Screen, strategies: Sequence[Strategy], requests: int, volumes: Sequence[int]) -> None:
    """Show what each strategy costs a request and a month, the cheapest first."""
    costs = [each.monthly(requests) for each in strategies]
    known = [cost for cost in costs if cost is not None]
    each = [strategy.per_request for strategy in strategies]
    decimals = max((decimals_of(amount, SIGNIFICANT) for amount in each if amount), default=2)
    built = [
        Column("a request", 8, tuple(UNKNOWN if cost is None else format_usd(cost, decimals) for cost in each)),
        Column("a month", 0, tuple(cents(cost) for cost in costs)),
        Column("less than\nthe dearest", 9, tuple(_less(cost, known) for cost in costs)),
    ]
    built = built if len(known) > 1 else built[:2]
    screen.table([strategy.name for strategy in strategies], built, head=True, name_head="strategy")
    if volumes:
        screen.line()
        screen.line("USD a month, by requests a month", "bold")
        columns = [
            Column(format_volume(volume), 0, tuple(cents(strategy.monthly(volume)) for strategy in strategies))
            for volume in volumes
        ]
        for number, chunk in enumerate(_chunks(columns)):
            if number:
                screen.line()
            screen.table([strategy.name for strategy in strategies], chunk, head=True, name_head="strategy")


def _chunks(columns: Sequence[Column], size: int = 3) -> Iterator[Sequence[Column]]:
    # No number may be cut, and three of them fit beside a name in 80 columns.
    for start in range(0, len(columns), size):
        yield columns[start : start + size]


def _less(cost: Decimal | None, known: Sequence[Decimal]) -> str:
    if cost is None or len(known) < 2 or not max(known) or cost == max(known):
        return "-"
    return format_share(max(known) - cost, max(known))


def strategy_json(strategy: Strategy, requests: int, volumes: Sequence[int]) -> dict[str, Any]:
    """Return a strategy as plain JSON types; amounts are decimal strings, null is what nobody knows."""

    def text(amount: Decimal | None) -> str | None:
        return None if amount is None else f"{amount:f}"

    return {
        "strategy": strategy.name,
        "shares": {name: str(share) for name, share in strategy.shares.items()},
        "per_request_usd": text(strategy.per_request),
        "monthly_usd": None if (cost := strategy.monthly(requests)) is None else f"{cost:.2f}",
        "volumes_usd": {
            str(volume): None if (cost := strategy.monthly(volume)) is None else f"{cost:.2f}" for volume in volumes
        },
    }


def show_break_even(screen: Screen, found: BreakEven, full: BreakEven, given: dict[str, Any]) -> None:
    """Show an API against GPUs of one's own, at a utilization and at 1.0."""
    utilization, gpu = given["utilization"], cents(given["gpu_month"])
    # As they were measured, these may have any number of digits.
    tokens, price = (round(Decimal(given[name]), 4).normalize() + 0 for name in ("tokens_per_request", "blended_price"))
    api = f"{given['requests']:,} requests x {tokens:,} tokens / 1e6 x ${price:f}"
    rows = [
        ("API", f"{cents(found.api)} a month: {api}"),
        ("self-hosted", f"{cents(found.self_hosted)} a month: {_gpus(found)} x {gpu}, at utilization {utilization:g}"),
        ("savings", _savings(found)),
        ("at 1.0", f"utilization 1.0 leaves no headroom for peaks: {_gpus(full)}, {cents(full.self_hosted)}"),
        ("crossover", _crossover(found)),
        ("rule of thumb", _rule(found, given["requests"])),
    ]
    screen.notes(rows, after_table=False)


def _gpus(found: BreakEven) -> str:
    return f"{found.gpus:,} GPU{'s' * (found.gpus != 1)}"


def _savings(found: BreakEven) -> str:
    if found.savings < 0:
        return f"none: self-hosting costs {cents(-found.savings)} more a month"
    return f"{cents(found.savings)} a month with self-hosting, people's time not counted"


def _crossover(found: BreakEven) -> str:
    if found.crossover is None:
        return "none: a GPU at its limit costs as much as what it replaces, or more"
    return f"{found.crossover:,} requests a month: from there on self-hosting is never dearer"


def _rule(found: BreakEven, requests: int) -> str:
    low, high = RULE_OF_THUMB
    rule = (
        f"under about {low:,} requests an API is nearly always cheaper once people's time counts; above about {high:,} "
    )
    rule += "self-hosting starts to pay"
    if requests < low and found.savings > 0:
        return f"{rule}. This says otherwise: count people's time"
    if requests > high and found.savings <= 0:
        return f"{rule}. This says otherwise: look at tokens/s and utilization"
    return rule


def show_volumes(screen: Screen, found: Sequence[tuple[int, BreakEven]]) -> None:
    """Show an API against GPUs over volumes."""
    built = [
        Column("API", 0, tuple(cents(each.api) for _, each in found)),
        Column("GPUs", 0, tuple(f"{each.gpus:,}" for _, each in found)),
        Column("self-hosted", 0, tuple(cents(each.self_hosted) for _, each in found)),
        Column("savings", 0, tuple(cents(each.savings) for _, each in found)),
    ]
    screen.table([f"{volume:,}" for volume, _ in found], built, head=True, name_head="requests")


def contradiction_notes(found: Sequence[tuple[Strategy, Decimal]], requests: int) -> Iterator[Note]:
    """Say where a published amount is not what its own formula gives.

    >>> list(contradiction_notes([(Strategy({"x": Decimal(1)}, Decimal("0.012")), Decimal(11250))], 1_000_000))
    [('published', 'x: $11,250.00 is published, $12,000.00 is what the prices and tokens come to')]
    """
    for strategy, said in found:
        cost = cents(strategy.monthly(requests))
        yield "published", f"{strategy.name}: {cents(said)} is published, {cost} is what the prices and tokens come to"
