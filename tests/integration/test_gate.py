"""``--llm-fail-on``: conditions that fail a run though its tests pass."""

from __future__ import annotations

import pytest

from pytest_llmeval import load_run
from tests.integration.conftest import CHAT, Project

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(12))
def test_it(llm, n):
    llm.complete(f"question {n}")
    llm.record_score(0.6)
"""


@pytest.fixture
def passing(project: Project) -> Project:
    project.write(TESTS)
    return project


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_condition_that_holds_fails_the_run_and_names_candidate_figure_and_limit(
    passing: Project, workers: tuple[str, ...]
) -> None:
    result = passing.run("--llm-fail-on=score<0.95, pass<0.2", "--llm-save=main", *workers)
    result.assert_outcomes(passed=12)
    assert result.ret == 1
    result.stdout.fnmatch_lines([
        "gate  failed: score<0.95, pass<0.2",
        "The run fails its gate (--llm-fail-on):",
        "  chat: score 0.600 (95% 0.333 to 0.818), limit score<0.95",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("  chat: pass*")
    end = load_run(passing.path / ".llmeval" / "runs" / "main.jsonl").end
    assert end is not None
    assert end.exit_status == 1


def test_a_run_that_keeps_its_limits_passes(passing: Project) -> None:
    result = passing.run("--llm-fail-on=score<0.5")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["gate  passed: score<0.5"])


def test_what_may_be_noise_fails_a_strict_gate_alone(passing: Project) -> None:
    result = passing.run("--llm-fail-on=score<0.7")
    assert result.ret == 0
    result.stdout.fnmatch_lines([
        "Not established, and so no failure (--llm-gate=strict fails for it):",
        "  chat: score 0.600 (95% 0.333 to 0.818), limit score<0.7, which may be noise",
    ])  # fmt: skip
    assert passing.run("--llm-fail-on=score<0.7", "--llm-gate=strict").ret == 1


def test_a_gate_can_stand_in_the_configuration_and_the_command_line_goes_before(passing: Project) -> None:
    passing.write('[tool.pytest.ini_options]\nllm_fail_on = "score<0.95"\nllm_gate = "strict"\n', "pyproject.toml")
    passing.add_model("chat", CHAT)
    assert passing.run().ret == 1
    assert passing.run("--llm-fail-on=score<0.5").ret == 0


def test_a_cost_that_nobody_knows_fails_a_limit_on_it(passing: Project) -> None:
    passing.add_model("inhouse", 'model = "openai:chat"')
    result = passing.run("--llm-fail-on=cost>5", models="inhouse")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["  inhouse: cost is unknown (12 calls unpriced), limit cost>5"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("scores<1", "*unknown figure 'scores'. Did you mean 'score'?*"),
        ("", "*a condition is a figure, one of < <= > >=, and a number*"),
        ("score<-0.02", "*score<-0.02: a change needs a run to compare with: --llm-compare=NAME*"),
        ("p95>20%, pass<0.9", "*p95>20%: a change needs a run to compare with*"),
    ],
)
def test_conditions_that_cannot_be_used_end_the_run_before_it_begins(passing: Project, written: str, said: str) -> None:
    result = passing.run(f"--llm-fail-on={written}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert passing.server.asked == []


def test_a_failing_test_keeps_its_exit_status_and_the_gate_is_told_too(passing: Project) -> None:
    passing.write(f"{TESTS}    assert n != 3\n")
    result = passing.run("--llm-fail-on=score<0.95")
    result.assert_outcomes(passed=11, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["The run fails its gate (--llm-fail-on):"])


def test_a_run_without_a_candidate_measures_nothing(passing: Project) -> None:
    passing.write("def test_it():\n    pass\n")
    assert passing.run("--llm-fail-on=score<0.95").ret == 0


def test_the_markdown_report_has_the_gate(passing: Project) -> None:
    passing.run("--llm-fail-on=score<0.95", "--llm-report=run.md")
    text = (passing.path / "run.md").read_text(encoding="utf-8")
    assert "❌ **gate** failed: score&lt;0.95" in text
    assert "- chat: score 0.600 (95% 0.333 to 0.818), limit score&lt;0.95" in text


def test_conditions_on_changes_in_the_configuration_are_left_out_where_nothing_is_compared(passing: Project) -> None:
    passing.write('[tool.pytest.ini_options]\nllm_fail_on = "score<-0.02, score<0.5"\n', "pyproject.toml")
    passing.add_model("chat", CHAT)
    result = passing.run()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["gate  passed: score<0.5; no run to compare with, so not looked at: score<-0.02"])


@pytest.fixture
def worse(project: Project) -> Project:
    """A project whose kept run `main` was better: 12 of 12 passed, and now 4."""
    tests = TESTS.replace("    llm.record_score(0.6)\n", "    assert n not in BAD\n")
    project.write(f"BAD = set()\n{tests}")
    project.run("--llm-save=main")
    project.write(f"BAD = set(range(8))\n{tests}")
    return project


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_change_since_the_baseline_fails_the_run(worse: Project, workers: tuple[str, ...]) -> None:
    result = worse.run("--llm-compare=main", "--llm-fail-on=score<-0.02, p95>1000%, cost>10%", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines([
        "The run fails its gate (--llm-fail-on):",
        "  chat: score -0.667 (95% -0.* to -0.*), limit score<-0.02",
    ])  # fmt: skip
    result.stdout.no_fnmatch_line("  chat: cost*")


def test_a_change_that_may_be_noise_fails_a_strict_gate_alone(worse: Project) -> None:
    worse.write((worse.path / "test_chat.py").read_text().replace("range(8)", "range(1)"))
    result = worse.run("--llm-compare=main", "--llm-fail-on=score<-0.02")
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["  chat: score -0.083 (95% -0.* to +0.*), limit score<-0.02, which may be noise"])
    strict = worse.run("--llm-compare=main", "--llm-fail-on=score<-0.02", "--llm-gate=strict")
    strict.stdout.fnmatch_lines(["The run fails its gate (--llm-fail-on):"])


def test_a_candidate_that_the_baseline_does_not_have_is_told(worse: Project) -> None:
    worse.add_model("other", CHAT)
    worse.write((worse.path / "test_chat.py").read_text().replace("range(8)", "()"))
    result = worse.run("--llm-compare=main", "--llm-fail-on=score<-0.02", models="chat,other")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["  other: score is unknown (the baseline does not have the candidate), limit score<-0.02"]
    )


def test_cases_that_are_known_to_fail_by_now_are_not_compared(worse: Project) -> None:
    text = (worse.path / "test_chat.py").read_text()
    worse.write(text.replace("@pytest.mark.param", "@pytest.mark.llm_known_failing()\n@pytest.mark.param"))
    result = worse.run("--llm-compare=main", "--llm-fail-on=score<-0.02")
    assert result.ret == 0
