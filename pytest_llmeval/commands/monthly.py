"""``llmeval monthly``: what a month costs, with one model for all or the traffic split over several."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.models import add_catalog, chosen_models
from pytest_llmeval.commands.output import add_format, amount, new_screen, print_json, volumes, whole
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.measured import Measured
    from pytest_llmeval.strategies import Strategy

DESCRIPTION = """Price a month of requests with models, and with splits of the traffic over them.

    llmeval monthly --requests=1M --catalog=reference
    llmeval monthly gpt-4o --requests=1M --tokens=2000 --split gpt-4o-mini=70%,gpt-4o=30%
    llmeval monthly --run=main --requests=500K          # tokens and costs as measured

A month costs requests x (tokens in x input price + tokens out x output price) / 1e6."""


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Tokens of a request, USD for one by model, where they come from, and what a catalog calls the models."""

    each: dict[str, Decimal | None]
    tokens: tuple[int, int] | None
    said: str
    names: dict[str, str] = field(default_factory=dict)


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "monthly",
        help="price a month of requests: one model for all, or splits of the traffic",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all of the catalog or the run")
    parser.add_argument("--requests", type=whole, required=True, metavar="N", help="a month: 500000, 500K or 1M")
    parser.add_argument("--tokens-in", type=whole, default=1500, metavar="N", help="of a request; default: 1500")
    parser.add_argument("--tokens-out", type=whole, default=500, metavar="N", help="of a request; default: 500")
    parser.add_argument("--tokens", type=whole, metavar="N", help="of a request, half in and half out, instead")
    parser.add_argument("--run", metavar="RUN", dest="measured", help="tokens and costs as measured in a kept run")
    parser.add_argument("--split", action="append", default=[], metavar="MODEL=SHARE,...", help="traffic over models")
    parser.add_argument("--routing-cost", type=amount, default=Decimal(0), metavar="USD", help="a request of a split")
    parser.add_argument("--volumes", type=volumes, default=(), metavar="N,...", help="also at these requests a month")
    add_catalog(parser)
    add_format(parser)
    parser.set_defaults(run=_monthly)


def _monthly(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.reports.monthly import contradiction_notes, show_strategies, strategy_json
    from pytest_llmeval.strategies import contradictions, parse_split, ranked, strategy

    splits = [parse_split(text) for text in arguments.split]
    named = list(dict.fromkeys([*arguments.models, *(name for split in splits for name in split)]))
    inputs = _measured(arguments, named) if arguments.measured else _listed(arguments, named)
    alone = arguments.models or [name for name in inputs.each if name in named or not arguments.split]
    shares = [{name: Decimal(1)} for name in dict.fromkeys(alone)] + splits
    strategies = ranked(strategy(each, inputs.each, arguments.routing_cost) for each in shares)
    if inputs.names:
        strategies = [each.renamed(inputs.names) for each in strategies]
    if arguments.format == "json":
        rows = [strategy_json(each, arguments.requests, arguments.volumes) for each in strategies]
        print_json({"requests": arguments.requests, "inputs": inputs.said, "strategies": rows})
        return 0
    screen = new_screen()
    screen.line(f"{arguments.requests:,} requests a month; {inputs.said}")
    screen.line()
    show_strategies(screen, strategies, arguments.requests, arguments.volumes)
    screen.notes(list(_routing(arguments, strategies)))
    if inputs.tokens is not None and arguments.catalog:
        found = contradictions(strategies, arguments.requests, *inputs.tokens, arguments.catalog)
        screen.notes(list(contradiction_notes(found, arguments.requests)))
    print(screen.text(), end="")
    return 0


def _routing(arguments: argparse.Namespace, strategies: list[Strategy]) -> list[tuple[str, str]]:
    notes = []
    if any(each.per_request is None for each in strategies):
        notes.append(("unpriced", "? has no price for a token; `llmeval breakeven` prices machines of your own"))
    if any(each.per_request == 0 for each in strategies):
        notes.append(("free", "what asks a machine of your own costs nothing a token; `llmeval breakeven` prices it"))
    if arguments.split and arguments.routing_cost:
        notes.append(("routing", f"choosing the model of a request adds ${arguments.routing_cost:f} to it"))
    elif arguments.split:
        notes.append(("routing", "choosing the model of a request is not counted; --routing-cost=0.0001 adds it"))
    return notes


def _listed(arguments: argparse.Namespace, named: list[str]) -> _Inputs:
    from pytest_llmeval.catalog import cost_per_request
    from pytest_llmeval.listing import find_model

    models = chosen_models(arguments)
    if not named and arguments.catalog is None:
        raise ConfigError("which models? Name some, or take a catalog (--catalog=reference) or a run (--run=RUN).")
    read, written = arguments.tokens_in, arguments.tokens_out
    if arguments.tokens is not None:
        read, written = arguments.tokens - arguments.tokens // 2, arguments.tokens // 2
    found = {name: find_model(name, models) for name in named or [model.name for model in models if model.blended]}
    days = sorted({f"{model.source} as of {model.as_of}" for model in found.values() if model.as_of and model.blended})
    said = f"{read:,} tokens in and {written:,} out each; prices of {', '.join(days) or 'the settings'}"
    each = {name: cost_per_request(model, read, written) for name, model in found.items()}
    names = {name: model.name for name, model in found.items()} if arguments.catalog else {}
    return _Inputs(each, (read, written), said, names)


def _measured(arguments: argparse.Namespace, named: list[str]) -> _Inputs:
    from pytest_llmeval.catalog import cost_per_request
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.listing import find_model
    from pytest_llmeval.measured import measure

    run = load(arguments.measured)
    tell(run)
    found = measure(run)
    if not found:
        raise ConfigError(f"{arguments.measured}: no test of this run asked a candidate.")
    each = {name: measured.per_request for name, measured in found.items()}
    others = [name for name in named if name not in found]
    said = f"tokens and costs as measured: {'; '.join(_told(measured) for measured in found.values())}"
    if others:
        read, written = _mean_tokens(list(found.values()))
        models = chosen_models(arguments)
        each |= {name: cost_per_request(find_model(name, models), read, written) for name in others}
        said += f". Of {', '.join(others)} nothing was measured: {read:,} tokens in and {written:,} out at list prices"
    return _Inputs(each, None, said)


def _told(measured: Measured) -> str:
    if measured.tokens_in is None or measured.tokens_out is None:
        return f"{measured.name}: nobody counted tokens"
    tokens = f"{measured.tokens_in:,.0f} in, {measured.tokens_out:,.0f} out"
    return f"{measured.name}: {tokens} (mean of {measured.answers:,})"


def _mean_tokens(found: list[Measured]) -> tuple[int, int]:
    counted = [(each.tokens_in, each.tokens_out) for each in found]
    known = [(read, written) for read, written in counted if read is not None and written is not None]
    if not known:
        raise ConfigError("nobody counted the tokens of this run, so that no other model can be priced with them.")
    return round(sum(read for read, _ in known) / len(known)), round(sum(written for _, written in known) / len(known))
