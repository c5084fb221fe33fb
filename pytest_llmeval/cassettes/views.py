"""Other ways to read a text, in which a secret would show: escapes undone, base64 and gzip unpacked, streams joined."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

# A run of backslashes, since a text may be JSON in JSON in JSON. Each branch begins with one character, which is what
# makes it fast.
ESCAPE = re.compile(
    r"\\\\*(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\"'/nrt]))|%([0-9a-fA-F]{2})|"
    r"&((?:#x?[0-9a-fA-F]{1,6}|amp|quot|apos|lt|gt);)|\\(\\+)"
)
ESCAPED = re.compile(r"%[0-9a-fA-F]{2}|&[#a-z]")
#: Between the items of a list of texts, as Python and JSON show it.
BETWEEN_PIECES = re.compile(r"""(['"])\s*,\s*b?(['"])""")
# Lines of 60 to 76 characters are what encoders break base64 into.
RUN = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:(?:[A-Za-z0-9+/_-]{60,76}\r?\n[ \t]*)+[A-Za-z0-9+/_-]+|[A-Za-z0-9+/_-]{24,})={0,2}"
)
SHORTEST_RUN = b"x" * 24
HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}){16,}(?![0-9a-fA-F])")
SHORTEST_HEX = 32
#: Text in UTF-16. It begins with what is looked for fastest.
WIDE = re.compile(rb"\0(?<=[\x20-\x7e]\0)(?:[\x20-\x7e]\0){7,}")
#: Images and the like. All but their ends need no second look: no escape, no quote and no word is in them.
LONG_RUN = 65_536
END_OF_RUN = 16_384
IN_RUN = re.compile(r"[ \t]*[A-Za-z0-9+/_-]*(?:\r?\n[ \t]*[A-Za-z0-9+/_-]{60,76}(?![A-Za-z0-9+/_-]))*")
MOST_UNPACKED = 64_000_000
SAMPLE = 512
LETTERS = re.compile(rb"[\t\r\n\x20-\x7e]{8}")
PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x9c", b"\x78\xda")
SHORTEST_PART = 8
MOST_FAULTS = 200


class View:
    """A text made from another one, and where each part of it was there.

    Args:
        text: The text.
        edits: Yields (start, end, replacement) for each part of the other text that is not in this one as it was, in
            order. Asked only when a place is: hardly any text holds a secret.
    """

    __slots__ = ("_edits", "_origins", "_starts", "text")

    def __init__(self, text: str, edits: Callable[[], Iterable[tuple[int, int, str]]]) -> None:
        self.text = text
        self._edits = edits
        # Positions in `text` from which on the distance to the other text is the same, and those positions there.
        self._starts: list[int] = []
        self._origins: list[int] = []

    def origin(self, position: int) -> int:
        """Return where a position of this text was."""
        if not self._starts:
            self._lay_out()
        index = bisect_right(self._starts, position) - 1
        return self._origins[index] + position - self._starts[index]

    def _lay_out(self) -> None:
        starts, origins = [0], [0]
        at = length = 0
        for start, end, new in self._edits():
            length += start - at
            starts += (length, length + len(new))
            origins += (start, end)
            length += len(new)
            at = end
        self._starts, self._origins = starts, origins


def _replaced(text: str, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str]) -> View | None:
    made, count = pattern.subn(new, text)
    return View(made, lambda: ((*match.span(), new(match)) for match in pattern.finditer(text))) if count else None


def unescaped(text: str) -> View | None:
    r"""Return a text with the escapes of JSON, Python, URLs and XML undone, or None if it has none.

    >>> unescaped(r'{"a": "{\\"b\\": \\"\\u0073k-1\\"}"} %41&amp;').text
    '{"a": "{"b": "sk-1"}"} A&'
    """
    # The single characters first: they are found many times as fast.
    if "\\" in text or (("%" in text or "&" in text) and ESCAPED.search(text)):
        return _replaced(text, ESCAPE, _unescape)
    return None


def _unescape(match: re.Match[str]) -> str:
    code, byte, char, percent, entity, backslashes = match.groups()
    if code or byte or percent:
        return chr(int(code or byte or percent, 16))
    if char:
        return {"n": "\n", "r": "\r", "t": "\t"}.get(char, str(char))
    return html.unescape(f"&{entity}") if entity else "\\" * max(1, len(backslashes) // 2)


def without_seams(text: str) -> View | None:
    """Return a text in which lists of texts are joined: ``['ab', 'cd']`` becomes ``['abcd']``; None if it has none."""
    return _replaced(text, BETWEEN_PIECES, lambda _: "")


def encoded_runs(text: str, *, escaped: bool = False) -> Iterator[tuple[int, int, bytes]]:
    """Yield (start, end, bytes) for each part that may be base64 or hex, more than once if its start is unsure.

    Args:
        text: The text.
        escaped: Whether the end of an escape may be its beginning: the ``n`` of a line break.
    """
    for match in _runs(text):
        raw = "".join(match.group().split()).rstrip("=").translate(_URL_SAFE)
        offsets = range(4 if len(raw) < LONG_RUN or escaped else 1)
        if raw[0] in "nrt" and match.start() and text[match.start() - 1] == "\\" and not escaped:
            # A line that begins behind an escaped line break; whatever else it is shows where that is undone.
            offsets = range(1, 2)
        for offset in offsets:
            piece = raw[offset:]
            piece = piece[:-1] if len(piece) % 4 == 1 else piece
            yield *match.span(), base64.b64decode(piece + "=" * (-len(piece) % 4))
    if b"x" * SHORTEST_HEX in text.encode("latin-1", "replace").translate(_HEX_DIGITS):
        for match in HEX.finditer(text):
            yield *match.span(), bytes.fromhex(match.group())


def _runs(text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of `RUN`, which is asked only where a part is long enough: looking for it takes a while."""
    marks = text.encode("latin-1", "replace").translate(_IN_RUN)
    start = marks.find(SHORTEST_RUN)
    while start >= 0:
        match = RUN.match(text, start)
        if match is not None:
            yield match
        start = marks.find(SHORTEST_RUN, match.end() if match is not None else start + 1)


_URL_SAFE = str.maketrans("-_", "+/")
_IN_RUN = bytes(
    ord("x") if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "+/_-") else 0 for byte in range(256)
)
_HEX_DIGITS = bytes(ord("x") if chr(byte) in "0123456789abcdefABCDEF" else 0 for byte in range(256))


def long_runs(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each part that may be base64, and is as long as an image.

    Only every 32,768th character is looked at: a run that is twice as long holds one, with as much behind it.
    """
    found: list[tuple[int, int]] = []
    step = LONG_RUN // 2
    at = step
    while at < len(text):
        inside = IN_RUN.match(text, at)
        if inside is not None and inside.end() - at >= step:
            for match in RUN.finditer(text, at - step):
                if match.end() > at:
                    found.append(match.span())
                    at = match.end()
                    break
        at += step
    return found


def without_middles(text: str, runs: Sequence[tuple[int, int]]) -> View:
    """Return a text in which of long runs only the ends are left: a secret may begin or end there."""
    gaps = [(start + END_OF_RUN, end - END_OF_RUN, "\0") for start, end in runs]
    parts: list[str] = []
    at = 0
    for start, end, new in gaps:
        parts += (text[at:start], new)
        at = end
    return View("".join([*parts, text[at:]]), lambda: gaps)


def is_readable(text: str) -> bool:
    """Whether a text is mostly printable, so that encodings within it are worth a look."""
    sample = text[:SAMPLE].encode("utf-8", "surrogatepass")[:SAMPLE]
    return sample.translate(_PRINTABLE).count(b"x") >= 0.85 * len(sample)


def readings(data: bytes) -> Iterator[str]:
    """Yield the texts that bytes may be: unpacked if they are packed, else as they are; and what is UTF-16 in them."""
    unpacked = _unpacked(data)
    if unpacked is not None:
        yield from readings(unpacked)
        return
    try:
        yield data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        yield text if is_readable(text) else "\0".join(_printable(data))
    if b"\0" in data:
        wide = (data[match.start() - 1 : match.end()] for match in WIDE.finditer(data))
        yield from (text.replace(b"\0", b"").decode("latin-1") for text in wide)


def _printable(data: bytes) -> Iterator[str]:
    """Yield the parts of bytes that could hold a secret: of an image, hardly any."""
    marks = data.translate(_PRINTABLE)
    start = marks.find(b"x" * SHORTEST_PART)
    while start >= 0:
        end = marks.find(b"\0", start)
        end = len(data) if end < 0 else end
        yield data[start:end].decode("latin-1")
        start = marks.find(b"x" * SHORTEST_PART, end)


_PRINTABLE = bytes(ord("x") if 32 <= byte < 127 or byte in b"\t\r\n" else 0 for byte in range(256))


def has_text(data: bytes) -> bool:
    """Whether bytes may hold a text of eight letters of ASCII, however it stands there: what is random hardly does."""
    return LETTERS.search(data) is not None or b"\0" in data or data.startswith(PACKED)


def _unpacked(data: bytes) -> bytes | None:
    if not data.startswith(PACKED):
        return None
    try:
        # What is cut off still gives what there is.
        return zlib.decompressobj(wbits=47).decompress(data, MOST_UNPACKED) or None
    except zlib.error:
        return None


def split_texts(body: str) -> list[list[str]]:
    r"""Return the texts that a stream carries in pieces, by where in its events they stand.

    >>> split_texts('data: {"d": {"text": "sk"}, "n": 1}\n\ndata: {"d": {"text": "-1"}, "n": 2}\n\n')
    [['sk', '-1']]
    """
    events = _events(body)
    if len(events) < 2:
        return []
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for event in events:
        kind = str(event.get("type", "")) if isinstance(event, dict) else ""
        for path, numbers, leaf in _leaves(event):
            # Several texts may come in turns under one path, told apart by an index; or one text under several types.
            groups[path].append(leaf)
            groups[(*path, None, *numbers, kind)].append(leaf)
    distinct = {tuple(pieces): pieces for pieces in groups.values() if len(pieces) > 1 and len(set(pieces)) > 1}
    return list(distinct.values())


def _leaves(value: Any) -> Iterator[tuple[tuple[Any, ...], tuple[int, ...], str]]:
    pending: list[tuple[Any, tuple[Any, ...], tuple[int, ...]]] = [(value, (), ())]
    while pending:
        value, path, numbers = pending.pop()
        if isinstance(value, str):
            yield path, numbers, value
        elif isinstance(value, dict):
            numbers += tuple(item for item in value.values() if isinstance(item, int) and 0 <= item < 1000)
            pending += [(item, (*path, key), numbers) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            pending += [(item, (*path, index), numbers) for index, item in reversed(list(enumerate(value)))]


def _events(body: str) -> list[Any]:
    """Return the JSON values of a stream: server-sent events, JSON lines, a JSON list, or frames around JSON."""
    if "data:" in body:
        texts = [line[5:] for line in body.splitlines() if line.startswith("data:")]
        found = [_event(event) for text in texts if (event := _json(text)) is not None]
        if found:
            return found
    whole = _json(body) if body.lstrip()[:1] in ("[", "{") else None
    if whole is not None:
        return whole if isinstance(whole, list) else [whole]
    return [_event(event) for event in _scattered(body)]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _scattered(body: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at, faults = body.find('{"'), 0
    while at >= 0 and faults < MOST_FAULTS:
        try:
            value, end = decoder.raw_decode(body, at)
            yield value
        except (ValueError, RecursionError):
            end, faults = at + 1, faults + 1
        at = body.find('{"', end)


def _event(event: Any) -> Any:
    """Return an event, unpacked if its JSON stands in base64, as Bedrock sends it."""
    if isinstance(event, dict) and isinstance(event.get("bytes"), str):
        try:
            return _json(base64.b64decode(event["bytes"]).decode("utf-8", "replace")) or event
        except (binascii.Error, ValueError):
            return event
    return event


def overlapping(pieces: list[str], start: int, end: int) -> Iterator[str]:
    """Yield the parts of joined pieces that lie between two positions.

    >>> list(overlapping(["ab", "cde", "f"], 1, 4))
    ['b', 'cd']
    """
    edges = [0]
    for piece in pieces:
        edges.append(edges[-1] + len(piece))
    for piece, (first, last) in zip(pieces, pairwise(edges), strict=True):
        if first < end and start < last:
            yield piece[max(start - first, 0) : end - first]
