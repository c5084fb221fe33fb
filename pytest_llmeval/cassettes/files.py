"""Cassettes on disk: read with care, written whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_llmeval.cassettes import disk
from pytest_llmeval.cassettes.detours import passed_over
from pytest_llmeval.cassettes.format import Tape, damaged, dumps, is_json_object, loads
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import SecretError

#: How YAML has a body that cannot stand in the text as it is.
BINARY = "!!binary"
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


def write_tape(path: Path, tape: Tape, scanner: SecretScanner, *, first_wins: bool = False) -> None:
    """Write a cassette whole or not at all.

    Args:
        path: Its file.
        tape: What to write.
        scanner: Refuses texts that hold a secret.
        first_wins: Leave a file that has appeared since as it is: another process recorded the same.

    Raises:
        SecretError: The text holds a secret; says what and where, never the secret.
        CassetteError: The file cannot be written; what was there before is intact.
    """
    text = dumps(tape)
    _refuse_secrets(path, text, tape, scanner)
    disk.put(path, text.encode("utf-8"), first_wins=first_wins)


def check_foreign(path: Path, text: str, scanner: SecretScanner) -> None:
    """Check the text of a cassette that was recorded elsewhere, before it is written here as it is.

    Raises:
        DamagedError: We did not write it, or it is not what we wrote: its checksum is wrong.
        SecretError: It holds what is a secret here.
    """
    tape = loads(text, path)
    if not tape.ours:
        raise damaged(path, 1, "it has no seal")
    _refuse_secrets(path, text, tape, scanner)


def _refuse_secrets(path: Path, text: str, tape: Tape, scanner: SecretScanner) -> None:
    where = "; ".join(_secrets(path, text, tape, scanner))
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


def _secrets(path: Path, text: str, tape: Tape, scanner: SecretScanner) -> list[str]:
    """Return where secrets are: in the file's name, by line of its text, or in a body, packed or split."""
    # Folder of the module, of the candidate, and the test with its parameters.
    found = [f"the name of the file: {what}" for what in scanner.find_cut("/".join(path.parts[-3:]))]
    # The seal, a digest of all that stands above it, is none.
    found += [f"line {finding.line}: {finding.what}" for finding in scanner.find(SEAL.sub("", text))]
    if found:
        return found
    shown = BINARY not in text
    for number, interaction in enumerate(tape.interactions, 1):
        bodies = [("request", interaction.body), ("answer", interaction.content)]
        # All that a JSON object says stands in the text, where it was looked for already.
        hidden = [(name, body) for name, body in bodies if not (shown and is_json_object(body))]
        hidden += [("request that failed before", each.body) for each in passed_over([interaction])]
        for name, body in hidden:
            found += [f"{name} {number}: {what}" for what in scanner.find_in_body(body)]
    return found
