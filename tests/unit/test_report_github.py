"""Annotations for GitHub Actions."""

from __future__ import annotations

from typing import Any

from pytest_llmeval.gate import Gate, Measured, hold, parse_conditions
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports.github import MOST, command, workflow_commands
from pytest_llmeval.stats.differences import Estimate


def record(n: int, outcome: str = "failed", test: str = "tests/test_x.py::test_x", **changes: Any) -> TestRecord:
    return TestRecord(f"{test}[a-case{n}]", "a", outcome, score=0.0, **{"case": f"case{n}", **changes})


def test_failing_cases_of_a_test_and_candidate_are_one_annotation() -> None:
    tests = [record(1, message="no JSON\nmore"), record(2), record(3, "passed"), record(4, "error")]
    lines = {test.nodeid: 7 for test in tests}
    assert workflow_commands(Run(tests=tests), lines, folder="app") == [
        "::error file=app/tests/test_x.py,line=7,title=LLM%3A a::"
        "test_x: 3 of 4 failed: case1, case2, case4: no JSON"
    ]  # fmt: skip


def test_nothing_is_said_of_a_run_that_is_fine() -> None:
    assert workflow_commands(Run(tests=[record(1, "passed"), record(2, "skipped")]), {}) == []


def test_what_a_model_wrote_is_no_command_and_steers_nothing() -> None:
    hostile = "\x1b[31m bad%0A\r\n::set-output name=x::y\u2028::error::z"
    (line,) = workflow_commands(Run(tests=[record(1, message=hostile, case="a,b\n::x::")]), {})
    assert len(line.splitlines()) == 1
    assert line.endswith(r": a,b %0A::x::: \x1b[31m bad%250A".replace(" %0A", "%0A"))
    assert "set-output" not in line


def test_a_property_cannot_end_early() -> None:
    assert command("error", "x", file="a,line=1::y\n%") == "::error file=a%2Cline=1%3A%3Ay%0A%25::x"


def test_the_gate_is_an_error_and_what_may_be_noise_a_warning() -> None:
    conditions = parse_conditions("score<0.9")
    noise = {"a": {"score": Measured(Estimate(0.85, 0.7, 0.95))}}
    gate = Gate(tuple(conditions), outcomes=tuple(hold(conditions, noise)))
    found = workflow_commands(Run(tests=[record(1, "passed")], gate=gate), {}, failing=["No candidate", "  a: b"])
    assert found[0] == "::error title=LLM gate::No candidate%0A  a: b"
    assert found[1].startswith("::warning title=LLM gate::Not established, and so no failure")


def test_one_that_is_known_to_fail_is_a_notice_if_it_passes_and_nothing_if_not() -> None:
    found = workflow_commands(
        Run(tests=[record(1, "xfailed", known_failing=""), record(2, "xpassed", known_failing="")]), {}
    )
    assert found == ["::notice title=LLM known failing::case2 passed with a: take llm_known_failing away?"]


def test_no_more_are_written_than_github_shows() -> None:
    tests = [record(1, test=f"t.py::test_{n}") for n in range(30)]
    assert len(workflow_commands(Run(tests=tests), {})) == MOST
