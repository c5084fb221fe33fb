"""Requirements: verdicts at the end of a run and of a kept one, and the run that fails where nobody meets them."""

from __future__ import annotations

import json

import pytest

from pytest_llmeval import load_run
from tests.integration.conftest import CHAT, Project
from tests.integration.test_runs_command import Command, llmeval

__all__ = ["llmeval"]

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(12))
def test_it(llm, n):
    llm.complete(f"question {n}")
    llm.record_score(1.0 if "dear" in llm.name else 0.5)
"""
REQUIREMENTS = """
[tool.llmeval.requirements]
min_quality_score = 0.8
max_cost_per_request = 0.01
requests_per_month = 1000
"""


@pytest.fixture
def two(project: Project) -> Project:
    project.write(TESTS)
    project.add_model("dear", CHAT.replace("input = 1.0", "input = 20.0"))
    return project


def words(result: pytest.RunResult) -> list[str]:
    return [" ".join(line.split()) for line in result.outlines]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_verdicts_stand_below_the_summary(two: Project, workers: tuple[str, ...]) -> None:
    two.add_settings(REQUIREMENTS)
    result = two.run(*workers, models="chat,dear")
    said = words(result)
    assert "chat: meets 1 of 2, $0.32 a month for 1,000 requests" in said
    assert "min_quality_score not met quality 0.50 < 0.80" in said
    assert any(line.startswith("cheapest dear meets all requirements, at $0.0026 a request") for line in said)
    assert "misses chat: quality 0.50 < 0.80; without that, it would save $0.00228 a request, $2.28 a month" in said
    assert result.ret == 0


def test_options_go_over_the_settings_key_by_key(two: Project) -> None:
    two.add_settings(REQUIREMENTS)
    said = words(two.run("--llm-require=min_quality_score=0.4", "--llm-require", "max_latency_ms=60000"))
    assert "chat: meets all requirements, $0.32 a month for 1,000 requests" in said
    assert any(line.startswith("max_latency_ms met") for line in said)


def test_requirements_that_are_not_met_fail_nothing_by_themselves(two: Project) -> None:
    result = two.run("--llm-require=min_quality_score=0.8")
    assert "No candidate meets" not in result.stdout.str()
    assert result.ret == 0


def test_nothing_is_said_where_nothing_is_required(two: Project) -> None:
    assert "LLM requirements" not in two.run().stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_run_in_which_no_candidate_meets_all_fails_if_asked_to(two: Project, workers: tuple[str, ...]) -> None:
    two.add_settings(REQUIREMENTS)
    result = two.run("--llm-require-fail", *workers)
    result.assert_outcomes(passed=12)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["No candidate meets all requirements (--llm-require-fail):", "  chat: quality 0.50 < 0.80"]
    )
    assert two.run("--llm-require-fail", models="chat,dear").ret == 0


def test_the_run_fails_also_where_the_summary_is_off_or_there_is_no_terminal(two: Project) -> None:
    two.add_settings(REQUIREMENTS)
    result = two.run("--llm-require-fail", "--llm-summary=off")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["No candidate meets all requirements*"])
    result = two.run("--llm-require-fail", "-pno:terminal")
    assert result.ret == 1
    result.stderr.fnmatch_lines(["No candidate meets all requirements*"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("max_latency=2", "*max_latency: unknown key. Did you mean 'max_latency_ms'?"),
        ("max_latency_ms", "*'max_latency_ms': write key=value: max_latency_ms=2000"),
        ("availability=2", "*availability: Input should be less than or equal to 1 (it is '2')"),
    ],
)
def test_requirements_that_cannot_be_used_end_the_run_before_it_begins(two: Project, written: str, said: str) -> None:
    result = two.run(f"--llm-require={written}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--llm-require: requirements that cannot be used:", said])
    assert two.server.asked == []


def test_failing_for_requirements_wants_some(two: Project) -> None:
    result = two.run("--llm-require-fail")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--llm-require-fail: nothing is required.*"])


def test_a_kept_run_is_judged_by_its_own_requirements_and_by_others_over_them(two: Project, llmeval: Command) -> None:
    two.run("--llm-save=main", "--llm-require=min_quality_score=0.8", "--llm-require=max_cost_per_request=0.01")
    header = load_run(two.path / ".llmeval" / "runs" / "main.jsonl").header
    assert header is not None
    assert header.requirements == {"max_cost_per_request": "0.01", "min_quality_score": 0.8}
    shown = " ".join(llmeval("show", "main").stdout.split())
    assert "min_quality_score not met quality 0.50 < 0.80" in shown
    shown = " ".join(llmeval("show", "main", "--require", "min_quality_score=0.5").stdout.split())
    assert "chat meets all requirements" in shown
    assert "### Requirements" in llmeval("export", "main", "--format=md").stdout
    done = llmeval("show", "main", "--require", "x")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "llmeval: --require: requirements that cannot be used:",
    )


def test_a_run_kept_without_requirements_can_be_judged_later(two: Project, llmeval: Command) -> None:
    two.add_settings(
        '[tool.llmeval.models.own]\nmodel = "vllm:llama"\nbase_url = "http://127.0.0.1:9/v1"\ncontext = 4096'
    )
    two.run("--llm-save=main")
    assert "requirements" not in llmeval("show", "main").stdout
    two.add_settings(REQUIREMENTS)
    assert "min_quality_score" in llmeval("show", "main").stdout


def test_hosting_and_context_travel_with_the_run(two: Project, llmeval: Command) -> None:
    two.add_model("own", 'model = "vllm:llama"\ncontext = 4096\nprices = "free"')
    two.run("--llm-save=main", models="own,chat")
    asked = ("--require=data_privacy=air-gapped", "--require=context_needed=8000")
    shown = [" ".join(line.split()) for line in llmeval("show", "main", *asked).stdout.splitlines()]
    assert "context_needed not met context 4,096 < 8,000 tokens" in shown
    assert "data_privacy met hosting local is air-gapped" in shown
    # The address of `chat` is a loopback one, but nobody said that what answers there is the user's own.
    assert "data_privacy not met hosting api is not air-gapped" in shown
    assert "context_needed unknown no catalog knows its context; set `context` for the model" in shown


def test_a_report_has_the_verdicts(two: Project) -> None:
    two.add_settings(REQUIREMENTS)
    two.run("--llm-report=run.md", "--llm-report=run.json")
    assert "| chat | min&#95;quality&#95;score | not met |" in (two.path / "run.md").read_text(encoding="utf-8")
    found = json.loads((two.path / "run.json").read_text(encoding="utf-8"))
    assert [(each["requirement"], each["status"]) for each in found["verdicts"]] == [
        ("max_cost_per_request", "met"),
        ("min_quality_score", "not met"),
    ]


def test_a_kept_run_knows_its_budget(two: Project, llmeval: Command) -> None:
    two.run("--llm-save=main", "--llm-max-cost=5")
    assert "$5.00: spent $0.00384" in llmeval("show", "main").stdout


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_requirements_count_where_models_are_chosen_in_the_configuration(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.write('[tool.pytest.ini_options]\nllm_models = ["chat"]\n', "pyproject.toml")
    model = f'[models.chat]\nbase_url = "{project.server.url}"\n{CHAT}\n'
    project.write(f"{model}[requirements]\nmin_quality_score = 0.8\n", "llmeval.toml")
    project.write(TESTS)
    assert "min_quality_score not met quality 0.50 < 0.80" in words(project.run(*workers, models=None))
