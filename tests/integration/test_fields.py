"""The table of fields at the end of a run."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import CHAT, Project

TESTS = """
import pytest
from pytest_llmeval import score_fields

@pytest.mark.llm_cases("cases.jsonl")
def test_it(llm_reply, llm_case):
    score_fields(llm_reply, llm_case.expected)
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_fields_that_are_missed_are_shown_with_the_worst_cases(project: Project, workers: tuple[str, ...]) -> None:
    project.add_model("other", CHAT)
    cases = [{"id": f"case{n}", "input": f"q{n}", "expected": {"echo": f"q{n}", "total": 3}} for n in range(3)]
    project.write("\n".join(map(json.dumps, cases)), "cases.jsonl")
    project.write(TESTS)
    result = project.run(*workers, models="chat,other")
    result.stdout.fnmatch_lines([
        "*= LLM fields =*",
        "field  chat  other",
        "total  0.00   0.00",
        "echo   1.00   1.00",
        "missed  total is what chat misses: 0.00, the other fields 1.00 and more",
        "worst   chat, case0 0.50 (total): llm_cassettes/test_chat/chat/test_it[[]case0].yaml",
    ])  # fmt: skip
    assert "LLM fields" not in project.run("--llm-summary=off").stdout.str()
    assert "LLM fields" not in project.run("-q").stdout.str()
