"""Candidates whose id may become another model without notice: told once, or refused."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_it(llm, n):
    llm.complete(f"question {n}")
"""


@pytest.fixture(autouse=True)
def moving(project: Project) -> None:
    project.write(TESTS)
    project.add_model("moving", 'model = "openai:chat-latest"\nprices = "free"')
    project.add_model("other", 'model = "openai:other-latest"\nprices = "free"')


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_an_alias_is_told_of_once(project: Project, workers: tuple[str, ...]) -> None:
    result = project.run(*workers, models="chat,moving")
    result.assert_outcomes(passed=6)
    lines = [line for line in result.outlines if line.startswith("unpinned")]
    assert len(lines) == 1
    assert "moving = chat-latest: may become another model without notice" in lines[0]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_of_a_mix_its_members_are_told(project: Project, workers: tuple[str, ...]) -> None:
    project.add_settings('[tool.llmeval.models.safe]\nfallback = ["moving", "other", "chat"]')
    result = project.run(*workers, models="safe")
    (line,) = (line for line in result.outlines if line.startswith("unpinned"))
    assert "moving = chat-latest in safe, other = other-latest in safe: may become" in line


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_aliases_are_refused_all_at_once_where_ids_have_to_be_pinned(
    project: Project, workers: tuple[str, ...]
) -> None:
    result = project.run("--llm-require-pinned", *workers, models="chat,moving,other")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = "\n".join([*result.errlines, *result.outlines])
    assert "moving (model chat-latest), other (model other-latest): may become another model without notice" in text
    assert "Traceback" not in text
    assert project.server.questions() == []


def test_a_pinned_candidate_runs_where_ids_have_to_be_pinned(project: Project) -> None:
    project.run("--llm-require-pinned", models="chat").assert_outcomes(passed=3)
