"""Names for cases that have none: readable, and made of what is asked, so that no other row changes them."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

WORD = re.compile(r"[a-z0-9]+")
LONGEST_SLUG = 28
LONGEST_CODE = 12
NO_WORDS = "case"
#: What is no part of the question: to correct an answer or to tag a case must not rename its recording.
NOT_ASKED = {"id", "expected", "tags", "weight"}


def content_id(row: Mapping[str, Any], taken: Collection[str] = ()) -> str:
    """Return the id of a row that has none: its first words, and eight digits of a hash of all that it asks.

    Text in lower-case words is its own id: nothing else could have the same. A row that asks the same as another
    gets a number, since either may replay what was recorded for the other.

    Args:
        row: The row as it was written.
        taken: Ids that other rows have.

    >>> content_id({"input": "Where is my parcel?"}), content_id({"input": "hello world"})
    ('where-is-my-parcel-5ebbc9b7', 'hello-world')
    """
    asked = {name: value for name, value in row.items() if name not in NOT_ASKED and value is not None}
    text = _text(asked)
    slug = _slug(text)
    name = slug
    if list(asked) != ["input"] or slug.replace("-", " ") != text or slug in taken:
        name = f"{slug}-{hashlib.sha256(canonical(asked).encode()).hexdigest()[:8]}"
    number, first = 1, name
    while name in taken:
        number += 1
        name = f"{first}-{number}"
    return name


def canonical(data: Mapping[str, Any]) -> str:
    """Return data as JSON that is the same in every run.

    Raises:
        ValueError: It holds itself, is nested too deeply, or holds what JSON cannot.

    >>> canonical({"b": (1,), "a": None})
    '{"a": null, "b": [1]}'
    """
    # Of an object without a form of its own, only the type is the same in the next run.
    plain = to_jsonable_python(data, fallback=lambda value: type(value).__name__)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def _slug(text: str) -> str:
    # Accents come off their letters; of what is not Latin nothing stays.
    plain = unicodedata.normalize("NFKD", text[:400]).encode("ascii", "ignore").decode("ascii").lower()
    slug = ""
    for word in WORD.findall(plain):
        if len(word) > LONGEST_CODE and not word.isalpha():
            # Keys and checksums are nothing to read, and a key must not get into reports.
            continue
        longer = f"{slug}-{word}" if slug else word[:LONGEST_SLUG]
        if len(longer) > LONGEST_SLUG:
            break
        slug = longer
    return slug or NO_WORDS


def _text(asked: Mapping[str, Any]) -> str:
    """Return the text that says best what a row is about: what the user says, else the first text there is."""
    said = asked.get("input")
    messages = asked.get("messages")
    if said is None and isinstance(messages, list):
        said = next((text for message in reversed(messages) if (text := _user_text(message))), None)
    if not isinstance(said, str):
        said = next((value for value in asked.values() if isinstance(value, str)), "")
    return said


def _user_text(message: Any) -> str:
    if not isinstance(message, Mapping) or message.get("role") != "user":
        return ""
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    return " ".join(text for text in texts if isinstance(text, str))
