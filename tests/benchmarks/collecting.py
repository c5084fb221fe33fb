"""Time the collection of 10,000 cases for 4 candidates, and weigh the process, against plain parametrization.

    python -m tests.benchmarks.collecting [--cases 10000] [--candidates 4]

The floor is what pytest itself takes for as many tests from two lists, without the plugin. `read` is what reading the
dataset takes, by format.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pytest_llmeval import load_cases

TEST = """
import pytest

@pytest.mark.llm_cases("cases.jsonl", system="Sort {{ topic }}.", max_tokens=50)
def test_case(llm, llm_case): pass
"""
PLAIN = """
import pytest

cases = [pytest.param({{}}, id=f"order-{{n}}-is-late", marks=[pytest.mark.late]) for n in range({cases})]

@pytest.mark.parametrize("case", cases)
@pytest.mark.parametrize("candidate", {names}, scope="session")
def test_case(candidate, case): pass
"""
SETTINGS = """
[tool.pytest.ini_options]
markers = ["late"]
"""
MODEL = """
[tool.llmeval.models.{name}]
model = "openai:{name}"
base_url = "http://127.0.0.1:9/v1"
prices = "free"
"""
WRITTEN: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "jsonl": lambda rows: "".join(f"{json.dumps(row)}\n" for row in rows),
    "json": lambda rows: json.dumps(rows, indent=1),
    "yaml": lambda rows: yaml.safe_dump(rows),
    "toml": lambda rows: "".join(
        "[[cases]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in row.items()) for row in rows
    ),
}


def rows(count: int) -> list[dict[str, Any]]:
    """Return rows as they are in practice: half have ids, all have tags and an answer."""
    return [
        {
            **({"id": f"order-{n}-is-late"} if n % 2 else {}),
            "input": f"Where is my order #{n}? It was to be here on Friday, and nobody answers the telephone.",
            "expected": "delivery",
            "tags": ["late"],
            "topic": "messages",
        }
        for n in range(count)
    ]


def measured(folder: Path, *args: str) -> tuple[float, float, float]:
    """Return the seconds, those of the processor, and the megabytes that a whole process takes to collect."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-pno:randomly", "-pno:cacheprovider", *args]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pytest ended with status {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_csv(path: Path, data: list[dict[str, Any]]) -> None:
    """Write rows as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "input", "expected", "tags", "topic"])
        writer.writeheader()
        writer.writerows({**row, "tags": ";".join(row["tags"])} for row in data)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    names = [f"model{n}" for n in range(args.candidates)]
    data = rows(args.cases)
    with tempfile.TemporaryDirectory() as root:
        ours, plain = Path(root, "ours"), Path(root, "plain")
        for folder, test in ((ours, TEST), (plain, PLAIN.format(cases=args.cases, names=names))):
            folder.mkdir()
            (folder / "test_cases.py").write_text(test, encoding="utf-8")
            models = "".join(MODEL.format(name=name) for name in names)
            (folder / "pyproject.toml").write_text(SETTINGS + models, encoding="utf-8")
        for suffix, text_of in WRITTEN.items():
            (ours / f"cases.{suffix}").write_text(text_of(data), encoding="utf-8")
        write_csv(ours / "cases.csv", data)
        print(f"{args.cases:,} cases x {args.candidates} candidates, collected; medians of {args.runs}")
        for label, folder, extra in (
            ("plain pytest", plain, ["-pno:llmeval"]),
            ("llm_cases", ours, [f"--llm-models={','.join(names)}"]),
        ):
            runs = [measured(folder, *extra) for _ in range(args.runs)]
            seconds, busy, megabytes = (statistics.median(values) for values in zip(*runs, strict=True))
            print(f"  {label:13} {seconds:6.2f} s   cpu {busy:6.2f} s   {megabytes:4.0f} MB")
        print("  bar: under 10 s and 600 MB")
        for suffix in (*WRITTEN, "csv"):
            start = time.perf_counter()
            load_cases(ours / f"cases.{suffix}")
            print(f"  read {suffix:8} {time.perf_counter() - start:6.2f} s")


if __name__ == "__main__":
    main()
