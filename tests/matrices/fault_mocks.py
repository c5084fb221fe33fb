"""Servers that others wrote, which can do some of the faults: started as processes of their own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from tests.matrices.fault_cells import FAULTS, SHAPES, TOOL, TOOL_ARGUMENTS, Cell, courses

#: Variable that names the `cli.js` of aimock, which is no Python package.
AIMOCK = "AIMOCK_CLI"
HANG = 60.0
STATUSES = {"429-after": 429, "429": 429, "500": 500, "503": 503}


def _can(faults: Iterable[str], shapes: Iterable[str] = SHAPES) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (name, shape, course)
        for name in faults
        for shape in shapes
        if shape in FAULTS[name].shapes
        for course in courses(FAULTS[name], shape)
    )


class Mock:
    """A server in a process of its own.

    Attributes:
        name: What its cells call it.
        can: The (fault, shape, course) that it can do.
        openai, anthropic: Where it serves the two protocols.
    """

    name: ClassVar[str]
    can: ClassVar[tuple[tuple[str, str, str], ...]]
    openai: ClassVar[str] = "/v1"
    anthropic: ClassVar[str] = ""
    health: ClassVar[str]

    def __init__(self, folder: Path, cells: Iterable[Cell]) -> None:
        self.folder = folder
        self.cells = [cell for cell in cells if cell.server == self.name]
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def urls(self) -> dict[str, str]:
        root = f"http://127.0.0.1:{self.port}"
        return {"openai": root + self.openai, "anthropic": root + self.anthropic}

    def command(self) -> list[str]:
        """Write what the server is to answer, and return how to start it."""
        raise NotImplementedError

    def start(self) -> None:
        """Start; `wait` tells when it is ready."""
        command = self.command()
        with (self.folder / f"{self.name}.log").open("wb") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            RuntimeError: It never does.
        """
        for _ in range(300):
            try:
                request(self.port, "GET", self.health)
            except OSError:
                time.sleep(0.1)
            else:
                return
        log = (self.folder / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{self.name} does not start:\n{log[-2000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def request(port: int, method: str, path: str, data: Any = None) -> None:
    """Ask a server's own control address.

    It goes by the name `localhost`, so that a test can leave that host alone and record what goes to 127.0.0.1.
    """
    connection = http.client.HTTPConnection("localhost", port, timeout=30)
    body = None if data is None else json.dumps(data)
    connection.request(method, path, body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LLMock(Mock):
    """llmock: its behaviours are queued for the requests to come, so each question has its own brought first."""

    name = "llmock"
    can = (
        *_can(["429-after", "429", "500", "503", "hang", "tools", "big"]),
        *_can(["reset-mid", "hang-mid", "cut-json", "cut-stream"], ["streamed"]),
    )
    anthropic = "/anthropic"
    health = "/health"

    def command(self) -> list[str]:
        script = Path(sys.executable).with_name("llmock")
        return [str(script), "serve", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "warning"]

    @staticmethod
    def prepare(port: int, cell: Cell, prompt: str) -> None:
        """Queue what is to answer a question."""
        request(port, "POST", "/_llmock/reset")
        last = prompt == cell.prompts[-1]
        reply: dict[str, Any] = {"type": "reply", "times": None, "text": cell.text() if last else _first(cell)}
        if last and cell.fault == "tools":
            reply |= {"text": None, "tool_calls": [{"name": TOOL, "arguments": TOOL_ARGUMENTS}]}
        behaviors = [reply]
        if last and not cell.kind.good:
            times = None if cell.course in ("lasting", "after") else 1
            behaviors.append({**_llmock_fault(cell), "times": times})
        request(port, "POST", "/_llmock/scenario", {"behaviors": behaviors})


def _llmock_fault(cell: Cell) -> dict[str, Any]:
    if cell.fault in STATUSES:
        after = {"retry_after": 1} if cell.fault == "429-after" else {}
        return {"type": "fail", "status": STATUSES[cell.fault], **after}
    if cell.fault == "hang":
        return {"type": "delay", "seconds": HANG}
    kinds = {"reset-mid": "disconnect", "hang-mid": "stall", "cut-json": "malformed", "cut-stream": "truncate"}
    return {"type": "stream_fault", "kind": kinds[cell.fault], "after_chunks": 4, "stall_seconds": HANG}


class FakeLLM(Mock):
    """fakellm: one rule for each question, and one for its first turn. Its streams have no faults and no usage."""

    name = "fakellm"
    # It would read two megabytes of YAML too, but takes minutes for them.
    can = (*_can(["429", "500", "503"], ["plain"]), *_can(["tools"]))
    health = "/_fakellm/stats"

    def command(self) -> list[str]:
        rules = [rule for cell in self.cells for rule in _fakellm_rules(cell)]
        config = self.folder / "fakellm.yaml"
        config.write_text(yaml.safe_dump({"version": 1, "rules": rules}), encoding="utf-8")
        script = Path(sys.executable).with_name("fakellm")
        return [str(script), "serve", "--port", str(self.port), "--config", str(config)]


def _fakellm_rules(cell: Cell) -> list[dict[str, Any]]:
    when: dict[str, Any] = {"messages_contain": cell.prompts[-1]}
    rules: list[dict[str, Any]] = [
        {"when": {"messages_contain": prompt}, "respond": {"content": _first(cell)}} for prompt in cell.prompts[:-1]
    ]
    if cell.fault in STATUSES:
        failing: dict[str, Any] = {"respond": {"status": STATUSES[cell.fault], "error": "scripted"}}
        lasting = cell.course in ("lasting", "after")
        rules.append({"when": when if lasting else {**when, "turn": 1}, **failing})
    calls = [{"name": TOOL, "arguments": TOOL_ARGUMENTS}]
    good: dict[str, Any] = {"tool_calls": calls} if cell.fault == "tools" else {"content": cell.text()}
    if cell.fault == "tools" and not cell.streamed:
        # Else it answers with text beside the call.
        good["content"] = ""
    return [*rules, {"when": when, "respond": good}]


class AIMock(Mock):
    """aimock: one fixture for each question, and one for the first time that it comes. Needs node."""

    name = "aimock"
    can = (
        *_can(["429-after", "500", "503", "reset-before", "tools", "big"]),
        *_can(["cut-json"], ["plain"]),
        *_can(["reset-mid"], ["streamed"]),
    )
    health = "/health"

    @staticmethod
    def there() -> bool:
        return AIMOCK in os.environ and shutil.which("node") is not None

    def command(self) -> list[str]:
        fixtures = [fixture for cell in self.cells for fixture in _aimock_fixtures(cell)]
        path = self.folder / "aimock.json"
        path.write_text(json.dumps({"fixtures": fixtures}), encoding="utf-8")
        node = shutil.which("node") or "node"
        return [node, os.environ[AIMOCK], "-p", str(self.port), "-f", str(path), "--log-level", "warn"]


def _aimock_fixtures(cell: Cell) -> list[dict[str, Any]]:
    match: dict[str, Any] = {"userMessage": cell.prompts[-1]}
    good: dict[str, Any] = {"content": cell.text()}
    if cell.fault == "tools":
        good = {"toolCalls": [{"name": TOOL, "arguments": TOOL_ARGUMENTS}]}
    fixtures = [
        {"match": {"userMessage": prompt}, "response": {"content": _first(cell)}} for prompt in cell.prompts[:-1]
    ]
    if not cell.kind.good:
        lasting = cell.course in ("lasting", "after")
        faulty = {"match": match if lasting else {**match, "sequenceIndex": 0}, "response": good}
        fixtures.append(faulty | _aimock_fault(cell))
        match = {**match, "sequenceIndex": 1}
    # By itself it cuts a stream into 20 letters each, which is a hundred thousand parts of two megabytes.
    size = {"chunkSize": 64 * 1024} if cell.fault == "big" else {}
    return [*fixtures, {"match": match, "response": good, **size}]


def _aimock_fault(cell: Cell) -> dict[str, Any]:
    chaos = {"429-after": "rateLimitRate", "reset-before": "disconnectRate", "cut-json": "malformedRate"}
    if cell.fault in chaos:
        return {"chaos": {chaos[cell.fault]: 1}}
    if cell.fault == "reset-mid":
        return {"truncateAfterChunks": 3, "chunkSize": 8}
    return {"response": {"error": {"message": "scripted", "type": "api_error"}, "status": STATUSES[cell.fault]}}


def _first(cell: Cell) -> str:
    return f"first answer to {cell.key}"
