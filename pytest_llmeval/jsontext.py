"""Find the JSON document in an answer, or the place where it breaks."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from pytest_llmeval.display import escape
from pytest_llmeval.response import parse_json

BRACKET = re.compile(r"[\[{]")
FENCE_START = re.compile(r"[ \t]*```[ \t]*json[ \t]*\r?\n?", re.IGNORECASE)
FENCE_END = re.compile(r"[ \t]*```[ \t]*\r?\n?")
# Not str.splitlines(), which also splits at U+2028 and U+0085: a JSON string may hold these.
LINE = re.compile(r"[^\n]*\n|[^\n]+")
DECODER = json.JSONDecoder()
MAX_BRACKETS = 1000


class JSONTextError(Exception):
    """Text that is not JSON: the reason, and the offset in characters at which it breaks."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason, self.position = reason, position


class NoDocumentError(JSONTextError):
    """Text that holds no JSON object or array at all."""


def load_document(text: str, *, strict: bool) -> tuple[Any, str]:
    """Return the data of the JSON document in `text`, and the part of the text that it is.

    Args:
        text: The answer of a model.
        strict: Whether the whole text must be the document. False also takes one in a fenced ``json`` block, or the
            only object or array in other text. A document that breaks off is never replaced by a part of it.

    Raises:
        JSONTextError: There is no such document.

    >>> load_document('Sure: {"a": 1}', strict=False)
    ({'a': 1}, '{"a": 1}')
    """
    try:
        return parse_part(text, 0, len(text)), text
    except JSONTextError as exc:
        if strict:
            raise
        fault = exc
    try:
        start, end = find_document(text)
    except NoDocumentError as exc:
        # What starts like a document and is none deserves the reason, rather than "nothing found".
        raise fault if text.lstrip()[:1] in ("{", "[") else exc from None
    return parse_part(text, start, end), text[start:end]


def parse_part(text: str, start: int, end: int) -> Any:
    """Parse ``text[start:end]`` as strict JSON.

    Raises:
        JSONTextError: It is not JSON; the position counts from the start of `text`.
    """
    try:
        return parse_json(text[start:end])
    except json.JSONDecodeError as exc:
        raise JSONTextError(exc.msg, start + exc.pos) from None
    except RecursionError:
        raise JSONTextError("Nested too deep to read", start) from None
    except ValueError:
        raise _long_number(text, start) from None


def find_document(text: str) -> tuple[int, int]:
    """Return start and end of the only fenced ``json`` block in `text`, else of the only object or array.

    Raises:
        JSONTextError: There is none, more than one, or one that breaks off.

    >>> find_document('Use [this]: {"a": [1]}.')
    (12, 22)
    """
    spans = _fenced_blocks(text)
    if not spans:
        spans = _documents(text)
    if len(spans) > 1:
        raise JSONTextError(f"{len(spans)} JSON documents in the text, where one was expected", spans[1][0])
    if not spans:
        raise NoDocumentError("No JSON object or array in the text", 0)
    return spans[0]


def _fenced_blocks(text: str) -> list[tuple[int, int]]:
    # Fences are whole lines: a JSON string cannot hold a line break, so none can be inside the document.
    spans: list[tuple[int, int]] = []
    opened: int | None = None
    offset = 0
    for line in LINE.findall(text):
        if opened is not None and FENCE_END.fullmatch(line):
            spans.append((opened, offset))
            opened = None
        elif opened is None and FENCE_START.fullmatch(line):
            opened = offset + len(line)
        offset += len(line)
    return spans


def _documents(text: str) -> list[tuple[int, int]]:
    """Return the spans of the objects and arrays that are not inside another one.

    Gives up after `MAX_BRACKETS` that open none: each miss costs time that grows with the length of the text.
    """
    spans: list[tuple[int, int]] = []
    position = misses = 0
    while misses < MAX_BRACKETS and (match := BRACKET.search(text, position)):
        start = match.start()
        try:
            _, position = DECODER.raw_decode(text, start)
        except json.JSONDecodeError as exc:
            # A string inside tells a broken document from a bracket in prose. Going on behind the fault, and not
            # behind the bracket, keeps whole parts of a broken document from being taken for the document.
            if '"' in text[start : exc.pos + 1]:
                raise JSONTextError(exc.msg, exc.pos) from None
            position = max(exc.pos, start + 1)
            misses += 1
        except RecursionError:
            raise JSONTextError("Nested too deep to read", start) from None
        except ValueError:
            raise _long_number(text, start) from None
        else:
            spans.append((start, position))
    return spans


def _long_number(text: str, start: int) -> JSONTextError:
    limit = sys.get_int_max_str_digits()
    match = re.compile(rf"\d{{{limit + 1}}}").search(text, start)
    return JSONTextError(f"A number of more than {limit} digits", match.start() if match else start)


def line_and_column(text: str, position: int) -> tuple[int, int]:
    r"""Return line and column, counted from 1, of an offset.

    >>> line_and_column("a\nbc", 3)
    (2, 2)
    """
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def excerpt(text: str, position: int, *, around: int = 36) -> list[str]:
    r"""Return the line of `position`, the two before it and the one after, with a caret below the place.

    Lines are cut to `around` characters on both sides of the place; what is not printable is escaped.

    >>> print("\n".join(excerpt('{\n "a": 1\n "b": 2\n}', 11)))
      1 | {
      2 |  "a": 1
      3 |  "b": 2
        |  ^
      4 | }
    """
    from rich.cells import cell_len

    number, column = line_and_column(text, position)
    start = position - column + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    width = len(str(number + 1)) + 2
    before = ("..." if column - 1 > around else "") + escape(text[max(start, position - around) : position])
    after = escape(text[position : min(end, position + around)]) + ("..." if end - position > around else "")
    lines = [f"{n:>{width}} | {_cut(line, around)}" for n, line in _lines_before(text, start, number)]
    lines += [f"{number:>{width}} | {before}{after}", f"{'':>{width}} | {' ' * cell_len(before)}^"]
    if end < len(text) and (later := text[end + 1 : end + 1 + 2 * around + 1].split("\n")[0]):
        lines.append(f"{number + 1:>{width}} | {_cut(later, around)}")
    return lines


def _lines_before(text: str, start: int, number: int) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    while start > 0 and len(lines) < 2:
        end, number = start - 1, number - 1
        start = text.rfind("\n", 0, end) + 1
        lines.insert(0, (number, text[start:end]))
    return lines


def _cut(line: str, around: int) -> str:
    return escape(line[: 2 * around]) + ("..." if len(line) > 2 * around else "")
