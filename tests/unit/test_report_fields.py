"""Which fields candidates miss."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports import markdown
from pytest_llmeval.reports.fields import FieldTable, field_notes, field_tables
from pytest_llmeval.reports.sections import sections

LLAMA = "together:meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo"


def record(candidate: str, n: int, test: str = "test_x", **changes: Any) -> TestRecord:
    fields = changes.get("fields") or {"name": 1.0, "due_date": 0.0}
    given = {"fields": fields, "score": sum(fields.values()) / len(fields), "case": f"case{n}"}
    given["cassette"] = f"llm_cassettes/{candidate}/case{n}.yaml"
    return TestRecord(f"t.py::{test}[{candidate}-case{n}]", candidate, **{**given, **changes})


def only(*tests: TestRecord) -> FieldTable:
    (table,) = field_tables(Run(tests=list(tests)))
    return table


def shown(*tests: TestRecord, width: int = 80, color: bool = False) -> str:
    found = dict(sections(Run(tests=list(tests)), width=width, color=color))
    return found.get("LLM fields", "")


def test_means_are_by_field_and_candidate_the_worst_first() -> None:
    table = only(record("a", 1), record("a", 2, fields={"name": 1.0, "due_date": 1.0}), record("b", 1))
    assert (table.candidates, table.test) == (("a", "b"), "t.py::test_x")
    assert table.fields == (("due_date", (0.5, 0.0)), ("name", (1.0, 1.0)))


def test_cases_count_by_their_weights_and_repeats_once() -> None:
    repeats = [
        TestRecord(f"t.py::test_x[a{'' if n == 1 else f'-sample{n}'}]", "a", fields={"x": 1.0}, sample=n, samples=4)
        for n in (1, 2, 3, 4)
    ]
    assert only(*repeats, record("a", 2, fields={"x": 0.0})).fields == (("x", (0.5,)),)
    heavy = record("a", 1, fields={"x": 1.0}, weight=3.0)
    assert only(heavy, record("a", 2, fields={"x": 0.0})).fields == (("x", (0.75,)),)


def test_items_of_a_list_are_one_field() -> None:
    table = only(record("a", 1, fields={"items[0].sku": 1.0, "items[1].sku": 0.0, "items[12].sku": 0.5}))
    assert table.fields == (("items[].sku", (0.5,)),)


def test_each_test_has_a_table() -> None:
    tables = field_tables(Run(tests=[record("a", 1), record("a", 1, "test_y", fields={"sum": 0.5})]))
    assert [table.test for table in tables] == ["t.py::test_x", "t.py::test_y"]
    assert "t.py::test_y\n" in shown(record("a", 1), record("a", 1, "test_y", fields={"sum": 0.5}))


@pytest.mark.parametrize(
    "tests",
    [[], [TestRecord("t.py::test_x[a]", "a", score=0.0)], [record("a", 1, fields={"name": 1.0})]],
    ids=["no test", "no field", "nothing missed"],
)
def test_where_there_is_nothing_to_show_nothing_is_shown(tests: list[TestRecord]) -> None:
    assert shown(*tests) == ""
    assert "### Fields" not in markdown.render(Run(tests=tests))


def test_cases_that_are_known_to_fail_do_not_count() -> None:
    assert field_tables(Run(tests=[record("a", 1, known_failing="")])) == []


def test_what_stands_out_is_said_in_words() -> None:
    good = record("b", 1, fields={"name": 0.95, "due_date": 0.9})
    notes = field_notes(only(record("a", 1), good))
    assert ("missed", "due_date is what a misses: 0.00, the other fields 1.00 and more") in notes
    assert [text for label, text in notes if label == "missed"] == [notes[0][1]]


def test_the_worst_cases_are_listed_with_their_recordings() -> None:
    tests = [record("a", n, fields={"x": n / 10, "y": 1.0}) for n in range(1, 11)]
    worst = [text for label, text in field_notes(only(*tests)) if label == "worst"]
    assert worst == [
        f"a, case{n} 0.{int(50 + n * 5)} (x): llm_cassettes/a/case{n}.yaml" for n in (1, 2, 3)
    ]  # fmt: skip


def test_in_markdown_recordings_of_the_worst_cases_are_links() -> None:
    odd = record("a", 1, cassette="llm_cassettes/a b/[x](y).yaml")
    assert (
        "- **worst**: a, case1 0.50 (due&#95;date): [llm&#95;cassettes/a b/&#91;x&#93;(y).yaml]"
        "(llm_cassettes/a%20b/%5Bx%5D%28y%29.yaml)\n"
    ) in markdown.render(Run(tests=[odd]))
    base = "https://github.com/you/app/blob/1a2b3c/"
    assert f"({base}llm_cassettes/a/case1.yaml)" in markdown.render(Run(tests=[record("a", 1)]), base)


def test_many_candidates_have_fewer_cases_each() -> None:
    tests = [record(name, n) for name in "abcdef" for n in range(5)]
    assert len(only(*tests).worst) == 6


def test_a_mean_that_is_not_1_is_never_written_as_1() -> None:
    tests = [record("a", n, fields={"x": float(n > 0)}) for n in range(1000)]
    assert "x      0.99" in shown(*tests)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_candidate_is_left_out(width: int) -> None:
    names = [LLAMA, LLAMA.replace("70B", "8B"), *(f"openai:gpt-{n}" for n in range(7))]
    fields = {"name": 1.0, "a.very.long.path.to.a.field.that.nobody.can.read[0].value": 0.25}
    text = shown(*(record(name, 1, fields=fields) for name in names), width=width)
    assert max(map(cell_len, text.splitlines())) <= width
    heads = [line for line in text.splitlines() if line.startswith("field ")]
    assert sum(len(re.split(r"\s{2,}", head.strip())) - 1 for head in heads) == len(names)
    assert text.count("0.25") >= len(names)


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[1;31m0.00" in shown(record("a", 1), color=True)
    assert "\x1b" not in shown(record("a", 1))


def test_hostile_names_steer_no_terminal_and_are_no_markup() -> None:
    bad = record("a", 1, fields={"<b>\x1b[31m|x": 0.0, "y": 1.0})
    assert "\x1b" not in shown(bad)
    assert "| &lt;b&gt; &#91;31m&#124;x | 0.00 |" in markdown.render(Run(tests=[bad]))
