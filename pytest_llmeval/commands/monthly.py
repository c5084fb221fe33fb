"""``llmeval monthly``: what a month costs, with one model for all or the traffic split over several."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.models import add_catalog, chosen_models
from pytest_llmeval.commands.output import add_format, amount, new_screen, print_json, volumes, whole
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.measured import Measured
    from pytest_llmeval.records import Run
    from pytest_llmeval.strategies import Strategy

DESCRIPTION = """Price a month of requests with models, and with splits of the traffic over them.

    llmeval monthly --requests=1M --catalog=reference
    llmeval monthly gpt-4o --requests=1M --tokens=2000 --split gpt-4o-mini=70%,gpt-4o=30%
    llmeval monthly --run=main --requests=500K          # tokens and costs as measured

A month costs requests x (tokens in x input price + tokens out x output price) / 1e6."""


TOKENS_IN, TOKENS_OUT = 1500, 500


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a request takes.

    Attributes:
        each: USD for one by model.
        read: Tokens in of a request to one model; None if nobody counted them.
        tokens: Tokens in and out, if they are the same for all models.
        said: Where this comes from.
        names: What a catalog calls the models.
    """

    each: dict[str, Decimal | None]
    read: int | None
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
    parser.add_argument("--tokens-in", type=whole, metavar="N", help=f"of a request; default: {TOKENS_IN}")
    parser.add_argument("--tokens-out", type=whole, metavar="N", help=f"of a request; default: {TOKENS_OUT}")
    parser.add_argument("--tokens", type=whole, metavar="N", help="of a request, half in and half out, instead")
    parser.add_argument("--run", metavar="RUN", dest="measured", help="tokens and costs as measured in a kept run")
    parser.add_argument("--split", action="append", default=[], metavar="MODEL=SHARE,...", help="traffic over models")
    parser.add_argument("--routing-cost", type=amount, metavar="USD", help="what choosing adds to a request of a split")
    parser.add_argument("--classifier", metavar="MODEL", help="the model that chooses, instead of --routing-cost")
    parser.add_argument("--volumes", type=volumes, default=(), metavar="N,...", help="also at these requests a month")
    add_catalog(parser)
    add_format(parser)
    parser.set_defaults(run=_monthly)


def _monthly(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.reports.monthly import contradiction_notes, show_strategies, strategy_json
    from pytest_llmeval.strategies import contradictions, parse_split, ranked, strategy

    _check(arguments)
    splits = [parse_split(text) for text in arguments.split]
    named = list(dict.fromkeys([*arguments.models, *(name for split in splits for name in split)]))
    inputs = _measured(arguments, named) if arguments.measured else _listed(arguments, named)
    alone = arguments.models or [name for name in inputs.each if name in named or not arguments.split]
    routing, told = _routing_cost(arguments, inputs)
    shares = [{name: Decimal(1)} for name in dict.fromkeys(alone)] + splits
    strategies = ranked(strategy(each, inputs.each, routing) for each in shares)
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
    screen.notes([*_unpriced(strategies), *told])
    if inputs.tokens is not None and arguments.catalog:
        found = contradictions(strategies, arguments.requests, *inputs.tokens, arguments.catalog)
        screen.notes(list(contradiction_notes(found, arguments.requests)))
    print(screen.text(), end="")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what contradicts itself."""
    each = [f"--{name}" for name in ("tokens-in", "tokens-out") if getattr(arguments, name.replace("-", "_"))]
    whole = ["--tokens"] if arguments.tokens is not None else []
    for these, those in (([f"--run={arguments.measured}"] if arguments.measured else [], each + whole), (whole, each)):
        if these and those:
            raise ConfigError(f"{these[0]} and {those[0]}: both say how many tokens a request has. Give one of them.")
    if arguments.classifier is not None and arguments.routing_cost is not None:
        raise ConfigError("--classifier and --routing-cost: give one of them.")
    if (arguments.classifier is not None or arguments.routing_cost is not None) and not arguments.split:
        raise ConfigError("--classifier and --routing-cost are what choosing adds to a split. Add --split.")


def _routing_cost(arguments: argparse.Namespace, inputs: _Inputs) -> tuple[Decimal | None, list[tuple[str, str]]]:
    """Return what choosing the model of a request costs, and what to say of that."""
    from pytest_llmeval.catalog import cost_per_request
    from pytest_llmeval.listing import find_model
    from pytest_llmeval.providers.routing import CLASSIFY_TOKENS

    if not arguments.split:
        return Decimal(0), []
    cost: Decimal | None = arguments.routing_cost
    if arguments.classifier is not None:
        if inputs.read is None:
            raise ConfigError(
                "--classifier: nobody counted the tokens that it would read. Give --routing-cost instead."
            )
        read, written = inputs.read + CLASSIFY_TOKENS[0], CLASSIFY_TOKENS[1]
        cost = cost_per_request(find_model(arguments.classifier, chosen_models(arguments)), read, written)
        said = f"{arguments.classifier} reads {read:,} tokens, its instructions too, and writes {written}"
        if cost is None:
            return None, [("routing", f"{said}; nobody publishes what that costs")]
        return cost, [("routing", f"{said}, which adds ${cost.normalize():f} to a request")]
    if cost is None:
        said = "choosing the model of a request is not counted; --classifier=MODEL or --routing-cost=USD adds it"
        return Decimal(0), [("routing", said)]
    return cost, [("routing", f"choosing the model of a request adds ${cost:f} to it")]


def _unpriced(strategies: list[Strategy]) -> list[tuple[str, str]]:
    notes = []
    if any(each.per_request is None for each in strategies):
        notes.append(("unpriced", "? has no price for a token; `llmeval breakeven` prices machines of your own"))
    if any(each.per_request == 0 for each in strategies):
        notes.append(("free", "what asks a machine of your own costs nothing a token; `llmeval breakeven` prices it"))
    return notes


def _listed(arguments: argparse.Namespace, named: list[str]) -> _Inputs:
    from pytest_llmeval.catalog import cost_per_request
    from pytest_llmeval.listing import find_model
    from pytest_llmeval.strategies import parse_split

    models = chosen_models(arguments)
    if not named and arguments.catalog is None:
        raise ConfigError("which models? Name some, or take a catalog (--catalog=reference) or a run (--run=RUN).")
    read, written = arguments.tokens_in or TOKENS_IN, arguments.tokens_out or TOKENS_OUT
    if arguments.tokens is not None:
        read, written = arguments.tokens - arguments.tokens // 2, arguments.tokens // 2
    found = {name: find_model(name, models) for name in named or [model.name for model in models if model.blended]}
    for text in arguments.split:
        _check_once(text, [found[name].id for name in parse_split(text)])
    days = sorted({f"{model.source} as of {model.as_of}" for model in found.values() if model.as_of and model.blended})
    said = f"{read:,} tokens in and {written:,} out each; prices of {', '.join(days) or 'the settings'}"
    each = {name: cost_per_request(model, read, written) for name, model in found.items()}
    names = {name: model.name for name, model in found.items()} if arguments.catalog else {}
    return _Inputs(each, read, (read, written), said, names)


def _check_once(split: str, ids: list[str]) -> None:
    for found in ids:
        if ids.count(found) > 1:
            raise ConfigError(f"--split={split}: two of these are {found}. Write each model once, with its share.")


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
    # Whether there is such a catalog, too.
    models = chosen_models(arguments) if others or arguments.catalog else []
    usual = _usual(run, found, arguments.split)
    tokens = _mean_tokens(usual)
    if others:
        if tokens is None:
            raise ConfigError("nobody counted the tokens of this run, so that no other model can be priced with them.")
        read, written = tokens
        each |= {name: cost_per_request(find_model(name, models), read, written) for name in others}
        taken = f"{read:,} tokens in and {written:,} out, as of {', '.join(each.name for each in usual)}"
        said += f". Of {', '.join(others)} nothing was measured: {taken}, at list prices"
    return _Inputs(each, None if tokens is None else tokens[0], None, said)


def _told(measured: Measured) -> str:
    if measured.tokens_in is None or measured.tokens_out is None:
        return f"{measured.name}: nobody counted tokens"
    tokens = f"{measured.tokens_in:,.0f} in, {measured.tokens_out:,.0f} out"
    return f"{measured.name}: {tokens} (mean of {measured.answers:,})"


def _usual(run: Run, found: Mapping[str, Measured], splits: Sequence[str]) -> list[Measured]:
    """Return those by which a request is priced that nobody measured: models of the splits, or else all of the run.

    A candidate that is made of others is none of them, since the tokens of its calls add up several models'.
    """
    from pytest_llmeval.measured import measure
    from pytest_llmeval.records import Run
    from pytest_llmeval.strategies import parse_split

    mixes = {test.candidate for test in run.tests if any(call.calls for call in test.calls)}
    models = [each for name, each in found.items() if name not in mixes and each.tokens is not None]
    split = {name for text in splits for name in parse_split(text)}
    if models:
        return [each for each in models if each.name in split] or models
    # Nobody was asked alone: then what those took that a mix has asked for an answer.
    parts = [
        replace(test, candidate=part.candidate, calls=[part])
        for test in run.tests
        for call in test.calls
        for part in call.leaves
        if part.role == "answer"
    ]
    return [each for each in measure(Run(tests=parts)).values() if each.tokens is not None]


def _mean_tokens(found: list[Measured]) -> tuple[int, int] | None:
    counted = [(each.tokens_in, each.tokens_out) for each in found]
    known = [(read, written) for read, written in counted if read is not None and written is not None]
    if not known:
        return None
    return round(sum(read for read, _ in known) / len(known)), round(sum(written for _, written in known) / len(known))
