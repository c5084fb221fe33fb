"""A run in GitHub Actions: the summary of its step, and annotations in its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Project

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_it(llm, n):
    reply = llm.complete(f"question {n}")
    assert n, "bad | <b>\\n::error::x"
"""


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch, project: Project) -> Path:
    path = project.path / "summary.md"
    path.write_text("# Before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    project.write(TESTS)
    return path


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_the_summary_of_the_step_and_annotations(
    project: Project, summary: Path, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = project.run(*workers, "--llm-fail-on=pass<1")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Before\n## LLM evaluation\n")
    assert "| chat | 0.67 |" in text
    assert "❌ **gate** failed: pass&lt;1" in text
    commands = [line for line in result.outlines if line.startswith("::")]
    assert commands == [
        "::error title=LLM gate::The run fails its gate (--llm-fail-on):%0A"
        "  chat: pass 0.667 (95%25 0.208 to 0.939), limit pass<1",
        f"::error file={project.path.name}/test_chat.py,line=4,title=LLM%3A chat::"
        "test_it: 1 of 3 failed: test_it[0]: bad | <b>",
    ]
    assert result.ret == 1


def test_the_summary_alone_is_no_reason_for_annotations(project: Project, summary: Path) -> None:
    result = project.run()
    assert "::error" not in "".join(line for line in result.outlines if line.startswith("::"))
    assert "### " not in summary.read_text(encoding="utf-8")
    assert "## LLM evaluation" in summary.read_text(encoding="utf-8")


def test_a_run_without_a_candidate_leaves_nothing(project: Project, summary: Path) -> None:
    project.write("def test_it():\n    pass\n")
    project.run()
    assert summary.read_text(encoding="utf-8") == "# Before\n"


def test_it_is_written_once_also_without_a_terminal(project: Project, summary: Path) -> None:
    project.run("-pno:terminal")
    assert summary.read_text(encoding="utf-8").count("## LLM evaluation") == 1


def test_a_summary_that_cannot_be_written_is_told_and_fails_nothing(
    project: Project, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary / "no" / "folder"))
    project.write("def test_it(llm):\n    llm.complete('x')\n")
    result = project.run()
    assert result.ret == 0
    result.stderr.fnmatch_lines(["llmeval: the summary of the step could not be written: *"])


def test_no_secret_is_in_it(project: Project, summary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("BANK_API_KEY", "9fX2mQ7bTz")
    project.write("import os\n\ndef test_it(llm):\n    llm.complete('x')\n    assert 0, os.environ['BANK_API_KEY']\n")
    result = project.run("--llm-record=live")
    assert "9fX2mQ7bTz" not in summary.read_text(encoding="utf-8")
    assert "9fX2mQ7bTz" not in "".join(line for line in result.outlines if line.startswith("::"))


def test_the_summary_has_the_comparison(project: Project, summary: Path) -> None:
    project.run("--llm-save=main")
    summary.write_text("", encoding="utf-8")
    project.run("--llm-compare=main")
    text = summary.read_text(encoding="utf-8")
    assert text.index("## LLM evaluation") < text.index("## LLM comparison")
    assert "the same in all 3 cases" in text
