"""Files of a project that a test or a dataset names: where they are, how messages show them, their text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pytest_llmeval.display import escape
from pytest_llmeval.errors import ConfigError, nearest

LONGEST = 200


def find_file(written: str | os.PathLike[str], folders: Sequence[Path], what: str = "file") -> Path:
    """Return the first file of this name: as it stands if it is absolute, else in one of the folders.

    Raises:
        ConfigError: There is none; names the nearest that there is.
    """
    # Joined to an absolute path, a folder makes no difference. A link is followed when it is read, and shown as itself.
    tried = list(dict.fromkeys(Path(os.path.abspath(folder / written)) for folder in folders))  # noqa: PTH100
    for path in tried:
        # Unlike pathlib's, this never raises: a name may be too long for the system, or hold what none does.
        if os.path.isfile(path):  # noqa: PTH113
            return path
    name = escape(os.fspath(written))
    if any(os.path.isdir(path) for path in tried):  # noqa: PTH112
        raise ConfigError(f"{name}: this is a folder, not a {what}.")
    shown = " or ".join(dict.fromkeys(path.parent.as_posix() for path in tried))
    name = name if len(name) < LONGEST else f"{name[:LONGEST]}..."
    raise ConfigError(f"{name}: there is no such {what} in {escape(shown)}.{_nearest(tried)}")


def _nearest(tried: Sequence[Path]) -> str:
    for path in tried:
        try:
            names = sorted(entry.name for entry in os.scandir(path.parent) if entry.is_file())
        except (OSError, ValueError):
            continue
        if close := nearest(path.name, names):
            return escape(close)
    return ""


def shown_path(path: Path, root: Path) -> str:
    """Return a path as messages and records show it: relative to `root` where it is near there.

    >>> shown_path(Path("/project/tests/tickets.jsonl"), Path("/project"))
    'tests/tickets.jsonl'
    """
    try:
        below = os.path.relpath(path, root)
    except ValueError:
        # Another drive of Windows.
        return path.as_posix()
    return path.as_posix() if below.startswith(os.path.join("..", "..")) else below.replace(os.sep, "/")  # noqa: PTH118


def read_text(path: Path, name: str) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark; line ends are LF.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8; names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{name}: cannot be read: {exc.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8 (byte 0x{data[exc.start]:02x}). Save the file as UTF-8.") from None
    return text.replace("\r\n", "\n")
