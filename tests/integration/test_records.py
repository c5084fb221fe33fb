"""What a test leaves: score, outcome, JUnit properties; the same with and without xdist."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import pytest

from pytest_llmeval.records import TestRecord
from tests.integration.conftest import Project, junit_properties, others_but

SCORES = {
    "pass without a score": ("llm.complete('x')", "passed", 1.0, {}),
    "fail without a score": ("llm.complete('x'); assert 0", "failed", 0.0, {}),
    "one score": ("llm.record_score(0.25)", "passed", 0.25, {"score": 0.25}),
    "a score outlives a failure": ("llm.record_score(0.25); assert 0", "failed", 0.25, {"score": 0.25}),
    "several are averaged": (
        "[llm.record_score(value) for value in (0.0, 0.5, 1.0)]",
        "passed",
        0.5,
        {"score": 0.5},
    ),
    "named ones are apart": (
        "llm.record_score(1.0); llm.record_score(0.5, name='tone'); llm.record_score(0.0, name='tone')",
        "passed",
        1.0,
        {"score": 1.0, "tone": 0.25},
    ),
    "only named ones": (
        "llm.record_score(0.5, name='tone'); llm.record_score(0.0, name='form')",
        "passed",
        0.25,
        {"tone": 0.5, "form": 0.0},
    ),
    "helpers score by themselves": (
        "score_fields(llm.complete('x'), {'echo': 'x', 'n': 99})",
        "passed",
        0.5,
        {"score": 0.5},
    ),
    "in a thread": (
        "thread = Thread(target=record_score, args=(0.5,)); thread.start(); thread.join()",
        "passed",
        0.5,
        {"score": 0.5},
    ),
    "skipped": ("pytest.skip('not today')", "skipped", None, {}),
    "expected to fail": ("pytest.xfail('known')", "xfailed", 0.0, {}),
}
HEAD = "import pytest\nfrom threading import Thread\nfrom pytest_llmeval import *\n"


def the_record(project: Project) -> TestRecord:
    (record,) = project.records().tests
    return record


@pytest.mark.parametrize(("body", "outcome", "score", "scores"), SCORES.values(), ids=SCORES)
def test_the_score_of_a_test(
    project: Project, body: str, outcome: str, score: float | None, scores: dict[str, float]
) -> None:
    project.write(f"{HEAD}\ndef test_it(llm):\n    {body}\n")
    project.run()
    record = the_record(project)
    assert (record.nodeid, record.candidate) == ("test_chat.py::test_it[chat]", "chat")
    assert (record.outcome, record.score, record.scores) == (outcome, score, scores)


def test_fields_and_json_checks_are_noted(project: Project) -> None:
    project.write(f"""{HEAD}
def test_it(llm):
    assert_json(llm.complete("x"))
    is_valid_json("no")
    score_fields(llm.complete("x"), {{"echo": "x", "n": 99}})
""")
    project.outcomes(passed=1)
    record = the_record(project)
    assert (record.json_checked, record.json_valid, record.fields) == (3, 2, {"echo": 1.0, "n": 0.0})


def test_an_answer_that_is_checked_twice_counts_once(project: Project) -> None:
    project.write(f"""{HEAD}
def test_it(llm):
    reply = llm.complete("x")
    assert is_valid_json(reply)
    assert_json(reply)
    score_fields(reply, {{"echo": "x"}})
""")
    project.outcomes(passed=1)
    assert (the_record(project).json_checked, the_record(project).json_valid) == (1, 1)


@pytest.mark.parametrize(
    "test",
    [
        "llm.complete('x')",
        "llm.record_score(1.0); llm.complete('x')",
        "llm.complete_many(['x', 'y'])",
        "wrapped(llm)",
        "grouped(llm)",
    ],
)
def test_a_call_without_an_answer_is_an_error_and_never_a_score(project: Project, test: str) -> None:
    project.server.failures += [500] * 6
    project.write(f"""
class AppError(Exception): pass

def wrapped(llm):
    try:
        llm.complete("x")
    except Exception as error:
        raise AppError("no answer") from error

def grouped(llm):
    try:
        llm.complete("x")
    except Exception as error:
        raise ExceptionGroup("several", [ValueError(), error])

def test_it(llm):
    {test}
""")
    project.outcomes(failed=1)
    record = the_record(project)
    assert (record.outcome, record.score) == ("error", None)
    assert {call.error_kind for call in record.calls} == {"server"}


def test_an_error_that_the_test_deals_with_is_no_error_of_the_test(project: Project) -> None:
    project.server.failures += [500] * 3
    project.write(f"""{HEAD}
def test_it(llm):
    with pytest.raises(ProviderError):
        llm.complete("x")
    assert llm.complete("x").json()
""")
    project.outcomes(passed=1)
    record = the_record(project)
    assert (record.outcome, record.score) == ("passed", 1.0)
    assert [call.error_kind for call in record.calls] == ["server", None]


def test_calls_stand_in_the_order_in_which_they_were_made_whichever_ends_first(project: Project) -> None:
    project.write(
        """
        from threading import Event
        from pytest_llmeval import Response

        class Slow:
            billing, hosting = None, "local"

            def __init__(self):
                self.second = Event()

            def complete(self, request):
                text = request.messages[0]["content"]
                if text == "first":
                    assert self.second.wait(30)
                else:
                    self.second.set()
                return Response(text, model=text)

            def close(self):
                pass

        def pytest_llmeval_providers(config):
            return {"slow": lambda candidate: Slow()}
        """,
        "conftest.py",
    )
    project.write("def test_it(llm):\n    llm.complete_many(['first', 'second'], concurrency=2)\n")
    project.outcomes(models="slow:one", passed=1)
    assert [call.model for call in the_record(project).calls] == ["first", "second"]


@pytest.mark.parametrize(("phase", "outcome"), [("setup", "error"), ("teardown", "passed")])
def test_a_fixture_that_fails_says_nothing_about_the_answers(project: Project, phase: str, outcome: str) -> None:
    project.write(f"""{HEAD}
@pytest.fixture
def broken():
    assert {phase == "teardown"}
    yield
    assert 0

def test_it(llm, broken):
    llm.complete("x")
""")
    project.run().assert_outcomes(errors=1, passed=int(phase == "teardown"))
    assert the_record(project).outcome == outcome


def test_junit_xml_shows_score_latency_and_cost(project: Project) -> None:
    project.write(f"""{HEAD}
def test_scored(llm):
    llm.complete("x")
    llm.record_score(0.75)
    llm.record_score(0.5, name="tone")

def test_failed(llm):
    llm.complete("x")
    assert 0

def test_plain(request):
    request.node.user_properties.append(("own", "kept"))
""")
    project.outcomes("--junitxml=report.xml", passed=2, failed=1)
    properties = junit_properties(project.path / "report.xml")
    scored = properties["test_scored[chat]"]
    assert float(scored.pop("llm_latency_ms")) > 0
    assert scored == {
        "llm_candidate": "chat",
        "llm_score": "0.75",
        "llm_score_tone": "0.5",
        "llm_cost_usd": "0.00032",
    }
    assert properties["test_failed[chat]"]["llm_score"] == "0.0"
    assert properties["test_plain"] == {"own": "kept"}


def test_a_test_that_is_run_again_leaves_one_record(project: Project) -> None:
    pytest.importorskip("pytest_rerunfailures")
    project.write('def test_it(llm):\n    assert llm.complete("x").json()["n"] == 2\n')
    others = others_but("rerunfailures")
    result = project.run("--reruns=2", "--llm-record=all", "--junitxml=report.xml", without=others)
    result.assert_outcomes(passed=1)
    record = the_record(project)
    assert (record.outcome, record.score, len(record.calls)) == ("passed", 1.0, 1)
    assert junit_properties(project.path / "report.xml")["test_it[chat]"]["llm_score"] == "1.0"
    result.stdout.fnmatch_lines(["chat *1.00 * 1/1 *"])


MANY = f"""{HEAD}
@pytest.fixture(scope="session")
def shared():
    import httpx
    return httpx.post(URL, json={{"messages": []}}).json()["model"]

@pytest.mark.parametrize("n", range(6))
def test_many(llm, n):
    reply = llm.complete(f"question {{n}}", stream=n % 2 == 0)
    score_fields(reply, {{"echo": f"question {{n}}", "n": -1}})
    assert n != 3

def test_error(llm):
    llm.complete("x")
    raise ProviderError("no", candidate="chat", kind="timeout")

def test_shared(llm, shared): pass
def test_shared_too(llm, shared): pass
"""


def figures(project: Project) -> dict[str, dict[str, Any]]:
    """Return the records by node id, without what the clock says."""
    records = {record.nodeid: asdict(record) for record in project.records().tests}
    for record in records.values():
        for call in record["calls"]:
            del call["recorded_at"]
    return records


def test_two_workers_give_the_same_figures_as_none(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"\nprices = "free"')
    project.write(MANY.replace("URL", repr(f"{project.server.url}/chat/completions")))
    project.outcomes(models="chat,other", passed=14, failed=4)
    project.stop_server()
    tables, records = [], []
    for workers in ([], ["-n2"]):
        result = project.run("--llm-record=none", "--junitxml=report.xml", *workers, models="chat,other")
        result.assert_outcomes(passed=14, failed=4)
        tables.append([line for line in result.outlines if line.startswith(("chat ", "other ", "replayed", "cost"))])
        records.append((figures(project), junit_properties(project.path / "report.xml")))
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
    assert records[0] == records[1]


def test_two_workers_record_what_one_process_does(project: Project) -> None:
    project.write(MANY.replace("URL", repr(f"{project.server.url}/chat/completions")))
    project.outcomes("-n2", passed=7, failed=2)
    by_two = project.recordings()
    assert len(by_two) == 8
    asked = len(project.server.asked)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=7, failed=2)
    assert project.recordings() == by_two
    assert asked in (8, 9)


def test_a_group_of_xdist_does_not_change_the_name_of_a_recording(project: Project) -> None:
    project.write(f"""{HEAD}
@pytest.mark.xdist_group("g")
def test_it(llm):
    llm.complete("x")
""")
    project.outcomes(passed=1)
    project.outcomes("-n1", "--dist=loadgroup", "--llm-record=none", passed=1)


def test_a_wrong_name_is_told_once_under_xdist(project: Project) -> None:
    result = project.run("-n2", models="opnai:x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().count("unknown provider 'opnai'") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_a_worker_that_dies_takes_only_its_running_test_along(project: Project) -> None:
    project.write(f"""{HEAD}
import os

@pytest.mark.parametrize("n", range(4))
def test_it(llm, n):
    llm.complete(f"question {{n}}")
    if n == 2 and not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
""")
    result = project.run("-n1")
    result.assert_outcomes(passed=3, failed=1)
    assert sorted(record.nodeid[-2] for record in project.records().tests) == list("013")
    assert len(project.recordings()) == 3
    assert list(project.path.rglob("*.tmp")) == []
