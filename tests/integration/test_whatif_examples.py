"""What is worked out of two real models' answers is what their routers did with the same recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_llmeval import load_run
from pytest_llmeval.records import Run
from pytest_llmeval.whatif import Key, Outcome, Outcomes, alone, outcomes_of, route
from tests.integration.test_examples import BLOCKED, copy_examples, run_as_ci

MODELS = ["smollm2", "gemma3"]
#: As the example's settings have it.
LONGER_THAN = 120


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the run of both models and of two routers between them, replayed."""
    folder = tmp_path_factory.mktemp("routed")
    copy_examples(folder)
    test = "examples/tickets/test_tickets.py::test_ticket"
    arguments = [test, "--llm-models=smollm2,gemma3,by-length,sorted", "--llm-report=run.jsonl"]
    done = run_as_ci(folder, "-m", "pytest", *BLOCKED, *arguments, columns=200)
    assert "96 passed" in done.stdout, done.stdout + done.stderr
    return load_run(folder / "run.jsonl")


@pytest.fixture(scope="module")
def lengths(run: Run) -> dict[str, int]:
    """Return the number of characters of each ticket."""
    lines = (Path(__file__).parents[2] / "examples/tickets/tickets.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: len(row["input"]) for row in map(json.loads, filter(None, lines))}


def served(run: Run, name: str) -> dict[str, str | None]:
    return {test.case or "": test.calls[0].served_by for test in run.tests if test.candidate == name}


def chosen(found: Outcomes, complex_cases: set[str], run: Run, ms: float = 0.0) -> dict[Key, Outcome]:
    keys = {id(by_name["smollm2"]): key for key, by_name in found.items()}
    cases = {test.nodeid: test.case for test in run.tests}

    def is_complex(outcome: Outcome) -> bool:
        name = keys[id(outcome)][0].partition("::")[2]
        return (
            next(case for nodeid, case in cases.items() if f"-{case}]" in nodeid and f"[{case}]" in name)
            in complex_cases
        )

    return dict(route(found, "smollm2", "gemma3", is_complex, "mine", ms=ms).outcomes)


def test_a_router_by_length_did_what_is_worked_out(run: Run, lengths: dict[str, int]) -> None:
    both, left_out = outcomes_of(run, MODELS)
    routed, _ = outcomes_of(run, ["by-length"])
    assert (len(both), left_out) == (24, 0)
    long = {case for case, length in lengths.items() if length > LONGER_THAN}
    assert 0 < len(long) < 24
    worked_out = chosen(both, long, run)
    assert {key: by_name["by-length"] for key, by_name in routed.items()} == worked_out
    assert {case for case, name in served(run, "by-length").items() if name == "gemma3"} == long
    assert alone(routed, "by-length").cost.amount == 0


def test_a_router_that_classifies_did_what_is_worked_out_but_for_what_classifying_took(run: Run) -> None:
    both, _ = outcomes_of(run, MODELS)
    routed, _ = outcomes_of(run, ["sorted"])
    hard = {case for case, name in served(run, "sorted").items() if name == "gemma3"}
    worked_out = chosen(both, hard, run)
    assert hard
    for key, by_name in routed.items():
        mix, own = by_name["sorted"], worked_out[key]
        assert (mix.score, mix.cost, mix.answered, mix.json_valid) == (
            own.score,
            own.cost,
            own.answered,
            own.json_valid,
        )
        assert mix.ms is not None
        assert own.ms is not None
        assert mix.ms > own.ms
