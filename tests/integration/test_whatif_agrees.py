"""`llmeval whatif` works out what a router or cascade would do; here it is held against those that were run."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Tape
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.records import Run
from pytest_llmeval.whatif import Key, Mix, Outcome, alone, cascade, outcomes_of, route
from tests.chat_server import ChatServer, question_of
from tests.integration.conftest import Project

#: Half of them are hard, a third is answered without JSON by the cheap one, and it is often wrong.
TEST = """
import pytest
from pytest_llmeval import score_fields

CASES = [
    {
        "id": f"c{n}",
        "input": f"{'hard' if n % 2 else 'easy'} question {n}",
        "expected": {"answer": "right"},
        "tags": ["hard"] if n % 2 else [],
    }
    for n in range(12)
]

@pytest.mark.llm_cases(CASES, max_tokens=60)
def test_case(llm_reply, llm_case):
    score_fields(llm_reply, llm_case.expected)
"""


@pytest.fixture
def other_server() -> Iterator[ChatServer]:
    with ChatServer(count=True) as running:
        running.says = lambda _: '{"answer": "right"}'
        yield running


@pytest.fixture
def measured(project: Project, other_server: ChatServer) -> Project:
    """Return a project whose two models have been measured, each alone; from then on nobody answers."""
    settings = f'model = "openai:other"\nbase_url = "{other_server.url}"\nprices = {{ input = 2.0, output = 20.0 }}'
    project.add_settings(f"[tool.llmeval.models.other]\n{settings}")
    project.server.says = says
    project.write(TEST)
    project.outcomes(models="chat,other", passed=24)
    return project


def says(body: dict[str, Any]) -> str:
    number = int(question_of(body).split()[-1])
    return "no JSON" if number % 3 == 0 else '{"answer": "right"}' if number % 4 else '{"answer": "wrong"}'


def run_mix(project: Project, settings: str) -> Run:
    """Run a mix from the recordings of those that it is made of: what it asks them is what they were asked alone."""
    add_mix(project, settings)
    project.stop_server()
    project.outcomes("--llm-record=none", models="mix", passed=12)
    return project.records()


def add_mix(project: Project, settings: str) -> None:
    """Add a mix that finds the answers that its members gave alone."""
    project.add_settings(f"[tool.llmeval.models.mix]\n{settings}")
    folder = project.path / "llm_cassettes" / "test_chat"
    for path in (folder / "chat").iterdir():
        both = [read_tape(each / path.name)[0].interactions for each in (path.parent, folder / "other")]
        write_tape(folder / "mix" / path.name, Tape([each for tape in both for each in tape]), SecretScanner({}))


def agree(worked_out: Mix, run: Run) -> None:
    """Check that a mix that was run did what was worked out: case by case, and to the cent."""
    found, left_out = outcomes_of(run, ["mix"])
    assert (len(found), left_out) == (12, 0)
    ran = {key: by_name["mix"] for key, by_name in found.items()}
    assert {key: figures(outcome) for key, outcome in ran.items()} == {
        key: figures(outcome) for key, outcome in worked_out.outcomes.items()
    }
    total = alone(found, "mix")
    assert total.cost.amount == worked_out.cost.amount
    assert total.quality == worked_out.quality
    assert total.p95_ms == pytest.approx(worked_out.p95_ms)


def figures(outcome: Outcome) -> tuple[float | None, Decimal, float | None, bool]:
    ms = None if outcome.ms is None else round(outcome.ms, 3)
    return outcome.score, outcome.cost.amount, ms, outcome.answered


def test_a_cascade_that_was_run_does_what_was_worked_out(measured: Project) -> None:
    found, _ = outcomes_of(measured.records(), ["chat", "other"])
    worked_out = cascade(found, "chat", "other", lambda outcome: outcome.fails)
    assert 0 < worked_out.second < 1
    run = run_mix(measured, 'cascade = ["chat", "other"]')
    agree(worked_out, run)
    served = [call.served_by for test in run.tests for call in test.calls]
    assert served.count("other") == round(worked_out.second * 12) == 4


def test_a_router_that_was_run_does_what_was_worked_out(measured: Project) -> None:
    found, _ = outcomes_of(measured.records(), ["chat", "other"])
    worked_out = route(found, "chat", "other", lambda outcome: "hard" in outcome.tags, "by tag")
    run = run_mix(measured, 'router = { simple = "chat", complex = "other", pattern = "^hard" }')
    agree(worked_out, run)
    assert worked_out.second == 0.5


def test_what_a_classifier_costs_is_what_was_worked_out_with_it(project: Project, measured: Project) -> None:
    found, _ = outcomes_of(measured.records(), ["chat", "other"])
    cost = Decimal("0.00032")
    worked_out = route(found, "chat", "other", lambda outcome: "hard" in outcome.tags, "sorted", cost=cost)
    # The classifier is asked for real, by the cheap model's prices: 120 tokens in, 20 out.
    project.server.says = lambda body: "complex" if "hard" in question_of(body) else "simple"
    add_mix(measured, 'router = { simple = "chat", complex = "other", classifier = "chat" }')
    measured.outcomes("--llm-record=new", models="mix", passed=12)
    ran, _ = outcomes_of(measured.records(), ["mix"])
    mix = alone(ran, "mix")
    assert mix.cost.amount == worked_out.cost.amount
    assert costs(mix) == costs(worked_out)


def costs(mix: Mix) -> dict[Key, tuple[float | None, Decimal]]:
    return {key: (outcome.score, outcome.cost.amount) for key, outcome in mix.outcomes.items()}
