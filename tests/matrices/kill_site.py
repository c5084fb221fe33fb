"""A project that records some forty tests of several kinds, its server, and what a kill leaves of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.paths import cassette_path
from pytest_llmeval.errors import CassetteError
from tests.chat_server import ChatServer
from tests.matrices.processes import Nursery, Run

CONFTEST = '''
import json, os, pathlib, signal, sys
import openai, pytest

HERE = pathlib.Path(__file__).parent
# Whoever reads the other end sees it close when the last process of the run has ended.
ALIVE = os.open(HERE / "alive", os.O_WRONLY)
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
(HERE / f"{WORKER or 'main'}.pid").write_text(str(os.getpid()))

def pytest_runtest_logreport(report):
    """Note each test that is finished, where it ran."""
    if report.when != "teardown" or hasattr(report, "node"):
        return
    answers = dict(report.user_properties).get("answers")
    line = json.dumps({"test": report.nodeid.partition("::")[2], "answers": answers, "outcome": report.outcome})
    log = os.open(HERE / "finished.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{line}\\n".encode())
    os.fsync(log)
    os.close(log)

@pytest.fixture
def told(record_property):
    return lambda *replies: record_property("answers", [reply.content for reply in replies])

@pytest.fixture(scope="module")
def shared():
    client = openai.OpenAI(base_url=os.environ["CHAT_URL"], api_key="k", max_retries=0)
    messages = [{"role": "user", "content": "shared"}]
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content

def die_at(number, torn):
    """Die before the `number`th step that changes the folder of recordings.

    If `torn`, in its middle: with a file that is opened and empty, or written by half before it gets its name.
    """
    left = [number]
    def step(event, args):
        if event not in ("open", "os.mkdir", "os.rename", "os.link", "os.remove"):
            return
        if "llm_cassettes" not in str(args[0]) or (event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        left[0] -= 1
        if not left[0]:
            if torn and event == "open":
                os.close(os.open(args[0], args[2], 0o644))
            if torn and event in ("os.rename", "os.link"):
                os.truncate(args[0], os.path.getsize(args[0]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)

if os.environ.get("DIE_AT") and WORKER in ("", "gw0"):
    die_at(int(os.environ["DIE_AT"]), torn=True)
'''

TESTS = """
import asyncio
import pytest

@pytest.mark.parametrize("n", range(14))
def test_one(llm, told, n):
    told(llm.complete(f"one {n}"))

@pytest.mark.parametrize("n", range(6))
def test_three_times_the_same(llm, told, n):
    told(*[llm.complete(f"three {n}") for _ in range(3)])

@pytest.mark.parametrize("n", range(6))
def test_stream(llm, told, n):
    told(llm.complete(f"stream {n}", stream=True))

@pytest.mark.parametrize("n", range(5))
def test_async(llm, told, n):
    told(asyncio.run(llm.acomplete(f"async {n}")))

@pytest.mark.parametrize("n", range(4))
def test_many_at_once(llm, told, n):
    told(*llm.complete_many([f"many {n}.{i % 3}" for i in range(5)]))

@pytest.mark.parametrize("n", range(3))
def test_with_a_fixture_that_asks(llm, told, shared, n):
    assert shared
    told(llm.complete(f"beside {n}"))

@pytest.mark.parametrize("n", range(2))
def test_long(llm, told, n):
    told(llm.complete(f"Grüße 😀 {n} " * 800))

@pytest.mark.parametrize("n", range(2))
def test_slow(llm, told, n):
    # Written while it runs on.
    told(*[llm.complete(f"slow {n}.{i % 5}") for i in range(8)])
"""
#: Seconds that the answers take that `test_slow` asks for.
SLOW = {f"slow {n}.{i}": 0.15 for n in range(2) for i in range(5)}

SETTINGS = """[tool.pytest.ini_options]
[tool.llmeval.models.chat]
model = "openai:chat"
base_url = "{url}"
max_retries = 0
"""

CALLS = {
    **{f"test_one[chat-{n}]": 1 for n in range(14)},
    **{f"test_three_times_the_same[chat-{n}]": 3 for n in range(6)},
    **{f"test_stream[chat-{n}]": 1 for n in range(6)},
    **{f"test_async[chat-{n}]": 1 for n in range(5)},
    **{f"test_many_at_once[chat-{n}]": 5 for n in range(4)},
    **{f"test_with_a_fixture_that_asks[chat-{n}]": 1 for n in range(3)},
    **{f"test_long[chat-{n}]": 1 for n in range(2)},
    **{f"test_slow[chat-{n}]": 8 for n in range(2)},
}
# The module's fixture asks once.
ALL_CALLS = sum(CALLS.values()) + 1
# What share of the recordings is there before a run in each mode.
BEFORE = {"once": 0.0, "new": 0.5, "all": 1.0}


class Site:
    """A project, its server, and a process to fork runs from."""

    def __init__(self, folder: Path, server: ChatServer, nursery: Nursery) -> None:
        self.folder = folder
        self.server = server
        self.nursery = nursery
        self.recordings = folder / "llm_cassettes"
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_kinds.py").write_text(TESTS, encoding="utf-8")
        (folder / "pyproject.toml").write_text(SETTINGS.format(url=server.url), encoding="utf-8")
        os.mkfifo(folder / "alive")

    @cached_property
    def complete(self) -> Path:
        """A copy of all recordings, as a run that nobody disturbs leaves them."""
        copy = self.folder.with_name(f"{self.folder.name}-complete")
        with self.watched():
            ended = self.nursery.run(self.command("once"))
        assert ended.code == 0, ended.output
        assert len(self.server.asked) == ALL_CALLS == answers_in(self.recordings)
        shutil.copytree(self.recordings, copy)
        return copy

    def command(self, mode: str, *args: str, step: int | None = None) -> Run:
        """Return a run of all tests."""
        env = {"CHAT_URL": self.server.url} | ({"DIE_AT": str(step)} if step else {})
        return Run(str(self.folder), ("-q", "--llm-models=chat", f"--llm-record={mode}", *args), env)

    def prepare(self, mode: str, seed: int) -> None:
        """Put in place what a run finds."""
        complete = self.complete
        shutil.rmtree(self.recordings, ignore_errors=True)
        for path in (*self.folder.glob("*.pid"), self.folder / "finished.jsonl"):
            path.unlink(missing_ok=True)
        if BEFORE[mode]:
            shutil.copytree(complete, self.recordings)
            files = sorted(self.recordings.rglob("*.yaml"))
            keep = round(len(files) * BEFORE[mode])
            for path in random.Random(seed).sample(files, len(files) - keep):
                path.unlink()

    @contextmanager
    def watched(self) -> Iterator[Callable[[], float]]:
        """Give what waits for the end of all processes of the runs inside, and returns the seconds that it took."""
        reading = os.open(self.folder / "alive", os.O_RDONLY | os.O_NONBLOCK)

        def wait() -> float:
            since = time.monotonic()
            while os.get_blocking(reading) is False and time.monotonic() - since < 60:
                try:
                    if os.read(reading, 1) == b"":
                        return time.monotonic() - since
                except BlockingIOError:
                    time.sleep(0.01)
            return float("inf")

        try:
            yield wait
        finally:
            os.close(reading)

    def finished(self) -> dict[str, list[str]]:
        """Return the tests that are finished, with the answers that they saw."""
        path = self.folder / "finished.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        entries = [entry for entry in map(json.loads, lines) if entry["answers"] and entry["outcome"] == "passed"]
        return {entry["test"]: entry["answers"] for entry in entries}

    def cassette(self, test: str) -> Path:
        """Return the recording of a test."""
        return cassette_path(self.folder / "test_kinds.py", test, "chat")

    def pid(self, name: str) -> int | None:
        """Return the number of a process of the run, by the name of xdist's worker or ``main``."""
        path = self.folder / f"{name}.pid"
        return int(path.read_text()) if path.exists() and path.stat().st_size else None


@contextmanager
def site(parent: Path) -> Iterator[Site]:
    """Open a site."""
    folder = Path(tempfile.mkdtemp(dir=parent)) / "project"
    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(ChatServer(0.004, count=True))
        server.slow = SLOW
        yield Site(folder, server, stack.enter_context(Nursery()))


def answers_in(recordings: Path) -> int:
    """Return how many answers are on disk, in files that can be used."""
    count = 0
    for path in recordings.rglob("*.yaml"):
        try:
            count += len(read_tape(path)[0].interactions)
        except CassetteError:
            continue
    return count
