"""Runs of pytest in processes of their own, to be killed, limited or robbed of root's powers.

Importing pytest and the SDKs takes seconds, so most runs are forked from a process that has them imported already.
That one has a single thread, where a fork is safe; the test that starts it may have many. POSIX only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).parents[2]
PLUGINS = ("-p", "pytest_llmeval.plugin", "-p", "no:cacheprovider", "-p", "no:warnings")
IMPORTED = (
    *("asyncio", "genai_prices", "httpx2", "openai", "pytest", "rapidfuzz", "rich.table", "yaml"),
    *("pytest_llmeval.plugin", "pytest_llmeval.session", "pytest_llmeval.cassettes.transport"),
    *("pytest_llmeval.providers.openai", "pytest_llmeval.prices", "pytest_llmeval.reports.terminal"),
)
# Linux's numbers of what lets root pass over permission bits.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
PR_CAPBSET_DROP = 24
# A run that hangs is ended, and then counts as lost.
LONGEST_RUN = 120


@dataclass(frozen=True)
class Run:
    """One run of pytest.

    Attributes:
        folder: The project, where it is started.
        args: Arguments of pytest.
        env: What is added to the environment.
        largest_file: Most bytes that a file may have, as where the disk is full; None for no limit.
        powerless: Whether permission bits hold for root too.
    """

    folder: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    largest_file: int | None = None
    powerless: bool = False

    def limit(self) -> None:
        """Apply the limits to this process and those that it starts."""
        if self.powerless:
            drop_powers()
        if self.largest_file is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.largest_file, self.largest_file))


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (negative: the signal that ended it) and what it printed."""

    code: int
    output: str

    @property
    def errors(self) -> list[str]:
        """Return what a message of ours begins with in a report: the lines that name a recording."""
        return [line for line in self.output.splitlines() if "llm_cassettes/" in line]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run, without what a developer's machine or a CI runner would change."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "FORCE_COLOR", "NO_COLOR", "COVERAGE_PROCESS_START")
        and not name.startswith("PYTEST_")
        and not name.endswith(("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY", "_proxy"))
    }
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "160", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **own, **extra}


def drop_powers() -> None:
    """Let permission bits hold for root too, in this process and those that it starts; Linux only."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for power in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if libc.prctl(PR_CAPBSET_DROP, power, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(head, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for index in range(3):
        sets[index] &= ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    if libc.capset(head, sets):
        raise OSError(ctypes.get_errno(), "capset")


def start(run: Run) -> subprocess.Popen[str]:
    """Start a run as users do, at the head of a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *PLUGINS, *run.args],
        cwd=run.folder,
        env=environment(run.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=run.limit,
    )


def finish(process: subprocess.Popen[str]) -> Ended:
    """Wait for the end of a run."""
    try:
        output, _ = process.communicate(timeout=LONGEST_RUN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return Ended(process.returncode, output)


class Nursery:
    """Forks runs from a process that has everything imported. One run at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Nursery:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        # Closes its pipes, and waits for it.
        self._process.__exit__(kind, error, trace)

    def start(self, run: Run) -> int:
        """Start a run; return the number of its process."""
        pipe = self._pipes()[0]
        pipe.write(f"{json.dumps(asdict(run))}\n")
        pipe.flush()
        return int(self._read())

    def finish(self) -> Ended:
        """Wait for the end of the run."""
        return Ended(**json.loads(self._read()))

    def run(self, run: Run) -> Ended:
        """Start a run and wait for its end."""
        self.start(run)
        return self.finish()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _read(self) -> str:
        line = self._pipes()[1].readline()
        assert line, "the process that runs are forked from has ended"
        return line


def _serve(commands: Iterable[str], answers: IO[str]) -> None:
    """Fork a run for each line that comes."""
    for name in IMPORTED:
        import_module(name)
    for line in commands:
        values: dict[str, Any] = json.loads(line)
        run = Run(**{**values, "args": tuple(values["args"])})
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _become(writing, run)
        os.close(writing)
        print(child, file=answers, flush=True)
        with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
            output = pipe.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"code": code, "output": output}), file=answers, flush=True)


def _become(output: int, run: Run) -> None:
    """Run, print into a pipe, and never come back."""
    code = 99
    try:
        os.setpgid(0, 0)
        signal.alarm(LONGEST_RUN)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = int(_pytest(run))
    except BaseException as exc:
        with suppress(Exception):
            os.write(2, f"{type(exc).__name__}: {exc}\n".encode())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def _pytest(run: Run) -> int:
    import pytest

    os.chdir(run.folder)
    os.environ.update(run.env)
    run.limit()
    return pytest.main([*PLUGINS, *run.args])


if __name__ == "__main__":
    # Read by hand: a buffered read would let a forked child see the lines of others.
    _serve(iter(sys.stdin.readline, ""), sys.stdout)
