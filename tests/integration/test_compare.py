"""``--llm-compare`` and ``llmeval compare``: what got better or worse since an earlier run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_llmeval import load_run
from tests.integration.conftest import Project
from tests.integration.test_runs_command import Command, llmeval  # noqa: F401 - a fixture

TESTS = """
import pytest

BAD = set()

@pytest.mark.parametrize("n", range(12))
def test_it(llm, n):
    llm.complete(f"question {n}")
    assert n not in BAD
"""
WORSE = TESTS.replace("set()", "{1, 2, 3, 4, 5, 6, 7, 8}")


def section(result: pytest.RunResult) -> str:
    """Return what the report says of the comparison, with the lines of each text joined."""
    text = result.stdout.str().partition(" LLM comparison ")[2].partition("\n===")[0]
    return " ".join(text.split())


def git(project: Project, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    done = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=True)
    return done.stdout


def commit(project: Project) -> None:
    if not (project.path / ".git").exists():
        git(project, "init", "-q", "-b", "main")
        project.write("__pycache__/\n", ".gitignore")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "x")


def worktrees(project: Project) -> int:
    return len(git(project, "worktree", "list").splitlines())


def test_a_run_is_compared_with_the_one_that_was_kept(project: Project) -> None:
    project.write(TESTS)
    assert section(project.run("--llm-save=main")) == ""
    project.write(WORSE)
    told = section(project.run("--llm-compare=main"))
    assert "before main: 20" in told
    assert "chat 1.00 → 0.33 (−0.67, 95% −" in told
    assert "): worse. 8 cases lost: test_it[1], test_it[2]" in told
    project.write(TESTS)
    assert "chat 1.00 → 1.00: the same in all 12 cases" in section(project.run("--llm-compare=main"))


def test_a_run_that_takes_the_name_of_its_baseline_is_compared_with_what_was_there(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    project.write(WORSE)
    arguments = ["--llm-save=main", "--llm-compare=main"]
    assert "1.00 → 0.33" in section(project.run(*arguments))
    assert "0.33 → 0.33: the same" in section(project.run(*arguments))


def test_a_file_will_do_and_workers_make_no_difference(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-report=old.json")
    project.write(WORSE)
    alone = section(project.run("--llm-compare=old.json"))
    assert "1.00 → 0.33" in alone
    assert section(project.run("--llm-compare=old.json", "-n2")) == alone


def test_what_was_not_run_or_is_new_is_named(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    told = section(project.run("--llm-compare=main", "-k", "not 10"))
    assert "1 case not in the later run: test_it[10]" in told
    project.write(TESTS.replace("range(12)", "range(13)"))
    assert "1 case not in the earlier run: test_it[12]" in section(project.run("--llm-compare=main"))
    told = section(project.run("--llm-compare=main", "--llm-record=none"))
    project.write(TESTS.replace("range(12)", "range(2)").replace("question", "other question"))
    told = section(project.run("--llm-compare=main"))
    assert "2 cases without a verdict (2 ended in an error now): test_it[0], test_it[1]" in told


def test_a_run_that_stops_early_says_so(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    project.write(WORSE)
    told = section(project.run("--llm-compare=main", "-x"))
    assert "The later run was cut (stopping after 1 failures): tests that were to run are not in it." in told


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("mian", "mian: neither a file nor a kept run. Did you mean 'main'? Kept runs: main."),
        ("bad.jsonl", "bad.jsonl:1: not JSON"),
        ("git:main", " is in no git repository that can be used: fatal: not a git repository"),
    ],
)
def test_a_baseline_that_is_not_there_is_told_before_anything_is_asked(
    project: Project, baseline: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.path.parent))
    project.write(TESTS)
    project.run("--llm-save=main", "-k", "test_it[chat-1]")
    project.write("nonsense\n", "bad.jsonl")
    project.server.questions()
    result = project.run(f"--llm-compare={baseline}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--llm-compare={baseline}: " in result.stderr.str()
    assert said in result.stderr.str()
    assert project.server.questions() == []


def test_candidates_of_a_run_are_ranked(project: Project) -> None:
    project.add_model("large", 'model = "openai:large"\nprices = "free"')
    project.write(WORSE.replace("n not in BAD", 'n not in BAD or llm.name == "large"'))
    project.run("--llm-save=main", models="chat,large")
    told = section(project.run("--llm-compare=main", models="chat,large"))
    assert "rank 1 large rank 2 chat chat → large 0.33 → 1.00 (+0.67" in told
    project.write(TESTS)
    told = section(project.run("--llm-compare=main", models="chat,large"))
    assert "rank 1 chat, large: cannot be separated" in told


def test_a_commit_is_replayed_from_its_recordings_offline(project: Project) -> None:
    project.write(TESTS)
    project.run()
    commit(project)
    project.write(WORSE)
    project.stop_server()
    told = section(project.run("--llm-compare=git:main"))
    assert "before git:main: 20" in told
    assert "record mode none" in told
    assert "chat 1.00 → 0.33" in told
    assert worktrees(project) == 1
    assert git(project, "status", "--porcelain", "-uno").strip() == "M test_chat.py"


def test_a_commit_is_replayed_for_the_tests_that_are_selected_and_with_its_own_code(project: Project) -> None:
    project.write("from application import limit\n" + TESTS.replace("n not in BAD", "n < limit"))
    project.write("limit = 12\n", "application.py")
    project.write("", "conftest.py")
    project.run()
    commit(project)
    project.write("limit = 4\n", "application.py")
    report = project.path / "junit.xml"
    told = section(project.run("--llm-compare=git:HEAD", "-n2", "-k", "not 11", f"--junitxml={report}", "--maxfail=20"))
    assert "1.00 → 0.36" in told
    assert "not in the later run" not in told
    assert worktrees(project) == 1


FINDER = """
import importlib.util, sys
MAPPING = {{"application": {package!r}}}

class _EditableFinder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(name, MAPPING[name] + "/__init__.py")

sys.meta_path.append(_EditableFinder)
"""


def test_a_commit_is_replayed_with_its_own_code_where_a_finder_installs_it_in_place(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `pip install -e .` with setuptools does it.
    site = tmp_path_factory.mktemp("site")
    finder = FINDER.format(package=str(project.path / "source" / "application"))
    (site / "__editable___application_finder.py").write_text(finder, encoding="utf-8")
    (site / "sitecustomize.py").write_text("import __editable___application_finder", encoding="utf-8")
    project.write("from application import limit\n" + TESTS.replace("n not in BAD", "n < limit"))
    (project.path / "source" / "application").mkdir(parents=True)
    project.write("limit = 12\n", "source/application/__init__.py")
    code = "import pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    paths = [str(site), str(Path(__file__).parents[2])]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-P", "-c", code, "-p", "no:randomly", "--llm-models=chat", *arguments]
        return subprocess.run(command, cwd=project.path, env=environ, capture_output=True, text=True).stdout

    assert "12 passed" in run()
    commit(project)
    project.write("limit = 4\n", "source/application/__init__.py")
    assert "1.00 → 0.33" in run("--llm-compare=git:HEAD")


def test_files_and_candidates_that_are_new_since_a_commit_are_only_in_the_later_run(project: Project) -> None:
    project.write(TESTS)
    project.run()
    commit(project)
    project.write(TESTS, "test_new.py")
    project.add_model("extra", 'model = "openai:extra"')
    told = section(project.run("--llm-compare=git:HEAD", "test_chat.py", "test_new.py", models="chat,extra"))
    assert "chat 1.00 → 1.00: the same in all 12 cases" in told
    assert "12 cases not in the earlier run" in told
    assert "only in the later run: extra" in told
    for arguments, said in (
        (["test_new.py"], "none of these tests is there at HEAD."),
        (["test_chat.py", "--llm-models=extra"], "none of the candidates is known at HEAD: extra."),
    ):
        result = project.run("--llm-compare=git:HEAD", *arguments, models=None if "--llm" in str(arguments) else "chat")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert said in result.stderr.str()


def test_reports_say_what_became_of_the_run_since_its_baseline(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    project.write(WORSE)
    project.run("--llm-compare=main", "--llm-report=r.md", "--llm-report=r.json", "--llm-report=r.csv")
    told = (project.path / "r.md").read_text("utf-8")
    assert told.index("## LLM evaluation") < told.index("## LLM comparison") < told.index("1.00 → 0.33")
    data = json.loads((project.path / "r.json").read_text("utf-8"))
    assert data["comparison"]["candidates"][0]["verdict"] == "worse"
    assert len(load_run(project.path / "r.json").tests) == 12


def test_a_run_in_a_hook_of_git_leaves_the_commit_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # As git runs a pre-commit hook: what is about to be committed is in an index that these variables name.
    project.write(TESTS)
    project.run()
    commit(project)
    project.write(WORSE)
    project.write("new\n", "added.txt")
    git(project, "add", "-A")
    staged = git(project, "diff", "--cached", "--name-status", "HEAD")
    assert "added.txt" in staged
    repository = project.path / ".git"
    monkeypatch.setenv("GIT_DIR", str(repository))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(project.path))
    assert "1.00 → 0.33" in section(project.run("--llm-compare=git:HEAD", "--llm-save=now"))
    assert git(project, "diff", "--cached", "--name-status", "HEAD") == staged
    assert worktrees(project) == 1


def test_the_replay_of_a_commit_writes_nothing_of_its_own(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(TESTS)
    project.run()
    commit(project)
    summary = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.run("--llm-compare=git:HEAD", f"--basetemp={project.path / 'temporary'}")
    assert summary.read_text("utf-8").count("## LLM evaluation") == 1


def test_a_run_that_was_kept_and_committed_is_taken_as_it_is(project: Project) -> None:
    project.write("[tool.pytest.ini_options]\nllm_run_dir = 'baselines'\n", "pyproject.toml")
    project.add_model("chat", 'model = "openai:chat"')
    project.write(WORSE)
    project.run("--llm-save=nightly")
    commit(project)
    project.write(TESTS)
    project.run("--llm-save=nightly")
    for arguments in (["--llm-compare=git:main:nightly"], ["--llm-compare=git:main", "--llm-save=nightly"]):
        assert "0.33 → 1.00" in section(project.run(*arguments))
    result = project.run("--llm-compare=git:main:other")
    assert "no run is kept as 'other' at main. Kept there: nightly" in result.stderr.str()


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("nothing", "git knows no commit 'nothing' here."),
        ("--output=x", "git knows no commit '--output=x' here."),
        ("", "git knows no commit '' here."),
        ("main", "the tests of main have no recordings there"),
        ("empty", "none of these tests is there at empty."),
    ],
)
def test_a_commit_that_cannot_be_replayed_is_told(project: Project, ref: str, said: str) -> None:
    project.write("*.yaml\n", ".gitignore")
    commit(project)
    git(project, "branch", "empty")
    project.write(TESTS)
    commit(project)
    project.run()
    result = project.run(f"--llm-compare=git:{ref}", "test_chat.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert worktrees(project) == 1


def test_nothing_is_looked_for_where_nothing_is_run(project: Project) -> None:
    project.write(TESTS)
    for argument in ("--collect-only", "--llm-dry-run"):
        assert project.run("--llm-compare=nothing", argument).ret == 0


def test_the_command_compares_two_runs_in_three_formats(llmeval: Command, project: Project) -> None:  # noqa: F811
    project.write(TESTS)
    project.run("--llm-save=main")
    project.write(WORSE)
    project.run("--llm-report=new.jsonl")
    shown = llmeval("compare", "main", "new.jsonl")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "chat  1.00 → 0.33 (−0.67, 95% −" in shown.stdout
    markdown = llmeval("compare", "main", "new.jsonl", "--format=markdown").stdout
    assert "- **chat** 1.00 → 0.33 (−0.67, 95% −" in markdown
    assert "| passed | 1.00 | 0.33 | −0.67 |" in markdown
    document = json.loads(llmeval("compare", "main", "new.jsonl", "--format", "json").stdout)
    assert document["kind"] == "comparison"
    (candidate,) = document["candidates"]
    assert (candidate["candidate"], candidate["verdict"]) == ("chat", "worse")
    assert [case["name"] for case in candidate["lost"]] == [f"test_it[{n}]" for n in range(1, 9)]
    assert candidate["figures"]["score"]["change"]["value"] == pytest.approx(-2 / 3, abs=1e-5)


def test_the_command_takes_a_commit(llmeval: Command, project: Project) -> None:  # noqa: F811
    project.write(TESTS)
    project.run()
    commit(project)
    project.write(WORSE)
    project.run("--llm-save=now")
    shown = llmeval("compare", "git:HEAD", "now")
    assert shown.stderr == ""
    assert "1.00 → 0.33" in shown.stdout


def test_the_command_compares_the_candidates_of_one_run(llmeval: Command, project: Project) -> None:  # noqa: F811
    project.write(TESTS)
    project.run("--llm-save=main")
    alone = llmeval("compare", "main")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "main: it has one candidate at most, so that there is nothing to compare. Name two runs." in alone.stderr
    project.add_model("large", 'model = "openai:large"')
    project.run("--llm-save=both", models="chat,large")
    assert "rank 1        chat, large: cannot be separated" in llmeval("compare", "both").stdout


def test_no_test_of_a_model_no_comparison(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    project.write("def test_nothing(): pass\n")
    result = project.run("--llm-compare=main")
    assert (result.ret, section(result)) == (0, "")


ASKING = """
import pytest

SYSTEM = "Answer the question. Return JSON."
RIGHT = set(range(8))

@pytest.mark.llm_cases([{"id": f"c{n}", "input": f"question {n}", "expected": {"n": n}} for n in range(8)])
def test_it(llm, llm_case):
    llm.complete(llm_case, system=SYSTEM, max_tokens=80)
    assert judge(llm_case.expected["n"])

def judge(n):
    return n in RIGHT
"""
ALL_WRONG = ASKING.replace("set(range(8))", "set()")


def losses(result: pytest.RunResult) -> str:
    return section(result).partition(" lost: ")[2]


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_losses_follow_the_edit_of_a_prompt_whose_words_are_shown(project: Project, workers: list[str]) -> None:
    project.write(ASKING)
    project.run("--llm-save=main", *workers)
    project.write(ALL_WRONG.replace("Answer the question.", "Say anything."))
    told = losses(project.run("--llm-record=all", "--llm-compare=main", *workers))
    assert (
        "8 of 8 losses follow the prompt edit, the system text: [-Answer the question.-] {+Say anything.+} Return JSON."
    ) in told


def test_losses_follow_parameters_settings_and_the_check(project: Project) -> None:
    project.write(ASKING)
    project.run("--llm-save=main")
    for asking, what in (
        (ALL_WRONG.replace("max_tokens=80", "max_tokens=20"), "the parameters, other parameters: max_tokens 80 → 20"),
        (ALL_WRONG.replace('f"question {n}"', 'f"a question {n}"'), "the prompt edit, the messages"),
        (ALL_WRONG, "only the sampling: the same was asked, and answered otherwise"),
    ):
        project.write(asking)
        told = losses(project.run("--llm-record=all", "--llm-compare=main"))
        assert f"8 of 8 losses {'are' if 'sampling' in what else 'follow'} {what}" in told
    project.run("--llm-save=main")
    project.write(ASKING)
    project.run("--llm-save=main")
    project.write(ALL_WRONG)
    told = losses(project.run("--llm-compare=main"))
    assert "8 of 8 losses follow the check, the same answer is judged otherwise by what the test calls" in told
    project.write(ASKING.replace("judge(llm_case", "not judge(llm_case"))
    assert "8 of 8 losses follow the check, the test's source" in losses(project.run("--llm-compare=main"))
    project.write(ASKING.replace('{"n": n}', '{"n": n + 8}'))
    told = losses(project.run("--llm-compare=main"))
    assert "8 of 8 losses follow the check, the answer that the case expects" in told
    project.write(ASKING.replace("max_tokens=80", "max_tokens=80, seed=1"))
    project.run("--llm-save=main", "--llm-record=all")
    project.add_settings("parameters = {top_p = 0.5}")
    project.write(ALL_WRONG.replace("max_tokens=80", "max_tokens=80, seed=1"))
    told = losses(project.run("--llm-record=all", "--llm-compare=main"))
    assert "8 of 8 losses follow the candidate's settings: parameters {} → {'top_p': 0.5}" in told


def test_a_decorator_is_no_part_of_the_check_and_a_kept_run_holds_the_system_text(project: Project) -> None:
    marked = ASKING.replace("range(8)])", "range(8)], system='One.')").replace("system=SYSTEM, ", "")
    project.write(marked)
    project.run("--llm-save=main")
    kept = (project.path / ".llmeval/runs/main.jsonl").read_text(encoding="utf-8")
    assert sorted(json.loads(kept.splitlines()[0])["texts"].values()) == [
        "One.",
        '{"max_tokens": 80, "temperature": 0.0}',
    ]
    project.write(marked.replace("One.", "Two.").replace("set(range(8))", "set()"))
    told = losses(project.run("--llm-record=all", "--llm-compare=main"))
    assert "the prompt edit, the system text: [-One.-] {+Two.+}" in told
    assert "besides" not in told


def test_the_words_of_messages_come_from_the_recordings_of_both_sides(llmeval: Command, project: Project) -> None:  # noqa: F811
    project.write(ASKING)
    project.run()
    commit(project)
    project.run("--llm-save=main", "--llm-record=none")
    project.write(ALL_WRONG.replace('f"question {n}"', 'f"another question {n}"'))
    said = "8 of 8 losses follow the prompt edit, the messages: user: {+another+} question 0"
    assert said in losses(project.run("--llm-record=all", "--llm-compare=main", "--llm-save=now"))
    assert said in losses(project.run("--llm-compare=git:HEAD"))
    assert said in " ".join(llmeval("compare", "main", "now").stdout.split())
    # What is recorded there now is not what the baseline replayed.
    edit_time(project, "main")
    told = losses(project.run("--llm-compare=main"))
    assert "8 of 8 losses follow the prompt edit, the messages" in told
    assert "the messages: " not in told


def edit_time(project: Project, name: str) -> None:
    """Make a run one that replayed other recordings."""
    path = project.path / f".llmeval/runs/{name}.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'"recorded_at": "[^"]+"', '"recorded_at": "2020-01-01T00:00:00Z"', text), encoding="utf-8")
