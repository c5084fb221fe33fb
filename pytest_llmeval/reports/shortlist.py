"""A shortlist: what each step decided and why, the candidates, and the line that tests them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_llmeval.prices import format_usd
from pytest_llmeval.reports.columns import UNKNOWN
from pytest_llmeval.reports.monthly import cents
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.shortlist import TESTED, Choice, Shortlist, Step

if TYPE_CHECKING:
    from pytest_llmeval.settings import Requirements


def show_shortlist(screen: Screen, found: Shortlist, requirements: Requirements, tokens: tuple[int, int]) -> None:
    """Show the steps, the candidates and a ready option."""
    screen.notes(
        [(f"{number}. {step.question}", f"{step.answer}{_led(step)}") for number, step in enumerate(found.steps, 1)],
        after_table=False,
    )
    screen.line()
    for choice in found.choices:
        screen.line(choice.model.id, "bold")
        screen.notes([("  ", text) for text in _choice_lines(choice)], after_table=False)
    screen.line()
    screen.notes(list(_notes(found, requirements, tokens)), after_table=False)


def _led(step: Step) -> str:
    if step.answer == "-":
        return ""
    models = f": {' or '.join(step.chosen)}" if step.chosen else ""
    return f", {step.why}{models}"


def _choice_lines(choice: Choice) -> Iterator[str]:
    model = choice.model
    cost = UNKNOWN if choice.cost is None else format_usd(choice.cost)
    monthly = "" if choice.monthly is None else f", {cents(choice.monthly)} a month"
    named = "" if model.name == model.id else f"{model.name}, "
    yield f"{named}{choice.why}; {cost} a request{monthly}"
    if choice.doubts:
        yield f"in doubt: {'; '.join(choice.doubts)}"
    if model.tiered:
        yield "longer requests cost more than that"
    if model.pinned is False:
        yield "an alias: pin a dated id once you have chosen it"


def _notes(found: Shortlist, requirements: Requirements, tokens: tuple[int, int]) -> Iterator[Note]:
    for choice in found.left_out:
        yield "left out", f"{choice.model.name}: {'; '.join(choice.doubts)}"
    asked = [f"{key} {value}" for key in TESTED if (value := getattr(requirements, key)) is not None]
    tested = f"; so do {', '.join(asked)}" if asked else ""
    yield "verdict", f"the tree only shortlists, by published figures: your own tests decide{tested}"
    days = sorted(
        {f"{c.model.source} as of {c.model.as_of}" for c in found.choices if c.model.as_of and c.model.blended}
    )
    yield "prices", f"for {tokens[0]:,} tokens in and {tokens[1]:,} out; {', '.join(days) or 'none is published'}"
    if len(found.choices) == 1:
        yield "candidates", "no other model of the catalog fits; add one of your own"


def shortlist_json(found: Shortlist) -> dict[str, Any]:
    """Return a shortlist as plain JSON types."""
    return {
        "steps": [
            {"question": step.question, "answer": step.answer, "why": step.why, "models": list(step.models)}
            for step in found.steps
        ],
        "candidates": [_json(choice) for choice in found.choices],
        "left_out": [_json(choice) for choice in found.left_out],
        "option": found.option,
    }


def _json(choice: Choice) -> dict[str, Any]:
    return {
        "id": choice.model.id,
        "name": choice.model.name,
        "why": choice.why,
        "per_request_usd": None if choice.cost is None else f"{choice.cost:f}",
        "monthly_usd": None if choice.monthly is None else f"{choice.monthly:.2f}",
        "doubts": list(choice.doubts),
        "pinned": choice.model.pinned,
    }
