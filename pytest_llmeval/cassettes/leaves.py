"""The texts of a YAML or JSON file with their places, read without building anything: a stranger's file is data."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import yaml

_SafeLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Fault = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value.

    Attributes:
        path: Keys and indexes that lead to it.
        value: The text, or the bytes of what is marked as binary.
        line: Where it begins.
        block: Whether each line of the text is a line of the file.
    """

    path: tuple[str | int, ...]
    value: str | bytes
    line: int
    block: bool = False

    def line_of(self, line: int) -> int:
        """Return the file's line of a line of the text."""
        return self.line + line - 1 if self.block else self.line

    @property
    def header(self) -> str:
        """Name of the header that this is a value of, in lower case; an empty string if it is none."""
        for index, key in enumerate(self.path[:-1]):
            if isinstance(key, str) and key.lower() == "headers":
                return str(self.path[index + 1]).lower()
        return ""

    @property
    def is_uri(self) -> bool:
        """Whether this is the URL of a request."""
        return self.path[-1:] in (("uri",), ("url",))

    @property
    def is_body(self) -> bool:
        """Whether this is a body, or a part of one."""
        return bool({"body", "content"}.intersection(self.path)) and not self.header


def of(text: str) -> tuple[list[Leaf], Fault | None]:
    r"""Return the values of a file in their order; if it is damaged, those before that, and (line, reason).

    >>> of("a:\n- b: |\n    x\n")[0]
    [Leaf(path=('a', 0, 'b'), value='x\n', line=3, block=True)]
    """
    found: list[Leaf] = []
    read = _json if text.lstrip()[:1] in ("{", "[") else _yaml
    try:
        read(text, found)
    except yaml.MarkedYAMLError as exc:
        return found, (exc.problem_mark.line + 1 if exc.problem_mark else 1, exc.problem or "not YAML")
    except json.JSONDecodeError as exc:
        return found, (exc.lineno, f"not JSON: {exc.msg}")
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        return found, (1, f"not YAML: {type(exc).__name__}")
    return found, None


@dataclass(slots=True)
class _Level:
    """A mapping or sequence that is being read: the key of the value to come, or its index."""

    mapping: bool
    key: str | int | None

    def step(self) -> None:
        """Go on behind a value."""
        self.key = None if isinstance(self.key, str) or self.key is None else self.key + 1


def _yaml(text: str, found: list[Leaf]) -> None:
    """Add the scalars among the events of a parser: no depth and no alias costs more than its line."""
    levels: list[_Level] = []
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            mapping = isinstance(event, yaml.MappingStartEvent)
            if levels and levels[-1].key is None:
                levels[-1].key = ""
            levels.append(_Level(mapping, None if mapping else 0))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            levels.pop()
            if levels:
                levels[-1].step()
        elif isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
            value = event.value if isinstance(event, yaml.ScalarEvent) else ""
            if levels and levels[-1].mapping and levels[-1].key is None:
                levels[-1].key = value
                continue
            if isinstance(event, yaml.ScalarEvent):
                found.append(_leaf(tuple(level.key or 0 for level in levels), event))
            if levels:
                levels[-1].step()


def _leaf(path: tuple[str | int, ...], event: Any) -> Leaf:
    line, block = event.start_mark.line + 1, event.style in ("|", ">")
    value: str | bytes = event.value
    if event.tag and event.tag.endswith("binary"):
        try:
            value = base64.b64decode(event.value)
        except (binascii.Error, ValueError):
            value = event.value
    return Leaf(path, value, line + 1 if block else line, block and isinstance(value, str) and event.style == "|")


def _json(text: str, found: list[Leaf]) -> None:
    """Add the texts of JSON. Their lines are looked up in the order in which they stand."""
    data = json.loads(text)
    at = line = 0
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending += [((*path, str(key)), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            pending += [((*path, index), item) for index, item in reversed(list(enumerate(value)))]
        elif isinstance(value, str):
            places = [text.find(json.dumps(value, ensure_ascii=plain), at) for plain in (True, False)]
            place = min((place for place in places if place >= 0), default=at)
            line += text.count("\n", at, place)
            at = place
            found.append(Leaf(path, value, line + 1))
