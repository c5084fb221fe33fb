"""The score of an answer that knows its fields, and shows them where an assertion fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_llmeval.display import shorten

MAX_ROWS = 50
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "(missing)"


MISSING = _Missing.MISSING


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One expected field and how well the answer met it.

    Attributes:
        path: Where it is, such as ``customer.name`` or ``items[0].sku``.
        expected: What was expected there, or the comparator that stood there.
        got: What the answer holds there; `MISSING` if it holds nothing, which is not the same as null.
        score: 0-1.
        weight: Its share in the whole; the shares of all fields add up to 1.
        rule: The comparator that judged it.
        note: Why, where the values do not say it; else empty.
    """

    path: str
    expected: Any
    got: Any
    score: float
    weight: float
    rule: str = "lower()"
    note: str = ""


class FieldScores(float):
    """A score (0-1) that knows the fields it is made of; compare it as the number that it is.

    Attributes:
        fields: The `FieldScore` of each expected field.
        extra: Paths of what the answer holds beyond the expected, where that lowers the score.
        reason: Why the answer could not be scored field by field (it is no JSON, or no object), else None.
    """

    fields: tuple[FieldScore, ...]
    extra: tuple[str, ...]
    reason: str | None
    _details: tuple[str, ...]

    def __new__(
        cls,
        value: float,
        fields: Iterable[FieldScore] = (),
        *,
        extra: Iterable[str] = (),
        reason: str | None = None,
        details: Iterable[str] = (),
    ) -> FieldScores:
        """Make the number; `details` are lines that show the `reason`."""
        self = super().__new__(cls, value)
        self.fields, self.extra, self.reason = tuple(fields), tuple(extra), reason
        self._details = tuple(details)
        return self

    if TYPE_CHECKING:
        # float's own would do: mypy takes a subclass of float for something that no int can equal.
        def __eq__(self, other: object) -> bool: ...
        def __hash__(self) -> int: ...

    def __repr__(self) -> str:
        return _score_text(self)

    def table(self) -> str:
        """Return the fields as an aligned table, in the order in which they were expected.

        >>> from pytest_llmeval.scoring import score_fields
        >>> print(score_fields({"name": "john"}, {"name": "John", "mood": "negative"}).table())
        field | expected   | got       | score
        name  | 'John'     | 'john'    | 1.00
        mood  | 'negative' | (missing) | 0.00
        """
        return "\n".join(_table(self.fields))

    def explain(self, op: str, other: Any) -> list[str]:
        """Return the lines that explain ``self op other``: the comparison, the reason, the fields that lost first.

        >>> from pytest_llmeval.scoring import score_fields
        >>> score_fields("no idea", {"name": "John"}).explain(">=", 0.8)[:2]
        ['0.00 >= 0.8', 'not JSON: Expecting value at line 1, column 1']
        """
        left, right = _score_text(self), shorten(other)
        if isinstance(other, float) and float(left) == other != float(self):
            left = repr(float(self))
        # pytest shows the first lines of an explanation only, unless it runs with -vv or in CI.
        rows = sorted(self.fields, key=lambda field: field.score == 1)
        lines = [f"{left} {op} {right}", *(self._details or ([self.reason] if self.reason else []))]
        lines += [] if self._details else _table(rows)
        if self.extra:
            names = ", ".join(shorten(path, 40)[1:-1] for path in self.extra[:5])
            lines.append(f"not expected: {names}" + (f" and {len(self.extra) - 5} more" if len(self.extra) > 5 else ""))
        return lines


def explain_comparison(op: str, left: Any, right: Any) -> list[str] | None:
    """Return the lines that explain a failed comparison with a `FieldScores` on either side; None if there is none.

    >>> from pytest_llmeval.scoring import score_fields
    >>> explain_comparison("<=", 0.8, score_fields({}, {"name": "John"}))[0]
    '0.00 >= 0.8'
    """
    if isinstance(left, FieldScores):
        return left.explain(op, right)
    if isinstance(right, FieldScores) and op in FLIPPED:
        return right.explain(FLIPPED[op], left)
    return None


def _score_text(value: float) -> str:
    text = f"{value:.2f}"
    # What is nearly right or nearly wrong must not look as if it were quite.
    return f"{value:.4g}" if text in ("0.00", "1.00") and float(text) != float(value) else text


def _table(fields: Iterable[FieldScore]) -> list[str]:
    from rich.cells import cell_len

    shown = list(fields)
    rows = [["field", "expected", "got", "score", "weight", "why"]]
    rows += [_row(field) for field in shown[:MAX_ROWS]]
    if len({field.weight for field in shown}) < 2:
        rows = [[*row[:4], row[5]] for row in rows]
    if not any(field.note for field in shown[:MAX_ROWS]):
        rows = [row[:-1] for row in rows]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        " | ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    more = len(shown) - MAX_ROWS
    return lines + ([f"... and {more} more fields"] if more > 0 else [])


def _row(field: FieldScore) -> list[str]:
    expected = shorten(field.expected, 30)
    if field.rule != "lower()" and field.rule != repr(field.expected):
        expected += f" by {field.rule if len(field.rule) <= 30 else field.rule[:27] + '...'}"
    path = field.path if len(field.path) <= 40 else f"...{field.path[-37:]}"
    return [path, expected, shorten(field.got, 30), _score_text(field.score), f"{field.weight:.1%}", field.note]
