"""``llmeval shortlist``: two or three candidates for a set of requirements, and why."""

from __future__ import annotations

import argparse
from typing import Any

from pytest_llmeval.commands.models import add_catalog, chosen_models
from pytest_llmeval.commands.output import add_format, asked_requirements, new_screen, print_json, whole

DESCRIPTION = """Choose two or three candidates to test, by a decision tree that says what it decided and why.

    llmeval shortlist --requirements max_latency_ms=3000 max_cost_per_request=0.01 data_privacy=standard
    llmeval shortlist --requirements context_needed=500K --task=documents

Keys: max_latency_ms, max_cost_per_request (USD), min_quality_score (0-1), context_needed (tokens), data_privacy
(standard, strict, air-gapped), output_format (text, json, code), requests_per_month, availability (0-1)."""

#: As `shortlist.TASKS`, which takes longer to import than a parser may.
TASKS = ("code", "documents", "extraction", "instructions", "multilingual", "reasoning", "writing")


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "shortlist",
        help="choose two or three candidates for your requirements",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_requirements(parser)
    parser.add_argument("--task", choices=TASKS, help="what the model is to do")
    parser.add_argument("--tokens-in", type=whole, default=1500, metavar="N", help="of a request; default: 1500")
    parser.add_argument("--tokens-out", type=whole, default=500, metavar="N", help="of a request; default: 500")
    add_catalog(parser)
    add_format(parser)
    parser.set_defaults(run=_shortlist)


def add_requirements(parser: argparse.ArgumentParser) -> None:
    """Declare ``--requirements``."""
    parser.add_argument(
        "--requirements", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="over those of the settings"
    )


def _shortlist(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.reports.shortlist import shortlist_json, show_shortlist
    from pytest_llmeval.shortlist import shortlist

    requirements = asked_requirements(arguments.requirements)
    models = chosen_models(arguments, known=True)
    tokens = arguments.tokens_in, arguments.tokens_out
    found = shortlist(requirements, models, task=arguments.task, tokens_in=tokens[0], tokens_out=tokens[1])
    if arguments.format == "json":
        print_json(shortlist_json(found))
        return 0
    screen = new_screen()
    show_shortlist(screen, found, requirements, tokens)
    print(screen.text())
    print(f"pytest {found.option}")
    return 0
