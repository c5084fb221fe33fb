"""Cassettes on disk: read with care, written whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pytest_llmeval.cassettes import disk
from pytest_llmeval.cassettes.format import Tape, damaged, head, loads, sealed_with
from pytest_llmeval.cassettes.passages import Passage, Passages, secrets_in
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import SecretError

SEAL = re.compile(r"\nchecksum: sha256:[0-9a-f]{64}\n\Z")


def read_tape(path: Path) -> tuple[Tape, bool]:
    """Return the tape of a file and whether the file is there; a file that is not there gives an empty tape.

    Raises:
        DamagedError: What it holds cannot be used.
        CassetteError: It cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Tape(), False
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise damaged(path, line, "not UTF-8") from None
    except OSError as exc:
        raise disk.unreadable(path, exc) from None
    return loads(text, path), True


def write_tape(
    path: Path,
    tape: Tape,
    scanner: SecretScanner,
    known: Passages | None = None,
    *,
    first_wins: bool = False,
    since: int | None = None,
) -> bool:
    """Write a cassette whole or not at all; return whether it is there now, and not another's that was first.

    Args:
        path: Its file.
        tape: What to write.
        scanner: Refuses texts that hold a secret.
        known: What was laid out and looked through when it was written before.
        first_wins: Leave a file that has appeared since as it is: another process recorded the same.
        since: From which version of the scanner on what was looked through needs not to be again; None for the last.

    Raises:
        SecretError: The text holds a secret; says what and where, never the secret.
        CassetteError: The file cannot be written; what was there before is intact.
    """
    known = known or Passages()
    passages = passages_of(tape, scanner, known)
    _refuse_secrets(path, passages, scanner, since)
    text = sealed_with("".join(passage.text for passage in passages))
    return disk.put(path, text.encode("utf-8"), first_wins=first_wins)


def passages_of(tape: Tape, scanner: SecretScanner, known: Passages) -> list[Passage]:
    """Return what the text of a tape consists of, but for the seal."""
    # Without metadata of others, nothing in the head is from outside.
    return [Passage(head(tape), clean=None if tape.metadata else scanner.version), *known.of_all(tape.interactions)]


def check_foreign(path: Path, text: str, scanner: SecretScanner) -> None:
    """Check the text of a cassette that was recorded elsewhere, before it is written here as it is.

    Raises:
        DamagedError: We did not write it, or it is not what we wrote: its checksum is wrong.
        SecretError: It holds what is a secret here.
    """
    tape = loads(text, path)
    if not tape.ours:
        raise damaged(path, 1, "it has no seal")
    # The seal, a digest of all that stands above it, is none.
    _refuse_secrets(path, [Passage(SEAL.sub("", text), tape.interactions)], scanner)


def _refuse_secrets(path: Path, passages: Sequence[Passage], scanner: SecretScanner, since: int | None = None) -> None:
    where = "; ".join(secrets_in(path, passages, scanner, since))
    if where:
        raise SecretError(
            f"{scanner.mask(shown_path(path))}: not written, since it would hold a secret ({where}). "
            "Take it out of the request, or redact it with the hook pytest_llmeval_redact."
        )


def move(path: Path, to: Path) -> bool:
    """Move a cassette to where nothing is yet; return whether that was possible."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to)
    except OSError:
        return False
    return True
