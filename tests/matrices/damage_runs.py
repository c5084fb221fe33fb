"""Whole runs of pytest over damaged cassettes: what the user sees, and what is left."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from tests.chat_server import ChatServer
from tests.matrices.damage_kinds import Kind, variants
from tests.matrices.hostile import bombs, tagged
from tests.matrices.matrix import Matrix
from tests.matrices.processes import Ended, Nursery, Run

MODES = ("none", "once", "new", "stale", "all")
TESTS = """
def test_it(llm):
    assert llm.complete("Grüße 😀").content
    assert llm.complete("Grüße 😀", stream=True).content
"""
SETTINGS = """[tool.pytest.ini_options]
[tool.llmeval.models.chat]
model = "openai:chat"
base_url = "{url}"
max_retries = 0
"""
NO_FILE = ("a folder in its place", "a link to itself")


def whole_runs(folder: Path, count: int = 40, seed: int = 1) -> Matrix:
    """Run pytest over damaged files: what the user sees, and what is left."""
    matrix = Matrix(
        "pytest over a damaged cassette: file and line, nobody asked, the file as it is; replaced where that was asked",
        ("damage", "modes"),
    )
    path = folder / "llm_cassettes" / "test_kinds" / "chat" / "test_it.yaml"
    with Nursery() as nursery, ChatServer(count=True) as server:
        for name, text in (("test_kinds.py", TESTS), ("pyproject.toml", SETTINGS.format(url=server.url))):
            (folder / name).write_text(text, encoding="utf-8")
        place = Project(folder, path, server, nursery)
        ended = place.run("once")
        assert ended.code == 0, ended.output
        tape = tuple(read_tape(path)[0].interactions)
        kind = Kind("whole", path.read_bytes(), list, [], tape)
        modes, lost = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
        for number, (damage, raw) in enumerate(_sample(kind, folder, count, seed)):
            mode = MODES[number % len(MODES)]
            modes[damage].append(mode)
            wrong = [*place.try_damage(kind, damage, raw, mode)]
            if wrong:
                lost[damage].append(f"--llm-record={mode}: {'; '.join(wrong)}")
    for damage, tried in modes.items():
        matrix.add(damage, " ".join(tried), tried=len(tried), lost=lost[damage])
    return matrix


def _sample(kind: Kind, folder: Path, count: int, seed: int) -> list[tuple[str, bytes]]:
    """Return some of all there is: of each damage one, then at random."""
    rng = random.Random(seed)
    all_variants = [variant for variant in variants(kind, [], seed) if "line ends" not in variant.damage]
    rng.shuffle(all_variants)
    first = {variant.damage: variant for variant in all_variants}
    some = [(each.damage, each.raw) for each in [*first.values(), *all_variants]]
    foreign = [(name, text.encode()) for name, text in [*tagged(folder / "canary"), *bombs()]]
    rng.shuffle(foreign)
    windows = [("line ends of Windows", kind.raw.replace(b"\n", b"\r\n"))] * len(MODES)
    rest = count - len(windows) - 2 * len(NO_FILE) - 8
    named = [(f"from a stranger: {name.split()[0]}", raw) for name, raw in foreign[:8]]
    return [*some[:rest], *named, *windows, *[(name, b"") for name in NO_FILE for _ in range(2)]]


@dataclass(frozen=True)
class Project:
    """A project with one test, whose cassette is damaged."""

    folder: Path
    path: Path
    server: ChatServer
    nursery: Nursery

    def run(self, mode: str) -> Ended:
        """Run the test."""
        args = ("-q", "--llm-models=chat", f"--llm-record={mode}", "test_kinds.py")
        return self.nursery.run(Run(str(self.folder), args))

    def try_damage(self, kind: Kind, damage: str, raw: bytes, mode: str) -> Iterator[str]:
        """Put a damaged file in place, run, and say what is wrong with what comes of it."""
        self._place(damage, raw)
        asked = len(self.server.asked)
        ended = self.run(mode)
        asked = len(self.server.asked) - asked
        if (self.folder / "canary").exists():
            yield "code was run"
        if "Traceback" in ended.output or "INTERNALERROR" in ended.output:
            yield f"a traceback is shown: {ended.output[-1500:]}"
        if damage == "line ends of Windows" or (mode == "all" and damage not in NO_FILE):
            if ended.code or asked != (2 if mode == "all" else 0):
                yield f"exit status {ended.code}, {asked} asked: {ended.output[-800:]}"
            if mode == "all" and self.run("none").code:
                yield "what was recorded in its place does not replay"
        else:
            yield from self._refused(ended, damage, asked, raw)
        self._place("", kind.raw)

    def _refused(self, ended: Ended, damage: str, asked: int, raw: bytes) -> Iterator[str]:
        wanted = (
            r"test_it\.yaml: cannot be read: " if damage in NO_FILE else r"test_it\.yaml:\d+: not a usable cassette: "
        )
        if ended.code != 1 or not re.search(wanted, ended.output):
            yield f"exit status {ended.code}: {ended.output[-800:]}"
        if asked:
            yield f"{asked} answers were asked for"
        if self.path.is_file() and self.path.read_bytes() != raw:
            yield "the file was changed"

    def _place(self, damage: str, raw: bytes) -> None:
        if self.path.is_dir():
            self.path.rmdir()
        self.path.unlink(missing_ok=True)
        if damage == NO_FILE[0]:
            self.path.mkdir()
        elif damage == NO_FILE[1]:
            self.path.symlink_to(self.path.name)
        else:
            self.path.write_bytes(raw)
