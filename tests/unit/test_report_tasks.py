"""The best model for each task of a run, and what a month costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.tasks import TaskVerdict, task_notes, task_verdicts, totals_of
from pytest_llmeval.settings import Requirements, TaskSettings

COSTS = {"mini": "0.001", "large": "0.01"}


def record(candidate: str, task: str | None, n: int, score: float) -> TestRecord:
    call = Call(candidate, cost=COSTS[candidate], cost_status="priced", latency_ms=100.0)
    return TestRecord(f"t.py::test_{task}[{candidate}-{n}]", candidate, score=score, calls=[call], task=task)


def run(**scores: tuple[float, float]) -> Run:
    """Return a run of five cases a task; `scores` are those of `mini` and `large`."""
    tests = [
        record(candidate, task, n, score)
        for task, both in scores.items()
        for candidate, score in zip(COSTS, both, strict=True)
        for n in range(5)
    ]
    return Run(candidates=list(COSTS), tests=tests)


EXAMPLE = run(reasoning=(0.5, 0.9), sorting=(1.0, 1.0))


def verdicts(
    of: Run = EXAMPLE,
    tasks: dict[str, TaskSettings] | None = None,
    requests: dict[str, int] | None = None,
    **requirements: Any,
) -> dict[str, TaskVerdict]:
    found = task_verdicts(of, tasks or {}, Requirements(**requirements), requests or {}, {})
    return {task.name: task for task in found}


def best(found: dict[str, TaskVerdict]) -> dict[str, str | None]:
    return {name: None if task.best is None else task.best.name for name, task in found.items()}


def test_without_requirements_the_highest_quality_decides_and_of_equals_the_cheaper_one() -> None:
    assert best(verdicts()) == {"reasoning": "large", "sorting": "mini"}


def test_with_requirements_the_cheapest_that_meets_them_is_the_best() -> None:
    assert best(verdicts(min_quality_score=0.4)) == {"reasoning": "mini", "sorting": "mini"}
    assert best(verdicts(min_quality_score=0.95)) == {"reasoning": None, "sorting": "mini"}


def test_requirements_of_a_task_go_before_those_of_the_project() -> None:
    tasks = {"reasoning": TaskSettings(requirements=Requirements(min_quality_score=0.4)), "sorting": TaskSettings()}
    assert best(verdicts(tasks=tasks, min_quality_score=0.95)) == {"reasoning": "mini", "sorting": "mini"}


def test_the_assignment_is_priced_against_one_model_for_all() -> None:
    found = verdicts(requests={"reasoning": 1000, "sorting": 100_000})
    assert totals_of(list(found.values())) == {
        "the best for each task": Decimal("110.000"),
        "mini for all": Decimal("101.000"),
        "large for all": Decimal("1010.00"),
    }


def test_volumes_come_from_the_command_line_then_the_task_then_the_requirements() -> None:
    tasks = {"reasoning": TaskSettings(requests_per_month=7), "sorting": TaskSettings(requests_per_month=8)}
    found = verdicts(tasks=tasks, requests={"sorting": 9}, requests_per_month=5)
    assert {name: task.requests for name, task in found.items()} == {"reasoning": 7, "sorting": 9}
    assert {task.requests for task in verdicts(requests_per_month=5).values()} == {5}
    # How many there are is nothing that a model could meet.
    assert best(verdicts(requests_per_month=5))["reasoning"] == "large"


def test_an_unknown_volume_or_price_makes_the_total_unknown() -> None:
    assert set(totals_of(list(verdicts(requests={"sorting": 5}).values())).values()) == {None}
    unpriced = run(sorting=(1.0, 1.0))
    unpriced.tests[0].calls[0].cost = None
    found = totals_of(list(verdicts(unpriced, requests={"sorting": 100}).values()))
    assert (found["mini for all"], found["large for all"]) == (None, Decimal("1.00"))


def test_tests_that_name_no_task_are_one_only_where_none_does() -> None:
    mixed = run(sorting=(1.0, 1.0))
    mixed.tests.append(record("mini", None, 1, 0.0))
    assert list(verdicts(mixed)) == ["sorting"]
    unnamed = Run(candidates=["mini"], tests=[record("mini", None, 1, 0.0)])
    assert list(verdicts(unnamed)) == ["(no task)"]


def test_notes_say_what_is_not_met_and_what_is_not_known() -> None:
    notes = list(task_notes(list(verdicts(min_quality_score=0.95).values())))
    assert ("not met", "reasoning, mini: quality 0.50 < 0.95") in notes
    assert ("best", "reasoning: none meets all requirements") in notes
    assert any(label == "volume" for label, _ in notes)
