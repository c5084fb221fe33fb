"""Cassettes that were cut, changed, mixed up or made to harm: replayed exactly, or refused with file and line.

``python -m tests.matrices.damage`` prints the tables. All variants go through the engine that a test's requests go
through; every tenth through an SDK as well, and some through whole runs of pytest.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.store import Cassette
from tests.matrices.damage_kinds import Kind, Refused, Variant, engine, played, recorded, variants
from tests.matrices.damage_runs import whole_runs
from tests.matrices.hostile import WITH_LINE, hostile
from tests.matrices.matrix import Matrix, report

# Mode `all` asks again instead of replaying: `damage_runs` tries what that does.
MODES = ("none", "once", "new", "stale")
STALE = re.compile(r"damaged\.yaml(: recorded| is stale|: all )")


@dataclass
class Tried:
    """What became of the variants of one damage: a count of each outcome, and what was lost."""

    outcomes: Counter[str]
    lost: list[str]


def verdict(kind: Kind, variant: Variant, got: str | list[str] | list[Interaction | None]) -> tuple[str, str]:
    """Return the outcome, and what is wrong with it.

    ``unseen`` is what nobody can see in a file without a seal: a change that leaves it a well-formed cassette.
    """
    if isinstance(got, str):
        if WITH_LINE.search(got):
            return "refused", ""
        if not kind.sealed and not variant.found and STALE.search(got):
            # What was asked for is not in it, or not in this form.
            return "refused", ""
        return "lost", f"refused, but not with file and line: {got!r}"
    expected = kind.tape if got and isinstance(got[0], Interaction) else kind.answers
    if _seen(got, kind.sealed) == _seen(expected, kind.sealed):
        return "replayed", ""
    if None in got:
        # As it should, where a request of the file is not the same any more.
        return ("lost", "asks the server again") if kind.sealed or variant.found else ("unseen", "")
    if kind.sealed or variant.found:
        return "lost", f"replays something else: {got!r}"[:400]
    empty = [isinstance(one, Interaction) and not one.content for one in got]
    return ("lost", "replays an empty answer") if any(empty) else ("unseen", "")


def _seen(got: Sequence[Any], whole: bool) -> list[Any]:
    """Return what is to be the same: all of a file of ours; of stock's, what a client makes an answer of."""
    answers = [one if whole or not isinstance(one, Interaction) else (one.status, one.content) for one in got]
    return list(answers)


def through_engine(kind: Kind, path: Path, mode: str) -> str | list[Interaction | None]:
    """Ask all again; return the recorded answers, or the message that refused one."""
    cassette = Cassette(path, mode, engine())
    try:
        return [cassette.open(request).recorded for request in kind.requests]
    except Refused as exc:
        return str(exc)
    finally:
        cassette.close()


def through_sdk(kind: Kind, path: Path, mode: str) -> str | list[str]:
    """Do the same with the client that recorded it."""
    try:
        with played(path, mode):
            return kind.ask()
    except Refused as exc:
        return str(exc)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


def try_variant(kind: Kind, variant: Variant, number: int, path: Path, tried: Tried) -> None:
    """Ask in one of the modes; every tenth time through the SDK."""
    mode = MODES[number % len(MODES)]
    path.write_bytes(variant.raw)
    results = [through_engine(kind, path, mode)]
    if number % 10 == 0 and variant.raw != kind.raw:
        results.append(through_sdk(kind, path, mode))  # type: ignore[arg-type]
    for got in results:
        if isinstance(got, str) and not kind.sealed and got.startswith(("JSONDecodeError", "KeyError")):
            # The client's own complaint of an answer that has changed.
            outcome, wrong = "unseen", ""
        else:
            outcome, wrong = verdict(kind, variant, got)
        if outcome == "lost":
            tried.lost.append(f"variant {number}, --llm-record={mode}: {wrong}")
            break
    tried.outcomes[outcome] += 1
    if path.read_bytes() != variant.raw:
        tried.lost.append(f"variant {number}, --llm-record={mode}: the file was changed")


def damaged(cassettes: list[Kind], folder: Path, seed: int = 1, every: int = 1) -> Matrix:
    """Try every variant of all kinds, or one of `every`; those that nobody can see are counted beside the table."""
    matrix = Matrix(
        "A damaged cassette replays exactly what was recorded, or is refused with file and line",
        ("cassette", "damage", "replayed", "refused", "changed unseen (no seal)"),
    )
    path = folder / "damaged.yaml"
    for kind in cassettes:
        groups: dict[str, Tried] = {}
        others = [other for other in cassettes if other is not kind]
        for number, variant in enumerate(variants(kind, others, seed)):
            if number % every and variant.damage in ("cut off at a byte", "bytes changed"):
                continue
            group = groups.setdefault(variant.damage, Tried(Counter(), []))
            try_variant(kind, variant, number, path, group)
        for damage, group in groups.items():
            counts = group.outcomes
            if "line ends" in damage and counts["refused"]:
                group.lost.append("was refused, though it makes no difference")
            shown = (kind.name, damage, counts["replayed"], counts["refused"], counts["unseen"])
            # Neither kept nor lost: without a seal, nobody can tell.
            matrix.add(*shown, tried=counts.total() - counts["unseen"], lost=group.lost)
    return matrix


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of what is changed at random")
    parser.add_argument("--every", type=int, default=1, help="try one of so many cuts and changed bytes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "runs").mkdir()
        with recorded(folder) as cassettes:
            tables = [damaged(cassettes, folder, args.seed, args.every), hostile(folder)]
        tables.append(whole_runs(folder / "runs", seed=args.seed))
    return max([report(table) for table in tables])


if __name__ == "__main__":
    sys.exit(main())
