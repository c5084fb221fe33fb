"""Try one neighbour: a project of its own, recorded against a server, then replayed while nobody answers.

A run is a whole pytest session. Most are forked from a process that has imported the SDKs already, since each import
takes a second; those that depend on how a process begins or ends are started anew.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import TracebackType
from typing import Any

import pytest
import yaml

from tests.chat_server import ChatServer

PATIENCE = 90
PRELOADED = ["aiohttp", "anthropic", "httpx", "openai", "requests", "vcr.patch", "scipy.stats", "rich.table", "trio"]
#: What differs from one recording to the next; the seal follows from the rest.
MEASURED = re.compile(r"^ +(recorded_at|latency_ms|headers_ms|ttft_ms|chunks): .*$|^checksum: .*$", re.MULTILINE)

HASH = re.compile(r"-[0-9a-f]{8}$")
SETTINGS = """
[tool.pytest.ini_options]
asyncio_default_fixture_loop_scope = "function"
{ini}
[tool.llmeval.models.chat]
base_url = "{url}"
model = "openai:chat"
prices = {{ input = 1.0, output = 10.0 }}
max_retries = 0
"""
#: The code under test: `ask` and its kin each send one question with a client of their own and return the echo.
APP = """
import json, os

URL = "{url}/chat/completions"
HEADERS = {{"content-type": "application/json"}}

def body(question):
    return {{"messages": [{{"role": "user", "content": question}}]}}

def echo(answer):
    return json.loads(answer["choices"][0]["message"]["content"])["echo"]

def ask(question):
    import httpx2
    return echo(httpx2.post(URL, json=body(question)).json())

async def aask(question):
    import httpx2
    async with httpx2.AsyncClient() as client:
        return echo((await client.post(URL, json=body(question))).json())

def ask_httpx(question):
    import httpx
    return echo(httpx.post(URL, json=body(question)).json())

def ask_requests(question):
    import requests
    return echo(requests.post(URL, json=body(question)).json())

def ask_urllib(question):
    from urllib.request import Request, urlopen
    return echo(json.load(urlopen(Request(URL, json.dumps(body(question)).encode(), HEADERS))))

def ask_plainly(question):
    from http.client import HTTPConnection
    connection = HTTPConnection(URL.split("/")[2])
    connection.request("POST", "/v1/chat/completions", json.dumps(body(question)), HEADERS)
    return echo(json.load(connection.getresponse()))

def ask_aiohttp(question):
    import asyncio, aiohttp

    async def main():
        async with aiohttp.ClientSession() as session, session.post(URL, json=body(question)) as answer:
            return echo(await answer.json())

    return asyncio.run(main())
"""


@dataclass(frozen=True)
class Run:
    """One session of pytest, and what a user would want of it.

    Attributes:
        args: Its command line.
        wanted: Outcomes as pytest counts them: ``"2 passed, 1 failed"``; None where no terminal counts.
        status: Exit status; by default 1 if something failed, else 0.
        asked: Questions that reach the server, in any order; None for "the same as the cassettes hold". One with a
            question mark may come or not.
        says: Texts that the output has.
        calls: Calls in the records of the run, by test: ``{"test_it[chat]": 2}``.
        env: Environment variables.
    """

    args: str = ""
    wanted: str | None = "1 passed"
    status: int | None = None
    asked: str | None = None
    says: tuple[str, ...] = ()
    calls: Mapping[str, int] | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One neighbour in one situation.

    Attributes:
        neighbour: Who runs beside us.
        name: What is tried.
        files: Test files of the project, by name; a text alone is ``test_it.py``.
        record: The first run.
        holds: What each cassette then holds, in order: ``{"test_it/chat/test_one": "question question"}``. Keys
            without a slash are tests of ``test_it.py`` with the candidate; questions have no spaces. A star comes
            before questions that are asked at once, in any order.
        replays: Further runs, while nobody answers.
        ini: Further lines of pytest's configuration.
        anew: Whether processes are started anew.
    """

    neighbour: str
    name: str
    files: str | Mapping[str, str]
    record: Run
    holds: Mapping[str, str]
    replays: tuple[Run, ...]
    ini: str = ""
    anew: bool = False


@dataclass
class Result:
    """What came of a case: a cell each for the recording and the replays, and what was lost."""

    recorded: str = ""
    replayed: list[str] = field(default_factory=list)
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    cassettes: dict[str, str] = field(default_factory=dict)


class Answering(ChatServer):
    """A server that lets the question ``slow`` wait until the session is over."""

    def __init__(self) -> None:
        super().__init__()
        self._over = threading.Event()

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, int]:
        taken = super().take(body, headers)
        if _question(body) == "slow":
            self._over.wait(PATIENCE)
        return taken

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)


class Refusing:
    """Stand where the server stood: take every connection and drop it, and count them."""

    def __init__(self, host: str) -> None:
        self.count = 0
        self._socket = socket.create_server((host.split(":")[0], int(host.split(":")[1])))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.count += 1
                connection.close()

    def __enter__(self) -> Refusing:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake a thread that waits for the next connection.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@dataclass(frozen=True)
class Ended:
    """A session that has ended."""

    status: int | None
    output: str

    @property
    def outcomes(self) -> str:
        lines = self.output.splitlines()
        try:
            nouns = pytest.RunResult.parse_summary_nouns(lines)
        except ValueError:
            return ""
        nouns = {name: count for name, count in nouns.items() if name not in ("warnings", "deselected")}
        return ", ".join(f"{nouns[name]} {name}" for name in sorted(nouns))


def try_case(case: Case, folder: Path) -> Result:
    """Record and replay one case in an empty folder."""
    result = Result()
    with Answering() as server:
        _write(case, folder, server.url)
        ended = _start(case, folder, case.record)
        asked = sorted(_question(body) for body in server.asked)
    host = server.host
    holds = _held(folder)
    wanted = {(key if "/" in key else f"test_it/chat/{key}"): value.split() for key, value in case.holds.items()}
    for name, questions in wanted.items():
        if questions[:1] == ["*"]:
            # Asked at once: the order in which they were issued is anybody's guess.
            wanted[name] = sorted(questions[1:])
            holds[name] = sorted(holds.get(name, []))
    everything = [question for questions in wanted.values() for question in questions]
    reach = case.record.asked.split() if case.record.asked is not None else everything
    optional = [question.removesuffix("?") for question in reach if question.endswith("?")]
    reach = [question for question in reach if not question.endswith("?")]
    for question in optional:
        if asked.count(question) > reach.count(question):
            asked.remove(question)
    result.recorded = f"{ended.outcomes}; {len(asked)} asked, {len(holds)} files"
    _judge(result, "recording", case.record, ended, folder)
    _compare(result, "asked while recording", sorted(reach), asked)
    _compare(result, "recorded", wanted, holds)
    result.cassettes = _texts(folder, host)
    for number, run in enumerate(case.replays, 1):
        with Refusing(host) as nobody:
            ended = _start(case, folder, run)
        result.replayed.append(f"{ended.outcomes}; {nobody.count} asked")
        _judge(result, f"replay {number}", run, ended, folder)
        _compare(result, f"connections in replay {number}", 0, nobody.count)
        _compare(result, f"files after replay {number}", result.cassettes, _texts(folder, host))
    return result


def _compare(result: Result, what: str, wanted: object, got: object) -> None:
    result.tried += 1
    if wanted != got:
        result.lost.append(f"{what}: wanted {wanted!r}, got {got!r}"[:1500])


def _judge(result: Result, what: str, run: Run, ended: Ended, folder: Path) -> None:
    """Compare a session with what is wanted of it."""
    tail = "\n".join(ended.output.splitlines()[-25:])
    failed = run.wanted is not None and ("failed" in run.wanted or "error" in run.wanted)
    status = run.status if run.status is not None else int(failed)
    problems = [] if ended.status == status else [f"exit status {ended.status}, wanted {status}"]
    if run.wanted is not None and _counted(run.wanted) != _counted(ended.outcomes):
        problems.append(f"{ended.outcomes}, wanted {run.wanted}")
    problems += [f"does not say {text!r}" for text in run.says if text not in ended.output]
    problems += [f"says {text!r}" for text in ("INTERNALERROR", "in pytest_llmeval") if text in ended.output]
    if run.calls is not None and (calls := _calls(folder)) != dict(run.calls):
        problems.append(f"records {calls}, wanted {dict(run.calls)}")
    result.tried += 1
    if problems:
        result.lost.append(f"{what} ({run.args}): {'; '.join(problems)}\n{tail}")


def _counted(outcomes: str) -> Counter[str]:
    pairs = [part.split() for part in outcomes.split(",") if part.strip()]
    return Counter({name.removesuffix("s") if name == "errors" else name: int(count) for count, name in pairs})


def _write(case: Case, folder: Path, url: str) -> None:
    files = {"test_it.py": case.files} if isinstance(case.files, str) else dict(case.files)
    files["pyproject.toml"] = SETTINGS.format(url=url, ini=case.ini)
    files["app.py"] = APP.format(url=url)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")


def _question(body: dict[str, Any]) -> str:
    messages = body.get("messages") or [{"content": f"odd:{body}"}]
    return str(messages[-1]["content"])


def _held(folder: Path) -> dict[str, list[str]]:
    """Return the questions that each cassette holds; an answer to another question stands as such."""
    held = {}
    for path in folder.rglob("llm_cassettes/**/*.yaml"):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        # The digits that tell names apart where a file system does not are none of this matrix's business.
        name = HASH.sub("", path.relative_to(folder).as_posix().removesuffix(".yaml").replace("llm_cassettes/", ""))
        held[name] = [_recorded(interaction) for interaction in data["interactions"]]
    return held


def _recorded(interaction: dict[str, Any]) -> str:
    request = interaction["request"]
    if not request["body"]:
        return f"{request['method']}:{request['uri']}"
    question = _question(json.loads(request["body"]))
    response = interaction["response"]
    answer = response.get("llmeval", {}).get("text") or response["body"]["string"]
    right = json.dumps({"echo": question}) in answer.replace('\\"', '"')
    return question if right else f"{question} with the answer of another: {answer}"


def _texts(folder: Path, host: str) -> dict[str, str]:
    """Return the cassettes of a project without what is measured."""
    return {
        path.relative_to(folder).as_posix(): MEASURED.sub("", path.read_text(encoding="utf-8")).replace(host, "HOST")
        for path in folder.rglob("*.yaml")
    }


def _calls(folder: Path) -> dict[str, int]:
    data: dict[str, int] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return data


def _start(case: Case, folder: Path, run: Run) -> Ended:
    """Run pytest in a process of its own, and wait for it."""
    (folder / "run.json").write_text("{}", encoding="utf-8")
    args = ["--llm-models=chat", "-ptests.matrices.neighbour_records", *shlex.split(run.args)]
    if "randomly" not in run.args:
        args.insert(0, "-pno:randomly")
    if "no:llmeval" in run.args:
        args.remove("--llm-models=chat")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT")}
    root = str(Path(__file__).parents[2])
    env = {**kept, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), "COLUMNS": "150", **run.env}
    output = folder / "output.txt"
    output.write_bytes(b"")
    status: int | None = None
    if case.anew:
        command = [sys.executable, "-m", "pytest", *args]
        # A session that hangs has no exit status, and what it said so far is told.
        with output.open("wb") as stream, contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, cwd=folder, env=env, stdout=stream, stderr=stream, timeout=PATIENCE)
            status = done.returncode
    else:
        process = forking().Process(target=_pytest, args=(str(folder), args, env, str(output)))
        process.start()
        process.join(PATIENCE)
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
    return Ended(status, output.read_text(encoding="utf-8", errors="replace"))


def forking() -> Any:
    """Return a context that forks from a process without threads, which has the SDKs imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _pytest(folder: str, args: list[str], env: dict[str, str], output: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    stream = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    status = pytest.main(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status))
