"""Write plain data as the YAML of a cassette: texts of several lines are blocks, as they stand."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import yaml

# What keeps a text from being a block as it stands.
NOT_IN_BLOCK = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010fffe]|[\u2028\u2029\ufeff]| \n| $")


class _Dumper(yaml.SafeDumper):
    """Python's dumper: libyaml falls back to one quoted line on any emoji."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """Tell what a text may be written as; PyYAML looks at each character, which takes seconds for megabytes."""
        if "\n" not in scalar or NOT_IN_BLOCK.search(scalar):
            return super().analyze_scalar(scalar)
        return yaml.emitter.ScalarAnalysis(
            scalar=scalar,
            empty=False,
            multiline=True,
            allow_flow_plain=False,
            allow_block_plain=False,
            allow_single_quoted=False,
            allow_double_quoted=True,
            allow_block=True,
        )

    def write_literal(self, text: str) -> None:
        """Write a text as a block, line by line where PyYAML goes character by character."""
        if NOT_IN_BLOCK.search(text):
            super().write_literal(text)
            return
        hints = self.determine_block_hints(text)
        self.write_indicator(f"|{hints}", True)
        self.open_ended = self.open_ended or hints.endswith("+")
        self.write_line_break()
        indent = " " * (self.indent or 0)
        lines = text.removesuffix("\n").split("\n")
        self.stream.write("".join(f"{indent}{line}\n" if line else "\n" for line in lines))
        self.line += len(lines)
        self.column, self.whitespace, self.indention = 0, True, True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_chunks(dumper: yaml.SafeDumper, chunk: tuple[Any, ...]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", chunk, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(tuple, _represent_chunks)


class _RareError(Exception):
    """Something that is too rare to be written here."""


def dump(data: Any) -> str:
    r"""Return the YAML text of plain data.

    >>> dump({"text": "a\nb"})
    'text: |-\n  a\n  b\n'
    """
    # What PyYAML would write, without its nodes and events, which took most of the time of recording an answer.
    try:
        parts: list[str] = []
        _write_mapping(parts, data, "", "")
    except _RareError:
        return _dumped(data)
    return "".join(parts)


def dump_item(item: dict[str, Any]) -> str:
    r"""Return the YAML text of a mapping as it stands in a list.

    >>> dump_item({"a": 1, "b": 2})
    '- a: 1\n  b: 2\n'
    """
    # One item that is too rare makes only itself go the long way.
    try:
        parts: list[str] = []
        _write_mapping(parts, item, "  ", "- ")
    except _RareError:
        return _dumped([item])
    return "".join(parts)


def _dumped(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**9)
    # Behind a text that ends with blank lines, PyYAML ends the document; but more is to come.
    return text.removesuffix("...\n") if text.endswith("\n...\n") else text


KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
FLOAT = re.compile(r"-?[0-9]+\.[0-9]+")


def _write_mapping(parts: list[str], data: dict[str, Any], indent: str, first: str) -> None:
    """Write entries below each other; `first` is what stands before the first of them, `indent` before the others."""
    if not data:
        raise _RareError
    for key, value in data.items():
        if not _is_plain_key(key):
            raise _RareError
        parts += (first, key, ":")
        first = indent
        if type(value) is dict and value:
            parts.append("\n")
            _write_mapping(parts, value, f"{indent}  ", f"{indent}  ")
        elif type(value) is list and value:
            parts.append("\n")
            _write_sequence(parts, value, indent)
        elif type(value) is str and "\n" in value:
            _write_block(parts, value, f"{indent}  ")
        else:
            parts += (" ", _inline(value), "\n")


@lru_cache(maxsize=1024)
def _is_plain_key(key: str) -> bool:
    return KEY.fullmatch(key) is not None and _scalar(key) == key


def _write_sequence(parts: list[str], items: list[Any], indent: str) -> None:
    for item in items:
        if type(item) is dict and item:
            _write_mapping(parts, item, f"{indent}  ", f"{indent}- ")
        elif type(item) in (dict, list) or (type(item) is str and "\n" in item):
            raise _RareError
        else:
            parts += (indent, "- ", _inline(item), "\n")


def _write_block(parts: list[str], text: str, indent: str) -> None:
    # With a blank or a line break at either end, a block needs hints of its own.
    if text[0] in " \n" or text.endswith("\n") or NOT_IN_BLOCK.search(text):
        raise _RareError
    parts.append(" |-\n")
    parts += [f"{indent}{line}\n" if line else "\n" for line in text.split("\n")]


def _inline(value: Any) -> str:
    """Return what stands on the line of its key."""
    kind = type(value)
    if kind is tuple:
        return f"[{', '.join(map(_inline, value))}]"
    if kind is int or (kind is float and FLOAT.fullmatch(repr(value))):
        return repr(value)
    if kind not in (str, bool, float, type(None), dict, list) or (kind in (dict, list) and value):
        raise _RareError
    return "{}" if kind is dict else "[]" if kind is list else _scalar(value)


@lru_cache(maxsize=1024, typed=True)
def _scalar(value: Any) -> str:
    """Return a text of one line, or a constant, as PyYAML writes it behind a key."""
    text = _dumped({"k": value})
    # What YAML takes for a line break is followed by blanks, as many as the text is indented.
    if not text.startswith("k: ") or len(text.splitlines()) != 1:
        raise _RareError
    return text[3:-1]
