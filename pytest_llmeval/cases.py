"""`Case`: one row of a dataset, whatever format it came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to ask, and what a good answer to it is.

    Values are plain JSON types, the same from every format.

    Attributes:
        id: Part of the test's id. A row without one is named after what it asks; see `content_id`.
        input: The user's text; or None where `messages` has it, or a test builds it from `extra`.
        messages: Several turns as ``{"role": ..., "content": ...}``, instead of `input`.
        system: System text of this case alone. Like `max_tokens` and `schema`, it goes before what is said for all.
        expected: What a good answer is, for the test to compare with. It never gets into a prompt.
        max_tokens: Most tokens that the model may write.
        schema: JSON Schema that the answer must conform to.
        tags: Markers of the test: ``-m billing`` selects.
        weight: How much the case counts among the others; 1 by default.
        images: Paths or URLs of pictures that go with `input`.
        extra: All other fields of the row. One is read beside: ``complexity``; see `complexity_of`.
        source: Where it was written, for messages: ``tickets.jsonl:12``.

    >>> case = Case(id="damaged", input="My order arrived damaged.", expected="complaint", extra={"order": 4521})
    >>> case.fields()["order"]
    4521
    """

    id: str = ""
    input: str | None = None
    messages: Sequence[Mapping[str, Any]] | None = None
    system: str | None = None
    expected: Any = None
    max_tokens: int | None = None
    schema: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    images: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what a prompt's template may use: all but the answer and what is no part of the question.

        `extra` is there by its own name too, since names with blanks in them are no variables.
        """
        known = {"id": self.id, "tags": list(self.tags), "extra": self.extra}
        return {**known, **({} if self.input is None else {"input": self.input}), **self.extra}

    def __str__(self) -> str:
        return f"case {self.id} ({self.source})" if self.source else f"case {self.id}"


def complexity_of(case: Case) -> str | None:
    """Return how a case is labelled for routers, in its field ``complexity``; None if it is not.

    A label is ``simple`` or ``complex``, in capitals or not: the two routes that a router has. Whatever else stands
    there is a field of the dataset's own, a scale from 1 to 5 for example: it stays in `Case.extra` for prompts and
    tests, is no fault, and such a case is left out of the table of labels by routes.

    >>> complexity_of(Case(id="a", input="Hi", extra={"complexity": "Simple"}))
    'simple'
    >>> complexity_of(Case(id="b", input="Hi", extra={"complexity": 3}))
    """
    label = str(case.extra.get("complexity", "")).strip().lower()
    return label if label in ("simple", "complex") else None
