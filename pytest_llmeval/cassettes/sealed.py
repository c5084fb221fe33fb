"""Read back what we wrote ourselves, without a YAML parser.

A file whose checksum is right is byte for byte what `format.dumps` made, so it needs no general parser, which took a
third of the time of a replayed test. One pattern matches an interaction as `dumps` lays it out. Anything else is given
up on; the caller then takes the long way.
"""

from __future__ import annotations

import json
import re
from typing import Any

# YAML takes these for line breaks too.
OTHER_BREAKS = ("\r", "\x85", "\u2028", "\u2029")
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(e[-+][0-9]+)?")
WORDS = {"true": True, "false": False, "null": None}


class UnknownError(Exception):
    """Something that `dumps` does write, but that is too rare to be read here."""


def _value(indent: int) -> str:
    """Return the pattern of what stands behind a key at `indent`, in three groups: how its block ends, or a scalar."""
    below = " " * (indent + 2)
    # A block whose first line begins with a space says how far it is indented, which is too rare to be read here.
    return rf"(?:\|([-+]?)\n({below}[^ \n].*\n(?:{below}.+\n|\n)*+)|([^|>\n].*)\n)"


def _mapping(indent: int) -> str:
    """Return the pattern of a mapping whose keys stand at `indent`, in one group."""
    below = " " * indent
    return rf"(?: \{{\}}\n|\n((?:{below}.+\n|\n)*+))"


HEAD = re.compile(r"(?:#.*\n)*version: ([0-9]+)\n(incomplete: true\n)?interactions:(?: \[\])?\n")
INTERACTION = re.compile(
    rf"- request:\n"
    rf"    method: (.+)\n"
    rf"    uri: (.+)\n"
    rf"    body: {_value(4)}"
    rf"    headers:{_mapping(6)}"
    rf"  response:\n"
    rf"    status:\n"
    rf"      code: ([0-9]+)\n"
    rf"      message: (.+)\n"
    rf"    headers:{_mapping(6)}"
    rf"    body:\n"
    rf"      string: {_value(6)}"
    rf"    llmeval:{_mapping(6)}"
)
TAIL = re.compile(r"(checksum): (sha256:[0-9a-f]+)\n")
#: An entry of headers or of `llmeval`: a value, or a list below it.
ENTRY = re.compile(rf"      ([A-Za-z0-9_-]+):(?: {_value(6)}|\n((?:      - .+\n)++))")


def read(text: str) -> Any:
    r"""Return the data of a sealed file, or None where the long way is needed.

    >>> read("version: 1\ninteractions: []\nchecksum: sha256:0\n")
    {'version': 1, 'interactions': [], 'checksum': 'sha256:0'}
    """
    head = HEAD.match(text)
    if head is None or any(mark in text for mark in OTHER_BREAKS):
        return None
    data: dict[str, Any] = {"version": int(head[1])}
    if head[2]:
        data["incomplete"] = True
    interactions = data["interactions"] = []
    at = head.end()
    try:
        while found := INTERACTION.match(text, at):
            interactions.append(_interaction(found))
            at = found.end()
    except (UnknownError, ValueError, RecursionError):
        return None
    tail = TAIL.fullmatch(text, at)
    if tail is None:
        return None
    data[tail[1]] = tail[2]
    return data


def _interaction(found: re.Match[str]) -> dict[str, Any]:
    """Return one interaction as the YAML parser would."""
    method, uri, end, block, plain, asked, code, message, answered, last, lines, line, meta = found.groups()
    return {
        "request": {
            "method": scalar(method),
            "uri": scalar(uri),
            "body": _text(end, block, plain, 6),
            "headers": _entries(asked),
        },
        "response": {
            "status": {"code": scalar(code), "message": scalar(message)},
            "headers": _entries(answered),
            "body": {"string": _text(last, lines, line, 8)},
            "llmeval": _entries(meta),
        },
    }


def _entries(text: str | None) -> dict[str, Any]:
    """Read the lines of a mapping; None is one that is empty."""
    entries: dict[str, Any] = {}
    at, length = 0, len(text or "")
    while text and at < length:
        entry = ENTRY.match(text, at)
        if entry is None:
            raise UnknownError
        key, end, block, plain, items = entry.groups()
        if items is not None:
            entries[key] = [scalar(item[8:]) for item in items.split("\n")[:-1]]
        else:
            entries[key] = _text(end, block, plain, 8)
        at = entry.end()
    return entries


def _text(end: str | None, block: str, plain: str, indent: int) -> Any:
    """Return a scalar, or the text of a block by its indicator of what is kept of its last line breaks."""
    if end is None:
        return scalar(plain)
    text = f"\n{block}".replace(f"\n{' ' * indent}", "\n")[1:]
    if end == "+":
        return text
    return text.rstrip("\n") + ("" if end else "\n")


def scalar(text: str) -> Any:
    """Return the value of a scalar on one line."""
    first = text[0]
    if first.isalpha():
        return WORDS.get(text, text)
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
    return text
