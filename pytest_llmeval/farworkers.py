"""Workers of xdist on other machines: what they record comes home with the reports of their tests.

Whether a worker shares the controller's files is found out, not assumed: the controller tells each which kernel it runs
on and which folder, by the numbers of the file system, is its rootdir. Where a worker's own are others, it attaches the
recordings that its tests wrote. A doubt costs nothing: a file that is there already, byte for byte, is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.cassettes.redact import SecretScanner
    from pytest_llmeval.cassettes.store import Cassette
    from pytest_llmeval.options import Options

hookimpl = pluggy.HookimplMarker("pytest")

#: Key of what the controller tells its workers.
HOME = "llmeval_home"
#: Characters. A cassette of a thousand long streams takes a tenth of that; a report has to fit into memory a few times.
LARGEST = 64_000_000
BOOT = Path("/proc/sys/kernel/random/boot_id")
MOST_SHOWN = 5


def place_of(folder: Path) -> list[str]:
    """Return what tells a folder from all others: the kernel that serves it, and its numbers there."""
    try:
        host = BOOT.read_text().strip()
    except OSError:
        import socket
        import uuid

        host = f"{socket.gethostname()}-{uuid.getnode()}"
    stat = folder.stat()
    return [host, f"{stat.st_dev}:{stat.st_ino}"]


def is_far(config: Any) -> bool:
    """Whether this is a worker that does not see the controller's files."""
    home = getattr(config, "workerinput", {}).get(HOME)
    return home is not None and list(home) != place_of(config.rootpath)


class Sender:
    """Registered in workers that are far: attaches to a test's last report what was recorded while it ran.

    Args:
        options: Where recordings are.
        cassettes_of: Returns the cassettes of a test.
    """

    def __init__(self, options: Options, cassettes_of: Any) -> None:
        self._rootdir = options.rootdir
        self._cassettes_of = cassettes_of

    @hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach recordings, as text: that is what they are, and what every serializer takes."""
        report = yield
        if call.when == "teardown":
            written = [self._parcel(cassette) for cassette in self._cassettes_of(item) if cassette.written]
            if written:
                report.llmeval_cassettes = written  # type: ignore[attr-defined]
        return report

    def _parcel(self, cassette: Cassette) -> dict[str, str]:
        path = cassette.path
        try:
            name = path.relative_to(self._rootdir).as_posix()
            text = path.read_bytes().decode("utf-8")
        except ValueError:
            return {"path": str(path), "why_not": "it is outside of the worker's rootdir"}
        except OSError as exc:
            return {"path": str(path), "why_not": exc.strerror or str(exc)}
        if len(text) > LARGEST:
            return {"path": name, "why_not": f"it has {len(text):,} characters, and {LARGEST:,} are the most"}
        return {"path": name, "text": text, "mode": cassette.mode}


class Receiver:
    """Registered on the controller where there are workers: writes what comes from those that are far.

    Args:
        options: Where recordings are.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._came: set[str] = set()
        self._left: set[str] = set()
        self._errors: list[str] = []

    @cached_property
    def _scanner(self) -> SecretScanner:
        from pytest_llmeval.cassettes.redact import SecretScanner

        return SecretScanner(os.environ)

    @hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take recordings off a report, before other plugins log it, and write them."""
        for parcel in vars(report).pop("llmeval_cassettes", ()):
            try:
                self._take(parcel)
            except (_NotTakenError, KeyError, TypeError, AttributeError) as exc:
                worker = getattr(getattr(report, "node", None), "gateway", None)
                where = f" on worker {worker.id}" if worker is not None else ""
                shown = parcel.get("path") if isinstance(parcel, dict) else parcel
                self._errors.append(f"{shown}{where} could not be brought home: {exc}.")

    def _take(self, parcel: dict[str, str]) -> None:
        if "why_not" in parcel:
            raise _NotTakenError(parcel["why_not"])
        path = checked_path(parcel["path"], self._options)
        if parcel["path"] in self._came:
            # A fixture of the session runs on each worker; as with workers on this machine, the first one wins.
            return
        self._write(path, parcel)

    def _write(self, path: Path, parcel: dict[str, str]) -> None:
        from pytest_llmeval.cassettes.disk import put
        from pytest_llmeval.cassettes.files import check_foreign, read_tape
        from pytest_llmeval.errors import CassetteError

        text = parcel["text"]
        if len(text) > LARGEST:
            raise _NotTakenError("it is too large")
        data = text.encode("utf-8")
        try:
            check_foreign(path, text, self._scanner)
            if path.is_file() and path.read_bytes() == data:
                return
            tape, there = read_tape(path)
            if there and parcel["mode"] == "once" and not tape.incomplete:
                self._left.add(parcel["path"])
                return
            put(path, data)
        except (CassetteError, OSError) as exc:
            raise _NotTakenError(str(exc).rstrip(".")) from None
        self._came.add(parcel["path"])

    @hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what came home, and what did not."""
        if self._came:
            terminalreporter.write_line(f"\n{_count(self._came)} came home from workers on other machines.")
        if self._left:
            terminalreporter.write_line(
                f"\n{_count(self._left)} of workers on other machines: not taken, since there is another one here, and "
                "mode 'once' replaces none."
            )
        for line in self._told():
            terminalreporter.write_line(f"\n{line}", red=True)

    @hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that did not get all its recordings home: the next one would have to ask again."""
        if self._errors and session.exitstatus in (0, 5):
            session.exitstatus = 1

    def _told(self) -> Iterable[str]:
        yield from (self._scanner.mask(error) for error in self._errors[:MOST_SHOWN])
        if len(self._errors) > MOST_SHOWN:
            yield f"... and {len(self._errors) - MOST_SHOWN:,} more recordings could not be brought home."


class _NotTakenError(Exception):
    """Why a recording is not written here."""


def _count(recordings: set[str]) -> str:
    return f"{len(recordings):,} recording{'s' * (len(recordings) != 1)}"


def checked_path(name: str, options: Options) -> Path:
    """Return where a recording belongs that another machine has at this path of its rootdir.

    Raises:
        _NotTakenError: That is no place for recordings here.
    """
    pure = PurePosixPath(name)
    parts = pure.parts
    if not parts or pure.is_absolute() or ".." in parts or "\\" in name or ":" in name or "\0" in name:
        raise _NotTakenError("its path is not one below the rootdir")
    if pure.suffix != ".yaml":
        raise _NotTakenError("it is no .yaml file")
    root = options.rootdir
    home = _home(root, parts, options)
    if home is None:
        raise _NotTakenError("it is in no folder of recordings")
    if not home.is_dir():
        raise _NotTakenError(f"there is no folder {os.path.relpath(home, root)} here, so that its tests are others")
    path = root.joinpath(*parts)
    if not path.parent.resolve().is_relative_to(root.resolve()) or path.is_symlink():
        raise _NotTakenError("a link leads out of the rootdir")
    return path


def _home(root: Path, parts: tuple[str, ...], options: Options) -> Path | None:
    """Return the folder of the tests that record below a folder of recordings; None if the path is in none."""
    own = Path(options.cassette_dir)
    if own.is_absolute():
        return root if root.joinpath(*parts).is_relative_to(own) else None
    length = len(own.parts)
    for at in range(len(parts) - length):
        if parts[at : at + length] == own.parts:
            return root.joinpath(*parts[:at])
    return None
