"""Parse YAML that others wrote, into plain data alone: no tag runs code, no nesting and no alias takes the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import yaml

from pytest_llmeval.cassettes import stock

_SafeLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
# A JSON body that aiohttp was given stands in the file as data, and JSON Schemas nest deeply.
_DEEPEST = 100
# Values that aliases mention once more, a long text counting for many: the file itself may have any number.
_MOST_MENTIONED = 500_000
_CHARACTERS = 100
_LONGEST_NUMBER = 400

_constructor = yaml.constructor.SafeConstructor()
_SCALARS: dict[str, Callable[[yaml.ScalarNode], Any]] = {
    "int": _constructor.construct_yaml_int,
    "float": _constructor.construct_yaml_float,
    "bool": _constructor.construct_yaml_bool,
    "null": _constructor.construct_yaml_null,
    "binary": _constructor.construct_yaml_binary,
    # An unquoted date, as stock vcrpy may write one into a header, is the text that stands there.
    "timestamp": lambda node: str(node.value),
    # Text as vcrpy wrote it under Python 2.
    "python/str": lambda node: str(node.value),
    "python/unicode": lambda node: str(node.value),
}
# The only objects that vcrpy itself writes, and only as the body of a request: they are read as the bytes they hold.
_UPLOADS = {"python/object/new:_io.BytesIO": "_io.BytesIO", "python/object/apply:builtins.iter": "iter"}


def parse(text: str, watch: Callable[[Any], None] | None = None) -> Any:
    r"""Return the data of a YAML text. `watch` sees each event of the parser, which know their places.

    It is built from the parser's events: PyYAML's nodes take four times as long, and its composer, which calls itself
    for each level, ends the process where a file nests deeply enough.

    Raises:
        yaml.YAMLError: Not YAML, a tag that no cassette has, or more values than any has: aliases can hold each other.

    >>> parse("a: [1, '2', ~]\nb: !!binary eHl6\n")
    {'a': [1, '2', None], 'b': b'xyz'}
    """
    loader = _SafeLoader(text)

    def next_event() -> Any:
        event = loader.get_event()
        if watch is not None:
            watch(event)
        return event

    try:
        return _Reader(loader.get_event if watch is None else next_event).document()
    finally:
        loader.dispose()


class _Reader:
    """Builds data from events.

    Args:
        next_event: Returns the parser's next event.
    """

    def __init__(self, next_event: Callable[[], Any]) -> None:
        self._next = next_event
        self._count = self._mentioned = 0
        self._anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        """Return the data of the only document; None if there is none."""
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return None
        data = self._value(self._next(), 0)
        self._next()
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise _error("a second document begins here", event)
        return data

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count
        self._count += 1
        if depth > _DEEPEST:
            raise _error("nested too deeply", event)
        if isinstance(event, yaml.ScalarEvent):
            data = _scalar(event)
            self._count += len(event.value) // _CHARACTERS
        elif isinstance(event, yaml.MappingStartEvent):
            data = self._mapping(event, depth)
        else:
            data = self._sequence(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = data, self._count - before
        return data

    def _alias(self, event: yaml.AliasEvent) -> Any:
        if event.anchor not in self._anchors:
            raise _error(f"alias {event.anchor!r} stands for nothing before it", event)
        data, weight = self._anchors[event.anchor]
        # What reads the data goes through it as often as it is mentioned.
        self._count += weight
        self._mentioned += weight
        if self._mentioned > _MOST_MENTIONED:
            raise _error("too large, with its aliases", event)
        return data

    def _mapping(self, start: Any, depth: int) -> Any:
        kind = _kind(start, "map")
        if kind != "map" and kind not in _UPLOADS:
            raise _refused(start)
        data: dict[Any, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if isinstance(key, dict | list):
                raise _error("a key is not a plain value", event)
            if key in data:
                # What a bad merge leaves: the last one would win, and nobody would know.
                raise _error(f"{str(key)[:40]!r} stands here a second time", event)
            data[key] = self._value(self._next(), depth + 1)
        if kind == "map":
            return data
        try:
            return stock.upload(_UPLOADS[kind], data)
        except (LookupError, TypeError):
            raise _error(f"tag {start.tag!r} does not hold bytes", start) from None

    def _sequence(self, start: Any, depth: int) -> Any:
        kind = _kind(start, "seq")
        if kind not in ("seq", "python/tuple"):
            raise _refused(start)
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, depth + 1))
        return items if kind == "seq" else tuple(items)


def _scalar(event: Any) -> Any:
    if event.tag is None or event.tag == "!":
        kind = _implicit(event.value) if event.implicit[0] else "str"
    else:
        kind = event.tag.removeprefix(_TAG)
    if kind == "str":
        return event.value
    if kind not in _SCALARS:
        raise _refused(event, _TAG + kind)
    if kind in ("int", "float") and len(event.value) > _LONGEST_NUMBER:
        # YAML counts in sixties too, at a cost that grows with the square of the length.
        raise _error(f"{event.value[:40]!r}... is too long for a number", event)
    try:
        return _SCALARS[kind](yaml.ScalarNode(_TAG + kind, event.value, event.start_mark, event.end_mark))
    except (ValueError, LookupError, OverflowError):
        raise _error(f"{event.value[:40]!r} is no {kind}", event) from None


_resolver = yaml.resolver.Resolver()


@lru_cache(maxsize=1024)
def _implicit(value: str) -> str:
    """Return what a scalar without quotes is."""
    tag: str = _resolver.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
    return tag.removeprefix(_TAG)


def _kind(event: Any, default: str) -> str:
    return default if event.tag is None or event.tag == "!" else str(event.tag).removeprefix(_TAG)


def _refused(event: Any, tag: str | None = None) -> yaml.MarkedYAMLError:
    return _error(f"tag {(tag or event.tag)!r} has no place in a cassette", event)


def _error(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
