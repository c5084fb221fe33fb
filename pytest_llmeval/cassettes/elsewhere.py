"""Where a recording may be, other than at its own path: that of a test or fixture that is gone, or stock's layout.

What belongs to nobody any more is only lent at first: that it has one request of a test does not make it this test's.
Once the test is over it is known whether the recording fits it, to its last answer, and only then the file moves.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Tape
from pytest_llmeval.cassettes.paths import FIXTURES, LOOKS_HASHED
from pytest_llmeval.errors import CassetteError


@dataclass(frozen=True)
class Found:
    """A recording at another path.

    Attributes:
        gone: Whether what it belonged to is gone, so that it may be moved.
        sure: Whether it is this test's for sure, whatever it holds.
    """

    path: Path
    gone: bool = False
    sure: bool = False

    @cached_property
    def tape(self) -> Tape:
        """What it holds."""
        return read_tape(self.path)[0]


@dataclass(slots=True)
class TakeOver:
    """Recordings of tests or fixtures that are gone, and what became of them for the one that replays them.

    Attributes:
        found: The recording that is replayed; if there are several, they fit alike, and none is.
        used: How many of its answers were asked for.
        moved: Whether the file was moved to where the new one has its own.
    """

    found: Sequence[Found]
    used: int = 0
    moved: bool = False

    @property
    def undecided(self) -> bool:
        """Whether nobody can tell which of several it is."""
        return len(self.found) > 1


def nowhere() -> Iterable[Found]:
    """Find none."""
    return ()


class Orphans:
    """Recordings of what is gone.

    Args:
        owned: Whether a recording, given by its module's folder and its name, belongs to a test (or a fixture) that
            there is, or that nobody can tell of.
        fixtures: Whether these are recordings of fixtures: those of tests are never theirs.
    """

    def __init__(self, owned: Callable[[Path, str], bool], *, fixtures: bool = False) -> None:
        self._owned = owned
        self._fixtures = fixtures
        self._known: dict[tuple[Path, str | None], list[Found]] = {}

    def of(self, root: Path, candidate: str | None) -> Iterator[Found]:
        """Yield the orphans of a candidate: ``<root>/<module>/<candidate>/<test>.yaml``, that module or another."""
        for found in self._found(root, candidate):
            # Another test may have taken it over by now.
            if found.path.is_file():
                yield found

    def any(self, root: Path, candidate: str | None) -> bool:
        """Whether a candidate has had any orphan since this was first asked."""
        return bool(self._found(root, candidate))

    def _found(self, root: Path, candidate: str | None) -> list[Found]:
        key = root, candidate
        if key not in self._known:
            try:
                paths = list(self._paths(root, candidate))
            except OSError:
                # That the folder cannot be read is told when the test's own recording is.
                paths = []
            self._known[key] = list(_readable(paths))
        return self._known[key]

    def _paths(self, root: Path, candidate: str | None) -> Iterator[Path]:
        below = glob.escape(f"{candidate}/") if candidate else ""
        below = f"{FIXTURES}/{below}" if self._fixtures else below
        # Those of a folder's fixtures stand beside its modules.
        for folder in [*([root] if self._fixtures else []), *sorted(root.glob("*/"))]:
            if folder.name != FIXTURES:
                yield from (
                    path for path in sorted(folder.glob(f"{below}*.yaml")) if not self._owned(folder, path.name)
                )


def stock(paths: Iterable[Path], *, sure: bool) -> Iterator[Found]:
    """Yield what pytest-recording has kept for a test."""
    for path in paths:
        try:
            path.stat()
        except FileNotFoundError:
            continue
        except OSError:
            # That it cannot be read is told when it is.
            pass
        yield Found(path, sure=sure)


def _readable(paths: Iterable[Path]) -> Iterator[Found]:
    for path in paths:
        found = Found(path, gone=True)
        try:
            tape = found.tape
        except CassetteError:
            # Damaged, and nobody's: it is told of where recordings are listed.
            continue
        # What others wrote, their tests may still use.
        if tape.ours:
            yield found


def likeliest(found: Sequence[Found], path: Path) -> list[Found]:
    """Return which of several recordings with the same request is a test's: more than one if nobody can tell.

    What is not gone comes first. Else the name decides: of a file that was renamed, the tests have kept theirs; of a
    test that was renamed, the parameters have.

    Args:
        found: The recordings.
        path: Where the test has its own.
    """
    own = [each for each in found if not each.gone]
    if own or len(found) < 2:
        return own[:1] or list(found)
    alike = [_alike(each.path, path) for each in found]
    best = [each for each, rank in zip(found, alike, strict=True) if rank == max(alike)]
    return best[:1] if all(each.tape.interactions == best[0].tape.interactions for each in best) else best


def _alike(path: Path, other: Path) -> int:
    """Return how many parts of two names are the same: folder, class, function, parameters.

    >>> _alike(Path("test_a/m/TestA.test_x[1]-4db41af7.yaml"), Path("test_b/m/TestA.test_y[1]-0db41af7.yaml"))
    2
    """
    return sum(one == two for one, two in zip(_parts(path), _parts(other), strict=True))


def _parts(path: Path) -> tuple[Path, str, str, str]:
    name, _, parameters = LOOKS_HASHED.sub("", path.stem).partition("[")
    holder, _, function = name.rpartition(".")
    return path.parent, holder, function, parameters
