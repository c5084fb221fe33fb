"""Where the recording of a test may be, other than at its own path: a test that was renamed, or stock's layout."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Tape
from pytest_llmeval.errors import CassetteError


@dataclass(frozen=True, slots=True)
class Found:
    """A recording at another path.

    Attributes:
        gone: Whether the test that it belonged to is gone, so that it may be moved.
        sure: Whether it is this test's for sure, whatever it holds.
    """

    path: Path
    tape: Tape
    gone: bool = False
    sure: bool = False


class Orphans:
    """Recordings whose test is gone.

    Args:
        owned: Whether a recording, given by its module's folder and its name, belongs to a test that there is, or that
            nobody can tell of.
    """

    def __init__(self, owned: Callable[[Path, str], bool]) -> None:
        self._owned = owned
        self._known: dict[tuple[Path, str | None], list[Found]] = {}

    def of(self, root: Path, candidate: str | None) -> Iterator[Found]:
        """Yield the orphans of a candidate: ``<root>/<module>/<candidate>/<test>.yaml``, that module or another."""
        key = root, candidate
        if key not in self._known:
            below = glob.escape(f"{candidate}/") if candidate else ""
            paths = [
                path
                for folder in sorted(root.glob("*/"))
                for path in sorted(folder.glob(f"{below}*.yaml"))
                if not self._owned(folder, path.name)
            ]
            self._known[key] = list(_read(paths))
        for found in self._known[key]:
            # Another test may have taken it over by now.
            if found.path.is_file():
                yield found


def stock(paths: Iterable[Path], *, sure: bool) -> Iterator[Found]:
    """Yield what pytest-recording has kept for a test."""
    for path in paths:
        tape, there = read_tape(path)
        if there:
            yield Found(path, tape, sure=sure)


def _read(paths: Iterable[Path]) -> Iterator[Found]:
    for path in paths:
        try:
            tape, there = read_tape(path)
        except CassetteError:
            # Damaged, and nobody's: it is told of where recordings are listed.
            continue
        # What others wrote, their tests may still use.
        if there and tape.ours:
            yield Found(path, tape, gone=True)
