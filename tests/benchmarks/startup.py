"""Time a pytest run that has nothing to do with LLMs, with the plugin and without it.

    python -m tests.benchmarks.startup [--runs 20]

Each run is a whole pytest process with one trivial test. The two take turns; CPU time and wall time are compared by
medians. The bar: the plugin adds less than 15 ms.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITES = {"without": ["-p", "no:llmeval"], "with": []}


def run(folder: Path, arguments: list[str]) -> tuple[float, float]:
    """Return the milliseconds of CPU and of wall clock that one pytest process takes."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, wall * 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in SUITES}
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")
        for round_number in range(args.runs + 1):
            for name, arguments in SUITES.items():
                measured = run(folder, arguments)
                if round_number:
                    figures[name].append(measured)
    print(f"one test without an LLM, {args.runs} runs each, whole process, milliseconds (medians)")
    cpu = {name: statistics.median(pair[0] for pair in pairs) for name, pairs in figures.items()}
    wall = {name: statistics.median(pair[1] for pair in pairs) for name, pairs in figures.items()}
    for name in SUITES:
        print(f"  {name:8} cpu {cpu[name]:7.1f}   wall {wall[name]:7.1f}")
    added = [figures_of["with"] - figures_of["without"] for figures_of in (cpu, wall)]
    print(f"  added    cpu {added[0]:7.1f}   wall {added[1]:7.1f}   (bar: 15)")


if __name__ == "__main__":
    main()
