"""Who may still take over a recording of a test or fixture that is gone: whoever has none of its own yet."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_llmeval.cassettes.paths import FIXTURES, is_of_fixture


@dataclass(frozen=True, slots=True)
class Expected:
    """A test that may have a recording.

    Attributes:
        nodeid: pytest's name for it.
        path: The recording that it has if it has no candidate; those of candidates are a folder deeper.
        asks_candidates: Whether it has candidates.
        candidate: The folder of its candidate; None where it is not known who will be asked.
    """

    nodeid: str
    path: Path
    asks_candidates: bool
    candidate: str | None = None

    def lacks(self, candidate: str | None) -> bool:
        """Whether it has no recording of a candidate, and may ask it."""
        if candidate is None:
            return not self.asks_candidates and not self.path.is_file()
        if not self.asks_candidates:
            return False
        if self.candidate in (None, candidate):
            return not (self.path.parent / candidate / self.path.name).is_file()
        # One that was renamed has none at all.
        return not any(self.path.parent.glob(f"*/{glob.escape(self.path.name)}"))


def heir_of_test(orphan: Path, tests: Mapping[Path, Sequence[Expected]]) -> str | None:
    """Return the first test that may take over a recording of a test, or None.

    Args:
        orphan: The recording.
        tests: By the folder in which their modules have theirs.
    """
    without_candidate, with_candidate = orphan.parents[1], orphan.parents[2]
    for root, candidate in ((without_candidate, None), (with_candidate, orphan.parent.name)):
        for test in tests.get(root, ()):
            if test.lacks(candidate):
                return test.nodeid
    return None


def heir_of_fixture(orphan: Path, names: Mapping[Path | None, frozenset[str]], asking: frozenset[str]) -> str | None:
    """Return the first fixture that may take over a recording of a fixture, or None.

    Args:
        orphan: The recording.
        names: What recordings of fixtures are named after, by their module's folder; None for those beside modules.
        asking: Names of fixtures that tests take which ask.
    """
    fixtures = next(parent for parent in orphan.parents if parent.name == FIXTURES)
    home, below = fixtures.parent, orphan.relative_to(fixtures).parent
    modules = [folder for folder in names if folder is not None]
    root = home if any(folder.parent == home for folder in modules) else home.parent
    for folder in (root, *(folder for folder in modules if folder.parent == root)):
        there = [path.stem for path in (folder / FIXTURES / below).glob("*.yaml")]
        for name in sorted(names[None] if folder == root else names[folder]):
            # A fixture keeps its name when its file is renamed, and its file when it is.
            fits = folder == home or is_of_fixture(orphan.stem, name)
            if fits and name.rpartition(".")[2] in asking and not any(is_of_fixture(stem, name) for stem in there):
                return f"the fixture {name!r}{'' if folder == root else f' of {folder.name}'}"
    return None
