"""``llmeval whatif``: what cascades and routes of the candidates of a run would have done, with no new call."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.output import add_format, amount, asked_requirements, new_screen, print_json
from pytest_llmeval.commands.shortlist import add_requirements
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.records import Run
    from pytest_llmeval.whatif import LeftOut, Mix

DESCRIPTION = """Work out what mixes of the candidates of a run would have done, from its records: nothing is asked.

A cascade asks a second candidate where the answer of the first is missing, cut off or no valid JSON, or fails a check
of yours on a score that the tests recorded. A route asks one of two, by a tag or the length of the case.

    llmeval whatif main --requirements min_quality_score=0.85 max_latency_ms=3000
    llmeval whatif main --models mini,large --escalate 'confidence<0.7'"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "whatif",
        help="what cascades and routes of a run's candidates would have done",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="RUN", help="name of a kept run, or a file of one")
    parser.add_argument("--models", metavar="NAME,...", help="candidates of the run; default: all")
    parser.add_argument("--escalate", action="append", default=[], metavar="SCORE<LIMIT", help="a check of a cascade")
    parser.add_argument("--routing-cost", type=amount, default=Decimal(0), metavar="USD", help="a routed request")
    parser.add_argument("--routing-ms", type=amount, default=Decimal(0), metavar="MS", help="time of a routed request")
    parser.add_argument("--all", action="store_true", help="show all mixes, also those that others beat")
    add_requirements(parser)
    add_format(parser)
    parser.set_defaults(run=_whatif)


def _whatif(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.kept import load, tell
    from pytest_llmeval.reports.whatif import judged, mix_notes, mixes_json, show_mixes, shown_mixes

    run = load(arguments.name)
    tell(run)
    requirements = asked_requirements(arguments.requirements, run)
    mixes, left_out = _mixes(run, arguments)
    described = {info.name: info for info in run.header.candidates} if run.header is not None else {}
    found = judged(mixes, requirements, described) if requirements else None
    if arguments.format == "json":
        print_json(mixes_json(mixes, left_out, found))
        return 0
    rows_shown = [mix for mix in mixes if mix.kind != "bound"] if arguments.all else shown_mixes(mixes, found)
    screen = new_screen()
    show_mixes(screen, mixes, rows_shown, screen.width)
    screen.notes(list(mix_notes(mixes, rows_shown, left_out, found)))
    print(screen.text(), end="")
    return 0


def _mixes(run: Run, arguments: argparse.Namespace) -> tuple[list[Mix], LeftOut]:
    from pytest_llmeval.candidates import split_names
    from pytest_llmeval.measured import candidate_in
    from pytest_llmeval.whatif import all_mixes, pair_up, parse_check

    names = split_names([arguments.models]) if arguments.models else list(run.by_candidate())
    names = [candidate_in(run, name) for name in names]
    if len(names) < 2:
        raise ConfigError(
            "a mix takes two candidates at least: run the tests with several (--llm-models=a,b --llm-save)."
        )
    found, left_out = pair_up(run, names)
    if not found:
        if left_out.without_calls and not left_out.incomplete:
            raise ConfigError("the tests of this run asked nothing, so that there is no answer to choose.")
        raise ConfigError(f"no case has a result of each of {', '.join(names)}; choose others with --models.")
    return all_mixes(
        found,
        names,
        checks=dict(parse_check(text) for text in arguments.escalate),
        routing_cost=arguments.routing_cost,
        routing_ms=float(arguments.routing_ms),
    ), left_out
