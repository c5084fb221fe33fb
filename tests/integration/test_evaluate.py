"""Models and cases to a run, outside of pytest."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_llmeval import ConfigError, Response, Run, RunError, evaluate, load_run, save_run, score_fields
from pytest_llmeval.cases import Case
from pytest_llmeval.comparing import compare_runs
from tests.chat_server import ChatServer
from tests.integration.conftest import Project

CASES = [{"id": f"c{number}", "input": f"question {number}", "weight": number + 1} for number in range(6)]


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key-of-nobody")
    return project.path


def test_each_case_has_a_record_as_it_would_have_under_pytest(project: Project, here: Path) -> None:
    run = evaluate("chat", CASES, lambda reply, case: case.id != "c2", system="Be short.", max_tokens=9)
    assert [(test.case, test.outcome, test.score, test.weight) for test in run.tests] == [
        (f"c{number}", "failed" if number == 2 else "passed", float(number != 2), number + 1) for number in range(6)
    ]
    call = run.tests[0].calls[0]
    assert call.latency_ms is not None
    assert call.cost_status == "priced"
    assert run.header is not None
    assert run.header.candidates[0].name == "chat"
    assert not run.incomplete
    assert len(project.server.asked) == 6
    assert project.recordings() == []


def test_several_candidates_are_asked_and_can_be_compared(project: Project, here: Path) -> None:
    project.add_model("other", 'model = "openai:chat"')
    run = evaluate(["chat", "other"], CASES, lambda reply, case: 1.0)
    assert {name: len(tests) for name, tests in run.by_candidate().items()} == {"chat": 6, "other": 6}
    worse = evaluate(["chat", "other"], CASES, lambda reply, case: 0.25)
    assert [candidate.changes["score"].after for candidate in compare_runs(run, worse).candidates] == [0.25, 0.25]


def test_a_judge_may_score_by_name_use_helpers_and_assert(here: Path) -> None:
    def judge(reply: Response, case: Case) -> dict[str, float] | None:
        if case.id == "c0":
            return {"tone": 0.5, "length": 1.0}
        if case.id == "c1":
            score_fields({"a": 1, "b": 2}, {"a": 1, "b": 3})
            return None
        assert case.id == "c2", "this is\nwrong"
        raise RuntimeError("the judge itself")

    tests = {test.case: test for test in evaluate("chat", CASES[:4], judge).tests}
    assert tests["c0"].scores == {"length": 1.0, "tone": 0.5}
    assert tests["c0"].score == 0.75
    assert tests["c1"].fields == {"a": 1.0, "b": 0.0}
    assert (tests["c2"].outcome, tests["c2"].message) == ("failed", "RuntimeError: the judge itself")
    assert tests["c3"].outcome == "failed"
    assert tests["c3"].message is not None
    assert tests["c3"].message.startswith("AssertionError: this is")


def test_a_call_without_an_answer_is_an_error_and_no_score(project: Project, here: Path) -> None:
    project.stop_server()
    project.add_model("gone", 'model = "openai:chat"\nmax_retries = 0')
    run = evaluate("gone", CASES[:2], lambda reply, case: True)
    assert [(test.outcome, test.score) for test in run.tests] == [("error", None)] * 2
    assert run.tests[0].calls[0].error_kind is not None


@pytest.mark.parametrize("name", ["run.jsonl", "run.json"])
def test_a_run_is_saved_and_loaded_again(here: Path, name: str) -> None:
    run = evaluate("chat", CASES, lambda reply, case: True)
    save_run(run, name)
    again = load_run(name)
    assert [(test.nodeid, test.score, test.outcome, len(test.calls)) for test in again.tests] == [
        (test.nodeid, test.score, test.outcome, len(test.calls)) for test in run.tests
    ]
    assert again.header == run.header
    done = subprocess.run(
        [sys.executable, "-m", "pytest_llmeval.cli", "show", name], capture_output=True, text=True, check=False
    )
    assert "chat" in done.stdout
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("judgement", "outcome", "score"),
    [
        (True, "passed", 1.0),
        (False, "failed", 0.0),
        (np.bool_(True), "passed", 1.0),
        (np.bool_(False), "failed", 0.0),
        (np.array(True), "passed", 1.0),
        (0, "passed", 0.0),
        (0.5, "passed", 0.5),
        (np.float32(0.5), "passed", 0.5),
        (np.int64(1), "passed", 1.0),
        (Fraction(1, 4), "passed", 0.25),
        (Decimal("0.25"), "passed", 0.25),
        ({"tone": np.float32(0.5), "short": np.bool_(True)}, "passed", 0.75),
        (None, "passed", 1.0),
    ],
)
def test_a_judgement_is_a_bool_a_number_numbers_by_name_or_nothing(
    here: Path, judgement: Any, outcome: str, score: float
) -> None:
    (test,) = evaluate("chat", CASES[:1], lambda reply, case: judgement).tests
    assert (test.outcome, test.score, test.message) == (outcome, score, None)


async def judge_later(reply: Response, case: Case) -> bool:
    return True


class JudgesLater:
    async def __call__(self, reply: Response, case: Case) -> bool:
        return True


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ("good", "judge_fn is 'good', which cannot be called. Give a plain function"),
        (None, "judge_fn is None, which cannot be called"),
        (judge_later, "judge_fn is a coroutine function, which nobody awaits. Give a plain function"),
        (partial(judge_later), "judge_fn is a coroutine function"),
        (JudgesLater(), "judge_fn is a coroutine function"),
    ],
)
def test_what_cannot_judge_is_refused_before_anybody_is_asked(
    project: Project, here: Path, judge: Any, said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        evaluate("chat", CASES, judge)
    assert project.server.asked == []


@pytest.mark.parametrize("concurrency", [0, -1, 2.5, True, "8", None])
def test_a_concurrency_that_cannot_be_is_refused(project: Project, here: Path, concurrency: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"concurrency={concurrency!r}: give a whole number of 1 or more")):
        evaluate("chat", CASES, lambda reply, case: True, concurrency=concurrency)
    assert project.server.asked == []


@pytest.mark.filterwarnings("error")
def test_a_judge_that_turns_out_to_be_a_coroutines_ends_the_run_after_the_first_answer(
    project: Project, here: Path
) -> None:
    with pytest.raises(ConfigError, match="judge_fn returned coroutine, which nobody awaits"):
        evaluate("chat", CASES, lambda reply, case: judge_later(reply, case), concurrency=1)  # type: ignore[arg-type, return-value]
    gc.collect()
    assert len(project.server.asked) == 1


@pytest.mark.parametrize("answer", [1.5, -0.1, float("nan"), np.float32("nan"), "good", [1], np.array([0.5])])
def test_a_judgement_that_is_no_score_fails_its_case_with_the_reason(here: Path, answer: object) -> None:
    (test,) = evaluate("chat", CASES[:1], lambda reply, case: answer).tests  # type: ignore[arg-type, return-value]
    assert test.outcome == "failed"
    assert test.message is not None
    assert "from 0 to 1" in test.message


def test_what_cannot_be_used_is_told_before_anybody_is_asked(project: Project, here: Path) -> None:
    for model, cases, said in (
        ("nobody:model", CASES, "nobody"),
        ([], CASES, "no model was named"),
        ("chat", "missing.jsonl", "missing.jsonl"),
        ("chat", [{"id": "a", "inputs": "b"}], "neither input nor messages"),
    ):
        with pytest.raises(ConfigError, match=said):
            evaluate(model, cases, lambda reply, case: True)
    assert project.server.asked == []
    with pytest.raises(RunError, match=r"\.jsonl, \.json"):
        save_run(evaluate("chat", CASES[:1], lambda reply, case: True), "run.html")
    with pytest.raises(RunError, match=r"run\.jsonl: this run has no header"):
        save_run(Run(), "run.jsonl")


def test_no_key_gets_into_a_message(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_API_KEY", "9fX2mQ7bTz41")

    def judge(reply: Response, case: Case) -> bool:
        raise ValueError("key=9fX2mQ7bTz41")

    (test,) = evaluate("chat", CASES[:1], judge).tests
    assert "9fX2mQ7bTz41" not in json.dumps(test.to_json())


def test_no_more_is_in_flight_than_was_asked_for(chat_server: ChatServer, project: Project, here: Path) -> None:
    chat_server.delay = 0.05
    evaluate("chat", [f"question {number}" for number in range(12)], lambda reply, case: True, concurrency=3)
    assert 1 < chat_server.peak <= 3


def test_a_candidate_that_is_made_of_others_is_asked_as_under_pytest(project: Project, here: Path) -> None:
    project.add_model("other", 'model = "openai:gpt-4o"\nprices = "free"')
    project.add_settings('[tool.llmeval.models.safe]\nfallback = ["chat", "other"]')
    project.server.failures += [503] * 3
    case = {**CASES[0], "complexity": "complex"}
    run = evaluate("safe", [case], lambda reply, case: reply.served_by == "other")
    (test,) = run.tests
    assert (test.outcome, test.complexity) == ("passed", "complex")
    assert [part.why for part in test.calls[0].calls] == ["server", None]
