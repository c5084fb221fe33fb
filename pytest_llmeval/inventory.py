"""The recordings that there are: what each holds, and whether a test still uses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Tape
from pytest_llmeval.cassettes.paths import (
    FIXTURES,
    LONGEST,
    candidate_folder,
    file_name,
    is_of_fixture,
    is_sample_of,
)
from pytest_llmeval.errors import CassetteError
from pytest_llmeval.heirs import Expected, heir_of_fixture, heir_of_test
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.recorded import answer_of, cost_of_answer, total_of

#: Where this one is not known, none are.
OWN_FIXTURE = "llm_candidate"


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording.

    Attributes:
        path: Its file.
        size: In bytes.
        answers: How many it holds.
        first, last: When the oldest and the newest of those were recorded; None if none of them says.
        asked, answered: Models, by number of answers.
        tokens: Read and written; None if an answer does not say.
        cost: At the prices of the day of the recording.
        used: Whether a test uses it; None if that cannot be told: others' tests may use what others wrote.
        heir: Who may still take it over when the tests run, if no test uses it.
        ours: Whether it has our form; stock vcrpy's has not.
        damaged: Why it cannot be read, or None.
    """

    path: Path
    size: int
    answers: int = 0
    first: datetime | None = None
    last: datetime | None = None
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    tokens: tuple[int | None, int | None] = (None, None)
    cost: TotalCost = field(default_factory=lambda: TotalCost(Decimal(0)))
    used: bool | None = None
    heir: str | None = None
    ours: bool = True
    incomplete: bool = False
    damaged: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a collection of all tests knows.

    Attributes:
        names: Names of the recordings that tests may have, by their module's folder, candidates apart.
        fixtures: What recordings of fixtures are named after, by their module's folder; None for those beside modules.
        asking: Names of the project's fixtures that tests take which ask.
        tests: Tests that may have recordings, by the folder in which their modules have theirs.
        candidates: Candidates by the name of their folder.
        home_of: Takes a module's folder of recordings, and returns where its test file would be; None for a folder of
            someone else's.
        root_of: Takes a file, and returns the folder of all recordings that it is in, or None.
        why_not: What kept the collection from being complete; empty if it was.
    """

    names: Mapping[Path, frozenset[str]] = field(default_factory=dict)
    fixtures: Mapping[Path | None, frozenset[str]] = field(default_factory=dict)
    asking: frozenset[str] = frozenset()
    tests: Mapping[Path, Sequence[Expected]] = field(default_factory=dict)
    candidates: Mapping[str, Candidate] = field(default_factory=dict)
    home_of: Callable[[Path], Path | None] = Path
    root_of: Callable[[Path], Path | None] = Path
    why_not: str = "nothing was collected"


def entry_of(path: Path, known: Known) -> Entry:
    """Read a recording."""
    try:
        size = path.stat().st_size
        tape, _ = read_tape(path)
    except (CassetteError, OSError) as exc:
        return Entry(path, path.stat().st_size if path.exists() else 0, damaged=str(exc))
    answers = [answer_of(interaction) for interaction in tape.interactions]
    dates = [when for interaction in tape.interactions if (when := interaction.recorded_at) is not None]
    used = is_used(path, known) if tape.ours else None
    return Entry(
        path,
        size,
        answers=len(answers),
        first=min(dates, default=None),
        last=max(dates, default=None),
        asked=Counter(answer.asked for answer in answers if answer.asked),
        answered=Counter(answer.answered for answer in answers if answer.answered),
        tokens=(
            _sum(answer.usage.input_tokens for answer in answers),
            _sum(answer.usage.output_tokens for answer in answers),
        ),
        cost=_cost(path, tape, known),
        used=used,
        heir=_heir(path, known) if used is False else None,
        ours=tape.ours,
        incomplete=tape.incomplete,
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _cost(path: Path, tape: Tape, known: Known) -> TotalCost:
    candidate = known.candidates.get(path.parent.name)
    return total_of(cost_of_answer(interaction, candidate) for interaction in tape.interactions)


def is_used(path: Path, known: Known) -> bool | None:
    """Whether a test uses a recording: no, if its test file is gone or has no such test; None if nobody can tell."""
    if known.why_not:
        return None
    if FIXTURES in path.parts:
        return _fixture_is_used(path, known)
    # With a candidate's folder and without.
    for folder in (path.parent, path.parent.parent):
        if folder in known.names:
            return path.name in known.names[folder] or is_sample_of(path.name, known.names[folder])
    homes = [(folder, known.home_of(folder)) for folder in (path.parent, path.parent.parent)]
    sources = [_has_source(home, folder.name) for folder, home in homes if home is not None]
    # Of a test file that is there nothing was collected; and what is no folder of ours is not ours to judge.
    return None if any(sources) or not sources else False


def _fixture_is_used(path: Path, known: Known) -> bool | None:
    """Whether a fixture uses a recording: no, if its test file is gone, or there is no fixture of this name."""
    if OWN_FIXTURE not in known.fixtures.get(None, ()):
        return None
    folder = next(parent for parent in path.parents if parent.name == FIXTURES).parent
    if folder in known.fixtures:
        return any(is_of_fixture(path.stem, name) for name in known.fixtures[folder])
    home = known.home_of(folder / "any")
    if home is not None and home.is_dir():
        if any(is_of_fixture(path.stem, name) for name in known.fixtures[None]):
            return True
        # The conftest of a folder is read when something in it, or below, is collected.
        collected = [known.home_of(module) for module in known.names]
        return False if any(each and (each == home or home in each.parents) for each in collected) else None
    home = known.home_of(folder)
    return None if home is None or _has_source(home, folder.name) else False


def _heir(path: Path, known: Known) -> str | None:
    if FIXTURES in path.parts:
        return heir_of_fixture(path, known.fixtures, known.asking)
    return heir_of_test(path, known.tests)


def _has_source(home: Path, module: str) -> bool:
    return any(file_name(path.stem, LONGEST["module"]) == module for path in home.glob("*.py"))


def unused_of(entries: Iterable[Entry], named: Iterable[Path]) -> tuple[list[Entry], list[Entry]]:
    """Return what can be deleted, and what nobody uses but somebody may still take over.

    Args:
        entries: The recordings.
        named: Files that were asked for by name: whoever does that knows what they are.
    """
    unused = [entry for entry in entries if entry.used is False]
    awaited = [entry for entry in unused if entry.heir is not None and entry.path not in named]
    return [entry for entry in unused if entry not in awaited], awaited


def by_folder(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Return candidates by the names of their folders."""
    return {candidate_folder(candidate.name): candidate for candidate in candidates}


def remove(paths: Iterable[Path], root_of: Callable[[Path], Path | None]) -> list[Path]:
    """Delete recordings, and folders of recordings that are empty then; return what could not be deleted.

    Args:
        paths: The recordings.
        root_of: Returns the folder of all recordings that one is in, which is the last that may go; None for none.
    """
    left = []
    for path in paths:
        root = root_of(path)
        try:
            path.unlink()
            for folder in path.parents if root is not None else ():
                if root not in (folder, *folder.parents):
                    break
                folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            if path.exists():
                left.append(path)
    return left
