"""Say why a request has no recording: the nearest recorded request, and what differs, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.ignoring import NOTHING, Ignored
from pytest_llmeval.cassettes.matching import HTTPRequest, json_body, scrub_uri

MOST_DIFFERENCES = 8
CONTEXT_WORDS = 6
LONGEST_VALUE = 120
#: Of `likeness`: the same address, and a body that is more alike than different.
ALIKE = 160
COMPARED = 20_000
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    r"""Return text that is safe on a terminal: control characters and line breaks are written out.

    >>> plain("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text).replace("\n", "\\n")


def nearest(request: HTTPRequest, recorded: Iterable[Interaction]) -> Interaction | None:
    """Return the recorded request that is most like `request`, or None if nothing is recorded."""
    return max(recorded, key=lambda interaction: likeness(request, interaction), default=None)


def likeness(request: HTTPRequest, recorded: Interaction) -> float:
    """Return how much two requests are alike: 0-100 for their bodies, and 100 more for the same method and URL."""
    from rapidfuzz import fuzz

    same_target = (request.method, scrub_uri(request.uri)) == (recorded.method, scrub_uri(recorded.uri))
    now, then = (body[:COMPARED].decode("utf-8", "replace") for body in (request.body, recorded.body))
    return fuzz.ratio(now, then) + (100 if same_target else 0)


def differences(request: HTTPRequest, recorded: Interaction, ignored: Ignored = NOTHING) -> list[str]:
    """Return what differs between a request and a recorded one, a line each, recorded first; ignored parts do not."""
    lines = []
    if request.method != recorded.method:
        lines.append(f"method: {recorded.method} -> {request.method}")
    old_url, new_url = (ignored.uri(scrub_uri(uri)) for uri in (recorded.uri, request.uri))
    if old_url != new_url:
        lines.append(f"url: {plain(old_url)} -> {plain(new_url)}")
    old, new = _flat(recorded.body, ignored), _flat(request.body, ignored)
    for path in [*old, *(path for path in new if path not in old)]:
        if path not in new:
            lines.append(f"{path}: {_shown(old[path])} -> not there")
        elif path not in old:
            lines.append(f"{path}: not there -> {_shown(new[path])}")
        elif old[path] != new[path]:
            lines.append(f"{path}: {_change(old[path], new[path])}")
    if len(lines) > MOST_DIFFERENCES:
        lines[MOST_DIFFERENCES:] = [f"... and {len(lines) - MOST_DIFFERENCES} more"]
    return lines


def _flat(body: bytes, ignored: Ignored) -> dict[str, Any]:
    data = json_body(body)
    if data is None:
        return {"body": ignored.text(body.decode("utf-8", "replace"))} if body else {}
    data = ignored.data(data)
    leaves: dict[str, Any] = {}
    pending: list[tuple[str, Any]] = [("", data)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict) and value:
            pending += [(f"{path}.{key}" if path else str(key), value[key]) for key in reversed(list(value))]
        elif isinstance(value, list) and value:
            pending += [(f"{path}[{index}]", item) for index, item in reversed(list(enumerate(value)))]
        elif not (path == "stream" and value is False):
            leaves[plain(path)] = value
    return leaves


def _change(old: Any, new: Any) -> str:
    if isinstance(old, str) and isinstance(new, str):
        return word_diff(old, new)
    return f"{_shown(old)} -> {_shown(new)}"


def _shown(value: Any) -> str:
    text = plain(value if isinstance(value, str) else repr(value))
    text = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
    return f'"{text}"' if isinstance(value, str) else text


def word_diff(old: str, new: str) -> str:
    """Return the words that changed with a few around them: ``[-old-]`` and ``{+new+}``, as git writes it.

    >>> word_diff("Extract the name. Return JSON.", "Extract the full name. Return JSON.")
    'Extract the {+full+} name. Return JSON.'
    """
    before, after = (re.findall(r"\S+|\n", text[:COMPARED]) for text in (old, new))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=len(before) > 2000)
    parts: list[str] = []
    operations = matcher.get_opcodes()
    for index, (tag, i1, i2, j1, j2) in enumerate(operations):
        if tag == "equal":
            parts += _context(before[i1:i2], first=index == 0, last=index == len(operations) - 1)
            continue
        if i2 > i1:
            parts.append(f"[-{_words(before[i1:i2])}-]")
        if j2 > j1:
            parts.append(f"{{+{_words(after[j1:j2])}+}}")
    if not parts or old.split() == new.split():
        return "only white space differs"
    return " ".join(parts)


def _context(words: Sequence[str], *, first: bool, last: bool) -> list[str]:
    shown = [plain(word) for word in words]
    head = [] if first else shown[:CONTEXT_WORDS]
    tail = [] if last else shown[-CONTEXT_WORDS:]
    if len(shown) <= len(head) + len(tail):
        return shown
    return [*head, "...", *tail]


def _words(words: Sequence[str]) -> str:
    text = plain(" ".join(words))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
