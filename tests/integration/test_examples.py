"""The examples replay: without a network, without a key, with the same figures in one process and in two."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from pytest_llmeval.cassettes.redact import SecretScanner
from tests.integration.conftest import OTHERS

EXAMPLES = Path(__file__).parents[2] / "examples"
CANDIDATES = {"smollm2": 115, "gemma3": 115, "smollm2-messages": 27}
WITHOUT_CANDIDATE = 3
MIXED = ("smollm2", "gemma3", "sorted", "by-length", "in-time")
MOST_BYTES = 2_000_000
# One of the examples is async, and anyio is what it asks for.
BLOCKED = [f"-pno:{name}" for name in OTHERS if name != "anyio"]

# Written into the copy: the network is off, and what the run measured is kept.
CONFTEST = """
import json
import socket
from pathlib import Path

def refuse(self, address, *rest):
    raise AssertionError(f"the network is off, and {address} was asked")

socket.socket.connect = socket.socket.connect_ex = refuse

def pytest_llmeval_run_finished(run):
    records = [test.to_json() for test in run.tests]
    Path(__file__).with_name("run.json").write_text(json.dumps(records), encoding="utf-8")
"""


@dataclass(frozen=True)
class Replay:
    """One run of the examples in a process of its own."""

    exit_code: int
    output: str
    records: list[dict[str, Any]]

    def of(self, candidate: str) -> list[dict[str, Any]]:
        """Return the records of a candidate."""
        return [record for record in self.records if record["candidate"] == candidate]

    def summary(self) -> list[str]:
        """Return the lines of the summary."""
        lines = self.output.splitlines()
        start = next(number for number, line in enumerate(lines) if "LLM evaluation" in line) + 1
        end = next(number for number, line in enumerate(lines[start:], start) if line.startswith("===="))
        return [line for line in lines[start:end] if line]


def copy_examples(folder: Path) -> Path:
    copy = folder / "examples"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    (copy / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return copy


def run_as_ci(folder: Path, *arguments: str, columns: int = 120) -> subprocess.CompletedProcess[str]:
    """Run Python as CI would: no keys, no settings of the shell."""
    unwanted = re.compile(r".*(_API_KEY|_AUTH_TOKEN|_BASE_URL)|PYTEST_.*|COV_.*")
    environ = {name: value for name, value in os.environ.items() if not unwanted.fullmatch(name)}
    environ |= {"CI": "1", "COLUMNS": str(columns), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def replay(copy: Path, *args: str, what: str = "examples") -> Replay:
    """Run `pytest examples`, or a part of them, from the folder above, as CI would."""
    done = run_as_ci(copy.parent, "-m", "pytest", *BLOCKED, what, *args)
    kept = copy / "run.json"
    records = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    return Replay(done.returncode, done.stdout + done.stderr, records)


def lines_in_any_order(run: Replay) -> list[str]:
    return sorted(line.removeprefix("scores").strip() for line in run.summary())


def by_node(run: Replay) -> dict[str, dict[str, Any]]:
    return {record["nodeid"]: record for record in run.records}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return replay(copy_examples(tmp_path_factory.mktemp("plain")))


def test_every_example_passes_without_network_or_key(replayed: Replay) -> None:
    assert replayed.exit_code == 0, replayed.output
    assert f"{sum(CANDIDATES.values()) + WITHOUT_CANDIDATE} passed" in replayed.output
    assert "record=none (default where CI is set)" in replayed.output
    assert all(call["replayed"] for record in replayed.records for call in record["calls"])


def test_the_summary_has_a_row_for_each_candidate(replayed: Replay) -> None:
    passed = Counter(record["candidate"] for record in replayed.records if record["outcome"] == "passed")
    assert {name: passed[name] for name in CANDIDATES} == CANDIDATES
    rows = [line.split() for line in replayed.summary()]
    for name, tests in CANDIDATES.items():
        (row,) = (row for row in rows if row[0] == name and len(row) > 8)
        assert f"{tests}/{tests}" in row
        assert row[-1] == "free"


def test_the_readme_shows_the_summary_of_the_run(replayed: Replay) -> None:
    shown = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in replayed.summary() if line not in shown] == []


def test_two_processes_give_the_same_figures(replayed: Replay, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    parallel = replay(copy_examples(tmp_path), "-n2")
    assert parallel.exit_code == 0, parallel.output
    # The named scores are listed in the order in which their tests finished.
    assert lines_in_any_order(parallel) == lines_in_any_order(replayed)
    assert by_node(parallel) == by_node(replayed)


def test_one_word_of_the_prompt_changed_is_shown_as_stale(tmp_path: Path) -> None:
    copy = copy_examples(tmp_path)
    source = copy / "tickets" / "test_tickets.py"
    text = source.read_text(encoding="utf-8")
    assert text.count("who writes the message") == 1
    source.write_text(text.replace("who writes the message", "who sent the message"), encoding="utf-8")
    result = replay(copy, "-k", "damaged-order")
    assert result.exit_code == 1
    assert "3 failed" in result.output
    cassette = "examples/tickets/llm_cassettes/test_tickets/gemma3/test_ticket[damaged-order].yaml"
    assert f"{cassette} is stale" in result.output
    assert "Extract who [-writes-] {+sent+} the message, the issue" in result.output
    test = "examples/tickets/test_tickets.py::test_ticket[gemma3-damaged-order]"
    assert f"pytest '{test}' --llm-record=stale" in result.output
    assert {record["outcome"] for record in result.records} == {"error"}


@pytest.mark.parametrize(
    ("score", "better", "worse"),
    [("ticket", "gemma3", "smollm2"), ("ticket without examples", "smollm2", "gemma3"), ("topic", "smollm2", "gemma3")],
)
def test_which_model_is_better_depends_on_the_task_as_the_readme_says(
    replayed: Replay, score: str, better: str, worse: str
) -> None:
    means = {
        name: fmean(record["scores"][score] for record in replayed.of(name) if score in record["scores"])
        for name in (better, worse)
    }
    assert means[better] > means[worse] + 0.1
    line = re.search(rf"^\| {score} +\|.*$", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    assert all(f"{mean:.2f}" in line[0] for mean in means.values())


def test_some_answers_are_cut_and_so_are_no_json(replayed: Replay) -> None:
    checked = sum(record["json_checked"] for record in replayed.of("gemma3"))
    valid = sum(record["json_valid"] for record in replayed.of("gemma3"))
    assert 0 < valid < checked


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The tickets with the two models, and with the candidates that are made of them."""
    copy = copy_examples(tmp_path_factory.mktemp("mixed"))
    return replay(copy, f"--llm-models={','.join(MIXED)}", what="examples/tickets/test_tickets.py::test_ticket")


def test_candidates_made_of_the_two_replay_beside_them_as_the_readme_shows(mixed: Replay) -> None:
    assert mixed.exit_code == 0, mixed.output
    shown = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in mixed.summary() if line not in shown] == []
    routed = mixed.output.splitlines()
    start = next(number for number, line in enumerate(routed) if "LLM routing" in line) + 1
    assert [
        line for line in routed[start : start + 10] if line and not line.startswith("=") and line not in shown
    ] == []


def test_the_verdict_on_the_two_models_is_the_one_that_the_readme_shows(tmp_path: Path) -> None:
    asked = ("min_quality_score=0.6", "max_latency_ms=2500", "data_privacy=strict", "output_format=json")
    options = [part for text in asked for part in ("--llm-require", text)]
    test = "examples/tickets/test_tickets.py::test_ticket"
    found = replay(copy_examples(tmp_path), *options, what=test)
    assert found.exit_code == 0, found.output
    told = found.output.partition(" LLM requirements ")[2].splitlines()[1:-1]
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    assert "\n".join(told).strip() in readme
    assert " ".join([f"pytest {test}", *(f"--llm-require {text}" for text in asked)]) in " ".join(readme.split())


def test_what_routers_ask_the_two_is_what_each_was_asked_alone(mixed: Replay) -> None:
    alone = {
        (record["case"], record["candidate"]): record["calls"][0]
        for name in ("smollm2", "gemma3")
        for record in mixed.of(name)
    }
    for name in ("sorted", "by-length"):
        for record in mixed.of(name):
            (call,) = record["calls"]
            own, served = alone[record["case"], call["served_by"]], call["calls"][-1]
            same = ("latency_ms", "input_tokens", "output_tokens", "digest", "recorded_at")
            assert [served[key] for key in same] == [own[key] for key in same]


def test_a_fallback_replays_what_was_given_up(mixed: Replay) -> None:
    whys = Counter(call["calls"][0]["why"] for record in mixed.of("in-time") for call in record["calls"])
    assert whys == {"timeout": 20, None: 4}


def test_every_recording_belongs_to_a_test(replayed: Replay, mixed: Replay) -> None:
    used = {record["cassette"] for record in [*replayed.records, *mixed.records]}
    assert used == {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.yaml")}


def test_the_recordings_are_small_and_hold_no_secret_and_no_path() -> None:
    scanner = SecretScanner({})
    size = 0
    for path in EXAMPLES.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        size += len(text.encode())
        assert scanner.find(text) == [], path
        assert not re.search(r"/home/|/Users/|/root/|/tmp/|[A-Z]:\\", text), path
    assert 0 < size < MOST_BYTES
