from __future__ import annotations

from pytest_llmeval.cases import Case
from pytest_llmeval.reports.cases import describe

LATE = Case(id="a", input="x" * 120, expected={"team": "delivery", "name": "Ann"}, tags=("late", "urgent"))


def test_a_dataset_is_told_in_a_line_for_each_thing() -> None:
    turns = [{"role": "user", "content": [{"type": "image", "path": "/x.png"}, {"type": "text", "text": "ä" * 60}]}] * 3
    cases = [
        LATE,
        Case(id="b", input="x" * 120, expected="yes", tags=("late",), max_tokens=5, extra={"wieght": 2}),
        Case(id="c", messages=turns, system="s" * 240, weight=2.0, extra={"order": 1}),
        Case(id="d", input="y", images=("/x.png",), expected={"team": "sales"}),
    ]
    assert describe(cases) == [
        "tags      late 2, urgent 1, (none) 2",
        "fields    input 3, messages (up to 3) 1, images 2, system 1, max_tokens 1, weight 1",
        "expected  team 2, name 1, (text) 1, (none) 1",
        "extra     wieght 1, order 1",
        "tokens    mean 53 (at most 70), p95 132 (at most 176), max 150 (at most 200) a case: its own text, "
        "UTF-8 bytes / 4 (/ 3); pictures are not counted",
        "same      a = b",
    ]


def test_what_is_not_there_has_no_line() -> None:
    assert [line.split()[0] for line in describe([Case(id="a", input="x")])] == ["fields", "expected", "tokens"]


def test_a_field_that_was_misspelt_is_found() -> None:
    cases = [Case(id="a", extra={"inptu": "x" * 40, "order": 1})]
    assert "extra     inptu (Did you mean 'input'?) 1, order 1" in describe(cases)


def test_cases_that_are_built_of_other_fields_are_estimated_by_these() -> None:
    assert describe([Case(id="a", extra={"q": "x" * 12})])[-1].startswith("tokens    mean 3 (at most 4)")


def test_names_that_would_steer_a_terminal_do_not() -> None:
    assert all(
        line.isprintable() for line in describe([Case(id="a", input="x", extra={"\x1b[31m": 1}, expected={"\n": 1})])
    )
