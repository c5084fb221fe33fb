"""Files of runs: appended to while tests finish, put in place whole at the end, found again by name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from pytest_llmeval.cassettes.disk import reason, remove_leftovers
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.errors import RunError, nearest

RUN = ".jsonl"
PARTIAL = ".partial"


def put_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all.

    Raises:
        RunError: It cannot be written; what was there before is intact.
    """
    temporary = path.with_name(f".{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.writelines(line.encode() for line in lines)
        remove_leftovers(path.parent, str(temporary))
        temporary.replace(path)
    except OSError as exc:
        raise unwritable(path, exc) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> RunError:
    """Return the error of a file that cannot be written."""
    return RunError(f"{shown_path(path)}: the report could not be written: {reason(error)}.")


class RunFile:
    """JSON Lines that grow while tests finish: ``FILE.partial`` until the run has ended, then ``FILE``.

    A run that is cut never touches ``FILE``: it may be the baseline that the next run is compared with.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}{PARTIAL}")
        self._file: BinaryIO | None = None
        self._failed: OSError | None = None

    def add(self, line: str) -> None:
        """Append a line and hand it to the system: once this returns, a kill of this process does not lose it.

        A disk that refuses it is told of at the end, where it counts.
        """
        if self._failed is not None:
            return
        try:
            if self._file is None:
                self._file = self._new()
            self._file.write(line.encode())
            self._file.flush()
        except OSError as exc:
            self._failed = exc
            self.close()

    def _new(self) -> BinaryIO:
        """Begin anew; a run of the same name that goes on elsewhere keeps the file that it has open."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{os.urandom(4).hex()}.tmp")
        file = temporary.open("xb")
        try:
            temporary.replace(self.partial)
        except OSError:
            # Where files that are open cannot be renamed.
            file.close()
            temporary.unlink(missing_ok=True)
            file = self.partial.open("wb")
        return file

    def finish(self, lines: Iterable[str]) -> None:
        """Put the whole run in place.

        Raises:
            RunError: It cannot be written; what was there before is intact, and what was appended too.
        """
        self.close()
        put_lines(self.path, lines)
        with contextlib.suppress(OSError):
            self.partial.unlink(missing_ok=True)

    def leave(self, line: str) -> None:
        """End a run that was cut with its closing line, and leave the file beside that of the last whole run.

        Raises:
            RunError: Not all of it could be written.
        """
        self.add(line)
        self.close()
        if self._failed is not None:
            raise unwritable(self.partial, self._failed)

    def close(self) -> None:
        """Give the file back to the system."""
        if self._file is not None:
            # What could not be flushed before cannot be now.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def run_path(folder: Path, name: str) -> Path:
    """Return the file of a run that is kept under a name."""
    return folder / f"{name}{RUN}"


def is_file(run: str) -> bool:
    """Whether what a user wrote is the path of a file; unlike pathlib's, this never raises, however long it is."""
    return os.path.isfile(run)  # noqa: PTH113


def find_run(run: str, folder: Path) -> Path:
    """Return the file of a run: the one that is named, the kept run of that name, or what is left of one that was cut.

    Args:
        run: A file or a name.
        folder: Where runs are kept.

    Raises:
        RunError: There is neither; lists the names there are, and the nearest.
    """
    if is_file(run):
        return Path(run)
    kept = run_path(folder, run)
    partial = kept.with_name(f"{kept.name}{PARTIAL}")
    if "/" not in run and os.sep not in run:
        for path in (kept, partial):
            if path.is_file():
                return path
    names = sorted(path.name.removesuffix(PARTIAL).removesuffix(RUN) for path in folder.glob(f"*{RUN}*"))
    there = f" Kept runs: {', '.join(dict.fromkeys(names))}." if names else f" No run is kept in {shown_path(folder)}."
    raise RunError(f"{run}: neither a file nor a kept run.{nearest(run, names)}{there}")
