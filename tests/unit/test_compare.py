from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval import compare
from pytest_llmeval.comparators import Comparator
from pytest_llmeval.compare import as_comparator, in_place
from pytest_llmeval.errors import ConfigError


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("comparator", "expected", "got", "score"),
    [
        (compare.lower(), "Straße", "STRASSE", 0),
        (compare.lower(), None, "None", 1),
        (compare.lower(), 1.0, 1, 0),
        (compare.lower(), [1, "A"], [1, "a"], 1),
        (compare.casefold(), "Straße", "STRASSE", 1),
        (compare.casefold(), "a  b", "A\tB ", 1),
        (compare.exact(), "a", "a", 1),
        (compare.exact(), True, 1, 0),
        (compare.exact(), [True], [1], 0),
        (compare.exact(), {"a": [1]}, {"a": [1.0]}, 1),
        (compare.exact(), {"a": 1}, {"a": 1, "b": 2}, 0),
        (compare.exact(), [1, 2], [1], 0),
        (compare.exact(), None, None, 1),
        (compare.exact(), None, False, 0),
        (compare.regex("order"), None, "my order", 1),
        (compare.regex("^order$"), None, "my order", 0),
        (compare.regex("(?i)ORDER"), None, "order", 1),
        (compare.regex(), "^o", "order", 1),
        (compare.regex("true", flags=2), None, True, 1),
        (compare.regex("."), None, None, 0),
        (compare.regex("."), None, ["x"], 0),
        (compare.contains("DAMAGED"), None, "was damaged", 1),
        (compare.contains(), "damaged", "was Damaged", 1),
        (compare.contains("Damaged", case_sensitive=True), None, "was damaged", 0),
        (compare.contains("a"), None, ["A", "b"], 1),
        (compare.contains("a"), None, ["ab"], 0),
        (compare.contains("a"), None, {"a": 1}, 0),
        (compare.contains("one"), None, None, 0),
        (compare.contains(45), None, 4521, 1),
        (compare.one_of("a", "b"), None, "B", 1),
        (compare.one_of("a", "b"), None, "c", 0),
        (compare.one_of(None), None, None, 1),
        (compare.one_of(), ["a", "b"], "A", 1),
        (compare.fuzzy(), "damaged", "DAMAGED", 1),
        (compare.fuzzy(), "abcd", "abxd", 0.75),
        (compare.fuzzy(threshold=0.75), "abcd", "abxd", 0.75),
        (compare.fuzzy(threshold=0.76), "abcd", "abxd", 0),
        (compare.fuzzy(), "a", None, 0),
        (compare.fuzzy(), "\ud800", "\ud800", 1),
        (compare.fuzzy("abcd"), "ignored", "abcd", 1),
        (compare.set_overlap(), ["a", "b"], ["B", "a", "A"], 1),
        (compare.set_overlap(), ["a"], ["a", "b", "c"], 0.5),
        (compare.set_overlap(), ["a"], [], 0),
        (compare.set_overlap(), [], [], 1),
        (compare.set_overlap(), [], ["a"], 0),
        (compare.set_overlap(), {"a"}, ["a"], 1),
        (compare.set_overlap(), ["a"], "a", 0),
        (compare.set_overlap(), [{"x": [1]}], [{"x": [1]}], 1),
    ],
)
def test_score_of(comparator: Comparator, expected: Any, got: Any, score: float) -> None:
    assert comparator(expected, got) == score


@pytest.mark.parametrize(
    ("expected", "got", "options", "score"),
    [
        (1, 1.0, {}, 1),
        (1, " 1.00 ", {}, 1),
        (1299, "1,299", {}, 1),
        (1299, "1,2,99", {}, 0),
        (0.3, 0.1 + 0.2, {}, 0),
        (1, 1.1, {"tolerance": 0.1}, 1),
        (1, 1.1001, {"tolerance": 0.1}, 0),
        (-100, -99, {"relative": 0.01}, 1),
        (100, 101.5, {"relative": 0.01, "tolerance": 1.5}, 1),
        (Decimal("0.1"), "1e-1", {}, 1),
        (1, "1e999999999", {}, 0),
        (1, "1e-999999999", {"tolerance": 2}, 1),
        (1, float("nan"), {"tolerance": 10}, 0),
        (1, float("inf"), {"tolerance": 10}, 0),
        (1, "nan", {}, 0),
        (1, True, {}, 0),
        (1, None, {}, 0),
        (1, "", {}, 0),
        (1, ".", {}, 0),
        (1, "one", {}, 0),
        (12, "12 EUR", {}, 0),
        (1, "\u0661", {}, 0),
        (1, [1], {}, 0),
    ],
)
def test_number(expected: Any, got: Any, options: dict[str, float], score: float) -> None:
    assert compare.number(**options)(expected, got) == score


@pytest.mark.parametrize(
    "got",
    [
        "2024-05-01",
        "20240501",
        "2024-05-01T23:59:59Z",
        "2024-05-01 10:00",
        "2024/5/1",
        "2024.05.01",
        " 1 May 2024 ",
        "1st of May, 2024",
        "May 1, 2024",
        "may 1st 2024",
        "Wednesday, May 1, 2024",
        "Wed 01 May 2024",
        "01-May-2024",
        "1.5.2024",
        datetime.date(2024, 5, 1),
        datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC),
    ],
)
def test_date_reads_what_people_write(got: Any) -> None:
    assert compare.date()("2024-05-01", got) == 1


@pytest.mark.parametrize(
    "month", ["Jan", "January", "Feb.", "March", "June", "Jun", "July", "Sept", "Sep.", "December"]
)
def test_date_knows_all_forms_of_a_month(month: str) -> None:
    number = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].index(
        month[:3].lower()
    )
    assert compare.date()(f"2024-{number + 1:02}-03", f"{month} 3, 2024") == 1


@pytest.mark.parametrize(
    "got", ["2024-05-02", "May 2024", "tomorrow", "30 February 2024", "1 Mayo 2024", "", 20240501, None, "x" * 10_000]
)
def test_date_refuses_other_days_and_what_is_no_date(got: Any) -> None:
    assert compare.date()("2024-05-01", got) == 0


def test_a_date_that_can_be_read_two_ways_matches_only_when_told_how() -> None:
    assert compare.date().judge("2024-05-01", "1/5/2024") == (0, "a date that can be read two ways")
    assert compare.date(dayfirst=True)("2024-05-01", "1/5/2024") == 1
    assert compare.date(dayfirst=False)("2024-05-01", "1/5/2024") == 0
    assert compare.date(dayfirst=False)("2024-05-01", "5/1/2024") == 1
    assert compare.date()("2024-05-13", "5/13/2024") == compare.date()("2024-05-13", "13/5/2024") == 1
    assert compare.date()("2024-05-05", "5/5/2024") == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: compare.number(tolerance=-1), "tolerance=-1"),
        (lambda: compare.number(relative=float("nan")), "relative=nan"),
        (lambda: compare.number(tolerance=float("inf")), "tolerance=inf"),
        (lambda: compare.number()("many", 1), "finite number, not 'many'"),
        (lambda: compare.date()("soon", "2024-05-01"), "'soon' is not a date"),
        (lambda: compare.date()("1/5/2024", "2024-05-01"), "read two ways"),
        (lambda: compare.regex("("), "not a regular expression"),
        (lambda: compare.regex(5), "not a regular expression"),
        (lambda: compare.regex()(5, "x"), "not a regular expression"),
        (lambda: compare.one_of()("a", "a"), "expects a list"),
        (lambda: compare.set_overlap()("a", ["a"]), "expects a list or set"),
        (lambda: compare.fuzzy(threshold=80), "threshold=80"),
        (lambda: as_comparator("fuzy"), "Did you mean 'fuzzy'"),
        (lambda: as_comparator(5), "not 5"),
        (lambda: in_place(compare.number()), "nothing to compare with"),
        (lambda: in_place(compare.date), "call it"),
    ],
)
def test_a_rule_that_cannot_be_used_says_what_is_wrong(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["lower", "casefold", "exact", "number", "regex", "contains", "fuzzy"])
def test_comparators_are_known_by_name(name: str) -> None:
    assert as_comparator(name)("2024", "2024") == 1
    assert as_comparator(name)("2024", "1999") < 1


@pytest.mark.parametrize("name", sorted(compare.FACTORIES))
def test_every_public_comparator_has_a_name(name: str) -> None:
    assert repr(as_comparator(name)) == f"{name}()"
    assert as_comparator(getattr(compare, name)).label == f"{name}()"


@pytest.mark.parametrize("result", [True, False, 0, 1, 0.25, Decimal("0.5")])
def test_a_callable_returns_a_bool_or_a_number(result: Any) -> None:
    assert as_comparator(lambda expected, got: result)("a", "b") == float(result)


@pytest.mark.parametrize("result", [1.01, -0.1, 85, None, "yes", float("nan"), Decimal("sNaN"), [1]])
def test_a_callable_that_returns_anything_else_is_an_error_that_shows_it(result: Any) -> None:
    def close_to(expected: Any, got: Any) -> Any:
        return result

    with pytest.raises(ConfigError, match=r"close_to\('a', 'b'\) returned .*from 0 to 1"):
        as_comparator(close_to)("a", "b")


def test_a_callable_that_raises_is_an_error_that_shows_what_it_was_called_with() -> None:
    def longer(expected: Any, got: Any) -> bool:
        return len(got) > len(expected)

    with pytest.raises(ConfigError, match=r"longer\('a', None\) raised TypeError: ") as caught:
        as_comparator(longer)("a", None)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("name", sorted(compare.FACTORIES))
def test_hostile_answers_score_and_never_raise(name: str) -> None:
    expected = {"number": 1, "date": "2024-05-01", "one_of": ["a"], "set_overlap": ["a"]}.get(name, "zz")
    cycle: list[Any] = []
    cycle.append(cycle)
    hostile: list[Any] = [nested(5_000), [nested(5_000)], cycle, 10**5000, [10**5000], "\ud800\x1b", {}, object(), b"a"]
    for got in hostile:
        assert as_comparator(name)(expected, got) == 0
    assert compare.exact().judge(nested(5_000), nested(5_000)) == (0, "nested too deep to compare")


def test_labels_show_value_and_options_that_were_given() -> None:
    assert repr(compare.number(5, tolerance=0.5)) == "number(5, tolerance=0.5)"
    assert repr(compare.date(dayfirst=False)) == "date(dayfirst=False)"
    assert repr(compare.one_of("a", 2)) == "one_of('a', 2)"
    assert repr(compare.regex("^a")) == "regex('^a')"


def test_integers_of_thousands_of_digits_are_numbers() -> None:
    assert compare.number()(10**5000, 10**5000) == 1
    assert compare.number()(1, 10**5000) == 0
    with pytest.raises(ConfigError, match="cannot be shown"):
        as_comparator(lambda expected, got: 10**5000)("a", "b")
