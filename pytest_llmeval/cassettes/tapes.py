"""What a cassette writes: what was recorded now, and what is kept of what was there."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from pytest_llmeval.cassettes.adopt import Adopted, in_our_form
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.matching import Fingerprint
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


def recorded_so_far(cassette: Cassette, *, whole: bool) -> list[Interaction]:
    """Return what a test that runs on has recorded, without what would be given up if it failed now.

    Args:
        cassette: The cassette.
        whole: Whether no request is on its way, and none will come.
    """
    end = len(cassette.slots)
    while end and _may_go(cassette.slots[end - 1]):
        end -= 1
    last = {id(each) for each in cassette.slots[end:]}
    if whole:
        return [each for each in _in_order(cassette) if id(each) not in last]
    # What failed may still be decided on, by who asks another candidate instead.
    ordered, _ = by_places(cassette.slots, cassette.equals.values())
    return [each for each in ordered if each is not None and id(each) not in last]


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
        kept, recorded = _replaced(cassette, kept, recorded) if cassette.failed or cut else ([], recorded)
    elif cassette.mode == "stale":
        # Each in the place of the one that it replaces: equal requests replay in their order.
        wanted = {id(new) for new in recorded}
        kept = [_replacement(cassette, old, wanted) for old in kept]
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


def _replaced(
    cassette: Cassette, kept: list[Interaction], recorded: list[Interaction]
) -> tuple[list[Interaction], list[Interaction]]:
    """Return the old answers with new ones in the places of equal requests, and the new ones that are left over."""
    again: dict[Fingerprint, deque[Interaction]] = defaultdict(deque)
    for new in recorded:
        again[cassette.key(new)].append(new)
    both = []
    for old in kept:
        new_ones = again.get(cassette.key(old, cassette.loaded))
        both.append(new_ones.popleft() if new_ones else old)
    left = {id(new) for new_ones in again.values() for new in new_ones}
    return both, [new for new in recorded if id(new) in left]


def _replacement(cassette: Cassette, old: Interaction, wanted: set[int]) -> Interaction:
    equals, place = cassette.outdated.get(id(old), (None, 0))
    slot = equals.slots.get(place) if equals is not None else None
    new = cassette.slots[slot] if slot is not None and slot < len(cassette.slots) else None
    return new if new is not None and id(new) in wanted else old
