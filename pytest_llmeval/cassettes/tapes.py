"""What a cassette writes: what was recorded now, and what is kept of what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmeval.cassettes.adopt import Adopted, in_our_form
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.turns import by_places

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.store import Cassette


def recorded_now(cassette: Cassette, *, failed: bool) -> list[Interaction]:
    """Return what a test that is over recorded: as it was issued, equal requests by their places.

    Args:
        cassette: The cassette.
        failed: Whether the test failed: the refusals (4xx) that it ended with are then given up.
    """
    while failed and cassette.slots and _may_go(cassette.slots[-1]):
        # An unknown model or an empty purse: kept, it would replay after it was mended.
        cassette.slots.pop()
        cassette.failed[len(cassette.slots)] = "refused"
        for equals in cassette.equals.values():
            equals.forget(len(cassette.slots))
    return _in_order(cassette)


def recorded_so_far(cassette: Cassette) -> list[Interaction]:
    """Return what a test that runs on has recorded, without what would be given up if it failed now."""
    end = len(cassette.slots)
    while end and _may_go(cassette.slots[end - 1]):
        end -= 1
    last = {id(each) for each in cassette.slots[end:]}
    return [each for each in _in_order(cassette) if id(each) not in last]


def _may_go(answer: Interaction | None) -> bool:
    return answer is None or answer.status >= 400


def _in_order(cassette: Cassette) -> list[Interaction]:
    ordered, answered = by_places(cassette.slots, cassette.equals.values())
    # Other clients than the SDKs do not say that they try again; that they got an answer shows it.
    cassette.failed = {slot: why for slot, why in cassette.failed.items() if slot not in answered}
    return [each for each in ordered if each is not None]


def tape_to_write(cassette: Cassette, recorded: list[Interaction], *, whole: bool, cut: bool) -> Tape:
    """Return what a cassette's file is to hold.

    Args:
        cassette: The cassette.
        recorded: What it recorded, in order.
        whole: Whether the test asked all that it wants.
        cut: Whether it may have wanted to ask more.
    """
    kept = cassette.loaded.interactions if cassette.loaded else []
    asked_all = cassette.mode == "stale" and whole and not cassette.failed
    if asked_all or (cassette.taken_over is not None and not cut):
        # What else a recording has that was taken over may be another's. Of a test that is cut off nobody knows.
        kept = [old for old in kept if id(old) in cassette.used or id(old) in cassette.outdated]
    if cassette.mode == "all":
        # A run that failed half-way must not cost the answers that it did not get to replace.
        again = cassette.keys(Tape(recorded))
        half = cassette.failed or cut
        kept = [old for old in kept if cassette.key(old, cassette.loaded) not in again] if half else []
    elif cassette.mode == "stale":
        # Each in the place of the one that it replaces: equal requests replay in their order.
        kept = [_replacement(cassette, old) for old in kept]
        there = {id(old) for old in kept}
        recorded = [new for new in recorded if id(new) not in there]
    return Tape([*_in_our_form(cassette, kept), *recorded], incomplete=bool(cassette.failed) or cut)


def _in_our_form(cassette: Cassette, kept: list[Interaction]) -> list[Interaction]:
    """Return what is kept of stock vcrpy's without what we would not have written: headers, parameters of URLs."""
    if cassette.loaded is None or cassette.loaded.ours:
        return kept
    there = {id(recorded) for recorded in cassette.recorded}
    theirs = [old for old in kept if id(old) in there]
    adopted = in_our_form(theirs, cassette.engine.scanner, cassette.engine.redact, Adopted(cassette.path))
    instead = {id(old): new for old, new in zip(theirs, adopted, strict=True)}
    return [instead.get(id(old), old) for old in kept]


def _replacement(cassette: Cassette, old: Interaction) -> Interaction:
    equals, place = cassette.outdated.get(id(old), (None, 0))
    slot = equals.slots.get(place) if equals is not None else None
    new = cassette.slots[slot] if slot is not None and slot < len(cassette.slots) else None
    return new or old
