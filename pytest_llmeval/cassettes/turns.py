"""Whose turn it is among equal requests that are under way at once.

Equal requests replay in the order in which they were issued. Requests that several threads send at once have no such
order of their own, so whoever starts the threads gives each its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cassettes import detours

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.format import Interaction


@dataclass(slots=True)
class Turn:
    """One request's place in a batch: how many equal ones come before it.

    Attributes:
        batch: Stands for all requests that were started together.
        rank: How many of them with the same question come before this one.
    """

    batch: object
    rank: int


current: ContextVar[Turn | None] = ContextVar("llmeval_turn", default=None)


class Turns:
    """The turns of questions that are asked at once, in the order in which they stand.

    >>> [turn.rank for turn in Turns(["a", "b", "a", "a"]).turns]
    [0, 0, 1, 2]
    """

    def __init__(self, questions: Sequence[Any]) -> None:
        seen: Counter[str] = Counter()
        self.turns: list[Turn] = []
        for question in questions:
            key = repr(question)
            self.turns.append(Turn(self, seen[key]))
            seen[key] += 1

    @contextmanager
    def of(self, index: int) -> Iterator[None]:
        """Let requests of this context take the turn of one question."""
        token = current.set(self.turns[index])
        try:
            yield
        finally:
            current.reset(token)


@dataclass(slots=True)
class Equals:
    """The requests of one cassette that ask the same, each with a place: 0 for the first, 1 for the second, ...

    Attributes:
        recorded: Recorded answers, by place.
        slots: Where in the cassette the answer of a place goes, for those that are recorded now.
        asked: How many places were given.
    """

    recorded: list[Interaction] = field(default_factory=list)
    slots: dict[int, int] = field(default_factory=dict)
    _taken: set[int] = field(default_factory=set)
    _failed: list[int] = field(default_factory=list)
    _next: int = 0
    _starts: dict[object, int] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """How many places were given."""
        return len(self._taken)

    def place(self, *, retry: bool) -> int:
        """Return the place of the next request: of its turn if it has one, else the first that is free."""
        turn, detour = current.get(), detours.current.get()
        if detour is not None and detour.later:
            # Of those that were started together, not each need come here, and turns would leave gaps.
            turn = None
            for place, interaction in enumerate(self.recorded):
                if interaction is detour.carrier and place not in self._taken:
                    self._taken.add(place)
                    return place
        while self._next in self._taken:
            self._next += 1
        place = self._next
        if turn is not None:
            place = self._starts.setdefault(turn.batch, self._next) + turn.rank
        if retry and self._failed:
            place = place if place in self._failed else self._failed[0]
            self._failed.remove(place)
        elif place in self._taken:
            place = self._next
        self._taken.add(place)
        return place

    def answer(self, place: int) -> Interaction | None:
        """Return the recorded answer of a place."""
        found = self.recorded[place] if place < len(self.recorded) else None
        # Why a candidate was passed over is no answer for who asks that candidate alone.
        alone = isinstance(found, detours.PassedOver) and detours.current.get() is None
        return None if alone else found

    def keep(self, place: int) -> None:
        """Note that no retry will come back to the place of a request that failed."""
        self._failed = [failed for failed in self._failed if failed != place]

    def forget(self, slot: int) -> None:
        """Drop a slot whose answer is not kept after all."""
        self.slots = {place: taken for place, taken in self.slots.items() if taken != slot}

    def give_back(self, slot: int) -> None:
        """Note that the request of a slot failed: a retry of it comes back to its place."""
        self._failed += [place for place, taken in self.slots.items() if taken == slot]


def by_places(
    slots: Sequence[Interaction | None], groups: Iterable[Equals]
) -> tuple[list[Interaction | None], set[int]]:
    """Return what was recorded with equal requests by their places, and the slots of those that got any answer."""
    ordered, answered = list(slots), set()
    for equals in groups:
        by_place = [equals.slots[place] for place in sorted(equals.slots)]
        for position, slot in zip(sorted(by_place), by_place, strict=True):
            ordered[position] = slots[slot]
        if any(slots[slot] is not None for slot in by_place):
            answered.update(by_place)
    return ordered, answered
