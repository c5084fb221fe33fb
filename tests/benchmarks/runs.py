"""Time and weigh what is done with runs of 10,000, 30,000 and 100,000 test records.

    python -m tests.benchmarks.runs [--tests 10000 30000 100000]

Each step is a process of its own, on records as a suite leaves them: two candidates, scores, fields, one call each. The
time is that of the step alone, but for `compare` and `summary`, which also have to read their runs; the memory is the
most that the process held. The bars for 100,000: each under 10 s and 500 MB, growing no faster than the records.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runfiles import RunFile
from pytest_llmeval.runheader import CandidateInfo, End, Header
from pytest_llmeval.runlines import header_line, record_line, run_lines

CANDIDATES = ("gpt-4o-mini", "claude-haiku")
MOST_SECONDS, MOST_MB = 10.0, 500.0


def records(count: int, seed: int) -> Iterator[TestRecord]:
    """Yield the records of a run; those of another seed are of the same tests, answered otherwise."""
    chance = random.Random(seed)
    for number in range(count):
        name, case = CANDIDATES[number % 2], f"ticket-{number // 2:06}"
        score = round(min(1.0, max(0.0, chance.gauss(0.8, 0.2))), 3)
        passed = score >= 0.5
        yield TestRecord(
            nodeid=f"tests/test_tickets.py::test_ticket[{name}-{case}]",
            candidate=name,
            outcome="passed" if passed else "failed",
            score=score,
            scores={"score": score},
            fields={"name": 1.0, "issue": score, "sentiment": float(passed)},
            json_checked=1,
            json_valid=int(chance.random() < 0.99),
            calls=[call(name, number, chance)],
            message=None if passed else f"assert {score:.2f} >= 0.5",
            cassette=f"tests/llm_cassettes/test_tickets/{name}/test_ticket[{case}].yaml",
            case=case,
            tags=["angry"] if number % 5 == 0 else [],
            source="0123456789ab",
            expected=f"{number // 2:012x}",
        )


def call(name: str, number: int, chance: random.Random) -> Call:
    """Return the one call of a record."""
    return Call(
        name,
        f"{name}-2025-06-01",
        latency_ms=round(chance.lognormvariate(6.5, 0.4), 3),
        input_tokens=400 + number % 100,
        output_tokens=60,
        cost=f"0.0000{96 + number % 40}",
        cost_status="priced",
        cost_source="genai-prices",
        cost_as_of="2025-06-01",
        finish_reason="stop",
        replayed=True,
        recorded_at="2025-06-01T10:00:00Z",
        digest=f"{chance.getrandbits(64):016x}",
        system_digest="0123456789ab",
        messages_digest=f"{number // 2:012x}",
        parameters_digest="ba9876543210",
    )


def header(count: int) -> tuple[Header, End]:
    """Return what stands around the records."""
    infos = [CandidateInfo(name, "openai", name) for name in CANDIDATES]
    return Header(1, "1", "bench", candidates=infos), End(None, 0, None, count, {"passed": count})


def save(folder: Path, count: int) -> float:
    """Append each record as its test finishes, and put the whole run in place; making the records is not counted."""
    head, end = header(count)
    file = RunFile(folder / "saved.jsonl")
    file.add(header_line(head))
    tests, seconds = [], 0.0
    for test in records(count, 1):
        tests.append(test)
        start = time.perf_counter()
        file.add(record_line(test.to_json()))
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    file.finish(run_lines(Run(list(CANDIDATES), "none", tests, header=head, end=end)))
    return seconds + time.perf_counter() - start


def load(folder: Path, _: int) -> float:
    """Read a run from JSON Lines."""
    from pytest_llmeval.runs import load_run

    start = time.perf_counter()
    load_run(folder / "before.jsonl")
    return time.perf_counter() - start


def load_json(folder: Path, _: int) -> float:
    """Read a run from a JSON report."""
    from pytest_llmeval.runs import load_run

    start = time.perf_counter()
    load_run(folder / "before.json")
    return time.perf_counter() - start


def summary(folder: Path, _: int) -> float:
    """Do what ``llmeval show`` does."""
    from pytest_llmeval.cli import main

    start = time.perf_counter()
    main(["show", str(folder / "before.jsonl")])
    return time.perf_counter() - start


def compare(folder: Path, _: int) -> float:
    """Do what ``llmeval compare`` does."""
    from pytest_llmeval.cli import main

    start = time.perf_counter()
    main(["compare", str(folder / "before.jsonl"), str(folder / "after.jsonl")])
    return time.perf_counter() - start


def export(folder: Path, name: str) -> float:
    """Do what ``llmeval export`` does."""
    from pytest_llmeval.cli import main

    start = time.perf_counter()
    main(["export", str(folder / "before.jsonl"), "-o", str(folder / f"export.{name}")])
    return time.perf_counter() - start


STEPS: dict[str, Callable[[Path, int], float]] = {
    "save": save,
    "load": load,
    "load .json": load_json,
    "summary": summary,
    "compare": compare,
    **{f"export .{name}": lambda folder, _, name=name: export(folder, name) for name in ("md", "csv", "json")},  # type: ignore[misc]
}


def prepare(folder: Path, count: int) -> float:
    """Write the runs that the steps read.

    In a process of its own too: what a process holds counts for those that it starts.
    """
    from pytest_llmeval.reports.json import parts

    for name, seed in (("before", 1), ("after", 2)):
        head, end = header(count)
        run = Run(list(CANDIDATES), "none", list(records(count, seed)), header=head, end=end)
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(run_lines(run))
        if name == "before":
            with (folder / "before.json").open("w", encoding="utf-8") as file:
                file.writelines(parts(run))
    return 0.0


def step(name: str, folder: Path, count: int) -> None:
    """Take one step in this process; print the seconds, and the megabytes that it held at most."""
    seconds = prepare(folder, count) if name == "prepare" else STEPS[name](folder, count)
    # Kilobytes, but for macOS.
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(f"\nmeasured {seconds:.3f} {held:.1f}")


def measured(name: str, folder: Path, count: int) -> tuple[float, float]:
    """Take a step in a process of its own; return its seconds and megabytes."""
    command = [sys.executable, "-m", "tests.benchmarks.runs", "--step", name, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, held = done.stdout.rpartition("measured ")[2].split()
    return float(seconds), float(held)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step(args.step[0], Path(args.step[1]), int(args.step[2]))
        return
    table: dict[str, list[tuple[float, float]]] = {name: [] for name in STEPS}
    for count in args.tests:
        with tempfile.TemporaryDirectory() as root:
            measured("prepare", Path(root), count)
            for name in STEPS:
                table[name].append(measured(name, Path(root), count))
    heads = "".join(f"{count:>18,}" for count in args.tests)
    print(f"{'test records':16}{heads}   growth in time of the last step (records: {_growth(args.tests)})")
    for name, figures in table.items():
        cells = "".join(f"{seconds:8.2f} s {held:5.0f} MB" for seconds, held in figures)
        missed = "   MISSED" if figures[-1][0] > MOST_SECONDS or figures[-1][1] > MOST_MB else ""
        print(f"{name:16}{cells}   {_growth([seconds for seconds, _ in figures])}{missed}")
    print(f"bars: {MOST_SECONDS:g} s, {MOST_MB:g} MB")


def _growth(values: list[float] | list[int]) -> str:
    return f"x {values[-1] / values[-2]:.1f}" if len(values) > 1 else "-"


if __name__ == "__main__":
    main()
