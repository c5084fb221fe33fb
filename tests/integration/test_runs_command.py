"""``llmeval show``, ``merge`` and ``export``: what is done with runs that were kept."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from pytest_llmeval import load_run, merge_runs
from pytest_llmeval.cli import main
from pytest_llmeval.kept import run_dir
from pytest_llmeval.runlines import comparable
from tests.integration.conftest import Project
from tests.integration.test_cassettes_command import llmeval as in_new_process

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(llm, n):
    llm.complete(f"question {n}")
    llm.record_score(n / 3, name="tone")
    assert n != 2
"""


class Done(NamedTuple):
    """What a command printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


class Command(Protocol):
    """Runs ``llmeval`` in the project's folder, or in another one."""

    def __call__(self, *arguments: str, cwd: Path | None = None) -> Done: ...


@pytest.fixture
def llmeval(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str, cwd: Path | None = None) -> Done:
        monkeypatch.chdir(cwd or project.path)
        run_dir.cache_clear()
        capsys.readouterr()
        return Done(main(arguments), *capsys.readouterr())

    return call


def run(project: Project, *arguments: str, tests: str = TESTS) -> pytest.RunResult:
    project.write(tests)
    return project.run(*arguments)


def test_show_prints_what_the_run_did(project: Project) -> None:
    printed = run(project, "--llm-save=main", "--llm-record=live").stdout.str()
    done = in_new_process(project, "show", "main", width=120)
    assert (done.returncode, done.stderr) == (0, "")
    head, _, summary = done.stdout.partition("\n\n")
    assert "record mode live" in head
    assert len(summary.splitlines()) > 5
    assert summary in printed


def test_show_tells_of_recordings_too(llmeval: Command, project: Project) -> None:
    run(project, tests=TESTS.replace("question", "other question"))
    printed = run(project, "--llm-save=main").stdout.str()
    shown = llmeval("show", "main").stdout
    line = "4 of 4 recordings are stale, about $0.00128 to record again"
    assert line in printed
    assert line in shown


def test_a_run_that_was_cut_is_shown_and_said(llmeval: Command, project: Project) -> None:
    run(project, "--llm-save=main", "-x")
    done = llmeval("show", "main")
    assert done.returncode == 0
    assert "chat " in done.stdout
    assert "main.jsonl.partial: the run was cut: stopping after 1 failures." in done.stderr
    run(project, "--llm-save=main")
    run(project, "--llm-save=main", "-x")
    done = llmeval("show", "main")
    assert "A later run of that name was cut, or has not ended yet: .llmeval/runs/main.jsonl.partial" in done.stderr
    assert "4/4" not in done.stdout
    assert "3/4" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "mian"], "mian: neither a file nor a kept run. Did you mean 'main'? Kept runs: main."),
        (["show", "bad.jsonl"], "bad.jsonl:1: not JSON"),
        (["export", "main"], "in which format? Choose with --format=csv|json|md|jsonl"),
        (["export", "main", "-o", "a.html"], "in which format?"),
        (["export", "main", "-o", "bad.jsonl/a.md"], "the report could not be written: "),
        (["merge", "main", "-o", "a/b"], "-o a/b: give a file that ends with .jsonl, .json, .md or .csv, or a name."),
        (["merge", "main", "nothing", "-o", "all"], "nothing: neither a file nor a kept run."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    llmeval: Command, project: Project, arguments: list[str], said: str
) -> None:
    run(project, "--llm-save=main")
    project.write("nonsense\n", "bad.jsonl")
    done = llmeval(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_names_are_those_of_the_folder_that_the_configuration_names(llmeval: Command, project: Project) -> None:
    project.write('[tool.pytest.ini_options]\nllm_run_dir = "baselines"\n', "pyproject.toml")
    project.add_model("chat", 'model = "openai:chat"')
    run(project, "--llm-save=main")
    folder = project.path / "deep" / "er"
    folder.mkdir(parents=True)
    assert llmeval("show", "main").returncode == 0
    assert llmeval("show", "main", cwd=folder).returncode == 0
    assert llmeval("show", "baselines/main.jsonl").returncode == 0


def test_a_broken_configuration_is_told(llmeval: Command, project: Project) -> None:
    run(project, "--llm-save=main")
    project.write("[tool.pytest.ini_options\n", "pyproject.toml")
    done = llmeval("show", "main")
    assert done.returncode == 2
    assert "pytest could not read its configuration" in done.stderr
    assert llmeval("show", ".llmeval/runs/main.jsonl").returncode == 0


def test_a_run_is_exported_in_the_format_that_is_asked_for(llmeval: Command, project: Project) -> None:
    run(project, "--llm-save=main", *[f"--llm-report=run.{suffix}" for suffix in ("jsonl", "json", "md", "csv")])
    for suffix in ("jsonl", "json", "md", "csv"):
        written = (project.path / f"run.{suffix}").read_text(encoding="utf-8")
        assert llmeval("export", "main", f"--format={suffix}").stdout == written
        assert llmeval("export", "main", "-o", f"again.{suffix}").stdout == ""
        assert (project.path / f"again.{suffix}").read_text(encoding="utf-8") == written
    assert llmeval("export", "run.json", "--format=csv", "-o", "file.txt").returncode == 0
    assert (project.path / "file.txt").read_text() == (project.path / "run.csv").read_text()


def test_shards_of_a_suite_merge_to_the_run_of_the_whole(llmeval: Command, project: Project) -> None:
    run(project, "--llm-report=whole.jsonl")
    for number, chosen in (("1", "0 or 3"), ("2", "1 or 2")):
        project.run(f"--llm-report=shard-{number}.jsonl", "-k", chosen, "--llm-record=none")
    done = llmeval("merge", "--strict", "shard-1.jsonl", "shard-2.jsonl", "-o", "all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ".llmeval/runs/all.jsonl: 4 tests of 2 runs\n"
    merged, whole = load_run(project.path / ".llmeval/runs/all.jsonl"), load_run(project.path / "whole.jsonl")
    assert [comparable(test) for test in merged.tests] == [comparable(test) for test in whole.tests]
    assert merged.end is not None
    assert whole.end is not None
    assert (merged.end.counts, merged.end.exit_status) == (whole.end.counts, 1)
    assert (merged.header and merged.header.candidates) == (whole.header and whole.header.candidates)
    shown = [llmeval("show", name).stdout.splitlines()[4:7] for name in ("all", "whole.jsonl")]
    assert shown[0] == shown[1]


def test_files_one_after_the_other_are_a_merge_too(project: Project) -> None:
    run(project)
    for number, chosen in (("1", "0 or 3"), ("2", "1 or 2")):
        project.run(f"--llm-report=shard-{number}.jsonl", "-k", chosen, "--llm-record=none")
    parts = [project.path / f"shard-{number}.jsonl" for number in (1, 2)]
    (project.path / "all.jsonl").write_bytes(b"".join(part.read_bytes() for part in parts))
    joined, merged = load_run(project.path / "all.jsonl"), merge_runs([load_run(part) for part in parts])
    assert joined.tests == merged.tests


def edit(path: Path, **changes: Any) -> None:
    """Change the records of tests in a file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edited = [line | changes if line["kind"] == "test" else line for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in edited), encoding="utf-8")


def test_conflicts_are_named_and_refused_if_asked(llmeval: Command, project: Project) -> None:
    run(project, "--llm-report=a.jsonl", "--llm-report=b.jsonl", "-k", "0")
    edit(project.path / "b.jsonl", score=0.125)
    done = llmeval("merge", "a.jsonl", "b.jsonl", "-o", "all.jsonl")
    assert done.returncode == 0
    assert "Several runs differ in test_chat.py::test_it[chat-0]" in done.stderr
    assert load_run(project.path / "all.jsonl").tests[0].score == 0.125
    (project.path / "all.jsonl").unlink()
    done = llmeval("merge", "--strict", "a.jsonl", "b.jsonl", "-o", "all.jsonl")
    assert done.returncode == 2
    assert "test_chat.py::test_it[chat-0]: the runs have different records of the same test" in done.stderr
    assert not (project.path / "all.jsonl").exists()


def test_a_merge_becomes_any_report(llmeval: Command, project: Project) -> None:
    run(project, "--llm-save=main")
    assert llmeval("merge", "main", "-o", "all.md").returncode == 0
    assert (project.path / "all.md").read_text(encoding="utf-8").startswith("## LLM evaluation")


def test_a_merge_is_held_against_the_requirements_of_its_runs(llmeval: Command, project: Project) -> None:
    for number, limit in (("1", "0.9"), ("2", "0.8")):
        run(project, f"--llm-report=s{number}.jsonl", "-k", number, "--llm-require", f"min_quality_score={limit}")
    done = llmeval("merge", "s1.jsonl", "s2.jsonl", "-o", "all.md")
    assert done.returncode == 0
    assert "requirements, of which the last are taken: min_quality_score=0.8, min_quality_score=0.9" in done.stderr
    told = (project.path / "all.md").read_text("utf-8")
    assert "| chat | min&#95;quality&#95;score |" in told
    assert "0.80" in told.partition("### Requirements")[2]


def test_nothing_in_a_file_can_steer_the_terminal(llmeval: Command, project: Project) -> None:
    run(project, "--llm-save=main", "-k", "0")
    path = project.path / ".llmeval" / "runs" / "main.jsonl"
    evil = "x\x1b[2J\x9b\r\u202e"
    edit(path, candidate=evil, nodeid=evil, ignored=[evil], unkept=[evil], renamed_from=evil, cassette=evil)
    text = path.read_text(encoding="utf-8").replace('"mode": "once"', f'"mode": {json.dumps(evil)}')
    path.write_text(text.replace('"started": "', '"started": "\\u001b[2J'), encoding="utf-8")
    (project.path / "broken.jsonl").write_text(text.replace('"score": 1.0', '"score": "\\u001b[2J"'), encoding="utf-8")
    runs = [
        ["show", "main"],
        ["merge", "main", "main", "-o", "b"],
        ["export", "main", "--format=md"],
        ["show", "broken.jsonl"],
    ]
    for arguments in runs:
        done = llmeval(*arguments)
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.replace("\u200b", "").isprintable(), (arguments, line)


def test_a_pipe_that_closes_early_is_no_error(project: Project) -> None:
    run(project, "--llm-save=main")
    python = shlex.quote(sys.executable)
    command = f"{python} -m pytest_llmeval.cli export main --format=jsonl | head -c 10"
    done = subprocess.run(["sh", "-c", command], cwd=project.path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('{"kind": "', "")
