"""Time live calls while they are recorded: what recording adds to a call, and whether it moves the first token.

    python -m tests.benchmarks.recording [--calls 50]

The same test streams answers from a server of this process through the official SDK: without a plugin (`bare`),
recorded by us (`llmeval`), and by pytest-recording. It takes the times itself. The bars: recording adds less than 2 %
to a call and does not move the time to the first token (medians; the p value is that of a Mann-Whitney U test).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

from pytest_llmeval.stats import percentile
from tests.benchmarks.replay import run

FIRST = 0.1
GAP = 0.02
PIECES = 10

TEST = """
import json, time
import openai, pytest

@pytest.mark.vcr
@pytest.mark.llm_cassette
def test_calls():
    client = openai.OpenAI(api_key="k", base_url="{url}")
    times = []
    for n in range({calls} + 3):
        messages = [{{"role": "user", "content": f"question {{n}}"}}]
        start = time.perf_counter()
        first = None
        for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
            if first is None and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - start
        times.append((first, time.perf_counter() - start))
    print("times:", json.dumps(times[3:]))
"""
SUITES = {
    "bare": ["-p", "no:llmeval", "-p", "no:recording"],
    "llmeval": ["-p", "no:recording", "--llm-record=all"],
    "recording": ["-p", "no:llmeval", "--record-mode=rewrite"],
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        time.sleep(FIRST)
        for number in range(PIECES):
            time.sleep(GAP)
            self._send({"choices": [{"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}]})
        self._send({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _send(self, event: dict[str, Any]) -> None:
        event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", **event}
        self._write(f"data: {json.dumps(event)}\n\n".encode())

    def _write(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        pass


def measure(folder: Path, arguments: list[str]) -> list[tuple[float, float]]:
    """Return (time to the first token, whole time) of each call, in seconds."""
    output: list[str] = []
    run(folder, ["-s", *arguments], output)
    line = next(line for line in output[0].splitlines() if "times:" in line)
    return [(first, whole) for first, whole in json.loads(line.partition("times:")[2].strip().rstrip("."))]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=2, help="processes a suite; they take turns")
    args = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in SUITES}
    with tempfile.TemporaryDirectory() as root:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        (Path(root) / "test_calls.py").write_text(
            TEST.format(url=url, calls=args.calls // args.rounds), encoding="utf-8"
        )
        (Path(root) / "pytest.ini").write_text("[pytest]\nmarkers =\n  vcr\n  llm_cassette\n", encoding="utf-8")
        for _ in range(args.rounds):
            for name, arguments in SUITES.items():
                times[name] += measure(Path(root), arguments)
    server.shutdown()
    print(f"{len(times['bare'])} streamed calls each, milliseconds")
    for index, what in enumerate(("first token", "whole call")):
        base = [each[index] * 1000 for each in times["bare"]]
        for name, pairs in times.items():
            values = [each[index] * 1000 for each in pairs]
            added = median(values) / median(base) - 1
            print(
                f"  {what}  {name:10} p50 {median(values):7.2f}   p95 {percentile(values, 95):7.2f}   "
                f"{added:+7.2%} of bare   p = {mannwhitneyu(base, values).pvalue:.2f}"
            )


if __name__ == "__main__":
    main()
