"""The source of a test, as a digest: two runs then tell whether what judges the answers is the same."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from types import CodeType
from typing import Any

from pytest_llmeval.asked import DIGITS


def source_digest(function: Any) -> str | None:
    """Return the digest of a function's source, without its decorators, indentation and blank lines.

    None if its source is not at hand. What it calls is not in it.
    """
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return _digest(code) if isinstance(code, CodeType) else None


@lru_cache(maxsize=4096)
def _digest(code: CodeType) -> str | None:
    # An earlier run in this process may have read the file before it was edited.
    linecache.checkcache(code.co_filename)
    # `inspect.getsource` tokenizes, which takes ten times as long; a line of closing brackets does not matter.
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 : max(_lines(code), default=0)]
    stripped = [line.strip() for line in lines]
    begins = next((number for number, line in enumerate(stripped) if line.startswith(("def ", "async def "))), 0)
    source = "\n".join(line for line in stripped[begins:] if line)
    return sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS] if source else None


def _lines(code: CodeType) -> Iterator[int]:
    """Yield the numbers of the lines that a function has."""
    yield from (line for _, _, line in code.co_lines() if line is not None)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines(constant)
