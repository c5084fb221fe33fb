"""``llmeval shortlist``: steps with their reasons, candidates, and a line that can be pasted."""

from __future__ import annotations

import json

from tests.integration.conftest import Command, Project

EXAMPLE = [
    "max_latency_ms=3000",
    "max_cost_per_request=0.01",
    "min_quality_score=0.85",
    "context_needed=8000",
    "data_privacy=standard",
    "output_format=json",
    "requests_per_month=500000",
    "availability=0.999",
]


def test_the_steps_the_candidates_and_a_ready_line_are_shown(command: Command) -> None:
    done = command("shortlist", "--requirements", *EXAMPLE, "--catalog=reference", width=120)
    assert done.status == 0
    text = " ".join(done.out.split())
    assert "1. Must data stay on your own infrastructure? no, data_privacy is standard" in text
    assert "6. Code-heavy or instruction-following? no, nothing was said of the task: GPT-4o" in text
    assert "GPT-4o, step 6; $0.00875 a request, $4,375.00 a month" in text
    assert "in doubt: typically 6.5 s for 500 tokens > 3.0 s" in text
    assert "so do min_quality_score 0.85, output_format json, availability 0.999" in text
    assert done.out.splitlines()[-1] == (
        "pytest --llm-models=openai:gpt-4o,mistral:mistral-small-latest,gemini:gemini-2.0-flash"
    )


def test_the_ready_line_names_candidates_that_pytest_takes(command: Command, project: Project) -> None:
    line = command("shortlist", "--requirements", "data_privacy=strict").out.splitlines()[-1]
    project.write("def test_it(llm):\n    assert llm.name\n")
    result = project.run(line.removeprefix("pytest "), models=None)
    result.assert_outcomes(passed=3)


def test_prices_of_today_and_models_of_the_settings_count_without_a_catalog(command: Command, project: Project) -> None:
    done = command("shortlist", "--task=reasoning", "--format=json")
    found = json.loads(done.out)
    assert [each["id"] for each in found["candidates"]][:2] == ["openai:o3", "anthropic:claude-opus-4-20250514"]
    assert found["candidates"][0]["per_request_usd"] == "0.007"
    assert found["candidates"][2]["id"] == "chat"


def test_lines_fit_80_columns_but_for_the_one_that_is_pasted(command: Command) -> None:
    lines = command("shortlist", "--requirements", *EXAMPLE).out.splitlines()
    assert [line for line in lines[:-1] if len(line) > 80] == []


def test_requirements_of_the_settings_hold_and_the_command_line_goes_first(command: Command, project: Project) -> None:
    project.add_settings("[tool.llmeval.requirements]\ncontext_needed = 500_000\nmax_latency_ms = 9_000")
    steps = json.loads(command("shortlist", "--format=json").out)["steps"]
    assert (steps[1]["answer"], steps[1]["why"]) == ("yes", "context_needed is 500,000")
    steps = json.loads(command("shortlist", "--requirements", "context_needed=128K", "--format=json").out)["steps"]
    assert (steps[1]["answer"], steps[1]["why"]) == ("no", "context_needed is 128,000")
    assert steps[3]["why"] == "max_latency_ms is 9,000"


def test_what_cannot_be_used_is_told(command: Command) -> None:
    done = command("shortlist", "--requirements", "max_latency=3", "availability=2")
    assert done.status == 2
    assert "availability: Input should be less than or equal to 1" in done.err
    assert "Did you mean 'max_latency_ms'?" in done.err
