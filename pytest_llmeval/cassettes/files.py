"""Cassettes on disk: read with care, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pytest_llmeval.cassettes.format import Tape, dumps, loads
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import CassetteError, SecretError


def read_tape(path: Path) -> tuple[Tape, bool]:
    """Return the tape of a file and whether the file is there; a file that is not there gives an empty tape.

    Raises:
        CassetteError: It cannot be read, or is damaged.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return Tape(), False
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise CassetteError(
            f"{shown_path(path)}:{line}: not a usable cassette: not UTF-8. It was left as it is."
        ) from None
    except OSError as exc:
        raise CassetteError(f"{shown_path(path)}: cannot be read: {exc.strerror or exc}") from None
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
    where = "; ".join(_secrets(text, tape, scanner))
    if where:
        raise SecretError(
            f"{shown_path(path)}: not written, since it would hold a secret ({where}). "
            "Take it out of the request, or redact it with the hook pytest_llmeval_redact."
        )
    # Short, since the path of a recording may use up what Windows allows.
    temporary = path.with_name(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(text.encode("utf-8"))
        if first_wins:
            _link(temporary, path)
        else:
            temporary.replace(path)
    except OSError as exc:
        raise CassetteError(
            f"{shown_path(path)}: cannot be written: {exc.strerror or exc}. What was there before is intact; "
            "the answers of this test are not recorded."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _secrets(text: str, tape: Tape, scanner: SecretScanner) -> list[str]:
    """Return where secrets are: by line of the text, or in a body that is not text and stands there as base64."""
    found = [f"line {finding.line}: {finding.what}" for finding in scanner.find(text)]
    for number, interaction in enumerate(tape.interactions, 1):
        for name, body in (("request", interaction.body), ("answer", interaction.content)):
            if not found:
                raw = body.decode("utf-8", "replace")
                found += [f"{name} {number}: {finding.what}" for finding in scanner.find(raw)]
    return found


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links.
        temporary.replace(path)
