"""Time a dataset that is asked live, fetched ahead, against a bare script with the SDK and a pool of threads.

    python -m tests.benchmarks.live [--runs 3] [--delay 0.5] [--large]

Each run is a whole process, and all ask the same slow server on loopback. `bare` is the script. Of the others, `once`
records (the default mode) and `live` keeps nothing: with a test for each call, which is fetched ahead, or with all
calls in one test, by `complete_many`. `by hand` is what a test for each call takes at least: plain pytest, a pool of
threads and the SDK, without this plugin. They take turns, and medians are compared. The bars: 400 calls at concurrency
32 at most 1.15 x bare; with ``--large``, 2,000 calls at concurrency 128 at most 1.25 x bare. The figures of others
were measured on another day with the same server and the same 400 calls; the ideal is calls x delay / concurrency.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

OTHERS = {"pydantic-evals": 9.4, "inspect-ai": 16.9, "promptfoo": 18.3}

BARE = """
import json
from concurrent.futures import ThreadPoolExecutor
import openai

client = openai.OpenAI(api_key="k", base_url="{url}")

def ask(n):
    reply = client.chat.completions.create(model="bench", temperature=0.0, max_tokens=64,
        messages=[{{"role": "user", "content": f"question {{n}}"}}])
    return json.loads(reply.choices[0].message.content)

with ThreadPoolExecutor({concurrency}) as pool:
    assert all(answer["ok"] for answer in pool.map(ask, range({calls})))
"""

SUITE = """
import pytest

@pytest.mark.llm_cases([f"question {{n}}" for n in range({calls})], max_tokens=64)
def test_it(llm_reply):
    assert llm_reply.json()["ok"]
"""

IN_ONE_TEST = """
def test_it(llm):
    replies = llm.complete_many([f"question {{n}}" for n in range({calls})], max_tokens=64)
    assert all(reply.json()["ok"] for reply in replies)
"""

BY_HAND = """
import json
from concurrent.futures import ThreadPoolExecutor
import openai
import pytest

client = openai.OpenAI(api_key="k", base_url="{url}")

def ask(n):
    return client.chat.completions.create(model="bench", temperature=0.0, max_tokens=64,
        messages=[{{"role": "user", "content": f"question {{n}}"}}])

@pytest.fixture(scope="session")
def replies():
    with ThreadPoolExecutor({concurrency}) as pool:
        yield [pool.submit(ask, n) for n in range({calls})]

@pytest.fixture
def reply(replies, n):
    return replies[n].result()

@pytest.mark.parametrize("n", range({calls}))
def test_it(reply):
    assert json.loads(reply.choices[0].message.content)["ok"]
"""

SETTINGS = """
[tool.pytest.ini_options]
llm_models = ["bench"]

[tool.llmeval.models.bench]
model = "openai:bench"
base_url = "{url}"
prices = {{input = 0.15, output = 0.60}}
"""


def timed(command: list[str], folder: Path) -> float:
    """Return the seconds that a process takes."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "CI")}
    # What else happens to be installed is not what is measured: importing numpy for its seed takes 0.1 s.
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return seconds


def prepare(folder: Path, url: str, calls: int, concurrency: int) -> dict[str, tuple[list[str], Path]]:
    """Write the script and the suites; return the command of each, and where it runs."""
    files = {"tests": SUITE, "one": IN_ONE_TEST, "hand": BY_HAND}
    for name, text in files.items():
        (folder / name).mkdir(parents=True)
        settings = "" if text is BY_HAND else SETTINGS.format(url=url)
        (folder / name / "pyproject.toml").write_text(settings, encoding="utf-8")
        suite = text.format(url=url, calls=calls, concurrency=concurrency)
        (folder / name / "test_bench.py").write_text(suite, encoding="utf-8")
    (folder / "bare.py").write_text(BARE.format(url=url, calls=calls, concurrency=concurrency), encoding="utf-8")
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    ours = [*pytest, "-p", "pytest_llmeval.plugin", f"--llm-concurrency={concurrency}"]
    return {
        "bare": ([sys.executable, "bare.py"], folder),
        "by hand": (pytest, folder / "hand"),
        "once": ([*ours, "--llm-record=once"], folder / "tests"),
        "live": ([*ours, "--llm-record=live"], folder / "tests"),
        "once, one test": ([*ours, "--llm-record=once"], folder / "one"),
        "live, one test": ([*ours, "--llm-record=live"], folder / "one"),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.5)
    parser.add_argument("--large", action="store_true", help="2,000 calls at concurrency 128")
    args = parser.parse_args()
    calls, concurrency, bar = (2000, 128, 1.25) if args.large else (400, 32, 1.15)
    command = [sys.executable, "-m", "tests.benchmarks.slow_server", "--delay", str(args.delay)]
    with (
        tempfile.TemporaryDirectory() as root,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        url = f"http://127.0.0.1:{port}/v1"
        seconds: dict[str, list[float]] = defaultdict(list)
        for run in range(args.runs):
            # A folder for each run, and none removed before the last: for minutes after thousands of files were
            # removed, ext4 passes over each of their inodes for every file that is made (`recently_deleted` in its
            # ialloc.c), which takes twenty times as long as making it.
            for name, (each, folder) in prepare(Path(root) / str(run), url, calls, concurrency).items():
                seconds[name].append(timed(each, folder))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
            stats = json.load(answer)
        server.terminate()
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(
        f"{calls:,} calls of {args.delay} s, concurrency {concurrency}, {args.runs} runs each, whole process, seconds"
    )
    print(f"  ideal           {calls * args.delay / concurrency:6.2f}")
    for name, times in seconds.items():
        print(f"  {name:15} {medians[name]:6.2f}   min {min(times):6.2f}   max {max(times):6.2f}")
    for name in list(medians)[1:]:
        print(f"  {f'{name} / bare':22} {medians[name] / medians['bare']:6.2f}   (bar: {bar})")
    for name in ("once", "live"):
        print(f"  {f'{name} / by hand':22} {medians[name] / medians['by hand']:6.2f}")
    for name, figure in ({} if args.large else OTHERS).items():
        print(f"  {name:15} {figure:6.2f}   (on another day)")
    print(f"  in flight at most: {stats['in_flight_peak']}; requests: {stats['requests']:,}")


if __name__ == "__main__":
    main()
