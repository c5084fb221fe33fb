"""Which tests come next: in the order of the session, or what a worker of pytest-xdist holds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_llmeval.collected import declares, nodeid_of

if TYPE_CHECKING:
    import pytest


class InOrder:
    """The tests of this process, in the order of the session."""

    def __init__(self) -> None:
        self._items: list[pytest.Item] = []
        self._positions: dict[int, int] = {}
        # Positions of the tests that have declared what they ask, and how many of these were yielded.
        self._declared: list[int] = []
        self._yielded = 0

    def within(self, item: pytest.Item, most: int) -> Iterator[pytest.Item]:
        """Yield what of the next `most` tests that have declared what they ask was not yielded before."""
        if item.session.items is not self._items:
            self._items = item.session.items
            self._positions = {id(each): position for position, each in enumerate(self._items)}
            self._declared = [position for position, each in enumerate(self._items) if declares(each)]
            self._yielded = 0
        first = bisect_right(self._declared, self._positions.get(id(item), len(self._items)))
        for place in range(max(first, self._yielded), min(first + most, len(self._declared))):
            self._yielded = place + 1
            yield self._items[self._declared[place]]

    @property
    def total(self) -> int:
        """How many tests have declared what they ask."""
        return len(self._declared)

    def lost(self, nodeids: Iterable[str]) -> list[str]:  # noqa: ARG002 - as the protocol has it
        """Return nothing: no test goes elsewhere."""
        return []


class Held:
    """The tests that a worker of pytest-xdist holds: it is given some at a time, and others may take some away.

    Args:
        config: pytest's configuration in the worker.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._worker = next((plugin for plugin in config.pluginmanager.get_plugins() if hasattr(plugin, "torun")), None)
        self._declares: dict[int, bool] = {}
        self._yielded: set[int] = set()

    def within(self, item: pytest.Item, most: int) -> Iterator[pytest.Item]:
        """Yield what of the next `most` tests that have declared what they ask was not yielded before."""
        found = 0
        for number in self._numbers():
            if number not in self._declares:
                self._declares[number] = declares(item.session.items[number])
            if self._declares[number]:
                found += 1
                if found > most:
                    break
                if number not in self._yielded:
                    self._yielded.add(number)
                    yield item.session.items[number]

    @property
    def total(self) -> None:
        """Only the controller knows how many tests there are."""

    def lost(self, nodeids: Iterable[str]) -> list[str]:
        """Return which of these tests another worker has taken over."""
        worker: Any = self._worker
        if worker is None:
            return []
        held = [worker.item_index, *self._numbers()]
        ours = {nodeid_of(worker.session.items[number]) for number in held}
        return [nodeid for nodeid in nodeids if nodeid not in ours]

    def _numbers(self) -> list[int]:
        """Return the positions of the tests that come next, the nearest first."""
        worker: Any = self._worker
        queue: Any = getattr(worker, "torun", None)
        if hasattr(queue, "lock"):
            with queue.lock() as held:
                waiting = list(held)
        else:
            # Before xdist 3.7, a queue of the standard library.
            waiting = list(getattr(queue, "queue", ()))
        return [number for number in (getattr(worker, "nextitem_index", None), *waiting) if isinstance(number, int)]
