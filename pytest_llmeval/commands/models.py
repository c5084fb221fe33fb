"""``llmeval models``: which models there are to choose from."""

from __future__ import annotations

import argparse
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.output import add_format, day, new_screen, print_json, project_settings
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.catalog import Model

DESCRIPTION = """List models: prices at a date, context, hosting, typical latency, strengths, whether an id is pinned.

They are those of the settings, of the catalog `reference`, and of genai-prices. Conditions select some:

    llmeval models --where 'output<1' --where 'context>=128K'
    llmeval models --where provider=anthropic --where pinned=yes

Keys: context, input, output, blended (USD per 1M tokens), seconds (for 500 tokens), MMLU, HumanEval, MATH, GSM8K; id,
name, provider, hosting, strengths, source, pinned (yes, no), own (yes, no).
What nobody knows of a model meets no condition."""


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "models",
        help="list models: prices, context, latency, strengths, pinned or alias",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--where", action="append", default=[], metavar="CONDITION", help="such as 'output<1'")
    add_catalog(parser)
    add_format(parser)
    parser.set_defaults(run=_models)


def add_catalog(parser: argparse.ArgumentParser) -> None:
    """Declare where models and their prices come from."""
    parser.add_argument("--catalog", metavar="NAME", help="take models and prices from one catalog alone: reference")
    parser.add_argument("--on", metavar="DATE", help="day of the prices; default: today, or that of the catalog")


def chosen_models(arguments: argparse.Namespace, *, known: bool = False) -> list[Model]:
    """Return the models that ``--catalog`` and ``--on`` ask for; only `known` ones without those of genai-prices.

    Raises:
        ConfigError: There is no such catalog or day.
    """
    from pytest_llmeval.catalog import load_catalog
    from pytest_llmeval.listing import known_models, list_models

    on: date | None = day(arguments.on)
    if arguments.catalog is not None:
        return list(load_catalog(arguments.catalog, on))
    return (known_models if known else list_models)(project_settings(), on or datetime.now(UTC).date())


def _models(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.catalog import first_choices
    from pytest_llmeval.listing import matching, parse_conditions
    from pytest_llmeval.reports.catalog import choices_of, model_json, show_models

    conditions = parse_conditions(arguments.where)
    models = list(matching(chosen_models(arguments), conditions))
    if arguments.format == "json":
        print_json([model_json(model) for model in models])
        return 0
    if not models:
        raise ConfigError("no model meets all conditions.")
    whole = arguments.catalog is not None and not conditions
    screen = new_screen()
    choices = first_choices(arguments.catalog) if whole else choices_of(models)
    show_models(screen, models, choices, by_name=arguments.catalog is not None)
    print(screen.text(), end="")
    return 0
