from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from pytest_llmeval import compare
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.records import TestRecord
from pytest_llmeval.response import Response
from pytest_llmeval.scoring import MISSING, FieldScores, assert_fields, record_score, score_fields
from pytest_llmeval.testlog import TestLog, running_log


@pytest.fixture
def log() -> Iterator[TestLog]:
    log = TestLog("model")
    with running_log.bound(log):
        yield log


def recorded(log: TestLog) -> TestRecord:
    return log.record("test", "passed")


def by_path(scores: FieldScores) -> dict[str, float]:
    return {field.path: field.score for field in scores.fields}


# The default rule


def reference_score(got: dict[str, Any], expected: dict[str, Any]) -> float:
    earned = [key for key in expected if key in got and str(got[key]).lower() == str(expected[key]).lower()]
    return len(earned) / len(expected)


def random_value(rng: random.Random) -> Any:
    return rng.choice(
        [
            *("John", "JOHN", "john", "", " ", "True", "none", "1", "1.0", "ß", "SS", "İ", "\ud800", "a.b", "[]", "{}"),
            *(True, False, None, 0, 1, 1.0, -0.0, 1e300, float("inf"), Decimal("1.0"), [], {}),
            *(datetime.date(2024, 5, 1), "2024-05-01", b"x", rng.random(), rng.randint(-3, 3)),
        ]
    )


@pytest.mark.parametrize("seed", range(400))
def test_each_equal_key_earns_its_part_of_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    keys = rng.sample(["name", "NAME", "a.b", "", "items[0]", "due date", "ключ", "\x1b", '"', *"abcdefghij"], k=12)
    expected = {key: random_value(rng) for key in keys[: rng.randint(1, 12)]}
    got = {key: rng.choice([random_value(rng), expected.get(key)]) for key in keys if rng.random() < 0.8}
    assert score_fields(got, expected) == reference_score(got, expected)


@pytest.mark.parametrize("count", range(1, 120))
def test_a_perfect_answer_scores_exactly_one(count: int) -> None:
    expected = {f"key{index}": index for index in range(count)}
    assert score_fields(dict(expected), expected) == 1.0


def test_bools_and_numbers_equal_their_text_by_the_default_rule() -> None:
    assert score_fields({"a": "TRUE", "b": "1"}, {"a": True, "b": 1}) == 1


def test_null_is_not_the_same_as_a_missing_key() -> None:
    assert score_fields({"a": None}, {"a": None}) == 1
    missing = score_fields({}, {"a": None})
    assert missing == 0
    assert missing.fields[0].got is MISSING
    assert missing.fields[0].note == ""


def test_a_list_that_came_as_the_text_of_a_list_still_equals() -> None:
    got, expected = {"tags": "['A', 'B']", "more": {"x": 1}}, {"tags": ["a", "b"], "more": "{'x': 1}"}
    assert score_fields(got, expected) == reference_score(got, expected) == 1


def test_keys_are_compared_as_they_are_written() -> None:
    assert score_fields({"Name": "x"}, {"name": "x"}) == 0


# Nested data


def test_a_nested_object_shares_what_its_key_can_earn() -> None:
    expected = {"customer": {"name": "John", "city": "Rome"}, "issue": "late"}
    scores = score_fields({"customer": {"name": "john", "city": "Oslo"}, "issue": "LATE"}, expected)
    assert scores == 0.75
    assert by_path(scores) == {"customer.name": 1, "customer.city": 0, "issue": 1}
    assert [field.weight for field in scores.fields] == [0.25, 0.25, 0.5]


def test_list_items_are_compared_by_position() -> None:
    expected = {"items": [{"sku": "A"}, {"sku": "B"}]}
    scores = score_fields({"items": [{"sku": "B"}, {"sku": "b"}]}, expected)
    assert by_path(scores) == {"items[0].sku": 0, "items[1].sku": 1}


def test_a_list_may_be_expected_at_the_top() -> None:
    assert by_path(score_fields("[1, 3]", [1, 2])) == {"[0]": 1, "[1]": 0}


def test_what_is_missing_above_a_field_is_named() -> None:
    expected = {"a": {"b": {"c": 1}}, "items": [1, {"sku": 2}], "plain": {"x": 1}}
    notes = {field.path: field.note for field in score_fields({"a": {}, "items": [1], "plain": 5}, expected).fields}
    assert notes == {
        "a.b.c": "no a.b",
        "items[0]": "",
        "items[1].sku": "no items[1]",
        "plain.x": "plain is of type integer",
    }


def test_empty_containers_are_fields_of_their_own() -> None:
    assert by_path(score_fields({"a": [], "b": {"x": 1}}, {"a": [], "b": {}})) == {"a": 1, "b": 0}


def test_ambiguous_keys_have_quoted_paths() -> None:
    scores = score_fields({"a.b": 1, "a": {"b": 2}}, {"a.b": 1, "a": {"b": 1}})
    assert by_path(scores) == {'["a.b"]': 1, "a.b": 0}


def test_tuples_are_lists() -> None:
    assert score_fields({"a": [1, 2]}, {"a": (1, 2)}) == 1


# Weights


def test_weights_count_among_siblings() -> None:
    got = {"a": 1, "b": {"c": 1, "d": 0}}
    assert score_fields(got, {"a": 1, "b": {"c": 1, "d": 1}}, weights={"a": 3}) == 0.75 + 0.125
    assert score_fields(got, {"a": 1, "b": {"c": 1, "d": 1}}, weights={"b.d": 3, "b": 1}) == 0.5 + 0.125
    assert score_fields(got, {"a": 1, "b": {"c": 1, "d": 1}}, weights={"b.d": 0}) == 1


def test_a_starred_path_weighs_all_items() -> None:
    expected = {"items": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]}
    got = {"items": [{"sku": "A"}, {"sku": "B"}]}
    assert score_fields(got, expected, weights={"items[*].sku": 4}) == 0.8
    assert score_fields(got, expected, weights={"items[*].sku": 4, "items[1].sku": 1}) == (0.8 + 0.5) / 2


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf"), Decimal("nan"), True, "1", None])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    with pytest.raises(ConfigError, match="finite number that is not negative"):
        score_fields({}, {"a": 1}, weights={"a": weight})


def test_weights_of_zero_for_all_siblings_are_refused() -> None:
    with pytest.raises(ConfigError, match="all fields of b weigh 0"):
        score_fields({}, {"a": 1, "b": {"c": 1}}, weights={"b.c": 0})


@pytest.mark.parametrize("option", ["weights", "compare"])
def test_a_path_where_nothing_is_expected_names_the_nearest(option: str) -> None:
    options: dict[str, Any] = {option: {"customer.nme": 1 if option == "weights" else "exact"}}
    with pytest.raises(ConfigError, match=r"nothing is expected at 'customer\.nme'\. Did you mean 'customer\.name'"):
        score_fields({}, {"customer": {"name": "x"}}, **options)


# Comparators


def test_comparators_are_given_by_path_name_or_callable() -> None:
    scores = score_fields(
        {"total": "10.004", "due": "1 May 2024", "items": [{"n": 5}, {"n": 50}], "mood": "good"},
        {"total": 10, "due": "2024-05-01", "items": [{"n": 10}, {"n": 10}], "mood": "great"},
        compare={
            "total": compare.number(tolerance=0.01),
            "due": "date",
            "items[*].n": lambda expected, got: got >= expected,
            "mood": lambda expected, got: 0.5,
        },
    )
    assert by_path(scores) == {"total": 1, "due": 1, "items[0].n": 0, "items[1].n": 1, "mood": 0.5}
    assert scores == (1 + 1 + 0.5 + 0.5) / 4


def test_comparators_stand_in_place_of_expected_values() -> None:
    expected = {
        "order": compare.regex(r"^#\d+$"),
        "issue": compare.one_of("damaged", "broken"),
        "age": lambda got: got > 17,
        "nested": {"tags": compare.set_overlap(["a", "b"])},
    }
    got = {"order": "#4521", "issue": "Broken", "age": 12, "nested": {"tags": ["b", "a"]}}
    assert by_path(score_fields(got, expected)) == {"order": 1, "issue": 1, "age": 0, "nested.tags": 1}


def test_a_comparator_takes_the_value_at_its_path_as_a_whole() -> None:
    scores = score_fields({"tags": ["b", "c"]}, {"tags": ["a", "b"]}, compare={"tags": "set_overlap"})
    assert by_path(scores) == {"tags": 0.5}


def test_an_expected_set_is_compared_as_a_set() -> None:
    assert score_fields({"tags": ["b", "a"]}, {"tags": {"a", "b"}}) == 1


def test_a_comparator_is_not_asked_about_a_missing_value() -> None:
    assert score_fields({}, {"a": 1}, compare={"a": lambda expected, got: True}) == 0


def test_two_comparators_for_one_field_are_refused() -> None:
    with pytest.raises(ConfigError, match="two comparators"):
        score_fields({"a": 1}, {"a": compare.regex("x")}, compare={"a": "exact"})


# Extra fields


def test_extra_fields_are_ignored_by_default() -> None:
    scores = score_fields({"a": 1, "b": 2, "items": [1, 2]}, {"a": 1, "items": [1]})
    assert scores == 1
    assert scores.extra == ()


def test_extra_fields_lower_the_score_when_penalised() -> None:
    got = {"a": 1, "b": {"deep": [1, 2, 3]}, "items": [{"sku": 1, "more": 2}, 2]}
    scores = score_fields(got, {"a": 1, "items": [{"sku": 1}]}, extra="penalize")
    assert scores.extra == ("b", "items[1]", "items[0].more")
    assert scores == 2 / 5
    assert scores.explain(">=", 0.8)[-1] == "not expected: b, items[1], items[0].more"


def test_what_a_comparator_judges_as_a_whole_has_no_extra_fields() -> None:
    got = {"tags": ["a", "b", "c"]}
    assert score_fields(got, {"tags": ["a", "b"]}, compare={"tags": "set_overlap"}, extra="penalize") == 0.8


def test_another_word_for_extra_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'penalize'"):
        score_fields({}, {"a": 1}, extra="penalise")  # type: ignore[arg-type]


# What can be scored


class Ticket(BaseModel):
    name: str
    day: datetime.date = datetime.date(2024, 5, 1)


def test_responses_text_and_models_are_taken() -> None:
    expected = {"name": "john", "day": "2024-05-01"}
    text = '{"name": "John", "day": "2024-05-01"}'
    assert score_fields(Response(text), expected) == 1
    assert score_fields(text, expected) == 1
    assert score_fields(Ticket(name="John"), expected) == 1
    assert score_fields(text, Ticket(name="John")) == 1


def test_json_among_other_text_is_taken_when_asked() -> None:
    assert score_fields('Sure: {"a": 1}', {"a": 1}, strict=False) == 1
    assert score_fields('Sure: {"a": 1}', {"a": 1}) == 0


@pytest.mark.parametrize("text", ["[1]", "5", "null", '"a"'])
def test_json_of_another_kind_scores_zero_and_says_why(text: str) -> None:
    scores = score_fields(text, {"a": 1})
    assert scores == 0
    assert scores.reason is not None
    assert "where object was expected" in scores.reason
    assert scores.reason in scores.explain(">=", 0.8)


@pytest.mark.parametrize("expected", [{}, []])
def test_nothing_expected_is_refused(expected: Any) -> None:
    with pytest.raises(ConfigError, match="expected is empty"):
        score_fields({}, expected)


@pytest.mark.parametrize("expected", [None, "a", 5, Response("{}"), lambda got: True])
def test_expected_has_to_be_an_object_or_list(expected: Any) -> None:
    with pytest.raises(ConfigError, match="give a dict"):
        score_fields({}, expected)


def test_expected_data_that_contains_itself_or_is_too_deep_is_refused() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["b"] = [cycle, cycle]
    deep: Any = 1
    for _ in range(150):
        deep = {"a": deep}
    for expected in (cycle, deep):
        with pytest.raises(ConfigError, match="contains itself, or is nested more than 100"):
            score_fields({}, expected)


def test_answers_that_contain_themselves_or_are_too_deep_score() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["b"] = cycle
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    scores = score_fields({"a": cycle, "b": deep, "c": 10**5000}, {"a": "x", "b": [["x"]], "c": 1}, extra="penalize")
    assert scores == 0
    assert len("\n".join(scores.explain(">=", 0.8))) < 600
    assert score_fields("[" * 100_000, {"a": 1}).reason == "not JSON: Nested too deep to read at line 1, column 1"


# The assertion


def test_assert_fields_fails_with_the_table_and_returns_the_score() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_fields('{"a": 1, "b": 3}', {"a": 1, "b": 2}, min_score=0.6)
    assert str(caught.value).splitlines() == [
        "the fields score 0.50, where at least 0.6 was asked for",
        "field | expected | got | score",
        "b     | 2        | 3   | 0.00",
        "a     | 1        | 1   | 1.00",
    ]
    assert assert_fields({"a": 1, "b": 3}, {"a": 1, "b": 2}, min_score=0.5) == 0.5


def test_assert_fields_requires_all_by_default() -> None:
    with pytest.raises(AssertionError, match="at least 1"):
        assert_fields({"a": 1}, {"a": 1, "b": 2})


@pytest.mark.parametrize("least", [1.1, -0.1, 80, float("nan"), "1"])
def test_a_minimum_out_of_range_is_refused(least: Any) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        assert_fields({"a": 1}, {"a": 1}, min_score=least)


def test_assert_fields_passes_all_options_on() -> None:
    scores = assert_fields(
        'So: {"a": 1.01, "b": 0, "c": 1}',
        {"a": 1, "b": 1},
        min_score=0.5,
        weights={"a": 3},
        compare={"a": compare.number(tolerance=0.1)},
        extra="penalize",
        strict=False,
    )
    assert scores == 0.75 * 2 / 3


# The record


def test_score_fields_and_json_validity_are_noted(log: TestLog) -> None:
    score_fields('{"a": 1, "b": {"c": 3}}', {"a": 1, "b": {"c": 2}})
    score_fields(Response("no idea"), {"a": 1}, name="second")
    record = recorded(log)
    assert record.scores == {"score": 0.5, "second": 0.0}
    assert record.fields == {"a": 0.5, "b.c": 0.0}
    assert (record.json_checked, record.json_valid) == (2, 1)
    assert type(record.scores["score"]) is float


def test_parsed_data_says_nothing_about_json(log: TestLog) -> None:
    score_fields({"a": 1}, {"a": 1})
    score_fields(Ticket(name="x"), {"name": "x"})
    assert recorded(log).json_checked == 0


def test_a_failing_assert_fields_is_noted_as_well(log: TestLog) -> None:
    with pytest.raises(AssertionError):
        assert_fields({"a": 1}, {"a": 2}, name="facts")
    assert recorded(log).scores == {"facts": 0.0}


def test_what_cannot_be_scored_is_not_noted(log: TestLog) -> None:
    with pytest.raises(ConfigError):
        score_fields("no idea", {})
    assert (recorded(log).scores, recorded(log).json_checked) == ({}, 0)


def test_record_score_notes_under_its_name(log: TestLog) -> None:
    record_score(1)
    record_score(0.5)
    record_score(True, name="polite")
    assert recorded(log).scores == {"score": 0.75, "polite": 1.0}


@pytest.mark.parametrize("value", [1.01, -0.01, 85, float("nan"), Decimal("sNaN"), "0.5", None])
def test_record_score_refuses_what_is_not_in_range(value: Any, log: TestLog) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        record_score(value)
    assert recorded(log).scores == {}


def test_integers_of_hundreds_of_digits_are_out_of_range() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        record_score(10**400)
