"""Which fields candidates miss: mean scores by field and candidate, and the cases that score worst."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

from pytest_llmeval.records import Run
from pytest_llmeval.reports.columns import one_line
from pytest_llmeval.samples import CaseResult, cases_of

Note = tuple[str, str]

#: A run with dozens of tests, fields or failing cases must not bury the table of candidates.
MOST_TABLES = 5
MOST_FIELDS = 15
MOST_CASES, MOST_OF_CANDIDATE = 9, 3
MOST_MISSED = 4
#: How far the worst field has to be below the others to be what a candidate misses.
STANDS_OUT = 0.1
INDEX = re.compile(r"\[\d+\]")
# A mean of scores that are all 1 may miss it by a bit.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class WorstCase:
    """A case that misses fields.

    Attributes:
        candidate, name: Who was asked what.
        score: Mean of its samples.
        missed: Its fields that are not right, the worst first.
        cassette: File of the recorded answers, if there is one.
    """

    candidate: str
    name: str
    score: float
    missed: tuple[str, ...]
    cassette: str | None


@dataclass(frozen=True, slots=True)
class FieldTable:
    """The fields of one test.

    Attributes:
        test: Node id without parameters.
        candidates: Column heads.
        fields: Mean score (0-1) of each field by candidate, None where nothing was expected of it; the worst first.
        worst: The worst cases of each candidate.
    """

    test: str
    candidates: tuple[str, ...]
    fields: tuple[tuple[str, tuple[float | None, ...]], ...]
    worst: tuple[WorstCase, ...]

    @property
    def is_perfect(self) -> bool:
        """Whether no candidate missed anything."""
        return all(mean is None or mean >= 1 - ROUNDING for _, means in self.fields for mean in means)


def field_tables(run: Run) -> list[FieldTable]:
    """Return a table for each test that was scored by fields, but for those where no candidate missed any.

    Samples are averaged within a case first. Items of a list count as one field: ``items[].sku``.

    >>> from pytest_llmeval.records import TestRecord
    >>> fields = {"name": 1.0, "due_date": 0.0}
    >>> [table] = field_tables(Run(tests=[TestRecord("test_x[a]", "a", score=0.5, fields=fields)]))
    >>> table.fields
    (('due_date', (0.0,)), ('name', (1.0,)))
    """
    tests: dict[str, dict[str, list[CaseResult]]] = {}
    for candidate, records in run.by_candidate().items():
        for case in cases_of(records):
            if any(test.fields for test in case.tests):
                tests.setdefault(case.nodeid.partition("[")[0], {}).setdefault(candidate, []).append(case)
    tables = [_table(test, cases) for test, cases in tests.items()]
    return [table for table in tables if not table.is_perfect]


def _table(test: str, cases: dict[str, list[CaseResult]]) -> FieldTable:
    means = {candidate: _means(of_candidate) for candidate, of_candidate in cases.items()}
    names = dict.fromkeys(name for found in means.values() for name in found)
    rows = [(name, tuple(found.get(name) for found in means.values())) for name in names]
    rows.sort(key=lambda row: min(mean for mean in row[1] if mean is not None))
    most = min(MOST_OF_CANDIDATE, max(1, MOST_CASES // len(cases)))
    worst = [case for name, of_candidate in cases.items() for case in _worst(name, of_candidate, most)]
    return FieldTable(test, tuple(cases), tuple(rows), tuple(worst))


def _means(cases: Iterable[CaseResult]) -> dict[str, float]:
    found: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        for name, score in _of_case(case).items():
            found.setdefault(name, []).append((score, case.weight))
    return {name: fmean(*zip(*scores, strict=True)) for name, scores in found.items()}


def _of_case(case: CaseResult) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for test in case.tests:
        for name, score in test.fields.items():
            scores.setdefault(_field(name), []).append(score)
    return {name: fmean(values) if len(values) > 1 else values[0] for name, values in scores.items()}


@lru_cache(maxsize=4096)
def _field(path: str) -> str:
    return INDEX.sub("[]", path)


def _worst(candidate: str, cases: Sequence[CaseResult], most: int) -> Iterator[WorstCase]:
    scored = [(case.score, case) for case in cases if case.score is not None and case.score < 1 - ROUNDING]
    for score, case in sorted(scored, key=lambda pair: pair[0])[:most]:
        fields = sorted(_of_case(case).items(), key=lambda pair: pair[1])
        missed = tuple(name for name, mean in fields if mean < 1 - ROUNDING)
        cassette = next((test.cassette for test in case.tests if test.cassette), None)
        yield WorstCase(candidate, case.name, score, missed, cassette)


def mean_text(mean: float | None) -> str:
    """Write a mean; 1.00 is kept for fields that were never missed.

    >>> mean_text(1.0), mean_text(0.998), mean_text(None)
    ('1.00', '0.99', '-')
    """
    if mean is None:
        return "-"
    return f"{mean if mean >= 1 - ROUNDING else min(mean, 0.99):.2f}"


def field_notes(table: FieldTable) -> list[Note]:
    """Return what stands out, and the worst cases with the files of their recordings."""
    worst = [
        ("worst", f"{worst_text(case)}{f': {one_line(case.cassette)}' if case.cassette else ''}")
        for case in table.worst
    ]
    return [*missed_notes(table), *worst]


def missed_notes(table: FieldTable) -> list[Note]:
    """Return what stands out."""
    notes = [("missed", text) for i, name in enumerate(table.candidates) if (text := _stands_out(table, i, name))]
    left = len(table.fields) - MOST_FIELDS
    if left > 0:
        notes.append(("fields", f"{left:,} more, which score higher"))
    return notes


def worst_text(case: WorstCase) -> str:
    """Say what a case misses.

    >>> worst_text(WorstCase("mini", "late-invoice", 0.5, ("due_date",), None))
    'mini, late-invoice 0.50 (due_date)'
    """
    missed = ", ".join(map(one_line, case.missed[:MOST_MISSED]))
    more = f" and {len(case.missed) - MOST_MISSED} more" if len(case.missed) > MOST_MISSED else ""
    name = f"{one_line(case.candidate)}, {one_line(case.name)}"
    return f"{name} {mean_text(case.score)} ({missed or 'no field'}{more})"


def _stands_out(table: FieldTable, column: int, candidate: str) -> str:
    """Say what a candidate misses, where one field is far worse than the others."""
    means = [(means[column], name) for name, means in table.fields]
    known = sorted((mean, name) for mean, name in means if mean is not None)
    if len(known) < 2 or known[1][0] - known[0][0] < STANDS_OUT:
        return ""
    (worst, name), others = known[0], [mean for mean, _ in known[1:]]
    return (
        f"{one_line(name)} is what {one_line(candidate)} misses: {mean_text(worst)}, "
        f"the other fields {mean_text(others[0])} and more"
    )
