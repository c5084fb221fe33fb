"""What comparators are made of: the `Comparator` itself, and how a value is read as text, as a number, as a date."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from enum import Enum
from numbers import Real
from typing import Any

from pytest_llmeval.display import escape, shorten
from pytest_llmeval.errors import ConfigError


class _Unset(Enum):
    UNSET = "unset"


UNSET = _Unset.UNSET
Verdict = tuple[float, str]


@dataclass(frozen=True, repr=False)
class Comparator:
    """Hold a rule from ``(expected, got)`` to a score (0-1) and a note that says why, empty if the score does.

    `value` is the expected value that the comparator brings along; unset, it compares with what it is called with.
    """

    label: str
    rule: Callable[[Any, Any], Verdict]
    value: Any = UNSET

    def judge(self, expected: Any, got: Any) -> Verdict:
        """Return the score and the note for `got`; what `got` holds never makes it raise.

        Raises:
            ConfigError: The expected value cannot be used with this rule, or a callable of the user's own failed.
        """
        try:
            return self.rule(expected if self.value is UNSET else self.value, got)
        except RecursionError:
            return 0.0, "nested too deep to compare"
        except ValueError:
            # str() of an int refuses more than sys.get_int_max_str_digits() digits.
            return 0.0, "holds a number too long to compare"

    def __call__(self, expected: Any, got: Any) -> float:
        """Return the score (0-1) of `got`."""
        return self.judge(expected, got)[0]

    def __repr__(self) -> str:
        return self.label


def same_text(expected: Any, got: Any) -> bool:
    """Whether two values are equal as lower-case strings.

    >>> same_text("Negative", "negative"), same_text(None, "none"), same_text([1, "A"], [1, "a"])
    (True, True, True)
    """
    return str(expected).lower() == str(got).lower()


def call(function: Callable[..., Any], *values: Any) -> Verdict:
    """Call a comparator of the user's own and check what it returns.

    Raises:
        ConfigError: It raised, or returned something else than a bool or a number from 0 to 1.
    """
    shown = f"{name_of(function)}({', '.join(shorten(value) for value in values)})"
    try:
        result = function(*values)
    except Exception as exc:
        raise ConfigError(f"comparator {shown} raised {type(exc).__name__}: {escape(str(exc))}") from exc
    score = as_float(result)
    if score is None or not 0 <= score <= 1:
        raise ConfigError(
            f"comparator {shown} returned {shorten(result)}: a comparator returns a bool or a number from 0 to 1."
        )
    return score, ""


def as_float(value: Any) -> float | None:
    """Return a number or bool, also one of numpy, as a float; None for anything else.

    >>> as_float(True), as_float("1"), as_float(10**400)
    (1.0, None, None)
    """
    # The bool of numpy is no number to Python.
    if not isinstance(value, (Real, Decimal)) and type(value).__name__ not in ("bool", "bool_"):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def name_of(function: Any) -> str:
    """Return the name under which a callable is shown."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def label(name: str, value: Any, **options: Any) -> str:
    """Return how a comparator is shown; options that are None are left out.

    >>> label("number", 5, tolerance=0.1, relative=None)
    'number(5, tolerance=0.1)'
    """
    shown = [] if value is UNSET else [shorten(value)]
    shown += [f"{key}={option!r}" for key, option in options.items() if option is not None]
    return f"{name}({', '.join(shown)})"


def verdict(matches: bool) -> Verdict:
    """Return the verdict of a rule that knows right and wrong only."""
    return (1.0, "") if matches else (0.0, "")


def identical(expected: Any, got: Any) -> bool:
    """Whether two values are the same data: type and value, through objects and lists.

    >>> identical([1, True], [1.0, True]), identical(True, 1)
    (True, False)
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(identical(expected[key], got[key]) for key in expected)
    if is_list(expected) and is_list(got):
        return len(expected) == len(got) and all(map(identical, expected, got))
    # bool is an int in Python; in JSON, true and 1 are different values.
    return isinstance(expected, bool) == isinstance(got, bool) and bool(expected == got)


def is_list(value: Any) -> bool:
    """Whether a value is a list, as JSON has it; text is none."""
    return isinstance(value, (list, tuple))


def scalar_text(value: Any) -> str | None:
    """Return text, a number or a bool as text; None for null, objects, lists and sets."""
    return None if value is None or isinstance(value, (dict, list, tuple, AbstractSet)) else str(value)


NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d*)?(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


def as_decimal(value: Any) -> Decimal | None:
    """Return the finite number that a value is, or holds in decimal notation; else None.

    >>> as_decimal(" 1,299.50 "), as_decimal(0.1), as_decimal("12 EUR"), as_decimal(True)
    (Decimal('1299.50'), Decimal('0.1'), None, None)
    """
    if isinstance(value, str):
        value = value.strip()
        value = value.replace(",", "") if NUMBER.fullmatch(value) else None
    elif isinstance(value, Real) and not isinstance(value, int):
        # The shortest text that reads back as this float is what was written; its binary value is not.
        value = repr(float(value))
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        parsed = Decimal(value)
    except DecimalException:
        return None
    return parsed if parsed.is_finite() else None


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
WRITTEN_DATES = tuple(
    re.compile(rf"{_WEEKDAY}{order}", re.IGNORECASE | re.ASCII)
    for order in (
        rf"{_DAY}(?:\s+of)?[\s-]+{_MONTH},?[\s-]+(?P<year>\d{{4}})",
        rf"{_MONTH}\s+{_DAY},?\s+(?P<year>\d{{4}})",
    )
)
NUMERIC_DATE = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", re.ASCII)
YEAR_FIRST_DATE = re.compile(r"(\d{4})([./-])(\d{1,2})\2(\d{1,2})", re.ASCII)


def as_days(value: Any, dayfirst: bool | None) -> set[datetime.date]:
    """Return the days that `value` can mean: none, one, or two.

    dateutil is no help here: it fills what is missing from today's date and guesses the order of day and month.

    >>> sorted(as_days("1/5/2024", None))
    [datetime.date(2024, 1, 5), datetime.date(2024, 5, 1)]
    """
    if isinstance(value, datetime.datetime):
        return {value.date()}
    if isinstance(value, datetime.date):
        return {value}
    if not isinstance(value, str):
        return set()
    text = value.strip()
    try:
        return {datetime.datetime.fromisoformat(text).date()}
    except ValueError:
        return _written_day(text) or _numeric_days(text, dayfirst)


def _written_day(text: str) -> set[datetime.date]:
    for pattern in WRITTEN_DATES:
        if match := pattern.fullmatch(text):
            month = MONTHS.index(match["month"].lower()[:3]) + 1
            return _day(int(match["year"]), month, int(match["day"]))
    return set()


def _numeric_days(text: str, dayfirst: bool | None) -> set[datetime.date]:
    if match := YEAR_FIRST_DATE.fullmatch(text):
        return _day(int(match[1]), int(match[3]), int(match[4]))
    if not (match := NUMERIC_DATE.fullmatch(text)):
        return set()
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if match[2] == "." or dayfirst:
        return _day(year, second, first)
    if dayfirst is False:
        return _day(year, first, second)
    return _day(year, second, first) | _day(year, first, second)


def _day(year: int, month: int, day: int) -> set[datetime.date]:
    try:
        return {datetime.date(year, month, day)}
    except ValueError:
        return set()
