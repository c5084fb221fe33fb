"""Writes the file of one cassette, again and again while it grows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_llmeval.cassettes import disk
from pytest_llmeval.cassettes.files import passages_of, read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape, loads
from pytest_llmeval.cassettes.passages import Passages, secrets_in
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
        # Up to which of the scanner's versions what was written is known to hold no secret.
        self._clean = 0
        self._theirs = False
        # What was there before we first wrote in its place, and what the system says of the file that we wrote last.
        self._before: bytes | None = None
        self._stamp: tuple[int, int] | None = None
        self._prepared = 0
        self._since: int | None = None

    @property
    def written(self) -> bool:
        """Whether the file was written in this run."""
        return self._last is not None

    def prepare(self, interactions: Iterable[Interaction | None]) -> None:
        """Do what writing answers takes that needs no lock: lay them out, and look for secrets."""
        self._scanner.learn()
        self._prepared = self._scanner.version
        for interaction in list(interactions):
            if interaction is not None:
                self._passages.of(interaction)
        for passage in self._passages:
            passage.is_clean(self._scanner, self._prepared)

    @contextlib.contextmanager
    def as_prepared(self) -> Iterator[None]:
        """Write without looking for what became known as a secret since `prepare`, which the next time is for.

        Where each answer brings a cookie, all would else be looked through again while everybody waits.
        """
        self._since = self._prepared
        try:
            yield
        finally:
            self._since = None

    def write(self, tape: Tape, *, first_wins: bool) -> None:
        """Write the file.

        Args:
            tape: What it is to hold.
            first_wins: Leave a file that has appeared since as it is, where that is not cut off and this is.

        Raises:
            SecretError: The text holds a secret and was not written. What was written before is taken back if it holds
                one too, which nobody could know then, or if something whole was there before it.
            CassetteError: The file cannot be written; what was there before is intact.
        """
        self._scanner.learn()
        version = self._scanner.version if self._since is None else self._since
        if (
            self._last is not None
            and _same(self._last, tape)
            and (self._clean >= version or not self._holds_secret(self._last))
        ):
            self._clean = max(self._clean, version)
            return
        if tape.incomplete:
            self._theirs = self._theirs or self._is_replaced()
        try:
            self._theirs = not self._put(tape, first_wins=first_wins or self._theirs)
            if self._theirs and not tape.incomplete and self._is_cut():
                self._theirs = not self._put(tape, first_wins=False)
        except SecretError:
            self._take_back()
            raise
        self._last, self._clean, self._stamp = tape, version, self._stamp_now()

    def _put(self, tape: Tape, *, first_wins: bool) -> bool:
        known, since = self._passages, self._since
        if not first_wins and (self._last is None or self._theirs):
            with contextlib.suppress(OSError):
                self._before = self._path.read_bytes()
        return write_tape(self._path, tape, self._scanner, known, first_wins=first_wins, since=since)

    def _holds_secret(self, tape: Tape) -> bool:
        return bool(secrets_in(self._path, passages_of(tape, self._scanner, self._passages), self._scanner))

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            # Without pathlib: this is asked for each answer that is recorded.
            found = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _is_replaced(self) -> bool:
        """Whether another process has put a whole recording in the place of what was written here."""
        return self._last is not None and self._stamp_now() != self._stamp and not self._is_cut(missing=True)

    def _is_cut(self, *, missing: bool = False) -> bool:
        """Whether the file that is there may lack something; `missing` if there is none."""
        try:
            tape, there = read_tape(self._path)
        except CassetteError:
            return False
        return tape.incomplete if there else missing

    def _take_back(self) -> None:
        if self._last is None or self._theirs or self._is_replaced():
            return
        if not self._was_whole() and not self._holds_secret(self._last):
            return
        self._last = None
        with contextlib.suppress(OSError, CassetteError):
            if self._before is None:
                self._path.unlink()
            else:
                disk.put(self._path, self._before)

    def _was_whole(self) -> bool:
        """Whether what was there before could be replayed to its end."""
        if self._before is None:
            return False
        try:
            return not loads(self._before.decode(), self._path).incomplete
        except (CassetteError, UnicodeDecodeError):
            return True


def _same(one: Tape, other: Tape) -> bool:
    return one.incomplete == other.incomplete and [*map(id, one.interactions)] == [*map(id, other.interactions)]
