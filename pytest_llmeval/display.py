"""Show values that a model or a server made: one line, short, and with nothing in it that moves a cursor."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterable
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 1000
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist = 4, 8, 8

PLAIN_KEY = re.compile(r"[^.\[\]\"'\s]([^.\[\]\"']*[^.\[\]\"'\s])?")


def escape(text: str) -> str:
    r"""Return `text` with everything that is not printable escaped: control characters, bidi marks, lone surrogates.

    >>> print(escape("ok\x1b[31m\n\ud800"))
    ok\x1b[31m\n\ud800
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def escape_lines(text: str) -> str:
    """Return text of several lines that cannot steer a terminal."""
    return "\n".join(escape(line) for line in text.splitlines())


def shorten(value: Any, limit: int = 60) -> str:
    """Return the repr of `value` on one line, escaped, its middle left out where it is longer than `limit`.

    >>> shorten("late"), shorten("x" * 100, limit=12)
    ("'late'", "'xxxx...xxx'")
    """
    try:
        text = escape(_REPR.repr(value))
    except Exception:
        # repr() of hostile data fails on endless nesting, and on ints of thousands of digits.
        text = f"<{type(value).__name__} that cannot be shown>"
    if len(text) <= limit:
        return text
    tail = (limit - 3) // 2
    return f"{text[: limit - 3 - tail]}...{text[-tail:]}"


def path_text(parts: Iterable[Any]) -> str:
    """Return the path of a value in nested data; a key that would be ambiguous is quoted.

    >>> path_text(["customer", "name"]), path_text(["items", 0, "due date"]), path_text(["a.b", "c"])
    ('customer.name', 'items[0].due date', '["a.b"].c')
    """
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif PLAIN_KEY.fullmatch(str(part)) and str(part).isprintable():
            text += f".{part}" if text else str(part)
        else:
            text += f"[{json.dumps(str(part))}]"
    return text
