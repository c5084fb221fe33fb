"""Read back what we wrote ourselves, without a YAML parser.

A file whose checksum is right is byte for byte what `format.dumps` made, so it needs no general parser, which took a
third of the time of a replayed test. This reads the part of YAML that `dumps` uses and gives up on anything else; the
caller then takes the long way.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

ENTRY = re.compile(r"( *)(- )?([A-Za-z0-9_-]+):(?: (.*))?\n")
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(e[-+][0-9]+)?")
WORDS = {"true": True, "false": False, "null": None}
# YAML takes these for line breaks too.
OTHER_BREAKS = ("\r", "\x85", "\u2028", "\u2029")
CHOMPED = {"|": 1, "|-": 0, "|+": -1}


class UnknownError(Exception):
    """Something that `dumps` does write, but that is too rare to be read here."""


def read(text: str) -> Any:
    r"""Return the data of a sealed file, or None where the long way is needed.

    >>> read("a: 1\nb:\n- c: |-\n    x\n    y\n  d: 0.5\n")
    {'a': 1, 'b': [{'c': 'x\ny', 'd': 0.5}]}
    """
    if any(mark in text for mark in OTHER_BREAKS):
        return None
    reader = _Reader(text if text.endswith("\n") else f"{text}\n")
    try:
        return reader.mapping(0)
    except (UnknownError, ValueError, IndexError):
        return None


class _Reader:
    """Goes through the text once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def mapping(self, indent: int) -> dict[str, Any]:
        """Read the entries that begin at `indent`; the first may follow the dash of a list's item."""
        data: dict[str, Any] = {}
        while self.at < len(self.text):
            if self.text[self.at] in "#\n":
                self.at = self.text.index("\n", self.at) + 1
                continue
            entry = ENTRY.match(self.text, self.at)
            if entry is None:
                raise UnknownError
            spaces, dash, key, rest = entry.groups()
            if len(spaces) + (2 if dash else 0) != indent or (dash and data):
                break
            self.at = entry.end()
            data[key] = self.value(indent, rest)
        return data

    def value(self, indent: int, rest: str | None) -> Any:
        """Read what stands behind a key, or in the lines below it."""
        if rest is not None:
            return self.block(indent + 2, CHOMPED[rest]) if rest in CHOMPED else scalar(rest)
        if self.text.startswith(f"{' ' * indent}- ", self.at):
            return self.sequence(indent)
        if self.text.startswith(" " * (indent + 2), self.at):
            return self.mapping(indent + 2)
        raise UnknownError

    def sequence(self, indent: int) -> list[Any]:
        """Read the items of a list whose dashes stand at `indent`."""
        items: list[Any] = []
        start = f"{' ' * indent}- "
        while self.text.startswith(start, self.at):
            if ENTRY.match(self.text, self.at):
                items.append(self.mapping(indent + 2))
            else:
                end = self.text.index("\n", self.at)
                items.append(scalar(self.text[self.at + len(start) : end]))
                self.at = end + 1
        return items

    def block(self, indent: int, keep: int) -> str:
        """Read a block scalar. `keep` is how many of its last line breaks stay; -1 keeps all."""
        end = _after(indent).search(self.text, self.at - 1)
        stop = end.start() + 1 if end else len(self.text)
        text = self.text[self.at - 1 : stop].replace(f"\n{' ' * indent}", "\n")[1:]
        self.at = stop
        return text if keep < 0 else text.rstrip("\n") + "\n" * keep


@cache
def _after(indent: int) -> re.Pattern[str]:
    """Match the line break before the first line that no longer belongs to a block at `indent`."""
    return re.compile(rf"\n(?!\n| {{{indent}}}|$)")


def scalar(text: str) -> Any:
    """Return the value of a scalar on one line."""
    first = text[0]
    if first == "'":
        return text[1:-1].replace("''", "'")
    if first == "[" or text == "{}":
        return json.loads(text)
    if first in '"|>{&*!%@`':
        raise UnknownError
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    return WORDS.get(text, text)
