"""Which model is the best for each task of a run, and what that assignment costs against one model for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_llmeval.judging import NO_TASK
from pytest_llmeval.records import Run
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, Column, format_ms
from pytest_llmeval.reports.monthly import cents
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen
from pytest_llmeval.reports.whatif import figures_of_mix, usd_texts
from pytest_llmeval.settings import Requirements
from pytest_llmeval.verdicts import CandidateVerdict, recommend
from pytest_llmeval.whatif import alone, outcomes_of

if TYPE_CHECKING:
    from pytest_llmeval.runheader import CandidateInfo
    from pytest_llmeval.settings import TaskSettings


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """One task of a run.

    Attributes:
        name: Name of the task.
        cases: Cases that each of its candidates has a result of.
        left_out: Cases that some of them lack.
        candidates: A verdict of each candidate.
        best: The cheapest that meets all requirements; without any, the one of the highest quality, and the cheaper one
            of equals. None if nobody can tell.
        requests: Requests a month; None if nobody said.
        asked: Whether there are requirements.
    """

    name: str
    cases: int
    left_out: int
    candidates: tuple[CandidateVerdict, ...]
    best: CandidateVerdict | None
    requests: int | None
    asked: bool

    def monthly(self, candidate: str) -> Decimal | None:
        """Return USD a month of one candidate; None if its cost, or the number of requests, is unknown."""
        found = next((each for each in self.candidates if each.name == candidate), None)
        cost = None if found is None else found.figures.cost_per_request
        return None if cost is None or self.requests is None else cost * self.requests


def task_verdicts(
    run: Run,
    tasks: Mapping[str, TaskSettings],
    requirements: Requirements,
    requests: Mapping[str, int],
    described: Mapping[str, CandidateInfo],
) -> list[TaskVerdict]:
    """Return a verdict for each task of a run, over the cases that all its candidates have.

    Args:
        run: The records.
        tasks: `[tool.llmeval.tasks]`.
        requirements: Those of the project; a task's own go before them.
        requests: Requests a month by task, before those of the settings.
        described: What is known of the candidates beside their tests.
    """
    names = list(dict.fromkeys(test.task or "" for test in run.tests if test.candidate))
    found = []
    for name in sorted(filter(None, names)) or names:
        part = Run(candidates=run.candidates, tests=[test for test in run.tests if (test.task or "") == name])
        own = tasks.get(name)
        asked = requirements if own is None else own.over(requirements)
        volume = requests.get(name) or asked.requests_per_month
        found.append(_verdict(name or NO_TASK, part, asked, volume, described))
    return found


def _verdict(
    name: str, part: Run, asked: Requirements, volume: int | None, described: Mapping[str, CandidateInfo]
) -> TaskVerdict:
    candidates = list(part.by_candidate())
    outcomes, left_out = outcomes_of(part, candidates)
    figures = [figures_of_mix(alone(outcomes, candidate), described) for candidate in candidates]
    held = recommend(figures, asked)
    # How many requests there are is nothing that a candidate could meet.
    limits = asked.model_dump(exclude_none=True).keys() - {"requests_per_month"}
    best = held.best if limits else _highest(held.candidates)
    return TaskVerdict(name, len(outcomes), left_out, held.candidates, best, volume, bool(limits))


def _highest(candidates: Sequence[CandidateVerdict]) -> CandidateVerdict | None:
    known = [(each.figures.quality.mean, each) for each in candidates if each.figures.quality is not None]

    def merit(pair: tuple[float, CandidateVerdict]) -> tuple[float, Decimal]:
        cost = pair[1].figures.cost_per_request
        # An unknown cost is not a low one.
        return round(pair[0], 9), -(Decimal("Infinity") if cost is None else cost)

    return max(known, key=merit)[1] if known else None


def show_tasks(screen: Screen, found: Sequence[TaskVerdict]) -> None:
    """Show candidates by task, the best model of each, and what they cost together against one model for all."""
    for task in found:
        verdicts = task.candidates
        screen.line(f"{task.name}: {task.cases:,} case{'s' * (task.cases != 1)}", "bold")
        costs = usd_texts([each.figures.cost_per_request for each in verdicts])
        built = [
            Column("quality", 0, tuple(_mean(each) for each in verdicts)),
            Column("95%\ninterval", 3, tuple(_interval(each) for each in verdicts)),
            Column("p95", 4, tuple(_p95(each) for each in verdicts)),
            Column(
                "cost\na case",
                2,
                tuple("free" if v.figures.cost.is_free else c for v, c in zip(verdicts, costs, strict=True)),
            ),
            Column("verdict", 1, tuple(_said(task, each) for each in verdicts)),
        ]
        screen.table([each.name for each in verdicts], built, head=True)
        screen.line()
    screen.line("Best model per task", "bold")
    best = [task.best.name if task.best is not None else NOT_APPLICABLE for task in found]
    rows = [
        Column("model", 0, tuple(best)),
        Column(
            "requests\na month", 2, tuple(UNKNOWN if task.requests is None else f"{task.requests:,}" for task in found)
        ),
        Column("USD\na month", 1, tuple(cents(task.monthly(name)) for task, name in zip(found, best, strict=True))),
    ]
    screen.table([task.name for task in found], rows, head=True, name_head="task")
    screen.line()
    totals = totals_of(found)
    screen.table(
        list(totals), [Column("USD\na month", 0, tuple(map(cents, totals.values())))], head=True, name_head="strategy"
    )


def totals_of(found: Sequence[TaskVerdict]) -> dict[str, Decimal | None]:
    """Return what a month costs with the best model for each task, and with each model for all; None if unknown."""

    def total(costs: Sequence[Decimal | None]) -> Decimal | None:
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if len(known) == len(costs) else None

    best = [None if task.best is None else task.monthly(task.best.name) for task in found]
    names = dict.fromkeys(each.name for task in found for each in task.candidates)
    single = {f"{name} for all": total([task.monthly(name) for task in found]) for name in names}
    return {"the best for each task": total(best), **single}


def _mean(verdict: CandidateVerdict) -> str:
    quality = verdict.figures.quality
    return NOT_APPLICABLE if quality is None else f"{quality.mean:.2f}"


def _interval(verdict: CandidateVerdict) -> str:
    quality = verdict.figures.quality
    return NOT_APPLICABLE if quality is None else f"{quality.low:.2f}-{quality.high:.2f}"


def _p95(verdict: CandidateVerdict) -> str:
    p95 = verdict.figures.p95_ms
    return UNKNOWN if p95 is None else format_ms(p95)


def _said(task: TaskVerdict, verdict: CandidateVerdict) -> str:
    if verdict is task.best:
        return "best"
    if not task.asked:
        return NOT_APPLICABLE
    return "meets all" if verdict.meets_all else "no" if verdict.unmet else UNKNOWN


def task_notes(found: Sequence[TaskVerdict]) -> Iterator[Note]:
    """Yield what the tables cannot say."""
    for task in found:
        if task.left_out:
            yield "cases", f"{task.name}: {task.left_out:,} left out, since not every candidate has a result of them"
        for each in task.candidates:
            if each.unmet:
                yield "not met", f"{task.name}, {each.name}: {'; '.join(verdict.text for verdict in each.unmet)}"
        if not task.cases:
            yield "best", f"{task.name}: no case has a result of each candidate; choose some with --models"
        elif task.best is None:
            yield "best", f"{task.name}: {'none meets all requirements' if task.asked else 'nothing was scored'}"
    if not any(task.asked for task in found):
        yield "best", "there are no requirements, so that the highest quality decides, whatever it costs"
    if any(task.requests is None for task in found):
        yield "volume", "say how many requests a task has: --requests NAME=500K, or requests_per_month of the task"


def only_named(run: Run) -> Run:
    """Return a run without the tests that name no task."""
    return replace(run, tests=[test for test in run.tests if test.task])
