"""What was asked, as digests: two runs then tell whether their requests differ, without keeping every prompt.

System texts and parameters, which most calls share, are kept beside the digests, so that a comparison can show what
changed in them; messages are not, as each case has its own.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_llmeval.providers.base import Request

DIGITS = 12
#: Most characters of a text that is kept, and most texts of a run: an edit of more is shown by recordings alone.
LONGEST_TEXT = 8_000
MOST_TEXTS = 64

ADDRESS = " at 0x"
_ENCODER = json.JSONEncoder(sort_keys=True, default=repr)


class Asked(NamedTuple):
    """The three parts of a request.

    Attributes:
        system: Digest of the system text; None without one.
        messages: Digest of the messages; None where nothing can be told.
        parameters: Digest of all the rest: temperature, limits, schema, tools; None where nothing can be told.
        texts: System text and parameters by their digests.
    """

    system: str | None
    messages: str | None
    parameters: str | None
    texts: dict[str, str]


#: Of a request that cannot be told by digests.
NOTHING = Asked(None, None, None, {})


def asked_of(request: Request) -> Asked:
    """Return what a request asks, as digests.

    >>> from pytest_llmeval.providers.base import Request
    >>> one, other = (asked_of(Request([{"role": "user", "content": "Hi"}], system=text)) for text in ("A", "B"))
    >>> one.messages == other.messages, one.parameters == other.parameters, one.system == other.system
    (True, True, False)
    """
    try:
        return _asked(request)
    except (TypeError, ValueError, RecursionError):
        # What JSON cannot hold; it was asked all the same, and whoever paid for the answer is to have it.
        return NOTHING


def _asked(request: Request) -> Asked:
    system = digest_of(request.system) if request.system else None
    if request.schema is None and not request.tools and not request.params:
        parameters, text = _plain(request.temperature, request.max_tokens, request.stream)
    else:
        text = _ENCODER.encode(_given(request))
        parameters = digest_of(text)
    if ADDRESS in text:
        # Of an object, which is another one in each process.
        return NOTHING
    texts = {parameters: text}
    if system is not None and request.system is not None:
        texts[system] = request.system
    messages = sha256(_ENCODER.encode(request.messages).encode()).hexdigest()[:DIGITS]
    return Asked(system, messages, parameters, texts)


@lru_cache(maxsize=256)
def digest_of(text: str) -> str:
    """Return the digest of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


@lru_cache(maxsize=256)
def _plain(temperature: Any, max_tokens: Any, stream: bool) -> tuple[str, str]:
    text = _ENCODER.encode(_without_none({"temperature": temperature, "max_tokens": max_tokens, "stream": stream}))
    return digest_of(text), text


def _given(request: Request) -> dict[str, Any]:
    tools = list(request.tools) if request.tools else None
    own = {"temperature": request.temperature, "max_tokens": request.max_tokens, "stream": request.stream}
    return _without_none({**own, "schema": request.schema, "tools": tools, **request.params})


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    # A plain answer is asked for in two ways: by saying so, and by saying nothing.
    return {name: value for name, value in values.items() if value is not None and (name != "stream" or value)}


def expected_digest(expected: Any) -> str | None:
    """Return the digest of the answer that a case expects; None if there is none, or it differs in each process.

    >>> expected_digest({"b": 1, "a": 2}) == expected_digest({"a": 2, "b": 1}), expected_digest(lambda got: got)
    (True, None)
    """
    if expected is None:
        return None
    try:
        text = _ENCODER.encode(expected)
    except (TypeError, ValueError, RecursionError):
        return None
    # An address of an object is that of this process.
    return None if ADDRESS in text else sha256(text.encode()).hexdigest()[:DIGITS]
