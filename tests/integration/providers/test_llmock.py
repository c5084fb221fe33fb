"""The official SDKs against a mock server that others wrote, told to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_llmeval.candidates import Candidate
from tests.dialects import (
    OPENAI,
    QUESTION,
    Dialect,
)
from tests.integration.providers.asking import Ask, Made, failure, free_port


class LLMock:
    """An independent mock of both protocols, in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = "from llmock.cli import app; app()"
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "critical"]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", command, *arguments], env=environment, stdout=subprocess.DEVNULL
        )

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"llmock did not start at {self.url}")

    def script(self, *behaviors: dict[str, Any]) -> None:
        for path, data in (("reset", {}), ("scenario", {"behaviors": behaviors})):
            body = json.dumps(data).encode()
            with urllib.request.urlopen(f"{self.url}/_llmock/{path}", data=body, timeout=10):
                pass

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture(scope="module")
def llmock() -> Iterator[LLMock]:
    server = LLMock()
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def mocked(llmock: LLMock, dialect: Dialect, **settings: Any) -> Candidate:
    candidate = dialect.candidate("", **settings)
    return replace(candidate, base_url=llmock.url + ("/v1" if dialect is OPENAI else "/anthropic"))


@pytest.mark.parametrize("status", [429, 503])
def test_an_independent_servers_failure_is_retried_and_counted(
    llmock: LLMock, make: Made, ask: Ask, dialect: Dialect, stream: bool, status: int
) -> None:
    llmock.script({"type": "fail", "status": status, "retry_after": 0.01, "times": 1})
    got = ask(make(mocked(llmock, dialect, max_retries=1)), replace(QUESTION, stream=stream))
    assert got.content
    assert got.retries == 1
    assert got.output_tokens


@pytest.mark.parametrize(
    ("fault", "kind"), [("disconnect", "connection"), ("truncate", "truncated"), ("malformed", "malformed")]
)
def test_an_independent_servers_broken_stream_is_no_answer(
    llmock: LLMock, make: Made, ask: Ask, dialect: Dialect, fault: str, kind: str
) -> None:
    llmock.script({"type": "stream_fault", "kind": fault, "after_chunks": 3})
    error = failure(ask, make(mocked(llmock, dialect)), replace(QUESTION, stream=True))
    assert error.kind == kind
