"""``llmeval checklist``: a kept run held against the checklist of choosing a model."""

from __future__ import annotations

import json

from tests.integration.conftest import Command, Project

TESTS = """
import pytest
from pytest_llmeval import assert_json

@pytest.mark.parametrize("n", range(3))
def test_it(llm, n):
    assert_json(llm.complete(f"question {n}"))
"""


def test_each_line_is_answered_from_the_run(command: Command, project: Project) -> None:
    project.write(TESTS)
    project.outcomes("--llm-save=main", passed=3)
    done = command("checklist", "main", "--requirements", "max_latency_ms=3000")
    assert done.status == 0, done.err
    text = " ".join(done.out.split())
    assert "acceptable latency yes max_latency_ms 3,000; measured: p95 chat" in text
    assert "at least 20 cases no 3 for each candidate" in text
    assert "JSON success rate yes chat 100%" in text
    assert "compliance can't tell" in text
    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    found = json.loads(command("checklist", "main", "--format=json").out)
    assert {"section": "tests", "line": "at least 3 candidates", "status": "no", "evidence": "1: chat"} in found


def test_a_run_that_is_not_there_is_told(command: Command) -> None:
    done = command("checklist", "nothing")
    assert (done.status, "neither a file nor a kept run" in done.err) == (2, True)
