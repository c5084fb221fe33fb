"""Other plugins, pytest's own options, patches of a user, threads, tasks and processes, all in one run with us.

``python -m tests.matrices.neighbours [WORD ...]`` tries the cases whose names hold all the words.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tests.matrices import neighbour_plugins as plugins
from tests.matrices import neighbour_pytest as core
from tests.matrices import neighbour_tasks as tasks
from tests.matrices.matrix import Matrix, report
from tests.matrices.neighbour_runs import Case, Result, try_case

TITLE = "Neighbours: recorded once, then replayed while nobody answers"
HEADS = ("neighbour", "case", "recorded", "replayed")
SOURCES = (
    plugins.recording,
    plugins.xdist,
    plugins.randomly,
    plugins.reruns,
    plugins.timeout,
    plugins.cov,
    core.selection,
    core.kinds,
    core.xunit,
    core.patches,
    tasks.coroutines,
    tasks.waited,
    tasks.left_behind,
    tasks.processes,
    tasks.finalizers,
)
AT_ONCE = 2
#: One case of each kind, for the test suite; the whole takes minutes.
BRIEF = (
    ("pytest-recording", "both in a file, ask_requests"),
    ("pytest-recording", "block_network on ours, ask"),
    ("pytest-xdist", "a worker that dies"),
    ("pytest-randomly", "three orders"),
    ("pytest-rerunfailures", "fails half-way, asks on when run again"),
    ("pytest-timeout", "signal, in a request"),
    ("pytest-cov", "coverage"),
    ("pytest", "-p no:terminal"),
    ("pytest", "--collect-only"),
    ("pytest", "importlib, two files of a name"),
    ("pytest", "setup and teardown by name"),
    ("unittest", "TestCase with the marker"),
    ("a patched httpx2", "in each test, over what it saw at its import"),
    ("a patched httpx2", "in a module fixture that ends before the last test of ours"),
    ("vcrpy", "by hand, ask"),
    ("pytest-asyncio", "strict, loop of the session"),
    ("anyio", "asyncio and trio"),
    ("threads", "run_in_executor"),
    ("threads", "threads that start threads"),
    ("left behind", "a thread, requests"),
    ("left behind", "a thread, a plain test"),
    ("left behind", "a task"),
    ("shared", "a pool of the module"),
    ("shared", "a thread of a session fixture"),
    ("processes", "fork, ask"),
    ("processes", "spawn, ask"),
    ("finalizers", "of tests and the session"),
    ("finalizers", "atexit"),
)


def all_cases() -> list[Case]:
    """Return every case."""
    return list(chain.from_iterable(source() for source in SOURCES))


def brief_cases() -> list[Case]:
    """Return one case of each kind; replays on two processes, which take longest, are for xdist's own cases."""
    by_name = {(case.neighbour, case.name): case for case in all_cases()}
    return [_without_workers(by_name[key]) for key in BRIEF]


def _without_workers(case: Case) -> Case:
    if case.neighbour == "pytest-xdist":
        return case
    return replace(case, replays=tuple(run for run in case.replays if "-n2" not in run.args))


def neighbours(cases: Sequence[Case], folder: Path) -> Matrix:
    """Try cases, each in a folder of its own below an empty one."""
    matrix = Matrix(TITLE, HEADS)
    folders = [folder / f"p{number}" for number in range(len(cases))]
    for each in folders:
        each.mkdir()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for case, result in zip(cases, pool.map(try_case, cases, folders), strict=True):
            _add(matrix, case, result)
    return matrix


def _add(matrix: Matrix, case: Case, result: Result) -> None:
    replayed = "\n".join(dict.fromkeys(result.replayed))
    matrix.add(case.neighbour, case.name, result.recorded, replayed, tried=result.tried, lost=result.lost)


def chosen(words: Iterable[str]) -> list[Case]:
    """Return the cases whose neighbour and name hold all the words."""
    words = list(words)
    return [case for case in all_cases() if all(word in f"{case.neighbour} {case.name}" for word in words)]


def main(words: Sequence[str]) -> int:
    """Print the matrix; return 1 if anything was lost."""
    with tempfile.TemporaryDirectory() as folder:
        return report(neighbours(chosen(words), Path(folder)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
