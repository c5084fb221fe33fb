r"""Parts of a request that vary by nature (dates, ids), declared so that a recording is found all the same.

A rule is one of

- ``metadata.date``, ``messages[*].id``, ``items[0].*.at``: a path in the JSON body, as stale messages write it;
- ``?timestamp``: a parameter of the URL;
- ``re:\d{4}-\d{2}-\d{2}``: whatever this regular expression matches, in any text of the body and in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
        paths, parameters, patterns: What they say, by rule.
        matched: Rules that something was found for.
    """

    rules: tuple[str, ...] = ()
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    parameters: Mapping[str, str] = field(default_factory=dict, compare=False)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict, compare=False)
    matched: set[str] = field(default_factory=set, compare=False)

    def __bool__(self) -> bool:
        return bool(self.rules)

    @classmethod
    def of(cls, rules: Iterable[Any], source: str) -> Ignored:
        r"""Read rules.

        Args:
            rules: As they were written.
            source: Where, for messages.

        Raises:
            ConfigError: Rules that cannot be used; names all of them and says why.

        >>> Ignored.of(["metadata.date", "?at", r"re:\d+"], "llm_cassette").data({"metadata": {"date": 1}, "n": "a 12"})
        {'metadata': {}, 'n': 'a <ignored>'}
        """
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise ConfigError(f"{source}: ignore={rules!r}: write a list of rules: ignore=['metadata.date'].")
        paths: dict[str, tuple[str, ...]] = {}
        parameters: dict[str, str] = {}
        patterns: dict[str, re.Pattern[str]] = {}
        faults: list[str] = []
        for rule in rules:
            fault = _fault(rule)
            if fault is not None:
                faults.append(f"{source}: ignore: {rule!r} {fault}.")
            elif rule.startswith(REGEX):
                patterns[rule] = re.compile(rule.removeprefix(REGEX))
            elif rule.startswith(PARAMETER):
                parameters[rule] = rule.removeprefix(PARAMETER)
            else:
                paths[rule] = tuple(_steps(rule) or ())
        if faults:
            raise ConfigError("\n".join(faults))
        return cls(tuple(dict.fromkeys(rules)), paths, parameters, patterns)

    def and_also(self, rules: Sequence[str], source: str) -> Ignored:
        """Return these rules with others; what matches is noted for all of them."""
        return replace(Ignored.of([*self.rules, *rules], source), matched=self.matched) if rules else self

    def afresh(self) -> Ignored:
        """Return these rules with nothing matched yet."""
        return replace(self, matched=set()) if self.rules else self

    def data(self, data: Any) -> Any:
        """Return JSON data without the ignored parts; `data` itself may be changed."""
        for rule, path in self.paths.items():
            if _take_out(data, path):
                self.matched.add(rule)
        return self._texts(data) if self.patterns else data

    def text(self, text: str) -> str:
        """Return a text with what the regular expressions match blotted out."""
        for rule, pattern in self.patterns.items():
            text, count = pattern.subn(IGNORED, text)
            if count:
                self.matched.add(rule)
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
            names = {name for name, _ in pairs}
            self.matched.update(rule for rule, name in self.parameters.items() if name in names)
            query = urlencode([pair for pair in pairs if pair[0] not in self.parameters.values()])
            uri = urlunsplit(parts._replace(query=query))
        return self.text(uri)

    def _texts(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self._texts(item) for key, item in value.items()}
        return [self._texts(item) for item in value] if isinstance(value, list) else value


NOTHING = Ignored()


def _fault(rule: Any) -> str | None:
    """Return what is wrong with a rule, or None."""
    if not isinstance(rule, str) or not rule.strip():
        return "is not a rule; write text such as 'metadata.date'"
    if rule.startswith(REGEX):
        return _fault_of_pattern(rule.removeprefix(REGEX))
    if rule != rule.strip():
        return f"has blanks around it; write {rule.strip()!r}"
    if rule.startswith(PARAMETER):
        name = rule.removeprefix(PARAMETER)
        if re.fullmatch(r"[^?&=#\s]+", name):
            return None
        named = re.match(r"[^&=#\s]+", name.lstrip("?"))
        return f"is no parameter of a URL; write its name alone: '?{named[0] if named else 'timestamp'}'"
    if _steps(rule) is not None and not re.match(r"\$($|[.\[])", rule) and not rule.startswith("/"):
        return None
    return _fault_of_path(rule)


def _fault_of_pattern(text: str) -> str | None:
    try:
        pattern = re.compile(text)
    except re.error as exc:
        return f"is not a regular expression: {exc}"
    return "also matches nothing at all; it would be found everywhere" if pattern.fullmatch("") else None


def _fault_of_path(rule: str) -> str:
    # JSONPath begins with what it calls the root, JSON Pointer with a slash.
    plain = rule.replace("/", ".").lstrip("$.") if rule.startswith(("/", "$")) else ""
    if plain and _steps(plain) is not None:
        return f"is not a path; begin with the key itself: {plain!r}"
    return (
        "is not a path; write keys with dots and list items in brackets: 'metadata.date', 'messages[*].id'; "
        "or '?name' for a parameter of the URL, or 're:...'"
    )


def _steps(rule: str) -> list[str] | None:
    """Return the keys and indexes of a path, or None if it is none."""
    steps, end = [], 0
    for match in STEP.finditer(rule):
        if match.start() != end:
            break
        steps.append(f"[{match[1]}]" if match[1] else match[2])
        end = match.end()
    return steps if end == len(rule) else None


def _take_out(data: Any, path: tuple[str, ...]) -> bool:
    """Take a part out; return whether it was there."""
    step, rest = path[0], path[1:]
    if isinstance(data, dict):
        keys: Sequence[Any] = list(data) if step == "*" else [step] if step in data else []
    elif isinstance(data, list) and step.startswith("["):
        index = step[1:-1]
        keys = range(len(data)) if index == "*" else [int(index)] if int(index) < len(data) else []
    else:
        return False
    found = False
    for key in keys:
        if rest:
            found = _take_out(data[key], rest) or found
            continue
        found = True
        if isinstance(data, dict):
            # Taken out, so that a part that is there in one of the two requests only is ignored as well.
            del data[key]
        else:
            data[key] = IGNORED
    return found
