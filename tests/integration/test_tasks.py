"""Tests that say which task of the application they are for, and the commands that choose a model for each."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from tests.integration.conftest import Command, Project

TESTS = """
import pytest

@pytest.mark.llm_task("sorting")
@pytest.mark.parametrize("n", range(3))
def test_sort(llm, n):
    llm.complete(f"sort {n}")

@pytest.mark.llm_task("reasoning")
class TestReasoning:
    @pytest.mark.parametrize("n", range(3))
    def test_reason(self, llm, n):
        llm.complete(f"reason {n}", max_tokens=7)
        llm.record_score(0.9 if llm.name == "large" else 0.5)

    @pytest.mark.llm_params(temperature=0.9)
    def test_wild(self, llm):
        llm.complete("wild")

def test_other(llm):
    llm.complete("other")
"""
SETTINGS = """
[tool.llmeval.tasks.sorting]
model = "chat"
temperature = 0.3
max_tokens = 50

[tool.llmeval.tasks.reasoning]
model = "large"
max_tokens = 8192
parameters = { top_p = 0.5 }
"""


@pytest.fixture(autouse=True)
def two_models(project: Project) -> None:
    project.add_model("large", 'model = "openai:large"\nprices = { input = 10.0, output = 100.0 }')
    project.write(TESTS)


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_task_says_how_its_tests_ask(project: Project, workers: tuple[str, ...]) -> None:
    project.add_settings(SETTINGS)
    project.run(*workers, models="chat").assert_outcomes(passed=8)
    asked = {body["messages"][-1]["content"]: body for body in project.server.asked}
    assert (asked["sort 1"]["temperature"], asked["sort 1"]["max_tokens"]) == (0.3, 50)
    # What a test says itself goes first.
    assert (asked["reason 1"]["max_tokens"], asked["reason 1"]["top_p"]) == (7, 0.5)
    assert (asked["wild"]["temperature"], asked["wild"]["max_tokens"]) == (0.9, 8192)
    assert (asked["other"]["temperature"], asked["other"]["max_tokens"]) == (0.0, 1024)
    tasks = {test.nodeid.partition("[")[0]: test.task for test in project.records().tests}
    assert set(tasks.values()) == {"sorting", "reasoning", None}
    assert tasks["test_chat.py::TestReasoning::test_wild"] == "reasoning"


def test_without_chosen_candidates_each_task_asks_its_own_model(project: Project) -> None:
    project.add_settings(SETTINGS)
    result = project.run(models=None)
    result.assert_outcomes(passed=7, errors=1)
    models = {body["messages"][-1]["content"]: body["model"] for body in project.server.asked}
    assert (models["sort 0"], models["reason 0"]) == ("chat", "large")
    assert "other" not in models


def test_chosen_candidates_are_all_asked_whatever_the_task_says(project: Project) -> None:
    project.add_settings(SETTINGS)
    project.run(models="chat,large").assert_outcomes(passed=16)


def test_a_task_replays_what_it_recorded(project: Project) -> None:
    project.add_settings(SETTINGS)
    project.run(models="chat").assert_outcomes(passed=8)
    project.server.questions()
    project.run("--llm-record=none", models="chat").assert_outcomes(passed=8)
    assert project.server.questions() == []


def test_a_task_that_is_not_in_the_settings_is_told_at_collection(project: Project) -> None:
    project.add_settings(SETTINGS.replace("tasks.sorting", "tasks.sortng"))
    result = project.run("--strict-markers")
    assert "Did you mean 'sortng'?" in "\n".join(result.outlines)
    assert "Add [tool.llmeval.tasks.sorting]" in "\n".join(result.outlines)
    assert project.server.questions() == []


def test_the_summary_has_a_line_for_each_task(project: Project) -> None:
    result = project.run(models="chat,large")
    lines = [re.sub(r" +", " ", line).removeprefix("tasks ").strip() for line in result.outlines]
    assert any(line.startswith("reasoning: large 0.93 (") and "chat 0.62" in line for line in lines)
    assert any(line.startswith("sorting: chat 1.00 (") for line in lines)


def test_the_best_model_for_each_task_is_shown_with_what_a_month_costs(command: Command, project: Project) -> None:
    project.run("--llm-save=main", models="chat,large").assert_outcomes(passed=16)
    done = command("tasks", "main", "--requests", "sorting=1M", "reasoning=10K")
    assert done.status == 0, done.err
    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    assert re.search(r"^reasoning +large +10,000 +\$32.00$", done.out, re.MULTILINE)
    assert re.search(r"^sorting +chat +1,000,000 +\$320.00$", done.out, re.MULTILINE)
    assert re.search(r"^the best for each task +\$352.00$", done.out, re.MULTILINE)
    assert re.search(r"^chat for all +\$323.20$", done.out, re.MULTILINE)
    assert re.search(r"^large for all +\$3,232.00$", done.out, re.MULTILINE)
    found = json.loads(command("tasks", "main", "--requirements", "min_quality_score=0.6", "--format=json").out)
    assert {task["task"]: task["best"] for task in found["tasks"]} == {"reasoning": "chat", "sorting": "chat"}


def test_candidates_without_a_case_in_common_are_told(command: Command, project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.mark.llm_task("sorting")
        @pytest.mark.llm_models("chat")
        def test_one(llm):
            llm.complete("one")

        @pytest.mark.llm_task("sorting")
        @pytest.mark.llm_models("large")
        def test_other(llm):
            llm.complete("other")
        """
    )
    project.run("--llm-save=main", models=None).assert_outcomes(passed=2)
    assert "sorting: no case has a result of each candidate" in " ".join(command("tasks", "main").out.split())
    (task,) = json.loads(command("tasks", "main", "--models=large", "--format=json").out)["tasks"]
    assert (task["cases"], task["best"]) == (1, "large")


def test_settings_are_suggested_that_pytest_takes(command: Command, project: Project) -> None:
    project.run("--llm-save=main", models="chat,large").assert_outcomes(passed=16)
    done = command("settings", "--suggest=main")
    assert done.status == 0, done.err
    tasks = tomllib.loads(done.out)["tool"]["llmeval"]["tasks"]
    assert tasks == {"reasoning": {"model": "large"}, "sorting": {"model": "chat"}}
    project.add_settings(done.out)
    project.server.questions()
    project.run(models=None).assert_outcomes(passed=7, errors=1)
    assert project.server.questions() == []


def test_suggestions_are_written_into_the_settings_as_they_stand(command: Command, project: Project) -> None:
    project.run("--llm-save=main", models="chat,large").assert_outcomes(passed=16)
    path = project.path / "pyproject.toml"
    project.add_settings("# ours\n[tool.llmeval.tasks.reasoning]\nmodel = 'chat' # for now\ntemperature = 0\n")
    was = path.read_text("utf-8")
    path.chmod(0o640)
    told = command("settings", "--suggest=main")
    assert tomllib.loads(told.out)["tool"]["llmeval"]["tasks"]["reasoning"] == {"model": "large", "temperature": 0}
    assert path.read_text("utf-8") == was
    done = command("settings", "--suggest=main", "--write")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "pyproject.toml: reasoning: chat → large", "pyproject.toml: sorting: none → chat",
    ]  # fmt: skip
    now = path.read_text("utf-8")
    assert now.startswith(was.replace("'chat' # for now", '"large" # for now'))
    assert path.stat().st_mode & 0o777 == 0o640
    project.server.questions()
    project.run(models=None).assert_outcomes(passed=7, errors=1)
    assert project.server.questions() == []
    again = command("settings", "--suggest=main", "--write")
    assert "reasoning: large, as before" in again.out
    assert path.read_text("utf-8") == now


def test_a_run_without_tasks_suggests_nothing_and_says_why(command: Command, project: Project) -> None:
    project.write("def test_it(llm):\n    llm.complete('hi')\n")
    project.run("--llm-save=main").assert_outcomes(passed=1)
    done = command("settings", "--suggest=main")
    assert (done.status, "no test of this run names a task" in done.err) == (2, True)
    assert "write a number, such as" in command("tasks", "main", "--requests", "sorting=lots").err


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_each_task_has_a_verdict_of_its_own_that_can_fail_the_run(
    command: Command, project: Project, workers: tuple[str, ...]
) -> None:
    project.add_settings(
        "[tool.llmeval.tasks.reasoning]\nrequirements = { min_quality_score = 0.8 }\n[tool.llmeval.tasks.sorting]"
    )
    asked = ["--llm-require-fail", "--llm-save=main", *workers]
    failed = project.run(*asked, models="chat")
    assert failed.ret == 1
    failed.stdout.fnmatch_lines([
        "*LLM requirements*",
        "reasoning",
        "chat: meets 0 of 1",
        "  min_quality_score  not met*quality 0.62 < 0.80",
        "No candidate meets all requirements of reasoning (--llm-require-fail):",
        "  chat: quality 0.62 < 0.80",
    ])  # fmt: skip
    assert "quality 0.62 < 0.80" in command("show", "main").out
    assert "meets all requirements" in command("show", "main", "--require=min_quality_score=0.6").out
    assert project.run(*asked, models="chat,large").ret == 0
    # What is asked of the whole project is asked of each task that says nothing else.
    project.add_settings("[tool.llmeval.requirements]\nmin_quality_score = 0.5\nmax_cost_per_request = 0.001")
    told = project.run("--llm-report=run.md", models="chat,large").stdout.str()
    verdicts = told.partition(" LLM requirements ")[2]
    assert [line for line in verdicts.splitlines() if line in ("(no task)", "reasoning", "sorting")] == [
        "(no task)", "reasoning", "sorting",
    ]  # fmt: skip
    assert "### Requirements: reasoning" in (project.path / "run.md").read_text("utf-8")
    rows = [line.strip() for line in verdicts.partition("reasoning")[2].partition("sorting")[0].splitlines()]
    assert "chat: meets 1 of 2" in rows
    assert "large: meets 1 of 2" in rows
