"""Each worker of pytest-xdist reads ahead for the tests that it holds, and all together keep to the limit."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml

from tests.integration.conftest import Project

CASES = """
import pytest

CASES = [{"id": f"q{n}", "input": f"question {n}"} for n in range(40)]

@pytest.mark.llm_cases(CASES)
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""


@pytest.mark.parametrize("dist", ["load", "loadfile", "loadgroup", "each"])
def test_each_answer_is_asked_for_once_and_recorded_whole(project: Project, dist: str) -> None:
    project.server.delay = 0.02
    project.write(CASES)
    number = 1 if dist == "each" else 2
    result = project.run("-n", str(number), f"--dist={dist}", "--llm-concurrency=6")
    result.assert_outcomes(passed=40)
    assert Counter(project.server.questions()) == Counter(f"question {n}" for n in range(40))
    assert project.server.peak <= 6
    assert len(project.recordings()) == 40
    for name in project.recordings():
        data = yaml.safe_load((project.path / name).read_text(encoding="utf-8"))
        assert len(data["interactions"]) == 1
        assert "incomplete" not in data
    project.stop_server()
    project.outcomes("-n2", passed=40)


def test_the_workers_together_keep_to_the_limit(project: Project) -> None:
    project.server.hold, project.server.delay = 5, 0.05
    project.write(CASES)
    project.run("-n2", "--dist=worksteal", "--llm-concurrency=5").assert_outcomes(passed=40)
    assert project.server.peak == 5


def test_with_more_workers_than_the_limit_each_may_ask(project: Project) -> None:
    project.write(CASES)
    project.run("-n3", "--llm-concurrency=1").assert_outcomes(passed=40)
    assert project.server.peak <= 3


def test_what_another_worker_takes_over_is_replayed_there_or_was_on_its_way(project: Project) -> None:
    project.server.delay = 0.02
    # One worker is held up, and the other takes over half of what it holds, again and again.
    project.write(CASES + "    import time; time.sleep(0.3 if int(llm_case.id[1:]) < 8 else 0)\n")
    project.run("-n2", "--dist=worksteal", "--llm-concurrency=8").assert_outcomes(passed=40)
    counts = Counter(project.server.questions())
    assert set(counts) == {f"question {n}" for n in range(40)}
    assert sum(counts.values()) <= 40 + 8
    assert len(project.recordings()) == 40
    project.stop_server()
    project.outcomes(passed=40)


def test_the_first_failure_ends_all_workers(project: Project) -> None:
    project.server.delay = 0.05
    project.write(CASES.replace("assert llm", "assert llm_case.id != 'q1' and llm"))
    result = project.run("-n2", "-x", "--llm-concurrency=4")
    assert result.parseoutcomes()["failed"] == 1
    asked = Counter(project.server.questions())
    assert set(asked.values()) == {1}
    assert {f"question {name.partition('[q')[2].partition(']')[0]}" for name in project.recordings()} <= set(asked)


def test_a_worker_that_crashes_costs_no_answer_that_was_recorded(project: Project) -> None:
    project.server.delay = 0.02
    project.write(
        CASES
        + """
    import os, pathlib
    mark = pathlib.Path("crashed")
    if llm_case.id == "q5" and not mark.exists():
        mark.touch()
        os._exit(1)
"""
    )
    project.run("-n2", "--llm-concurrency=4")
    asked = project.server.questions()
    assert len(asked) <= 40 + 4
    project.outcomes(passed=40)
    assert len(project.server.questions()) <= 4
