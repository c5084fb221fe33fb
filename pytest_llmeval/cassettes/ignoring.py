r"""Parts of a request that vary by nature (dates, ids), declared so that a recording is found all the same.

A rule is one of

- ``metadata.date``, ``messages[*].id``, ``items[0].*.at``: a path in the JSON body, as stale messages write it;
- ``?timestamp``: a parameter of the URL;
- ``re:\d{4}-\d{2}-\d{2}``: whatever this regular expression matches, in any text of the body and in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pytest_llmeval.errors import ConfigError

IGNORED = "<ignored>"
STEP = re.compile(r"\[(\*|\d+)\]|(?:^|\.)([^.\[\]]+)")
REGEX, PARAMETER = "re:", "?"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Rules that were read, ready to be used.

    Attributes:
        rules: As they were written.
    """

    rules: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    parameters: frozenset[str] = field(default=frozenset(), compare=False)
    patterns: tuple[re.Pattern[str], ...] = field(default=(), compare=False)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @classmethod
    def of(cls, rules: Iterable[Any], source: str) -> Ignored:
        r"""Read rules.

        Args:
            rules: As they were written.
            source: Where, for messages.

        Raises:
            ConfigError: A rule that cannot be used; names it and says why.

        >>> Ignored.of(["metadata.date", "?at", r"re:\d+"], "llm_cassette").data({"metadata": {"date": 1}, "n": "a 12"})
        {'metadata': {}, 'n': 'a <ignored>'}
        """
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise ConfigError(f"{source}: ignore={rules!r}: write a list of rules: ignore=['metadata.date'].")
        paths: list[tuple[str, ...]] = []
        parameters: set[str] = set()
        patterns: list[re.Pattern[str]] = []
        written = tuple(rules)
        for rule in written:
            if not isinstance(rule, str) or not rule.strip():
                raise ConfigError(f"{source}: ignore: {rule!r} is not a rule; write text such as 'metadata.date'.")
        written = tuple(dict.fromkeys(written))
        for rule in written:
            if rule.startswith(REGEX):
                patterns.append(_pattern(rule, source))
            elif rule.startswith(PARAMETER):
                parameters.add(rule.removeprefix(PARAMETER))
            else:
                paths.append(_path(rule, source))
        return cls(written, tuple(paths), frozenset(parameters), tuple(patterns))

    def and_also(self, rules: Sequence[str], source: str) -> Ignored:
        """Return these rules with others."""
        return Ignored.of([*self.rules, *rules], source) if rules else self

    def data(self, data: Any) -> Any:
        """Return JSON data without the ignored parts; `data` itself may be changed."""
        for path in self.paths:
            _take_out(data, path)
        return self._texts(data) if self.patterns else data

    def text(self, text: str) -> str:
        """Return a text with what the regular expressions match blotted out."""
        for pattern in self.patterns:
            text = pattern.sub(IGNORED, text)
        return text

    def bytes(self, body: bytes) -> bytes:
        """Return a body that is not JSON with what the regular expressions match blotted out."""
        if not self.patterns:
            return body
        return self.text(body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def uri(self, uri: str) -> str:
        """Return a URL without the ignored parameters, and with what the regular expressions match blotted out."""
        if self.parameters and "?" in uri:
            parts = urlsplit(uri)
            pairs = parse_qsl(parts.query, keep_blank_values=True)
            query = urlencode([pair for pair in pairs if pair[0] not in self.parameters])
            uri = urlunsplit(parts._replace(query=query))
        return self.text(uri)

    def _texts(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._texts(item) for key, item in value.items()}
        return [self._texts(item) for item in value] if isinstance(value, list) else value


NOTHING = Ignored()


def _pattern(rule: str, source: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(rule.removeprefix(REGEX))
    except re.error as exc:
        raise ConfigError(f"{source}: ignore: {rule!r} is not a regular expression: {exc}.") from None
    if pattern.fullmatch(""):
        raise ConfigError(f"{source}: ignore: {rule!r} also matches nothing at all; it would be found everywhere.")
    return pattern


def _path(rule: str, source: str) -> tuple[str, ...]:
    steps, end = [], 0
    for match in STEP.finditer(rule):
        if match.start() != end:
            break
        steps.append(f"[{match[1]}]" if match[1] else match[2])
        end = match.end()
    if end != len(rule):
        raise ConfigError(
            f"{source}: ignore: {rule!r} is not a path; write keys with dots and list items in brackets: "
            "'metadata.date', 'messages[*].id'; or '?name' for a parameter of the URL, or 're:...'."
        )
    return tuple(steps)


def _take_out(data: Any, path: tuple[str, ...]) -> None:
    step, rest = path[0], path[1:]
    if isinstance(data, dict):
        keys: Sequence[Any] = list(data) if step == "*" else [step] if step in data else []
    elif isinstance(data, list) and step.startswith("["):
        index = step[1:-1]
        keys = range(len(data)) if index == "*" else [int(index)] if int(index) < len(data) else []
    else:
        return
    for key in keys:
        if rest:
            _take_out(data[key], rest)
        elif isinstance(data, dict):
            # Taken out, so that a part that is there in one of the two requests only is ignored as well.
            del data[key]
        else:
            data[key] = IGNORED
