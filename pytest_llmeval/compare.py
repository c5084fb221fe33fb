"""Comparators: rules that say how far a value that a model gave is the one that was expected.

Give one to `score_fields` for a path, by name or made to measure, or put one in place of an expected value:

>>> from pytest_llmeval import compare
>>> from pytest_llmeval.scoring import score_fields
>>> score_fields({"total": "1,299.01"}, {"total": 1299}, compare={"total": compare.number(tolerance=0.05)})
1.00
>>> score_fields({"total": "1,299.01"}, {"total": compare.number(1299, tolerance=0.05)})
1.00

Every factory takes the expected value as an optional first argument. Left out, it is the value that `expected` holds
at that path. Each comparator is itself a callable ``(expected, got) -> float``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from decimal import Decimal, DecimalException
from numbers import Real
from typing import Any

from pytest_llmeval.comparators import (
    UNSET,
    Comparator,
    Verdict,
    as_days,
    as_decimal,
    call,
    identical,
    is_list,
    label,
    name_of,
    same_text,
    scalar_text,
    verdict,
)
from pytest_llmeval.display import shorten
from pytest_llmeval.errors import ConfigError, nearest

__all__ = [
    "Comparator",
    "casefold",
    "contains",
    "date",
    "exact",
    "fuzzy",
    "lower",
    "number",
    "one_of",
    "regex",
    "set_overlap",
]


def lower(value: Any = UNSET) -> Comparator:
    """Compare as lower-case strings: ``str(expected).lower() == str(got).lower()``; the default rule.

    >>> lower()("Negative", "negative"), lower()(True, "true"), lower()(1, "1.0")
    (1.0, 1.0, 0.0)
    """
    return Comparator(label("lower", value), lambda want, got: verdict(same_text(want, got)), value)


def casefold(value: Any = UNSET) -> Comparator:
    """Compare as the default rule does, with Unicode's full case folding, and with white space evened out.

    >>> casefold()("Straße 5", " STRASSE  5"), casefold()("a", "b")
    (1.0, 0.0)
    """

    def rule(want: Any, got: Any) -> Verdict:
        return verdict(str(want).casefold().split() == str(got).casefold().split())

    return Comparator(label("casefold", value), rule, value)


def exact(value: Any = UNSET) -> Comparator:
    """Compare as data: type and value, whole objects and lists. 1 equals 1.0, as in JSON; true does not equal 1.

    >>> exact()("A", "a"), exact()(1, "1"), exact()([1, {"a": None}], [1.0, {"a": None}])
    (0.0, 0.0, 1.0)
    """
    return Comparator(label("exact", value), lambda want, got: verdict(identical(want, got)), value)


def number(value: Any = UNSET, *, tolerance: float = 0.0, relative: float = 0.0) -> Comparator:
    """Compare as numbers: ``|got - expected| <= max(tolerance, relative * |expected|)``.

    Takes numbers and strings that hold one in decimal notation, with commas between thousands or without. The
    difference is taken in decimal, so that 1.1 is within 0.1 of 1. The formula is that of `math.isclose`, but relative
    to the expected value alone.

    Raises:
        ConfigError: A tolerance is negative or not finite; the expected value is not a number (when it compares).

    >>> number()(1, "1.00"), number(tolerance=0.1)(1, 1.1), number(relative=0.01)(1000, "1,020")
    (1.0, 1.0, 0.0)
    """
    for what, amount in (("tolerance", tolerance), ("relative", relative)):
        if not isinstance(amount, (Real, Decimal)) or not math.isfinite(amount) or amount < 0:
            raise ConfigError(f"number({what}={amount!r}): give a finite number that is not negative.")
    slack, share = Decimal(str(tolerance)), Decimal(str(relative))

    def rule(want: Any, got: Any) -> Verdict:
        target, found = as_decimal(want), as_decimal(got)
        if target is None:
            raise ConfigError(
                f"number() expects a finite number, not {shorten(want)}: give one, or another comparator."
            )
        if found is None:
            return 0.0, "not a number"
        try:
            return verdict(abs(found - target) <= max(slack, share * abs(target)))
        except DecimalException:
            return 0.0, "a number out of all range"

    return Comparator(label("number", value, tolerance=tolerance or None, relative=relative or None), rule, value)


def date(value: Any = UNSET, *, dayfirst: bool | None = None) -> Comparator:
    """Compare as calendar days, however they are written; a time of day is disregarded.

    Reads ISO 8601, ``1 May 2024``, ``May 1st, 2024`` (English, long or short, with or without a weekday), and numeric
    dates such as ``5/1/2024`` or ``1.5.2024``. Numeric dates that can be read two ways match neither way, and the note
    says so, unless `dayfirst` says which way it is. Dots always mean day first.

    Raises:
        ConfigError: The expected value is not a date, or can be read two ways (when it compares).

    >>> date()("2024-05-01", "May 1st, 2024"), date()("2024-05-13", "13/05/2024"), date()("2024-05-01", "1/5/2024")
    (1.0, 1.0, 0.0)
    >>> date(dayfirst=True)("2024-05-01", "1/5/2024")
    1.0
    """

    def rule(want: Any, got: Any) -> Verdict:
        days, found = as_days(want, dayfirst), as_days(got, dayfirst)
        if len(days) != 1:
            problem = "can be read two ways" if days else "is not a date"
            raise ConfigError(f"date(): the expected value {shorten(want)} {problem}: write it as YYYY-MM-DD.")
        if len(found) != 1:
            return 0.0, "a date that can be read two ways" if found else "not a date"
        return verdict(days == found)

    return Comparator(label("date", value, dayfirst=dayfirst), rule, value)


def regex(pattern: Any = UNSET, *, flags: int = 0) -> Comparator:
    """Search the value, as text, for a regular expression (`re.search`): write ``^...$`` for the whole value.

    Raises:
        ConfigError: The pattern is not a regular expression.

    >>> regex(r"^#[0-9]+$")(None, "#4521"), regex(r"^[0-9]+$")(None, "#4521"), regex("^45")(None, 4521)
    (1.0, 0.0, 1.0)
    """

    def rule(want: Any, got: Any) -> Verdict:
        compiled = _compiled(want, flags)
        text = scalar_text(got)
        return (0.0, "not text") if text is None else verdict(compiled.search(text) is not None)

    if pattern is not UNSET:
        _compiled(pattern, flags)
    return Comparator(label("regex", pattern), rule, pattern)


def contains(text: Any = UNSET, *, case_sensitive: bool = False) -> Comparator:
    """Look for a text in the value; in a list, for an item that equals it.

    >>> contains("REFUND")(None, "wants a refund"), contains("refund")(None, ["Refund", "late"])
    (1.0, 1.0)
    >>> contains("refund", case_sensitive=True)(None, "Refund")
    0.0
    """

    def fold(value: Any) -> str:
        return str(value) if case_sensitive else str(value).lower()

    def rule(want: Any, got: Any) -> Verdict:
        if is_list(got):
            return verdict(any(fold(item) == fold(want) for item in got))
        inside = scalar_text(got)
        return (0.0, "not text") if inside is None else verdict(fold(want) in fold(inside))

    return Comparator(label("contains", text, case_sensitive=case_sensitive or None), rule, text)


def one_of(*values: Any) -> Comparator:
    """Accept any of several values, each compared by the default rule.

    Without values, the expected value is the list of them.

    Raises:
        ConfigError: The expected value is not a list (when it compares).

    >>> one_of("damaged order", "damaged package")(None, "Damaged package"), one_of()(["a", "b"], "c")
    (1.0, 0.0)
    """

    def rule(want: Any, got: Any) -> Verdict:
        if not isinstance(want, AbstractSet) and not is_list(want):
            raise ConfigError(
                f"one_of() expects a list of values, not {shorten(want)}: give one, or one_of(value, ...)."
            )
        return verdict(any(same_text(value, got) for value in want))

    shown = f"one_of({', '.join(shorten(value) for value in values)})"
    return Comparator(shown, rule, values if values else UNSET)


def fuzzy(value: Any = UNSET, *, threshold: float = 0.0) -> Comparator:
    """Score by likeness of the lower-case texts, 0-1; under `threshold` it is 0.

    The likeness is `rapidfuzz.fuzz.ratio` / 100: 2M / T, where M is the length of the longest common subsequence and T
    the length of both texts (https://rapidfuzz.github.io/RapidFuzz/Usage/fuzz.html#ratio).

    Raises:
        ConfigError: `threshold` is not in 0-1.

    >>> round(fuzzy()("damaged order", "order damaged"), 2), fuzzy(threshold=0.9)("damaged order", "late order")
    (0.54, 0.0)
    """
    if not isinstance(threshold, Real) or not 0 <= threshold <= 1:
        raise ConfigError(f"fuzzy(threshold={threshold!r}): give a number from 0 to 1.")

    def rule(want: Any, got: Any) -> Verdict:
        from rapidfuzz import fuzz

        text = scalar_text(got)
        if text is None:
            return 0.0, "not text"
        likeness = fuzz.ratio(str(want).lower(), text.lower()) / 100
        return (likeness, "") if likeness >= threshold else (0.0, f"{likeness:.2f} alike, under {threshold:g}")

    return Comparator(label("fuzzy", value, threshold=threshold or None), rule, value)


def set_overlap(value: Any = UNSET) -> Comparator:
    """Score two lists as sets by F1: ``2|E & G| / (|E| + |G|)``, order and repeats disregarded.

    F1 is the harmonic mean of precision ``|E & G| / |G|`` and recall ``|E & G| / |E|``, and is also known as the
    Dice-Sorensen coefficient. Items are compared by the default rule. Two empty lists score 1.

    Raises:
        ConfigError: The expected value is not a list or set (when it compares).

    >>> set_overlap()(["a", "b"], ["B", "A"]), set_overlap()(["a", "b"], ["a", "c", "d", "e"]), set_overlap()([], [])
    (1.0, 0.3333333333333333, 1.0)
    """

    def rule(want: Any, got: Any) -> Verdict:
        if not isinstance(want, AbstractSet) and not is_list(want):
            raise ConfigError(
                f"set_overlap() expects a list or set, not {shorten(want)}: give one, or another comparator."
            )
        if not isinstance(got, AbstractSet) and not is_list(got):
            return 0.0, "not a list"
        expected, found = ({str(item).lower() for item in items} for items in (want, got))
        if not expected and not found:
            return 1.0, ""
        return 2 * len(expected & found) / (len(expected) + len(found)), ""

    return Comparator(label("set_overlap", value), rule, value)


FACTORIES: dict[str, Callable[[], Comparator]] = {
    factory.__name__: factory
    for factory in (lower, casefold, exact, number, date, regex, contains, one_of, fuzzy, set_overlap)
}


def as_comparator(comparator: Any) -> Comparator:
    """Return the comparator that a name, a comparator or a callable ``(expected, got) -> bool | float`` stands for.

    Raises:
        ConfigError: It is none of these, or no comparator has that name.

    >>> as_comparator("date"), as_comparator(lambda expected, got: got > expected)(1, 2)
    (date(), 1.0)
    """
    if isinstance(comparator, Comparator):
        return comparator
    if isinstance(comparator, str):
        if comparator not in FACTORIES:
            known = ", ".join(sorted(FACTORIES))
            raise ConfigError(f"unknown comparator {comparator!r}.{nearest(comparator, FACTORIES)} Known: {known}.")
        return FACTORIES[comparator]()
    if not callable(comparator):
        raise ConfigError(
            f"a comparator is a name, one of pytest_llmeval.compare or a callable, not {shorten(comparator)}."
        )
    if any(comparator is factory for factory in FACTORIES.values()):
        return as_comparator(comparator())
    return Comparator(name_of(comparator), lambda want, got: call(comparator, want, got))


def in_place(value: Any) -> Comparator | None:
    """Return the comparator that stands in place of an expected value, or None if `value` is plain data.

    A callable that stands there has nothing to be compared with: it is called with what was got, alone.

    Raises:
        ConfigError: A comparator without the value that it needs.

    >>> in_place("text") is None, in_place(lambda got: got > 17)(None, 18)
    (True, 1.0)
    """
    if isinstance(value, Comparator):
        if value.value is UNSET:
            raise ConfigError(
                f"{value!r} in place of an expected value has nothing to compare with: "
                f"give it the value as its first argument, or pass it in compare=."
            )
        return value
    if callable(value):
        if any(value is factory for factory in FACTORIES.values()):
            raise ConfigError(
                f"{name_of(value)} in place of an expected value: call it, with the value to compare with."
            )
        return Comparator(name_of(value), lambda _, got: call(value, got))
    return None


def _compiled(pattern: Any, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except (re.error, TypeError, ValueError) as exc:
        raise ConfigError(f"regex({shorten(pattern)}): not a regular expression: {exc}") from None
