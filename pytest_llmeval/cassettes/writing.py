"""Writes the file of one cassette, again and again while it grows."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pytest_llmeval.cassettes import disk
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.passages import Passages
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import CassetteError, SecretError


class Writer:
    """Writes the file of one cassette, and only where that changes something.

    Args:
        path: The file.
        scanner: Refuses texts that hold a secret.
    """

    def __init__(self, path: Path, scanner: SecretScanner) -> None:
        self._path = path
        self._scanner = scanner
        self._passages = Passages()
        self._last: Tape | None = None
        self._theirs = False
        # What was there before we wrote for the first time.
        self._before: bytes | None = None

    @property
    def written(self) -> bool:
        """Whether the file was written in this run."""
        return self._last is not None

    def prepare(self, interaction: Interaction) -> None:
        """Do what writing an answer takes that needs no lock: lay it out, and look for secrets."""
        self._passages.of(interaction).is_clean(self._scanner)

    def write(self, tape: Tape, *, first_wins: bool) -> None:
        """Write the file.

        Args:
            tape: What it is to hold.
            first_wins: Leave a file that has appeared since as it is, where that is not cut off and this is.

        Raises:
            SecretError: The text holds a secret. Nothing was written, and what was written before is gone if it holds
                one too: nobody could know then.
            CassetteError: The file cannot be written; what was there before is intact.
        """
        if self._last is not None and _same(self._last, tape):
            return
        if self._last is None:
            with contextlib.suppress(OSError):
                self._before = self._path.read_bytes()
        try:
            self._theirs = not self._put(tape, first_wins=first_wins or self._theirs)
            if self._theirs and not tape.incomplete and self._is_cut():
                self._theirs = not self._put(tape, first_wins=False)
        except SecretError:
            self._take_back()
            raise
        self._last = tape

    def _put(self, tape: Tape, *, first_wins: bool) -> bool:
        return write_tape(self._path, tape, self._scanner, self._passages, first_wins=first_wins)

    def _is_cut(self) -> bool:
        """Whether the file that another process wrote may lack something."""
        try:
            return read_tape(self._path)[0].incomplete
        except CassetteError:
            return False

    def _take_back(self) -> None:
        if self._last is None or self._theirs:
            return
        if all(self._passages.of(each).is_clean(self._scanner) for each in self._last.interactions):
            return
        self._last = None
        with contextlib.suppress(OSError, CassetteError):
            if self._before is None:
                self._path.unlink()
            else:
                disk.put(self._path, self._before)


def _same(one: Tape, other: Tape) -> bool:
    return one.incomplete == other.incomplete and [*map(id, one.interactions)] == [*map(id, other.interactions)]
