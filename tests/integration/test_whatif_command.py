"""``llmeval whatif``: mixes of the candidates of a kept run, with no new call."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tests.integration.conftest import Command, Project

TESTS = """
import pytest

CASES = [{"id": f"c{n}", "input": f"question {n}", "tags": ["complex"] if n % 4 == 0 else []} for n in range(12)]

@pytest.mark.llm_cases(CASES)
def test_it(llm_reply, llm_case, llm):
    wrong = llm.name == "chat" and "complex" in llm_case.tags
    llm.record_score(0.0 if wrong else 1.0)
    llm.record_score(0.2 if wrong else 0.9, name="confidence")
"""


@pytest.fixture
def kept(project: Project) -> None:
    project.add_model("large", 'model = "openai:large"\nprices = { input = 10.0, output = 100.0 }')
    project.write(TESTS)
    project.run("--llm-save=main", models="chat,large").assert_outcomes(passed=24)
    project.server.questions()


@pytest.mark.usefixtures("kept")
def test_mixes_are_worked_out_to_the_cent_with_no_new_call(command: Command, project: Project) -> None:
    done = command("whatif", "main", "--escalate=confidence<0.5", "--format=json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    mixes = {mix["name"]: mix for mix in found["mixes"]}
    # 120 tokens in and 20 out: $0.00032 with chat, $0.0032 with large.
    assert mixes["chat"]["total_cost_usd"] == str(12 * Decimal("0.00032"))
    cascade = mixes["chat, then large if confidence<0.5"]
    assert Decimal(cascade["total_cost_usd"]) == 12 * Decimal("0.00032") + 3 * Decimal("0.0032")
    assert (cascade["quality"]["mean"], cascade["other_asked"]) == (1.0, 0.25)
    route = mixes["large if complex, else chat"]
    assert Decimal(route["total_cost_usd"]) == 9 * Decimal("0.00032") + 3 * Decimal("0.0032")
    assert (route["quality"]["mean"], route["unbeaten"]) == (1.0, True)
    assert (found["cases"], found["left_out"], found["best"]) == (12, 0, None)
    assert project.server.questions() == []


@pytest.mark.usefixtures("kept")
def test_figures_intervals_a_chart_and_the_best_are_shown_in_80_columns(command: Command) -> None:
    done = command("whatif", "main", "--requirements", "min_quality_score=0.9", "requests_per_month=1M")
    assert done.status == 0, done.err
    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    assert "95% intervals" in done.out
    assert "quality\n  1.00 |" in done.out
    text = " ".join(done.out.split())
    assert "best large if complex, else chat: the cheapest that meets all requirements" in text
    assert "$1,040.00 a month" in text
    assert "as if a router knew it at no cost" in text


def test_who_answers_nothing_is_told_and_not_recommended(command: Command, project: Project) -> None:
    project.add_model("refused", 'model = "openai:refused"\nprices = { input = 1.0, output = 1.0 }\nmax_retries = 0')
    project.server.fault = lambda body: 401 if body["model"] == "refused" else 0  # type: ignore[method-assign]
    project.write(TESTS + "\ndef test_idle(llm):\n    pass\n")
    project.run("--llm-save=main", models="refused,chat").assert_outcomes(passed=14, errors=12)
    done = command("whatif", "main", "--requirements", "min_quality_score=0.5", width=100)
    assert done.status == 0, done.err
    text = " ".join(done.out.split())
    assert "best chat: the cheapest that meets all requirements" in text
    assert "refused answered nothing: no mix is chosen" in text
    assert "1 case left out, since the test asked nothing" in text
    assert "cascades on invalid JSON cannot be worked out" in text
    rows = [line.split()[1:] for line in done.out.splitlines()]
    assert ["refused", "-", "0%", "-", "-", "-"] in rows
    found = json.loads(command("whatif", "main", "--format=json").out)
    mixes = {mix["name"]: mix for mix in found["mixes"]}
    assert mixes["refused if complex, else chat"]["availability"] == 0.75
    assert (found["cases"], found["samples"], found["without_calls"]) == (12, 12, 1)


def test_a_run_that_asked_nothing_has_no_mixes(command: Command, project: Project) -> None:
    project.add_model("large", 'model = "openai:large"')
    project.write("def test_idle(llm):\n    pass\n")
    project.run("--llm-save=main", models="chat,large").assert_outcomes(passed=2)
    assert "the tests of this run asked nothing" in command("whatif", "main").err


@pytest.mark.usefixtures("kept")
def test_one_candidate_is_no_mix_and_a_strange_one_is_told(command: Command) -> None:
    assert "a mix takes two candidates at least" in command("whatif", "main", "--models=chat").err
    assert "Did you mean 'large'?" in command("whatif", "main", "--models=chat,larg").err
    assert "write the name of a score and a limit" in command("whatif", "main", "--escalate=low").err
