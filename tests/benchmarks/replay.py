"""Time 1,000 replayed tests, one call each, against the bare SDK and against pytest-recording.

    python -m tests.benchmarks.replay [--tests 1000] [--runs 5]
    python -m tests.benchmarks.replay --declared              # 4,000 cases, declared with llm_cases

Three suites do the same: build a client (once a session), ask, check the answer. `bare` answers from an in-memory
transport, `recording` from pytest-recording's cassettes, `llmeval` from ours. Each run is a whole pytest process; the
suites take turns, and medians are compared. The bars: llmeval at most 1.25 x bare, and under 0.8 x recording.
Needs pytest-recording.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chat_server import ChatServer

CONFTEST = """
import statistics, time, pytest

times = []

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    start = time.perf_counter()
    result = yield
    times.append(time.perf_counter() - start)
    return result

def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"median of a test: {statistics.median(times) * 1000:.4f} ms")
"""

HEAD = """
import json
import openai
import pytest

BASE_URL = "{base_url}"
N = {tests}
"""

BARE = """
import httpx2

ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"ok": true}'}}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 20, "total_tokens": 140}}

@pytest.fixture(scope="session")
def client():
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ANSWER))
    return openai.OpenAI(api_key="k", base_url=BASE_URL, http_client=httpx2.Client(transport=transport))

@pytest.mark.parametrize("n", range(N))
def test_it(client, n):
    reply = client.chat.completions.create(model="bench", temperature=0.0, max_tokens=1024,
        messages=[{"role": "user", "content": f"question {n}"}])
    assert json.loads(reply.choices[0].message.content)
"""

RECORDING = """
@pytest.fixture(scope="session")
def client():
    return openai.OpenAI(api_key="k", base_url=BASE_URL)

@pytest.mark.vcr
@pytest.mark.parametrize("n", range(N))
def test_it(client, n):
    reply = client.chat.completions.create(model="bench", temperature=0.0, max_tokens=1024,
        messages=[{"role": "user", "content": f"question {n}"}])
    assert json.loads(reply.choices[0].message.content)
"""

LLMEVAL = """
@pytest.mark.parametrize("n", range(N))
def test_it(llm, n):
    assert llm.complete(f"question {n}").json()
"""

DECLARED = """
@pytest.mark.llm_cases([f"question {n}" for n in range(N)])
def test_it(llm_reply):
    assert llm_reply.json()
"""

SETTINGS = """
[tool.pytest.ini_options]
llm_models = ["bench"]
asyncio_default_fixture_loop_scope = "function"

[tool.llmeval.models.bench]
model = "openai:bench"
base_url = "{base_url}"
prices = {{input = 0.15, output = 0.60}}
"""

SUITES = {
    "bare": (BARE, ["-p", "no:llmeval"]),
    "recording": (RECORDING, ["-p", "no:llmeval"]),
    "llmeval": (LLMEVAL, []),
}


def run(folder: Path, arguments: list[str], output: list[str] | None = None) -> float:
    """Return the seconds that one pytest process takes; put what it printed into `output`."""
    start = time.perf_counter()
    plain = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header"]
    command = [sys.executable, "-m", "pytest", *plain, *arguments, str(folder)]
    # Without byte code, every run would time the compiler.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    if output is not None:
        output.append(done.stdout)
    return seconds


def prepare(root: Path, tests: int, base_url: str, *, declared: bool = False) -> dict[str, Path]:
    """Write the suites and record their cassettes."""
    folders = {}
    for name, (usual, _) in SUITES.items():
        body = DECLARED if declared and name == "llmeval" else usual
        folder = folders[name] = root / name
        folder.mkdir()
        head = HEAD.format(base_url=base_url, tests=tests)
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_bench.py").write_text(head + body, encoding="utf-8")
        (folder / "pyproject.toml").write_text(
            SETTINGS.format(base_url=base_url) if name == "llmeval" else "", encoding="utf-8"
        )
    if not declared:
        run(folders["recording"], ["-p", "no:llmeval", "--record-mode=once"])
    run(folders["llmeval"], ["--llm-record=once"])
    return folders


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, help="1,000 by default, 4,000 if declared")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--declared", action="store_true", help="declare the cases with llm_cases; without recording")
    args = parser.parse_args()
    args.tests = args.tests or (4000 if args.declared else 1000)
    suites = {name: suite for name, suite in SUITES.items() if not (args.declared and name == "recording")}
    with tempfile.TemporaryDirectory() as root:
        with ChatServer() as server:
            folders = prepare(Path(root), args.tests, server.url, declared=args.declared)
        seconds: dict[str, list[float]] = {name: [] for name in suites}
        each: dict[str, list[float]] = {name: [] for name in suites}
        for _ in range(args.runs):
            for name, (_, arguments) in suites.items():
                extra = {"recording": ["--record-mode=none"], "llmeval": ["--llm-record=none"]}.get(name, [])
                output: list[str] = []
                seconds[name].append(run(folders[name], [*arguments, *extra], output))
                found = re.search(r"median of a test: ([0-9.]+) ms", output[0])
                assert found, output[0]
                each[name].append(float(found.group(1)))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{args.tests} replayed tests, {args.runs} runs each, whole process, seconds")
    for name, times in seconds.items():
        test = statistics.median(each[name])
        print(
            f"  {name:10} median {medians[name]:6.2f}   min {min(times):6.2f}   max {max(times):6.2f}"
            f"   one test, median {test:.2f} ms"
        )
    print(f"  llmeval / bare      {medians['llmeval'] / medians['bare']:.2f}   (bar: 1.25)")
    over = statistics.median(each["llmeval"]) - statistics.median(each["bare"])
    print(f"  one test of llmeval over bare, median: {over:.2f} ms   (bar: 0.50)")
    if "recording" in medians:
        print(f"  llmeval / recording {medians['llmeval'] / medians['recording']:.2f}   (bar: 0.80)")


if __name__ == "__main__":
    main()
