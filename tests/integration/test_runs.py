"""``--llm-save`` and ``--llm-report``: what is written of a run, when, and what is left when it is cut."""

from __future__ import annotations

import csv
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.runlines import VOLATILE, comparable
from pytest_llmeval.runs import load_run
from tests.integration.conftest import Project, others_but
from tests.unit.test_schema import validator

TESTS = """
import asyncio
import pytest
from pytest_llmeval import score_fields

@pytest.mark.parametrize("n", range(3))
def test_it(llm, n):
    reply = llm.complete(f"question {n}", stream=n == 1)
    score_fields(reply, {"echo": f"question {n}", "n": -1})
    assert n != 2, object()

def test_many(llm):
    llm.complete_many([f"many {n}" for n in range(12)], concurrency=6)

def test_gathered(llm):
    async def ask():
        return await asyncio.gather(*(llm.acomplete(f"gathered {n}") for n in range(6)))
    asyncio.run(ask())

@pytest.mark.skip(reason="not today")
def test_skipped(llm): pass
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of_tests(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if b'"kind": "test"' in line[:20]]


def kept(project: Project, name: str = "main") -> Path:
    return project.path / ".llmeval" / "runs" / f"{name}.jsonl"


def test_a_run_is_kept_under_its_name_line_by_line_as_the_schema_has_it(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"\nprices = "free"\nparameters = {seed = 1}')
    project.write(TESTS)
    result = project.run("--llm-save=main", models="chat,other")
    result.stdout.fnmatch_lines(["Kept as main: .llmeval/runs/main.jsonl"])
    data = lines(kept(project))
    definitions = dict(validator().schema)["$defs"]  # type: ignore[arg-type]
    for line in data:
        validator().validate(line)
        # A field that the schema does not have is one that nobody described.
        (known,) = (each for each in ("Header", "TestRecord", "End") if line["kind"][:4].lower() == each[:4].lower())
        assert set(line) - {"kind"} == set(definitions[known]["properties"])
    header, *tests, end = data
    assert (header["name"], header["mode"], header["schema_version"]) == ("main", "once", 1)
    assert [candidate["name"] for candidate in header["candidates"]] == ["chat", "other"]
    assert header["candidates"][1] == {
        "name": "other",
        "provider": "openai",
        "model": "other",
        "endpoint": project.server.url,
        "hosting": "api",
        "parameters": {"seed": 1},
        "prices": "free",
        "structured_output": "auto",
        "members": [],
        "private": True,
        "context": None,
    }
    assert len(tests) == 12
    assert (end["exit_status"], end["stopped"], end["tests"]) == (1, None, 12)
    assert end["counts"] == {"failed": 2, "passed": 8, "skipped": 2}


def test_what_is_kept_is_what_other_plugins_get(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    run, given = load_run(kept(project)), project.records()
    assert [comparable(test) for test in run.tests] == [comparable(test) for test in given.tests]
    assert (run.candidates, run.mode, run.unpinned) == (given.candidates, given.mode, given.unpinned)


def test_the_same_run_again_gives_the_same_bytes(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-report=recorded.jsonl")
    project.stop_server()
    for name, workers in (("once.jsonl", []), ("twice.jsonl", []), ("two.jsonl", ["-n2"])):
        project.run("--llm-record=none", f"--llm-report={name}", *workers)
    once, twice, two = (of_tests(project.path / f"{name}.jsonl") for name in ("once", "twice", "two"))
    assert len(once) == 6
    assert once == twice == two
    recorded, replayed = load_run(project.path / "recorded.jsonl"), load_run(project.path / "once.jsonl")
    assert [comparable(test) for test in recorded.tests] == [comparable(test) for test in replayed.tests]
    assert of_tests(project.path / "recorded.jsonl") != once


def test_headers_and_ends_differ_in_nothing_but_volatile_fields(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-report=a.jsonl")
    for name in ("a", "b"):
        project.run("--llm-record=none", f"--llm-report={name}.jsonl")
    (first, *_, last), (again, *_, last_again) = (lines(project.path / f"{name}.jsonl") for name in ("a", "b"))
    assert {name for name in first if first[name] != again[name]} <= set(VOLATILE["header"])
    assert {name for name in last if last[name] != last_again[name]} <= set(VOLATILE["end"])
    assert first["id"] != again["id"]


def test_several_reports_of_one_run(project: Project) -> None:
    project.write(TESTS)
    names = ["a.jsonl", "b.json", "deep/er/c.md", "d.CSV"]
    result = project.run(*[f"--llm-report={name}" for name in names])
    result.stdout.fnmatch_lines([f"Report: {name}" for name in names])
    run = load_run(project.path / "a.jsonl")
    document = json.loads((project.path / "b.json").read_text(encoding="utf-8"))
    validator().validate(document)
    assert load_run(project.path / "b.json") == run
    assert "<details><summary>Failed: 1</summary>" in (project.path / "deep/er/c.md").read_text(encoding="utf-8")
    with (project.path / "d.CSV").open(encoding="utf-8", newline="") as file:
        assert [row["nodeid"] for row in csv.DictReader(file)] == [test.nodeid for test in run.tests]
    assert list(project.path.rglob("*.partial")) == []


def test_the_configuration_can_ask_for_reports_and_say_where_runs_are(project: Project) -> None:
    project.write(
        '[tool.pytest.ini_options]\nllm_report = ["r.md", "r.csv"]\nllm_run_dir = "baselines"\n', "pyproject.toml"
    )
    project.add_model("chat", 'model = "openai:chat"')
    project.write("def test_it(llm): llm.complete('x')\n", "tests/test_it.py")
    project.run("--llm-save=v1.0+b@c_d-e", f"--rootdir={project.path}", "tests")
    assert sorted(path.name for path in project.path.glob("*.*")) == ["pyproject.toml", "r.csv", "r.md"]
    assert [path.name for path in (project.path / "baselines").iterdir()] == ["v1.0+b@c_d-e.jsonl"]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--llm-save=a/b", "write a name, not a file"),
        ("--llm-save=..\\b", "write a name, not a file"),
        ("--llm-save=run.jsonl", "write a name, not a file"),
        ("--llm-save=..", "begin a name with a letter or a digit"),
        ("--llm-save=", "begin a name with a letter or a digit"),
        ("--llm-save=git:main", "begin a name with a letter or a digit"),
        ("--llm-save=aux.1", "begin a name with a letter or a digit"),
        ("--llm-report=run.html", "run.html: a report's name ends with one of .jsonl, .json, .md, .csv."),
        ("--llm-report=run", "run: a report's name ends with one of .jsonl, .json, .md, .csv."),
    ],
)
def test_names_that_cannot_be_used_are_usage_errors(project: Project, argument: str, said: str) -> None:
    project.write(TESTS)
    result = project.run(argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert project.server.asked == []


def test_nothing_is_written_where_nothing_is_run(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main", "--llm-report=a.md", "--collect-only")
    assert list(project.path.rglob("*.md")) == list(project.path.rglob("*.jsonl*")) == []


def test_a_run_without_models_replaces_no_kept_run_and_leaves_a_report_to_merge(project: Project) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    before = kept(project).read_bytes()
    project.write("def test_plain(): pass\n", "test_plain.py")
    result = project.run("--llm-save=main", "--llm-report=a.jsonl", "test_plain.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["No test asked a model, so that nothing is kept as main."])
    assert kept(project).read_bytes() == before
    run = load_run(project.path / "a.jsonl")
    assert (run.tests, run.incomplete) == ([], False)


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_a_run_that_was_stopped_does_not_replace_the_kept_one(project: Project, workers: list[str]) -> None:
    project.write(TESTS)
    project.run("--llm-save=main")
    before = kept(project).read_bytes()
    result = project.run("--llm-save=main", "--llm-report=a.jsonl", "-x", *workers)
    said = r"The run was cut (*): it is in .llmeval/runs/main.jsonl.partial, and main is as it was."
    result.stdout.fnmatch_lines([said])
    assert kept(project).read_bytes() == before
    cut, report = load_run(kept(project).with_name("main.jsonl.partial")), load_run(project.path / "a.jsonl")
    assert cut.incomplete
    assert report.incomplete
    assert any(test.outcome == "failed" for test in cut.tests)
    project.run("--llm-save=main")
    assert [path.name for path in kept(project).parent.iterdir()] == ["main.jsonl"]


KILLED = """
import os, pytest

@pytest.mark.parametrize("n", range(4))
def test_it(llm, n):
    llm.complete(f"question {n}")
    if n == 2 and os.environ.get("KILL"):
        os.kill(int(eval(os.environ["KILL"])), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
@pytest.mark.parametrize(("victim", "workers"), [("os.getpid()", []), ("os.getppid()", ["-pxdist", "-n1"])])
def test_a_kill_leaves_all_tests_that_had_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch, victim: str, workers: list[str]
) -> None:
    project.write(KILLED)
    project.run("--llm-save=main")
    before = kept(project).read_bytes()
    monkeypatch.setenv("KILL", victim)
    result = project.run_in_new_process("--llm-save=main", "--llm-report=a.jsonl", *workers)
    assert result.ret == -signal.SIGKILL
    assert kept(project).read_bytes() == before
    for path in (kept(project).with_name("main.jsonl.partial"), project.path / "a.jsonl.partial"):
        run = load_run(path)
        assert [test.nodeid for test in run.tests] == [f"test_chat.py::test_it[chat-{n}]" for n in range(2)]
        assert (run.candidates, run.incomplete) == (["chat"], True)
        assert run.remarks == [f"{path}: the run was cut: it has no closing line."]


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_a_place_that_cannot_be_written_costs_no_test_and_fails_the_run(project: Project, workers: list[str]) -> None:
    project.write("import pytest\n@pytest.mark.parametrize('n', range(3))\ndef test_it(llm, n): llm.complete(f'{n}')\n")
    project.write("in the way", ".llmeval")
    result = project.run("--llm-save=main", "--llm-report=.llmeval/a.md", "--llm-report=good.md", *workers)
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "Report: good.md",
            ".llmeval/runs/main.jsonl: the report could not be written: *",
            ".llmeval/a.md: the report could not be written: *",
        ]
    )
    assert "INTERNALERROR" not in result.stdout.str()
    assert (project.path / "good.md").is_file()


FULL = """
import resource

def pytest_runtest_setup(item):
    if "n2" in item.name or "-2" in item.name:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits are a matter of POSIX")
def test_a_disk_that_fills_up_keeps_what_had_finished(project: Project) -> None:
    project.write(KILLED)
    project.write(FULL, "conftest.py")
    # Small recordings still fit.
    result = project.run_in_new_process("--llm-save=main")
    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*main.jsonl: the report could not be written: File too large."])
    run = load_run(kept(project).with_name("main.jsonl.partial"))
    assert len(run.tests) >= 2
    assert not kept(project).exists()


@pytest.mark.parametrize("argument", ["--no-summary", "-pno:terminalreporter"])
def test_reports_are_written_where_no_summary_is(project: Project, argument: str) -> None:
    project.write(TESTS)
    without = ["-pno:terminal", "-pno:logging"] if "terminal" in argument else [argument]
    project.run("--llm-save=main", "--llm-report=a.md", *without)
    assert len(load_run(kept(project)).tests) == 6
    assert (project.path / "a.md").is_file()


def test_a_test_that_is_run_again_has_one_line(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    project.write('def test_it(llm):\n    assert llm.complete("x").json()["n"] == 2\n')
    others = others_but("rerunfailures")
    project.run("--reruns=2", "--llm-record=all", "--llm-save=main", without=others).assert_outcomes(passed=1)
    (test,) = load_run(kept(project)).tests
    assert test.outcome == "passed"


def test_hostile_text_breaks_no_report(project: Project) -> None:
    project.write("""
def test_it(llm):
    llm.record_score(0.5, name="=1+1|</td>\\x1b[31m\\n")
    raise AssertionError("</pre><script>\\x1b[2J\\u2028\\ud800 | @team")
""")
    names = ["a.jsonl", "a.json", "a.md", "a.csv"]
    project.run(*[f"--llm-report={name}" for name in names])
    for name in names:
        text = (project.path / name).read_text(encoding="utf-8")
        assert text.replace("\n", "").replace("\u200b", "").isprintable()
    assert load_run(project.path / "a.jsonl").tests[0].message == "</pre><script>\x1b[2J\u2028\ufffd | @team"
    assert "<script>" not in (project.path / "a.md").read_text(encoding="utf-8")


def test_no_secret_is_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_API_KEY", "9fX2mQ7bTz")
    project.add_model("other", 'model = "openai:other"\nparameters = {user = "9fX2mQ7bTz"}')
    project.write("""
import os
def test_it(llm):
    secret = os.environ["BANK_API_KEY"]
    llm.record_score(0.5, name=secret)
    raise AssertionError(f"no {secret}")
""")
    names = ["a.jsonl", "a.json", "a.md", "a.csv"]
    for workers in ([], ["-n1"]):
        project.run("--llm-save=main", *[f"--llm-report={name}" for name in names], *workers, models="other")
        for path in (kept(project), *(project.path / name for name in names)):
            text = path.read_text(encoding="utf-8")
            assert "9fX2mQ7bTz" not in text
            assert "the value of BANK" in text
            path.unlink()


def test_a_run_that_nobody_asked_to_keep_is_not(project: Project) -> None:
    project.write(TESTS)
    project.run()
    assert not (project.path / ".llmeval").exists()
    assert project.records().header is None
