"""A project of its own for each test: test files, a candidate `chat`, and the server that it points at."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from textwrap import dedent
from typing import NamedTuple, Protocol

import pytest

import pytest_llmeval
from pytest_llmeval.cli import main
from pytest_llmeval.kept import run_dir
from pytest_llmeval.records import Run
from tests.chat_server import ChatServer

# pytester drops the modules that a run in this process imported, and each SDK takes a second to import, each of our
# modules some milliseconds. What a client library imports late has to stay too, or its parts no longer know each other.
KEPT = (
    *(
        "aiohttp",
        "anthropic",
        "httpcore",
        "httpcore2",
        "httpx",
        "openai",
        "requests",
        "rich.table",
        "scipy.stats",
        "vcr",
        "xdist.dsession",
    ),
    *(found.name for found in walk_packages(pytest_llmeval.__path__, "pytest_llmeval.")),
)
for name in KEPT:
    import_module(name)

# Each run starts with a collection of garbage (`Project.run`), which is quick where it does not go through all of that.
gc.collect()
gc.freeze()

CHAT = """model = "openai:chat"
prices = { input = 1.0, output = 10.0 }
max_retries = 2"""

# Plugins that are installed beside ours and have no part in most tests.
OTHERS = (
    *("llmock", "recording", "asyncio", "anyio", "rerunfailures"),
    *("randomly", "timeout", "pytest_cov", "cacheprovider", "pytest_httpx", "respx"),
)


def others_but(*wanted: str) -> tuple[str, ...]:
    """Return the plugins to leave out where some are wanted."""
    return tuple(name for name in OTHERS if name not in wanted)


class Runs:
    """Keeps what each run hands to `pytest_llmeval_run_finished`."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_llmeval_run_finished(self, run: Run) -> None:
        self.runs.append(run)


class Project:
    """A project under test.

    Attributes:
        server: Who answers the candidate `chat`.
        path: The project's folder.
    """

    def __init__(self, pytester: pytest.Pytester, server: ChatServer) -> None:
        self.server = server
        self.path = pytester.path
        self._pytester = pytester
        self._runs = Runs()
        self.write("[tool.pytest.ini_options]\n", "pyproject.toml")
        self.add_model("chat", CHAT)

    def write(self, text: str, name: str = "test_chat.py") -> Path:
        """Write a file of the project."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if path.exists() else None
        path.write_text(dedent(text), encoding="utf-8")
        if before is not None and path.stat().st_size == before.st_size:
            # Byte code is taken for that of a file of the same size and second.
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 2 * 10**9))
        return path

    def add_settings(self, text: str) -> None:
        """Add to pyproject.toml."""
        path = self.path / "pyproject.toml"
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{dedent(text)}\n", encoding="utf-8")

    def add_model(self, name: str, settings: str) -> None:
        """Add a candidate that the server answers."""
        self.add_settings(f'[tool.llmeval.models.{name}]\nbase_url = "{self.server.url}"\n{settings}')

    def stop_server(self) -> None:
        """Make every further connection fail."""
        self.server.__exit__(None, None, None)

    def run(
        self, *args: str | Path, models: str | None = "chat", without: tuple[str, ...] = OTHERS
    ) -> pytest.RunResult:
        """Run the project's tests in this process."""
        chosen = [f"--llm-models={models}"] if models else []
        blocked = [f"-pno:{name}" for name in without]
        # What an earlier test left is finalized here. Where that happens while pytest parses a file, and a finalizer's
        # warning is formatted, which parses as well, Python 3.11 ends with "AST constructor recursion depth mismatch".
        with warnings.catch_warnings():
            # Clients that the code of earlier tests left open.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        return self._pytester.runpytest_inprocess(*blocked, *chosen, *args, plugins=[self._runs])

    def run_in_new_process(self, *args: str | Path, models: str | None = "chat") -> pytest.RunResult:
        """Run the project's tests where nothing is imported yet."""
        chosen = [f"--llm-models={models}"] if models else []
        return self._pytester.runpytest_subprocess(*(f"-pno:{name}" for name in OTHERS), *chosen, *args)

    def start(self, *args: str | Path, models: str | None = "chat") -> subprocess.Popen[bytes]:
        """Start a run of the project's tests, and do not wait for it."""
        chosen = [f"--llm-models={models}"] if models else []
        command = [sys.executable, "-m", "pytest", *(f"-pno:{name}" for name in OTHERS), *chosen, *map(str, args)]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell makes what it runs in the background deaf to Ctrl-C, and that is passed on; a handler is not.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # A group of its own: Ctrl-C in a terminal reaches all processes of one.
        return subprocess.Popen(
            command, cwd=self.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )

    def outcomes(
        self, *args: str | Path, models: str | None = "chat", passed: int = 0, failed: int = 0, deselected: int = 0
    ) -> pytest.RunResult:
        """Run, and check how many tests passed, failed and were left out."""
        result = self.run(*args, models=models)
        result.assert_outcomes(passed=passed, failed=failed, deselected=deselected)
        return result

    def records(self) -> Run:
        """Return what the last run handed to other plugins."""
        return self._runs.runs[-1]

    def recordings(self) -> list[str]:
        """Return the cassettes there are, relative to the project."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*.yaml"))

    def recording(self) -> Path:
        """Return the only cassette."""
        (name,) = self.recordings()
        return self.path / name


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what a developer's machine or a CI runner would change."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY", "_proxy")):
            monkeypatch.delenv(name)
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    with ChatServer(count=True) as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[ChatServer]:
    with ChatServer(count=True) as running:
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester, chat_server: ChatServer) -> Project:
    return Project(pytester, chat_server)


def junit_properties(path: Path) -> dict[str, dict[str, str]]:
    """Return the properties of each test case in a JUnit XML file."""
    return {
        case.attrib["name"]: {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
        for case in ET.parse(path).iter("testcase")
    }


class Done(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


class Command(Protocol):
    """Runs ``llmeval`` in the project's folder, in this process."""

    def __call__(self, *arguments: str, width: int = 80) -> Done: ...


@pytest.fixture
def command(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str, width: int = 80) -> Done:
        monkeypatch.chdir(project.path)
        monkeypatch.setenv("COLUMNS", str(width))
        run_dir.cache_clear()
        capsys.readouterr()
        return Done(main(arguments), *capsys.readouterr())

    return call
