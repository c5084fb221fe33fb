"""Files written whole or not at all, and what to do where the disk does not let us."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from pathlib import Path

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.errors import CassetteError

LEFTOVER = re.compile(r"\.[0-9a-f]{8}\.tmp")
# Seconds. A temporary file lives for milliseconds; where a slow disk takes longer, its writer writes it again.
OLD = 10.0
TRIES = 3

FULL = "Make room on the disk"
CLOSED = "Make it readable and writable, or choose another folder with llm_cassette_dir"
BLOCKED = "Move away what is in its place, or choose another folder with llm_cassette_dir"
ADVICE = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EFBIG: FULL,
    errno.EACCES: CLOSED,
    errno.EPERM: CLOSED,
    errno.EROFS: CLOSED,
    errno.EEXIST: BLOCKED,
    errno.ENOTDIR: BLOCKED,
    errno.EISDIR: BLOCKED,
    errno.ENAMETOOLONG: "Choose a shorter folder with llm_cassette_dir, or shorten the ids of the test's parameters",
}


def unreadable(path: Path, error: OSError) -> CassetteError:
    """Return the error of a file that cannot be read."""
    return CassetteError(f"{shown_path(path)}: cannot be read: {reason(error)}. {_advice(error)}, then run again.")


def unwritable(path: Path, error: OSError) -> CassetteError:
    """Return the error of a file that cannot be written."""
    return CassetteError(
        f"{shown_path(path)}: cannot be written: {reason(error)}. {_advice(error)}, then run this test again: "
        "its answers are not recorded. What was there before is intact."
    )


def reason(error: OSError) -> str:
    """Return the system's word for what is wrong."""
    return error.strerror or str(error)


def _advice(error: OSError) -> str:
    return ADVICE.get(error.errno or 0, "Mend that")


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written: it is better to know that before someone is asked, and paid.

    Raises:
        CassetteError: The file or its folder is not writable. That the disk is full cannot be known before.
    """
    try:
        _check_writable(path)
    except OSError as exc:
        raise unwritable(path, exc) from None


def _check_writable(path: Path) -> None:
    # A rename would put a new file in the place of one that is read-only, but whoever made it so meant it. The usual
    # case comes first, and without pathlib: this is asked before each answer that is recorded.
    if os.access(path, os.F_OK) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only")
    # Only a folder has a dot.
    if os.access(os.path.join(os.path.dirname(path), "."), os.W_OK | os.X_OK):  # noqa: PTH118, PTH120 - see above
        return
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{shown_path(folder)} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, f"the folder {shown_path(folder)} is read-only")


def put(path: Path, data: bytes, *, first_wins: bool = False) -> bool:
    """Write a file whole or not at all, and remove what killed runs left beside it; return whether it was written.

    Args:
        path: The file.
        data: What is to be in it.
        first_wins: Leave a file that has appeared since as it is.

    Raises:
        CassetteError: It cannot be written; what was there before is intact.
    """
    try:
        if not first_wins:
            _check_writable(path)
        return _put(path, data, first_wins=first_wins)
    except OSError as exc:
        raise unwritable(path, exc) from None


def _put(path: Path, data: bytes, *, first_wins: bool) -> bool:
    # Without pathlib, and with as few calls of the system as there can be: at each of them the threads that fetch
    # answers ahead take turns.
    folder = os.path.dirname(path)  # noqa: PTH120
    for left in reversed(range(TRIES)):
        # Chance, as containers that share a folder have equal process ids; short, as the path of a recording may use
        # up what Windows allows.
        temporary = os.path.join(folder, f".{os.urandom(4).hex()}.tmp")  # noqa: PTH118
        try:
            _write_new(temporary, data)
            remove_leftovers(path.parent, temporary)
            if first_wins:
                return _link(temporary, path)
            os.replace(temporary, path)  # noqa: PTH105
        except (FileExistsError, FileNotFoundError):
            # There is no such folder yet; or another has the same name, or took this one for a leftover.
            if not left:
                raise
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            return True
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
    raise AssertionError("the last try returns or raises")


def _write_new(path: str, data: bytes) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: It is there.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        rest = memoryview(data)
        # A disk that fills up takes a part of it, and refuses the rest.
        while rest:
            rest = rest[os.write(file, rest) :]
    finally:
        os.close(file)


#: When a folder was last looked through for leftovers, by `time.monotonic`.
_swept: dict[Path, float] = {}


def remove_leftovers(folder: Path, own: str) -> None:
    """Remove the temporary files of processes that were killed; not more often than such a file can become old.

    Args:
        folder: Where they are.
        own: A file that was just written there.
    """
    now = time.monotonic()
    if now - _swept.get(folder, -OLD) < OLD:
        # A folder of thousands of recordings would be looked through thousands of times.
        return
    _swept[folder] = now
    with contextlib.suppress(OSError):
        # By the clock of the file system, which may be another machine's.
        written = os.stat(own).st_mtime  # noqa: PTH116
        with os.scandir(folder) as entries:
            for entry in entries:
                if LEFTOVER.fullmatch(entry.name) and written - entry.stat().st_mtime > OLD:
                    Path(entry.path).unlink(missing_ok=True)


def _link(temporary: str, path: Path) -> bool:
    """Give a file its name, and return True; False if there is one of that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        if not path.is_file():
            raise
        return False
    except FileNotFoundError:
        raise
    except OSError:
        # A file system without hard links.
        os.replace(temporary, path)  # noqa: PTH105
    return True
