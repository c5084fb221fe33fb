"""Disks that do not let us write or read: what the user is told, what is asked for, and what is left.

``python -m tests.matrices.disk`` tries all, also with real file systems that are full or read-only where mounting them
in a namespace of its own is allowed (root, or ``unshare -rm``).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.errors import CassetteError
from tests.chat_server import ChatServer
from tests.matrices.matrix import Matrix, report
from tests.matrices.processes import Ended, Nursery, Run, finish, start

CONFTEST = """
import os, sys

def refuse(event, args):
    writes = event != "open" or args[2] & (os.O_WRONLY | os.O_RDWR)
    if event in EVENTS and writes and "test_victim" in str(args[0]) and "llm_cassettes" in str(args[0]):
        raise OSError(28, "No space left on device")

EVENTS = os.environ.get("FULL_AT", "").split()
if EVENTS:
    sys.addaudithook(refuse)
"""
OTHER = 'def test_other(llm):\n    assert llm.complete("{name}").content\n'
VICTIM = """
import os

def test_victim(llm):
    for n in range(int(os.environ["CALLS"])):
        assert llm.complete(f"{n} " + "long " * 20_000).content
"""
SETTINGS = """[tool.pytest.ini_options]
[tool.llmeval.models.chat]
model = "openai:chat"
base_url = "{url}"
max_retries = 0
"""
MESSAGE = re.compile(r"test_victim\.yaml: cannot be (written|read): .+\. [A-Z].+, then run (this test )?again")
FILES = ("test_before.py", "test_victim.py", "test_zlast.py")
# Mode, and whether there is a recording already: of the first of two calls, so that `new` has something to add.
WRITING = (("once", False), ("new", False), ("new", True), ("all", False), ("all", True))
READING = (("none", True), ("once", True), ("new", True), ("all", True))
LONG = "x" * 300


class Place:
    """A project with three test files, of which one has trouble, and its server."""

    def __init__(self, folder: Path, server: ChatServer, nursery: Nursery) -> None:
        self.folder = folder
        self.server = server
        self.nursery = nursery
        self.recordings = folder / "llm_cassettes"
        self.home = self.recordings / "test_victim" / "chat"
        self.victim = self.home / "test_victim.yaml"
        self.others = [self.recordings / f"test_{name}" / "chat" / "test_other.yaml" for name in ("before", "zlast")]
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_victim.py").write_text(VICTIM, encoding="utf-8")
        (folder / "pyproject.toml").write_text(SETTINGS.format(url=server.url), encoding="utf-8")
        for name in ("before", "zlast"):
            (folder / f"test_{name}.py").write_text(OTHER.format(name=name), encoding="utf-8")

    def run(self, run: Run, *, xdist: bool = False) -> Ended:
        """Run in a forked process, or with workers."""
        return finish(start(run)) if xdist else self.nursery.run(run)

    def command(self, mode: str, *args: str, calls: int = 2, fault: Fault | None = None) -> Run:
        """Return a run of all tests."""
        env = {"CALLS": str(calls), "FULL_AT": fault.full_at if fault else ""}
        # By name, as pytest itself looks into each folder otherwise, and into ours.
        files = () if "test_victim.py" in args else FILES
        options = ("-q", "--llm-models=chat", f"--llm-record={mode}", *files, *args, *(fault.args if fault else ()))
        limit = fault.largest_file if fault else None
        return Run(str(self.folder), options, env, largest_file=limit, powerless=bool(fault and fault.powerless))

    def prepare(self, *, previous: bool) -> bytes | None:
        """Put in place what the run finds; return the victim's recording."""
        if previous:
            self.home.mkdir(parents=True, exist_ok=True)
            ended = self.nursery.run(self.command("once", "test_victim.py", calls=1))
            assert ended.code == 0, ended.output
        return self.content()

    def content(self) -> bytes | None:
        """Return what the victim's recording holds."""
        return self.victim.read_bytes() if self.victim.is_file() else None


@dataclass(frozen=True)
class Fault:
    """One way in which a disk fails, for the recording of one test.

    Attributes:
        spoil: Brings it about, before the run.
        mend: Undoes it, as a user would.
        setup: Puts file systems in place, before the previous recording is made; returns what takes them away.
        cases: Modes, and whether there is a previous recording.
        full_at: System calls that find the disk full, by the name of their audit event.
        foreseen: Whether it can be known before anyone is asked.
        others: Whether the other tests are recorded.
    """

    name: str
    spoil: Callable[[Place], object] = lambda place: None
    mend: Callable[[Place], object] = lambda place: None
    setup: Callable[[Place], Callable[[], object]] = lambda place: lambda: None
    cases: tuple[tuple[str, bool], ...] = WRITING
    full_at: str = ""
    largest_file: int | None = None
    powerless: bool = False
    foreseen: bool = True
    others: bool = True
    args: tuple[str, ...] = field(default=())


def _mode(number: int, path: Callable[[Place], Path]) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        path(place).mkdir(parents=True, exist_ok=True) if not path(place).suffix else None
        path(place).chmod(number)

    return change


def _closed(name: str, number: int, path: Callable[[Place], Path], cases: tuple[tuple[str, bool], ...]) -> Fault:
    """Return the fault of permission bits."""
    usual = 0o644 if "file" in name else 0o755
    return Fault(name, _mode(number, path), _mode(usual, path), cases=cases, powerless=True)


def _in_the_way(place: Place) -> None:
    place.home.parent.mkdir(parents=True)
    place.home.write_text("mine")


def _directory(place: Place) -> None:
    place.victim.unlink(missing_ok=True)
    place.victim.mkdir(parents=True)


def _fixed(place: Place) -> None:
    for path in place.others:
        path.parent.mkdir(parents=True, exist_ok=True)
    place.recordings.chmod(0o555)


WITH = tuple(case for case in WRITING if case[1])
WITHOUT = tuple(case for case in WRITING if not case[1])
PORTABLE = (
    Fault("full while it is written", largest_file=60_000, foreseen=False),
    Fault("full when the temporary file is made", full_at="open", foreseen=False),
    Fault("full when it gets its name", full_at="os.rename os.link", foreseen=False),
    Fault("full when the folder is made", full_at="os.mkdir", foreseen=False, cases=WITHOUT),
    _closed("read-only folder", 0o555, lambda place: place.home, WRITING),
    _closed("read-only file", 0o444, lambda place: place.victim, WITH),
    _closed("unreadable file", 0o000, lambda place: place.victim, READING),
    _closed("unsearchable folder", 0o000, lambda place: place.home, READING),
    Fault(
        "no permission to make the folder",
        _fixed,
        lambda place: place.recordings.chmod(0o755),
        cases=WITHOUT,
        powerless=True,
    ),
    Fault("a file in the folder's place", _in_the_way, lambda place: place.home.unlink(), cases=WITHOUT),
    Fault("a folder in the file's place", _directory, lambda place: place.victim.rmdir(), cases=READING),
    Fault("a name too long", cases=WITHOUT, others=False, args=("-o", f"llm_cassette_dir={LONG}")),
)


def _mounted(name: str, options: str, spoil: Callable[[Place], object], mended: str) -> Fault:
    """Return the fault of a small file system that holds the victim's recordings."""

    def setup(place: Place) -> Callable[[], object]:
        place.home.mkdir(parents=True, exist_ok=True)
        _call("mount", "-t", "tmpfs", "-o", options, "tmpfs", place.home)
        return lambda: _call("umount", place.home)

    return Fault(name, spoil, lambda place: _remount(place, mended), setup, foreseen="read-only" in name)


def _remount(place: Place, options: str) -> None:
    _call("mount", "-o", f"remount,{options}", place.home)


def _fill(place: Place) -> None:
    """Leave a file system no room for another file."""
    for number in range(100):
        try:
            (place.home / f"filler-{number}").touch()
        except OSError:
            return
    raise AssertionError("there is room for any number of files")


def _bound(place: Place) -> None:
    _call("mount", "--bind", place.victim, place.victim)
    _call("mount", "-o", "remount,ro,bind", place.victim)


MOUNTS = (
    # The recording of one call takes 200 kB.
    _mounted("tmpfs without room", "size=300k", lambda place: None, "size=10m"),
    _mounted("tmpfs without inodes", "size=10m,nr_inodes=5", _fill, "nr_inodes=50"),
    _mounted("tmpfs that is read-only", "size=10m", lambda place: _remount(place, "ro"), "rw"),
    Fault("file that is mounted read-only", _bound, lambda place: _call("umount", place.victim), cases=WITH),
)


def _call(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def opened(parent: Path) -> Iterator[Callable[[], Place]]:
    """Give what makes a project for each case; all share a server and the process that runs are forked from."""
    with ExitStack() as stack:
        server = stack.enter_context(ChatServer(count=True))
        nursery = stack.enter_context(Nursery())

        def place() -> Place:
            return Place(Path(tempfile.mkdtemp(dir=parent)), server, nursery)

        yield place


def try_case(place: Place, fault: Fault, mode: str, *, previous: bool, xdist: bool) -> list[str]:
    """Run with a fault, look at what is left, mend it, run again; return what was lost."""
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place.folder)
        stack.callback(fault.setup(place))
        before = place.prepare(previous=previous)
        fault.spoil(place)
        before = before if not place.victim.is_dir() else None
        asked = len(place.server.asked)
        ended = place.run(place.command(mode, *(("-p", "xdist", "-n2") if xdist else ()), fault=fault), xdist=xdist)
        asked = len(place.server.asked) - asked
        lost = [*_told(ended, fault), *_left(place, fault, mode, before)]
        # With the other two tests' calls, which replay asks for neither.
        fewest = 2 if mode != "none" and fault.others else 0
        if fault.foreseen and asked != fewest:
            lost.append(f"{asked} answers were paid for, though it was known before that they cannot be kept")
        fault.mend(place)
        lost += _mended(place, mode, previous)
    return lost


def _told(ended: Ended, fault: Fault) -> Iterator[str]:
    """Check what the user is told."""
    lines = [line for line in ended.output.splitlines() if MESSAGE.search(line)]
    if ended.code != 1:
        yield f"exit status {ended.code}: {ended.output[-600:]}"
    if not lines or (fault.args and LONG not in lines[0]):
        yield f"no message names the file, the reason and what to do: {ended.output[-1200:]}"
    for word in ("Traceback", "INTERNALERROR", "Error:"):
        if word in ended.output:
            yield f"{word} is shown: {ended.output[-1200:]}"


def _left(place: Place, fault: Fault, mode: str, before: bytes | None) -> Iterator[str]:
    """Check what is on disk."""
    if fault.powerless and place.home.is_dir() and fault.name == "unsearchable folder":
        # As root, we see what is in it all the same; as anyone else, not before it is mended.
        place.home.chmod(0o755)
    if fault.powerless and place.victim.is_file() and not os.access(place.victim, os.R_OK):
        place.victim.chmod(0o644)
    if place.content() != before:
        yield "the previous file is not what it was"
    yield from (f"{path.name} is left" for path in place.recordings.rglob("*.tmp"))
    for path in place.others if fault.others else ():
        try:
            tape, _ = read_tape(path)
        except CassetteError as exc:
            yield str(exc)
        else:
            if not tape.interactions and mode != "none":
                yield f"another test was not recorded: {path}"


def _mended(place: Place, mode: str, previous: bool) -> Iterator[str]:
    """Check that all is well once the disk is, with what the message says to do."""
    again = "new" if mode in ("none", "once") and previous else mode
    for chosen in (again, "none"):
        ended = place.nursery.run(place.command(chosen))
        if ended.code:
            yield f"after it was mended, --llm-record={chosen} fails: {ended.output[-800:]}"


def tried(faults: tuple[Fault, ...], parent: Path, *, cases: int = 9, xdist: int = 1) -> Matrix:
    """Try faults, each in the last of its modes, and in `xdist` of these with workers too."""
    matrix = Matrix(
        "A disk that fails: a message with file, reason and advice; what was there is intact; the others go on",
        ("disk", "--llm-record", "previous file", "processes"),
    )
    with opened(parent) as place:
        for fault in faults:
            for workers, count in ((False, cases), (True, xdist)):
                for mode, previous in fault.cases[-count:] if count else ():
                    lost = try_case(place(), fault, mode, previous=previous, xdist=workers)
                    shown = (fault.name, mode, "there" if previous else "none", "-n2" if workers else "one")
                    matrix.add(*shown, lost=["; ".join(lost)] if lost else [])
        for mode in ("none", "once", "new", "stale"):
            lost = replayed_read_only(place(), mode)
            matrix.add("read-only, with nothing to record", mode, "there", "one", lost=lost)
    return matrix


def replayed_read_only(place: Place, mode: str) -> list[str]:
    """Replay from where nothing can be written, as in a container with the sources mounted."""
    place.prepare(previous=True)
    folders = [path for path in (place.folder, *place.folder.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    closed = Fault("", powerless=True)
    ended = place.nursery.run(place.command(mode, "test_victim.py", calls=1, fault=closed))
    for folder in folders:
        folder.chmod(0o755)
    shutil.rmtree(place.folder)
    return [ended.output[-800:]] if ended.code else []


def namespace() -> list[str] | None:
    """Return the command in front of one that may mount file systems which nobody else sees; None if not allowed."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        inside = "d=$(mktemp -d) && mount -t tmpfs tmpfs $d && umount $d && rmdir $d"
        with tempfile.TemporaryFile() as output:
            try:
                ended = subprocess.run([*command, "sh", "-c", inside], stdout=output, stderr=output)
            except OSError:
                continue
        if ended.returncode == 0:
            return command
    return None


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mounts", action="store_true", help="mount file systems here, and try those alone")
    parser.add_argument("--cases", type=int, default=9, help="cases of each fault, at most")
    parser.add_argument("--xdist", type=int, default=1, help="cases of each fault that are tried under -n2 as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ended = report(tried(MOUNTS if args.mounts else PORTABLE, Path(folder), cases=args.cases, xdist=args.xdist))
    if args.mounts:
        return ended
    before = namespace()
    if before is None:
        print("No file systems can be mounted here, so that full and read-only ones were not tried.")
        return ended
    sys.stdout.flush()
    counts = f"--cases={args.cases}", f"--xdist={args.xdist}"
    inside = [*before, sys.executable, "-m", __spec__.name, "--mounts", *counts]
    return max(ended, subprocess.run(inside).returncode)


if __name__ == "__main__":
    sys.exit(main())
