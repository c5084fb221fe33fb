"""What the losses of a run follow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_llmeval.attribution import Cause
from pytest_llmeval.comparing import compare_candidates, compare_runs
from pytest_llmeval.comparison import CandidateChange
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.changes import figures, losses
from pytest_llmeval.runheader import CandidateInfo, Header, PriceUsed

TEXTS = {
    "sys1": "Extract name and issue. Return JSON.",
    "sys2": "Extract the full name. Return JSON.",
    "par1": '{"max_tokens": 80}',
    "par2": '{"max_tokens": 20, "temperature": 0.7}',
}
INFO = CandidateInfo("mini", "openai", "gpt", parameters={"seed": 1}, prices={"input": "1"})


def call(**changes: Any) -> Call:
    given: dict[str, Any] = {
        "model": "gpt-1",
        "digest": "before",
        "system_digest": "sys1",
        "messages_digest": "msg1",
        "parameters_digest": "par1",
    }
    return Call("mini", **(given | changes))


def record(score: float, *calls: Call, name: str = "a", **changes: Any) -> TestRecord:
    given: dict[str, Any] = {"source": "src1", "expected": "exp1", "case": name}
    return TestRecord(f"test_x[mini-{name}]", "mini", score=score, calls=list(calls), **(given | changes))


def run(*tests: TestRecord, **changes: Any) -> Run:
    header = Header(1, "1", candidates=[replace(INFO, **changes)])
    return Run(["mini"], tests=list(tests), header=header, texts=TEXTS)


def compared(before: Run, after: Run) -> CandidateChange:
    (found,) = compare_runs(before, after).candidates
    return found


def cause(before: TestRecord, after: TestRecord, **changes: Any) -> Cause:
    (lost,) = compared(run(before), run(after, **changes)).lost
    assert lost.cause is not None
    return lost.cause


OLD = record(1.0, call())


@pytest.mark.parametrize(
    ("asked", "kind", "what", "diff"),
    [
        (
            {"system_digest": "sys2"},
            "prompt",
            "the system text",
            ["Extract [-name and issue.-] {+the full name.+} Return JSON."],
        ),
        ({"system_digest": None}, "prompt", "the system text", ["[-Extract name and issue. Return JSON.-]"]),
        ({"system_digest": "longer than is kept"}, "prompt", "the system text", []),
        ({"messages_digest": "msg2"}, "prompt", "the messages", []),
        (
            {"parameters_digest": "par2"},
            "parameters",
            "other parameters",
            ["max_tokens 80 → 20", "temperature not there → 0.7"],
        ),
        ({"schema_mode": "prompt"}, "parameters", "how the schema is asked for: None → prompt", []),
        ({"model": "gpt-2"}, "model", "the model that answers: gpt-1 → gpt-2", []),
        ({}, "sampling", "the same was asked, and answered otherwise", []),
    ],
)
def test_a_loss_follows_what_changed(asked: dict[str, Any], kind: str, what: str, diff: list[str]) -> None:
    found = cause(OLD, record(0.0, call(digest="after", **asked)))
    assert (found.kind, found.what) == (kind, what)
    assert found.diff == diff


def test_a_fingerprint_tells_of_another_version_of_the_same_model() -> None:
    before = record(1.0, call(system_fingerprint="fp_1"))
    found = cause(before, record(0.0, call(digest="after", system_fingerprint="fp_2")))
    assert (found.kind, found.what) == ("model", "the model's version: fingerprint fp_1 → fp_2")


def test_a_file_of_a_prompt_is_named() -> None:
    before = replace(OLD, prompts={"p.md": "1", "q.md": "1"})
    after = record(0.0, call(digest="after", messages_digest="msg2"), prompts={"p.md": "2", "q.md": "1"})
    assert cause(before, after).what == "the messages (p.md)"


def test_the_settings_of_the_candidate_are_compared() -> None:
    found = cause(OLD, record(0.0, call(digest="after")), model="gpt-small", parameters={"seed": 2})
    assert (found.kind, found.what) == (
        "settings",
        "the candidate's settings: model gpt → gpt-small, parameters {'seed': 1} → {'seed': 2}",
    )


def test_more_or_fewer_requests_are_told() -> None:
    found = cause(OLD, record(0.0, call(digest="after"), call()))
    assert (found.kind, found.what) == ("requests", "the number of requests: 1 → 2")


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"source": "src2"}, "the test's source"), ({"expected": None}, "the answer that the case expects")],
)
def test_a_check_that_changed_is_told(changes: dict[str, Any], what: str) -> None:
    for digest in ("before", "after"):
        found = cause(OLD, record(0.0, call(digest=digest), **changes))
        assert (found.kind, found.what) == ("check", what)


def test_the_same_answer_can_only_be_judged_otherwise_whatever_was_asked() -> None:
    found = cause(OLD, record(0.0, call(system_digest="sys2")))
    assert (found.kind, found.what) == ("check", "the same answer is judged otherwise by what the test calls")


def test_what_changed_besides_is_told_too() -> None:
    found = cause(OLD, record(0.0, call(digest="after", system_digest="sys2", model="gpt-2"), source="src2"))
    assert (found.kind, found.also) == ("prompt", ("the model that answers: gpt-1 → gpt-2", "the test's source"))


def test_of_parameters_that_changed_besides_the_difference_is_told() -> None:
    found = cause(OLD, record(0.0, call(digest="after", system_digest="sys2", parameters_digest="par2")))
    assert found.also == ("other parameters (max_tokens 80 → 20; temperature not there → 0.7)",)


def test_runs_that_do_not_say_what_was_asked_leave_the_cause_unknown() -> None:
    before = record(1.0, call(messages_digest=None, system_digest=None, parameters_digest=None))
    assert cause(before, record(0.0, call(digest="after"))).kind == "unknown"
    assert cause(record(1.0), record(0.0)).kind == "unknown"
    # What was not known then is not another source now.
    assert cause(replace(before, source=None), record(0.0, call(digest="after"))).kind == "unknown"


def test_samples_are_compared_with_the_same_sample() -> None:
    def samples(score: float, digest: str, asked: str) -> list[TestRecord]:
        return [
            record(score, call(digest=f"{digest}{n}", parameters_digest=f"{asked}{n}"), sample=n, samples=2)
            for n in (1, 2)
        ]

    for number, test in enumerate(tests := [*samples(1.0, "a", "p"), *samples(0.0, "b", "p")]):
        if test.sample == 2:
            tests[number] = replace(test, nodeid="test_x[mini-a-sample2]")
    (lost,) = compared(run(*tests[:2]), run(*tests[2:])).lost
    assert lost.cause == Cause("sampling", "the same was asked, and answered otherwise")


def test_losses_are_grouped_by_what_they_follow() -> None:
    before = [record(1.0, call(), name=f"c{n}") for n in range(6)]
    edited = [record(0.0, call(digest="after", system_digest="sys2"), name=f"c{n}") for n in range(5)]
    found = compared(run(*before), run(*edited, record(0.0, call(digest="after"), name="c5")))
    first, second = losses(found)
    assert first.startswith("5 of 6 losses follow the prompt edit, the system text: Extract ")
    assert "{+" in first
    assert second == "1 of 6 losses is only the sampling: the same was asked, and answered otherwise (c5)"


def test_one_loss_reads_as_one() -> None:
    found = compared(run(OLD), run(record(0.0, call(digest="after", model="gpt-2"))))
    assert list(losses(found)) == ["the loss follows the model that answers: gpt-1 → gpt-2"]


def test_a_price_that_changed_is_told_beside_the_cost() -> None:
    before = run(*(record(1.0, call(cost="0.001"), name=f"c{n}") for n in range(8)))
    after = run(*(record(1.0, call(cost="0.002"), name=f"c{n}") for n in range(8)), prices={"input": "2"})
    cost, prices = figures(compared(before, after))
    assert cost.endswith("worse")
    assert prices == "prices changed: the user's prices: {'input': '1'} → {'input': '2'}"
    assert before.header is not None
    assert after.header is not None
    after.header.candidates = before.header.candidates
    before.header.prices = [PriceUsed("mini", "gpt-1", "genai-prices", "2025-01-01", "2025-01-01", input="0.15")]
    after.header.prices = [PriceUsed("mini", "gpt-1", "genai-prices", "2025-06-01", "2025-06-01", input="0.3")]
    assert list(figures(compared(before, after)))[1] == (
        "prices changed: the published price of gpt-1: input 0.15 → 0.3 USD per 1M tokens"
    )


def test_candidates_are_not_asked_why_they_differ() -> None:
    other = replace(OLD, nodeid="test_x[big-a]", candidate="big", score=0.0)
    (pair,) = compare_candidates(run(OLD, other)).pairs
    assert pair.causes == []
