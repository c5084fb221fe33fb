"""``llmeval breakeven``: an API against GPUs of one's own, and from which volume on those pay."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.models import add_catalog, chosen_models
from pytest_llmeval.commands.output import add_format, amount, new_screen, print_json, volumes, whole
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.catalog import BreakEven

DESCRIPTION = """Compare an API with GPUs of your own, for a month of 30 days.

    llmeval breakeven --requests=1M --tokens=2000 --price=6.25 --gpu-month=1460 --tokens-per-second=500
    llmeval breakeven --requests=1M --tokens=2000 --model=gpt-4o --gpu-hour=2.03 --tokens-per-second=500
    llmeval breakeven --requests=1M --run=main --api=large --own=local --gpu-month=1460

API: requests x tokens / 1e6 x price. GPUs: max(1, ceil(requests x tokens / (tokens/s x utilization) / seconds)).
A price is for 1M tokens, in and out mixed; that of a model is the mean of both, that of a run as it was measured."""

HOURS = 30 * 24


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "breakeven",
        help="an API against GPUs of your own: costs, and from which volume on those pay",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=whole, required=True, metavar="N", help="a month: 500000, 500K or 1M")
    parser.add_argument("--tokens", type=whole, metavar="N", help="of a request, in and out together")
    parser.add_argument("--price", type=amount, metavar="USD", help="of the API for 1M tokens")
    parser.add_argument("--model", metavar="MODEL", help="of the API, for its price")
    parser.add_argument("--gpu-month", type=amount, metavar="USD", help="one GPU for a month")
    parser.add_argument("--gpu-hour", type=amount, metavar="USD", help=f"one GPU for an hour, {HOURS} of them a month")
    parser.add_argument("--tokens-per-second", type=amount, metavar="N", help="of one GPU, in and out together")
    parser.add_argument("--utilization", type=amount, default=Decimal("0.6"), metavar="X", help="default: 0.6")
    parser.add_argument("--run", metavar="RUN", dest="measured", help="take what is not given from a kept run")
    parser.add_argument("--api", metavar="CANDIDATE", help="of the run: whose tokens and price count")
    parser.add_argument("--own", metavar="CANDIDATE", help="of the run: whose tokens/s count")
    parser.add_argument("--volumes", type=volumes, metavar="N,...", help="default: 10K to 5M")
    add_catalog(parser)
    add_format(parser)
    parser.set_defaults(run=_breakeven)


def _breakeven(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.catalog import break_even
    from pytest_llmeval.reports.monthly import show_break_even, show_volumes
    from pytest_llmeval.strategies import VOLUMES

    given, sources = _inputs(arguments)
    try:
        found = break_even(**given)
        full = break_even(**{**given, "utilization": 1.0})
        table = [(n, break_even(**{**given, "requests": n})) for n in arguments.volumes or VOLUMES]
    except ValueError as exc:
        raise ConfigError(f"{exc}.") from None
    if arguments.format == "json":
        volumes_json = {str(volume): _json(each) for volume, each in table}
        print_json(
            {"inputs": {key: str(value) for key, value in given.items()}, **_json(found), "volumes": volumes_json}
        )
        return 0
    screen = new_screen()
    show_break_even(screen, found, full, given)
    screen.notes([("inputs", text) for text in sources])
    screen.line()
    show_volumes(screen, table)
    print(screen.text(), end="")
    return 0


def _json(found: BreakEven) -> dict[str, Any]:
    figures = {key: f"{value:.2f}" if isinstance(value, Decimal) else value for key, value in asdict(found).items()}
    return {**figures, "savings": f"{found.savings:.2f}"}


def _inputs(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Return what was given or measured, and where what was not given comes from."""
    for one, other in (("gpu_month", "gpu_hour"), ("price", "model")):
        if getattr(arguments, one) is not None and getattr(arguments, other) is not None:
            both = f"--{one.replace('_', '-')} and --{other.replace('_', '-')}"
            raise ConfigError(f"{both}: give one of them.")
    gpu_month = arguments.gpu_month if arguments.gpu_hour is None else arguments.gpu_hour * HOURS
    values = {
        "tokens_per_request": arguments.tokens,
        "blended_price": arguments.price,
        "gpu_month": gpu_month,
        "tokens_per_second": arguments.tokens_per_second,
    }
    sources: list[str] = []
    if arguments.model is not None:
        values["blended_price"], said = _price_of(arguments)
        sources.append(said)
    if arguments.measured:
        for name, (value, said) in _measured(arguments).items():
            if values[name] is None and value is not None:
                values[name] = value
                sources.append(said)
    flags = {"tokens_per_request": "--tokens", "blended_price": "--price or --model", "gpu_month": "--gpu-month"}
    missing = [flags.get(name, "--tokens-per-second") for name, value in values.items() if value is None]
    if missing:
        fix = " or --run, with --api and --own for its candidates" if not arguments.measured else ""
        raise ConfigError(f"not known: {', '.join(missing)}. Give them{fix}.")
    utilization = float(arguments.utilization)
    speed = float(values.pop("tokens_per_second"))
    return {"requests": arguments.requests, **values, "tokens_per_second": speed, "utilization": utilization}, sources


def _price_of(arguments: argparse.Namespace) -> tuple[Decimal, str]:
    from pytest_llmeval.listing import find_model

    model = find_model(arguments.model, chosen_models(arguments))
    if model.blended is None:
        raise ConfigError(f"--model={arguments.model}: nobody publishes its price; give --price.")
    said = f"{model.id}: mean of ${model.input} in and ${model.output} out, by {model.source} as of {model.as_of}"
    return model.blended, said


def _measured(arguments: argparse.Namespace) -> dict[str, tuple[Any, str]]:
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.measured import candidate_in, measure

    run = load(arguments.measured)
    tell(run)
    measured = measure(run)
    found: dict[str, tuple[Any, str]] = {}
    if arguments.api is not None:
        api = measured[candidate_in(run, arguments.api)]
        # Rounded in the text alone: a run must cost the same here as in `llmeval monthly`.
        tokens, price = api.tokens or None, api.blended
        text = f"{api.name}: {tokens or 0:,.1f} tokens a request, mean of {api.answers:,} answers"
        found["tokens_per_request"] = tokens, text
        found["blended_price"] = price, f"{api.name}: ${price or 0:.4f} for 1M tokens, as measured"
    if arguments.own is not None:
        own = measured[candidate_in(run, arguments.own)]
        speed = own.tokens_per_second and round(own.tokens_per_second, 1)
        text = f"{own.name}: {speed} tokens/s, in and out, answering one by one; a server that batches serves more"
        found["tokens_per_second"] = speed, text
    return found
