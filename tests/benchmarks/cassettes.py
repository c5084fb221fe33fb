"""Time one cassette of 1,000 and of 10,000 interactions, and weigh it, against stock vcrpy.

    python -m tests.benchmarks.cassettes [--stock 300]

One test asks n different questions through the official SDK. `seconds` is what the questions take in replay, reading
the file included; the same questions to the bare SDK with an in-memory transport are the floor. Stock vcrpy compares
each request with every recording, so it is timed on fewer and grows with their square.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path

import httpx2
import openai
import vcr

from tests.benchmarks.replay import run
from tests.chat_server import ChatServer

TEST = """
import time, openai

def test_many(llm):
    start = time.perf_counter()
    for n in range({count}):
        assert llm.complete(f"question {{n}}", max_tokens=50).content
    print(f"took {{time.perf_counter() - start:.4f}} s")
"""
SETTINGS = """
[tool.llmeval.models.bench]
model = "openai:bench"
base_url = "{base_url}"
prices = "free"
"""
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "bench",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"ok": true}'}}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 20, "total_tokens": 140},
}


def ours(root: Path, count: int, server: ChatServer, runs: int) -> tuple[float, int]:
    """Return the median seconds of a replay, and the bytes of the cassette."""
    folder = root / f"ours{count}"
    folder.mkdir()
    (folder / "test_many.py").write_text(TEST.format(count=count), encoding="utf-8")
    (folder / "pyproject.toml").write_text(SETTINGS.format(base_url=server.url), encoding="utf-8")
    arguments = ["--llm-models=bench", "-s"]
    run(folder, [*arguments, "--llm-record=all"])
    printed = [run_and_read(folder, [*arguments, "--llm-record=none"]) for _ in range(runs)]
    return statistics.median(printed), size(folder)


def run_and_read(folder: Path, arguments: list[str]) -> float:
    """Return what the test itself printed."""
    output: list[str] = []
    run(folder, arguments, output)
    found = re.search(r"took ([0-9.]+) s", output[0])
    assert found, output[0]
    return float(found.group(1))


def ask(client: openai.OpenAI, count: int) -> float:
    """Return the seconds that the questions take."""
    start = time.perf_counter()
    for n in range(count):
        question = {"role": "user", "content": f"question {n}"}
        client.chat.completions.create(model="bench", temperature=0.0, max_tokens=50, messages=[question])  # type: ignore[list-item]
    return time.perf_counter() - start


def bare(count: int) -> float:
    """Return the seconds of the SDK alone."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json=ANSWER))
    with openai.OpenAI(api_key="k", base_url="http://x", http_client=httpx2.Client(transport=transport)) as client:
        ask(client, 10)
        return ask(client, count)


def stock(root: Path, count: int, server: ChatServer) -> tuple[float, int]:
    """Return the seconds of stock vcrpy's replay, matching bodies as ours does, and the bytes of its cassette."""
    path = root / f"stock{count}" / "many.yaml"
    match_on = ("method", "scheme", "host", "port", "path", "query", "body")
    with openai.OpenAI(api_key="k", base_url=server.url) as client:
        with vcr.use_cassette(str(path), match_on=match_on):
            ask(client, count)
        with vcr.use_cassette(str(path), match_on=match_on, record_mode="none"):
            return ask(client, count), size(path.parent)


def size(folder: Path) -> int:
    """Return the bytes of the cassettes below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.yaml"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--stock", type=int, default=300, help="interactions to time stock vcrpy on")
    args = parser.parse_args()
    print("one cassette, replayed through the official SDK; seconds are medians")
    with tempfile.TemporaryDirectory() as root, ChatServer() as server:
        for count in (1000, 10_000):
            floor = statistics.median(bare(count) for _ in range(args.runs))
            seconds, weight = ours(Path(root), count, server, args.runs)
            each = (seconds - floor) / count * 1e6
            print(
                f"  ours   {count:6,} interactions {seconds:7.2f} s   bare SDK {floor:5.2f} s   "
                f"{each:4.0f} us each over it   {weight / count:,.0f} bytes each"
            )
        seconds, weight = stock(Path(root), args.stock, server)
        print(f"  stock  {args.stock:6,} interactions {seconds:7.2f} s   {weight / args.stock:,.0f} bytes each")
    print("  bar: 1,000 under 1 s, 10,000 in proportion")


if __name__ == "__main__":
    main()
