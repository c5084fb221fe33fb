from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from pytest_llmeval import compare
from pytest_llmeval.fieldscores import explain_comparison
from pytest_llmeval.scoring import FieldScores, score_fields


def by_path(scores: FieldScores) -> dict[str, float]:
    return {field.path: field.score for field in scores.fields}


# The number


def test_the_result_is_a_number() -> None:
    scores = score_fields({"a": 1}, {"a": 1, "b": 2, "c": 3})
    assert isinstance(scores, float)
    assert scores == 1 / 3
    assert repr(scores) == f"{scores}" == "0.33"
    assert json.loads(json.dumps(scores)) == 1 / 3
    assert f"{scores:.3f}" == "0.333"


def test_nearly_perfect_is_not_shown_as_perfect() -> None:
    assert repr(FieldScores(0.999)) == "0.999"
    assert repr(FieldScores(0.0001)) == "0.0001"
    assert repr(FieldScores(1.0)) == "1.00"
    assert FieldScores(0.7999).explain(">=", 0.8)[0] == "0.7999 >= 0.8"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_the_result_survives_copies(again: Any) -> None:
    scores = score_fields({"a": 1}, {"a": 1, "b": 2})
    assert again(scores) == scores
    assert again(scores).table() == scores.table()


# What the failure shows


def test_failing_assertion_shows_the_fields_that_lost_first() -> None:
    scores = score_fields({"name": "john", "mood": "happy"}, {"name": "John", "mood": "negative", "issue": "late"})
    assert scores.explain(">=", 0.8) == [
        "0.33 >= 0.8",
        "field | expected   | got       | score",
        "mood  | 'negative' | 'happy'   | 0.00",
        "issue | 'late'     | (missing) | 0.00",
        "name  | 'John'     | 'john'    | 1.00",
    ]


def test_table_shows_comparators_weights_and_notes_where_there_are_any() -> None:
    scores = score_fields(
        {"total": "ten", "name": "A", "due": "2024-05-01"},
        {"total": 10, "name": compare.regex("^B"), "due": "2024-05-01"},
        compare={"total": compare.number(tolerance=0.5), "due": "date"},
        weights={"total": 2},
    )
    assert scores.table().splitlines() == [
        "field | expected                    | got          | score | weight | why",
        "total | 10 by number(tolerance=0.5) | 'ten'        | 0.00  | 50.0%  | not a number",
        "name  | regex('^B')                 | 'A'          | 0.00  | 25.0%  |",
        "due   | '2024-05-01' by date()      | '2024-05-01' | 1.00  | 25.0%  |",
    ]


def test_table_is_aligned_with_wide_characters() -> None:
    lines = score_fields({"a": "日本語", "b": "x"}, {"a": "日本", "b": "y"}).table().splitlines()
    assert lines[1] == "a     | '日本'   | '日本語' | 0.00"
    assert lines[2] == "b     | 'y'      | 'x'      | 0.00"


def test_values_are_short_and_escaped_in_the_table() -> None:
    got = {"a": "\x1b[2J\u202e\n" + "x" * 100_000, "b": {"k": [1] * 10_000}}
    table = score_fields(got, {"a": "e" * 100_000, "b": 1}).table()
    assert all(char.isprintable() or char == "\n" for char in table)
    assert all(len(line) < 120 for line in table.splitlines())


def test_a_long_table_is_cut_and_counted() -> None:
    lines = score_fields({}, {"items": list(range(200))}).table().splitlines()
    assert len(lines) == 52
    assert lines[-1] == "... and 150 more fields"


def test_comparisons_from_both_sides_are_explained() -> None:
    scores = score_fields({}, {"a": 1})
    assert explain_comparison(">=", scores, 0.8) == scores.explain(">=", 0.8)
    assert explain_comparison("<=", 0.8, scores) == scores.explain(">=", 0.8)
    assert explain_comparison("==", 1, 2) is None
    assert explain_comparison("in", 1, scores) is None


def test_names_of_extra_fields_are_escaped_and_short() -> None:
    got = {"a": 1, "\x1b[31m": 1, "k" * 10_000: 1, **{f"x{index}": 1 for index in range(20)}}
    line = score_fields(got, {"a": 1}, extra="penalize").explain(">=", 1.0)[-1]
    assert "\x1b" not in line
    assert len(line) < 200
    assert line.endswith("and 17 more")


def test_malformed_json_scores_zero_and_says_why() -> None:
    scores = score_fields('{"a": 1', {"a": 1, "b": {"c": 1}})
    assert scores == 0
    assert by_path(scores) == {"a": 0, "b.c": 0}
    assert scores.reason == "not JSON: Expecting ',' delimiter at line 1, column 8"
    assert scores.explain(">=", 0.8) == ["0.00 >= 0.8", scores.reason, '  1 | {"a": 1', "    |        ^"]
