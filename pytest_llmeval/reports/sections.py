"""All that the terminal shows of a run, in sections: a title, and a text that ends with a newline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_llmeval.records import Run
from pytest_llmeval.reports.fields import (
    MOST_FIELDS,
    MOST_TABLES,
    ROUNDING,
    FieldTable,
    field_notes,
    field_tables,
    mean_text,
)
from pytest_llmeval.reports.mixes import LABELS, Confusion, confusions
from pytest_llmeval.reports.terminal import NARROWEST, Screen, render_summary

if TYPE_CHECKING:
    from pytest_llmeval.verdicts import Recommendation

#: Below which mean score a field is shown how.
HEAT = ((0.5, "bold red"), (0.8, "yellow"), (1 - ROUNDING, ""))
STYLES = {"met": "green", "not met": "red", "unknown": "yellow"}


def sections(
    run: Run, *, width: int, color: bool, brief: bool = False, encoding: str = "utf-8"
) -> list[tuple[str, str]]:
    """Return the sections that say anything of a run; the arguments are those of `render_summary`."""
    found = [("LLM evaluation", render_summary(run, width=width, color=color, brief=brief, encoding=encoding))]
    tables = [] if brief else field_tables(run)
    if tables:
        screen = Screen(max(width, NARROWEST), color, encoding)
        _fields(screen, tables)
        found.append(("LLM fields", screen.text()))
    routed = [] if brief else confusions(run)
    if routed:
        screen = Screen(max(width, NARROWEST), color, encoding)
        _routing(screen, routed)
        found.append(("LLM routing", screen.text()))
    if run.recommendations:
        screen = Screen(max(width, NARROWEST), color, encoding)
        for number, recommendation in enumerate(run.recommendations):
            if number and not brief:
                screen.line()
            _requirements(screen, recommendation, brief=brief)
        found.append(("LLM requirements", screen.text()))
    return [(title, text) for title, text in found if text]


def _fields(screen: Screen, tables: Sequence[FieldTable]) -> None:
    for number, table in enumerate(tables[:MOST_TABLES]):
        if len(tables) > 1:
            if number:
                screen.line()
            screen.line(table.test)
        rows = [
            (name, [(mean_text(mean), _heat(mean)) for mean in means]) for name, means in table.fields[:MOST_FIELDS]
        ]
        screen.matrix("field", table.candidates, rows)
        screen.notes(field_notes(table))
    if len(tables) > MOST_TABLES:
        screen.line(f"... and {len(tables) - MOST_TABLES} more tests with fields that were missed")


def _routing(screen: Screen, routed: Sequence[Confusion]) -> None:
    for number, confusion in enumerate(routed):
        if number:
            screen.line()
        screen.line(str(confusion))
        rows = [(label, [(f"{count:,}", "") for count in counts]) for label, counts in confusion.rows]
        screen.matrix("labelled", [f"routed {label}" for label in LABELS], rows)


def _heat(mean: float | None) -> str:
    if mean is None:
        return "dim"
    return next((style for limit, style in HEAT if mean < limit), "green")


def _requirements(screen: Screen, recommendation: Recommendation, *, brief: bool) -> None:
    from pytest_llmeval.reports.verdicts import conclusions, heading, verdict_text

    found = conclusions(recommendation)
    if recommendation.task is not None:
        screen.line(recommendation.task, "bold")
    if brief:
        screen.notes(found[:1], after_table=False)
        return
    for candidate in recommendation.candidates:
        screen.line(heading(candidate, recommendation))
        screen.grid(
            [
                (("", ""), (verdict.key, ""), (verdict_text(verdict), STYLES[verdict.status]), (verdict.text, ""))
                for verdict in candidate.verdicts
            ]
        )
    screen.notes(found)
