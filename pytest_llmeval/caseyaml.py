"""Read a list of cases out of YAML, with the line where each stands, and what YAML takes for what nobody meant."""

from __future__ import annotations

import re
from typing import Any

import yaml

from pytest_llmeval.cassettes import plainyaml
from pytest_llmeval.display import escape

# What YAML 1.1 reads as a boolean, a time as a number in sixties, an octal number; whoever wrote it meant the text.
NOT_MEANT = re.compile(r"yes|no|on|off|[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?|[-+]?0[0-7_]+", re.IGNORECASE)


class NotYAMLError(ValueError):
    """A text that is not YAML; `line` is where, if that is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def parse(text: str, key: str) -> tuple[Any, list[tuple[int, list[str]]]]:
    r"""Return the data of a text, and of each case the line where it begins and what is wrong with its values.

    Args:
        text: The text of a file.
        key: Where the list of cases is if the text is a mapping.

    Raises:
        NotYAMLError: It is not YAML, or more than plain data.

    >>> parse("- input: a\n- input: off\n", "cases")
    ([{'input': 'a'}, {'input': False}], [(1, []), (2, ['line 2: YAML takes off for a boolean. Put it in quotes.'])])
    """
    places = _Places(key)
    try:
        return plainyaml.parse(text, places.see), places.found
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        problem = escape(exc.problem or "it breaks off").replace("in a cassette", "among cases")
        raise NotYAMLError(problem, mark.line + 1 if mark else None) from None
    except yaml.YAMLError as exc:
        raise NotYAMLError(escape(str(exc))) from None


class _Places:
    """Notes, while YAML is read, on which lines the cases begin, and which values are other than they look."""

    def __init__(self, key: str) -> None:
        self._list = key
        self.found: list[tuple[int, list[str]]] = []
        self._depth = 0
        # At which depth the cases stand, once their list has begun; -1 behind its end.
        self._level: int | None = None
        self._key: str | None = None

    def see(self, event: Any) -> None:
        """Take the parser's next event."""
        if isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
            if self._level is not None and self._depth < self._level:
                self._level = -1
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)
            self._depth += isinstance(event, yaml.CollectionStartEvent)

    def _node(self, event: Any) -> None:
        starts = isinstance(event, yaml.SequenceStartEvent)
        if self._level is None and self._depth == 0 and starts:
            self._level = 1
        elif self._level is None and self._depth == 1:
            if self._key is None:
                self._key = getattr(event, "value", "")
            else:
                self._level = 2 if starts and self._key == self._list else None
                self._key = None
        elif self._depth == self._level:
            self.found.append((event.start_mark.line + 1, []))
        plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
        if self.found and plain and NOT_MEANT.fullmatch(event.value):
            line = event.start_mark.line + 1
            kind = "boolean" if event.value.isalpha() else "number"
            self.found[-1][1].append(f"line {line}: YAML takes {event.value[:40]} for a {kind}. Put it in quotes.")
