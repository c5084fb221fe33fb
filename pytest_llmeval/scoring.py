"""Score an answer field by field against what was expected, and show where it falls short."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_llmeval.checks import JSONCheckError, is_model, json_type, note_json, parse_reply, text_of
from pytest_llmeval.comparators import Comparator, as_float, is_list
from pytest_llmeval.compare import as_comparator, in_place, lower, set_overlap
from pytest_llmeval.display import path_text, shorten
from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.fieldscores import MISSING, FieldScore, FieldScores
from pytest_llmeval.records import DEFAULT_SCORE
from pytest_llmeval.testlog import running_log

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["MISSING", "FieldScore", "FieldScores", "assert_fields", "record_score", "score_fields"]

T = TypeVar("T")
Rule = str | Comparator | Callable[[Any, Any], bool | float]
MAX_DEPTH = 100


def score_fields(
    got: Any,
    expected: Mapping[str, Any] | Sequence[Any] | BaseModel,
    *,
    weights: Mapping[str, float] | None = None,
    compare: Mapping[str, Rule] | None = None,
    extra: Literal["ignore", "penalize"] = "ignore",
    name: str = DEFAULT_SCORE,
    strict: bool = True,
) -> FieldScores:
    """Return how much of `expected` an answer holds, 0-1, field by field.

    The rule: each expected key whose value equals, compared as lower-case strings, earns ``1 / len(expected)``. An
    expected object or list is scored by its own fields, which share what it can earn; list items are compared by
    position. A key that is not there earns nothing, also where null is expected; text that is not JSON scores 0.

    While a test with a candidate runs, the score, the fields, and for text whether it was valid JSON, also go into
    that test's record.

    Args:
        got: A `Response`, text, parsed data, or a pydantic model instance (with its fields' names and JSON values).
        expected: An object or list, nested or not; leaves are values, comparators such as
            ``compare.regex("^A")``, or callables that take what was got. A Python set is compared by `set_overlap`.
        weights: By path, what a field weighs among its siblings; 1 if not given. ``items[*].sku`` is for all items.
        compare: By path, a comparator, the name of one, or a callable ``(expected, got) -> bool | float``. The
            value at a path that is named here is compared as a whole.
        extra: Whether fields that were not expected are ignored, or lower the score: it is then multiplied by
            ``n / (n + m)`` for n expected fields and m unexpected keys and list items (each counts once, with all
            that it holds).
        name: Under which name the score is recorded.
        strict: As for `assert_json`: False takes JSON among other text.

    Raises:
        ConfigError: Nothing is expected, or a path, weight, comparator or expected value cannot be used.
        TypeError: `got` is none of the above.

    >>> score_fields('{"name": "JOHN", "mood": "happy"}', {"name": "John", "mood": "negative"})
    0.50
    >>> score_fields({"due": "May 1st, 2024"}, {"due": "2024-05-01"}, compare={"due": "date"}) == 1
    True
    """
    if extra not in ("ignore", "penalize"):
        raise ConfigError(
            f"extra={extra!r}: write 'ignore' or 'penalize'.{nearest(str(extra), ['ignore', 'penalize'])}"
        )
    wanted = expected.model_dump(mode="json") if is_model(expected) else expected
    leaves = _Plan(compare or {}, weights or {}).leaves(wanted)
    try:
        data = parse_reply(got, strict=strict)
    except JSONCheckError as exc:
        note_json(False, got)
        result = FieldScores(0.0, _lost(leaves), reason=exc.reason, details=str(exc).splitlines())
    else:
        if text_of(got) is not None:
            note_json(True, got)
        result = _scored(wanted, data, leaves, extra)
    _note(result, name)
    return result


def assert_fields(
    got: Any,
    expected: Mapping[str, Any] | Sequence[Any] | BaseModel,
    *,
    min_score: float = 1.0,
    weights: Mapping[str, float] | None = None,
    compare: Mapping[str, Rule] | None = None,
    extra: Literal["ignore", "penalize"] = "ignore",
    name: str = DEFAULT_SCORE,
    strict: bool = True,
) -> FieldScores:
    """Assert that an answer scores at least `min_score`; return the score. The rest is as for `score_fields`.

    Raises:
        AssertionError: It scores less; the message shows the fields.
        ConfigError: `min_score` is not in 0-1, or as for `score_fields`.

    >>> assert_fields({"name": "John"}, {"name": "Jane"})
    Traceback (most recent call last):
    AssertionError: the fields score 0.00, where at least 1.0 was asked for
    field | expected | got    | score
    name  | 'Jane'   | 'John' | 0.00
    """
    __tracebackhide__ = True
    if not _is_score(min_score):
        raise ConfigError(f"min_score={min_score!r}: give a number from 0 to 1.")
    score = score_fields(got, expected, weights=weights, compare=compare, extra=extra, name=name, strict=strict)
    if score < min_score:
        _, *lines = score.explain(">=", min_score)
        raise AssertionError("\n".join([f"the fields score {score}, where at least {min_score} was asked for", *lines]))
    return score


def record_score(value: float, name: str = DEFAULT_SCORE) -> None:
    """Note a score of your own in the record of the running test; outside of one, only check it.

    Raises:
        ValueError: `value` is not a number from 0 to 1.

    >>> record_score(0.75, name="tone")
    >>> record_score(75)
    Traceback (most recent call last):
    ValueError: score 75 for 'score': give a number from 0 to 1.
    """
    if not _is_score(value):
        raise ValueError(f"score {shorten(value)} for {name!r}: give a number from 0 to 1.")
    log = running_log.get()
    if log is not None:
        log.note_score(float(value), name)


@dataclass(frozen=True, slots=True)
class _Leaf:
    parts: tuple[Any, ...]
    expected: Any
    comparator: Comparator
    share: Fraction


class _Plan:
    """Split `expected` into leaves, each with its comparator and its share, and refuse rules that fit no path."""

    def __init__(self, compare: Mapping[str, Rule], weights: Mapping[str, float]) -> None:
        for path, weight in weights.items():
            number = as_float(weight)
            if isinstance(weight, bool) or number is None or not 0 <= number < math.inf:
                raise ConfigError(f"weight {shorten(weight)} of {path!r}: give a finite number that is not negative.")
        self._comparators = {path: as_comparator(rule) for path, rule in compare.items()}
        self._weights = {path: Fraction(weight) for path, weight in weights.items()}
        self._known: set[str] = set()

    def leaves(self, expected: Any) -> list[_Leaf]:
        if not isinstance(expected, Mapping) and not is_list(expected):
            raise ConfigError(f"expected={shorten(expected)}: give a dict of the fields that are expected, or a list.")
        if not expected:
            raise ConfigError("expected is empty: with no field to look for, there is nothing to score.")
        leaves = list(self._split(expected, (), Fraction(1), ()))
        for what, rules in (("compare", self._comparators), ("weights", self._weights)):
            for path in rules:
                if path not in self._known:
                    known = ", ".join(sorted(self._known)[:20])
                    raise ConfigError(
                        f"{what}: nothing is expected at {path!r}.{nearest(path, self._known)} Known: {known}."
                    )
        return leaves

    def _split(self, node: Any, parts: tuple[Any, ...], share: Fraction, above: tuple[int, ...]) -> Iterator[_Leaf]:
        comparator = self._comparator(node, parts)
        children = _children(node)
        if comparator is not None or not children:
            yield _Leaf(parts, node, comparator or lower(), share)
            return
        if id(node) in above or len(above) == MAX_DEPTH:
            raise ConfigError(f"expected contains itself, or is nested more than {MAX_DEPTH} levels deep.")
        weights = [self._rule(self._weights, (*parts, part)) for part, _ in children]
        filled = [Fraction(1) if weight is None else weight for weight in weights]
        total = sum(filled)
        if not total:
            raise ConfigError(
                f"weights: all fields of {path_text(parts) or 'expected'} weigh 0: none can earn anything."
            )
        for (part, child), weight in zip(children, filled, strict=True):
            yield from self._split(child, (*parts, part), share * weight / total, (*above, id(node)))

    def _comparator(self, node: Any, parts: tuple[Any, ...]) -> Comparator | None:
        given = self._rule(self._comparators, parts) if parts else None
        standing = in_place(node) or (set_overlap() if isinstance(node, (set, frozenset)) else None)
        if given is not None and isinstance(node, Comparator):
            raise ConfigError(f"{path_text(parts)}: two comparators, {given!r} in compare= and {node!r} in expected.")
        return given or standing

    def _rule(self, rules: Mapping[str, T], parts: tuple[Any, ...]) -> T | None:
        path = path_text(parts)
        starred = re.sub(r"\[\d+\]", "[*]", path)
        self._known |= {path, starred}
        return rules.get(path, rules.get(starred))


def _children(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    return list(enumerate(node)) if is_list(node) else []


def _scored(expected: Any, got: Any, leaves: list[_Leaf], extra: str) -> FieldScores:
    if isinstance(expected, Mapping) != isinstance(got, Mapping) or is_list(expected) != is_list(got):
        kinds = f"JSON of type {json_type(got)}, where {json_type(expected)} was expected"
        return FieldScores(0.0, _lost(leaves), reason=f"the answer is {kinds}")
    fields = [_judged(leaf, expected, got) for leaf in leaves]
    # Exact fractions: ten times 0.1 is less than 1 in floats, and a perfect answer has to score 1.
    total = sum((leaf.share * Fraction(field.score) for leaf, field in zip(leaves, fields, strict=True)), Fraction(0))
    unexpected = list(_extras(expected, got, (), {leaf.parts for leaf in leaves})) if extra == "penalize" else []
    total *= Fraction(len(fields), len(fields) + len(unexpected))
    return FieldScores(float(total), fields, extra=unexpected)


def _judged(leaf: _Leaf, expected: Any, got: Any) -> FieldScore:
    value, note, as_text = _find(leaf, expected, got)
    score = 1.0 if as_text else 0.0
    if value is not MISSING and not as_text:
        score, note = leaf.comparator.judge(leaf.expected, value)
    return _field(leaf, value, score, note)


def _find(leaf: _Leaf, want: Any, got: Any) -> tuple[Any, str, bool]:
    """Return what the answer holds for `leaf`, a note, and whether something above it equals as text already."""
    for depth, part in enumerate(leaf.parts):
        is_object = isinstance(want, Mapping)
        if not (isinstance(got, Mapping) if is_object else is_list(got)):
            # A list that came as the text of a list still equals, compared as lower-case strings.
            if leaf.comparator.label == "lower()" and lower()(want, got) == 1:
                return got, "", True
            return MISSING, f"{path_text(leaf.parts[:depth])} is of type {json_type(got)}", False
        if (part not in got) if is_object else (part >= len(got)):
            above = leaf.parts[: depth + 1]
            return MISSING, "" if above == leaf.parts else f"no {path_text(above)}", False
        want, got = want[part], got[part]
    return got, "", False


def _extras(want: Any, got: Any, parts: tuple[Any, ...], leaves: set[tuple[Any, ...]]) -> Iterator[str]:
    if parts in leaves:
        return
    if isinstance(want, Mapping) and isinstance(got, Mapping):
        yield from (path_text((*parts, key)) for key in got if key not in want)
        for key in want:
            if key in got:
                yield from _extras(want[key], got[key], (*parts, key), leaves)
    elif is_list(want) and is_list(got):
        yield from (path_text((*parts, index)) for index in range(len(want), len(got)))
        for index, pair in enumerate(zip(want, got, strict=False)):
            yield from _extras(*pair, (*parts, index), leaves)


def _lost(leaves: list[_Leaf]) -> list[FieldScore]:
    return [_field(leaf, MISSING, 0.0, "") for leaf in leaves]


def _field(leaf: _Leaf, got: Any, score: float, note: str) -> FieldScore:
    rule = repr(leaf.comparator)
    return FieldScore(path_text(leaf.parts), leaf.expected, got, score, float(leaf.share), rule, note)


def _note(scores: FieldScores, name: str) -> None:
    log = running_log.get()
    if log is not None:
        log.note_score(float(scores), name)
        log.note_fields([(field.path, field.score) for field in scores.fields])


def _is_score(value: Any) -> bool:
    number = as_float(value)
    return number is not None and 0 <= number <= 1
