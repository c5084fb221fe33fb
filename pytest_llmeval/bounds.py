"""Most tokens that a request can have a model read and write, and so the most that it can cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pytest_llmeval.cassettes.matching import json_body
from pytest_llmeval.providers.endpoints import endpoint_of
from pytest_llmeval.response import Cost
from pytest_llmeval.tariffs import Tariff

#: Tokens that providers add: chat templates, and the system text with which they explain tools and schemas (Anthropic
#: names up to 804 for tools: https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview).
TEMPLATE_TOKENS = 256
EXPLANATION_TOKENS = 1024
EXPLAINED = ("tools", "functions", "response_format", "output_config", "output_format", "text")

#: The dearest picture that anybody publishes: 2,833 tokens and 5,667 for each of 8 tiles, with gpt-4o-mini
#: (https://platform.openai.com/docs/guides/images-vision).
IMAGE_TOKENS = 48_169
IMAGES = {"image_url", "image", "input_image"}
#: Kinds of parts whose tokens are those of their text. Of any other (sound, documents) the size says nothing.
TEXTS = {
    *("text", "input_text", "output_text", "refusal", "message", "thinking", "redacted_thinking", "reasoning"),
    *("summary_text", "function", "function_call", "function_call_output", "tool_use", "tool_result"),
}
#: What a token of most texts has in UTF-8, and what a picture of a million pixels has with most models.
BYTES_PER_TOKEN = 4
COMMON_IMAGE_TOKENS = 1_000
INNER = ("content", "output", "parts")

#: What bounds an answer, in the words of the protocols, by path through the body.
LIMITS = (
    ("max_tokens",),
    ("max_completion_tokens",),
    ("max_output_tokens",),
    ("max_tokens_to_sample",),
    ("generationConfig", "maxOutputTokens"),
    ("inferenceConfig", "maxTokens"),
)
#: What these ask for is not in the body, or has a price of its own.
BEYOND = (
    "previous_response_id",
    "conversation",
    "prediction",
    "web_search_options",
    "mcp_servers",
    "plugins",
    "models",
)
TIERS = (None, "auto", "default", "flex", "standard", "standard_only")

#: Most tokens of an answer where a request names no limit, first match wins: https://platform.openai.com/docs/models,
#: https://ai.google.dev/gemini-api/docs/models.
LONGEST_ANSWERS = {
    "openai": (
        (r"gpt-5-chat|gpt-4o|chatgpt-4o", 16_384),
        (r"gpt-5", 128_000),
        (r"gpt-4\.1", 32_768),
        (r"o1-mini", 65_536),
        (r"o[1-4]", 100_000),
        (r"gpt-4-turbo|gpt-3\.5", 4_096),
    ),
    "google": ((r"gemini-(1\.5|2\.0)", 8_192), (r"gemini-2\.5", 65_536)),
}

NO_LIMIT = "nothing limits the length of its answer; set max_tokens"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Most tokens that a request can have a model read and write; None where nothing bounds them.

    Attributes:
        read, written: Tokens.
        why: Why one of them is None.
        cached: Whether the request asks for a cache that is paid for.
    """

    read: int | None
    written: int | None
    why: str = ""
    cached: bool = False


#: Ends of paths that cost nothing, though what is sent there looks like a question.
FREE_PATHS = ("/count_tokens", ":countTokens", "/input_tokens", "/tokenize", "/moderations", "/files")
ASKS = ("messages", "contents", "prompt", "input")


def asks_model(method: str, uri: str, body: Any) -> bool:
    """Whether a request has a model write or read, so that somebody pays for it.

    >>> asks_model("POST", "https://gateway/chat", {"model": "m", "messages": []})
    True
    >>> asks_model("POST", "https://weather/today", {"city": "Bonn"})
    False
    """
    path = urlsplit(uri).path.rstrip("/")
    if method.upper() != "POST" or path.endswith(FREE_PATHS):
        return False
    if isinstance(body, Mapping) and any(key in body for key in ASKS):
        # Forms of all kinds have an "input"; with a model beside it, or a message, it is ours.
        return "model" in body or "messages" in body or "contents" in body or endpoint_of(uri) is not None
    return endpoint_of(uri) is not None


def bounds_of(uri: str, body: bytes, tariff: Tariff) -> Bounds:
    """Return the bounds of a request.

    No tokenizer makes more tokens of a text than it has bytes in UTF-8, since none has a token without a byte: that is
    loose, by a factor of about four, but it holds for every model and every text.

    >>> from pytest_llmeval.candidates import Candidate
    >>> own = Tariff(Candidate("m", "openai", "m"), None, "api")
    >>> asked = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}'
    >>> bounds_of("https://gateway/v1/chat/completions", asked, own).written
    5
    """
    request = json_body(body)
    if not isinstance(request, Mapping):
        return Bounds(None, None, "what it asks cannot be read")
    beyond = _beyond(request)
    if beyond:
        return Bounds(None, None, beyond)
    window = tariff.window()
    read, why = _read(request, len(body))
    if window is not None:
        # What a model cannot hold is refused, and not billed.
        read = window if read is None else min(read, window)
    written = 0 if urlsplit(uri).path.rstrip("/").endswith("/embeddings") else _written(request, tariff, window)
    return Bounds(
        read,
        written,
        why if read is None else NO_LIMIT if written is None else "",
        cached=b'"cache_control"' in body,
    )


def likely_read(body: bytes) -> int | None:
    """Return about how many tokens a request has: a quarter of its bytes, and for each picture what most of them have.

    >>> likely_read(b'{"messages": [{"role": "user", "content": "How are you today?"}]}')
    16
    """
    request = json_body(body)
    if not isinstance(request, Mapping):
        return None
    pictures = [
        part
        for name in ("messages", "input", "contents")
        for part in _parts(request.get(name))
        if part.get("type") in IMAGES
    ]
    text = len(body) - sum(len(inner) for part in pictures for inner in _texts(part))
    return text // BYTES_PER_TOKEN + COMMON_IMAGE_TOKENS * len(pictures)


def most_cost(bounds: Bounds, tariff: Tariff, when: datetime) -> Cost:
    """Return the most that a request can cost."""
    # The price of a machine's time needs no tokens, and what is free needs no bounds.
    timed = tariff.most(0, 0, when=when)
    if timed.status in ("estimated", "free"):
        return timed
    if bounds.read is None or bounds.written is None:
        # Without a price, no limit would help.
        price = tariff.most(1, 1, when=when)
        return Cost(None, "unknown", price.source if price.amount is None else bounds.why)
    return tariff.most(bounds.read, bounds.written, when=when, cache_write=bounds.cached)


def _beyond(request: Mapping[str, Any]) -> str:
    # Text is a question; an object names one that is kept at the provider's.
    stored = ["prompt"] if isinstance(request.get("prompt"), Mapping) else []
    found = next((name for name in (*BEYOND, *stored) if request.get(name)), None)
    if found is not None:
        return f"what {found} brings has a price that its request does not tell"
    if request.get("service_tier") not in TIERS:
        return f"service_tier {request['service_tier']!r} has prices of its own"
    tools = request.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        kind = tool.get("type", "custom") if isinstance(tool, Mapping) else "custom"
        if kind not in ("function", "custom"):
            return f"the provider's own tool {kind!r} has a price of its own"
    return ""


def _read(request: Mapping[str, Any], size: int) -> tuple[int | None, str]:
    total = size + TEMPLATE_TOKENS + EXPLANATION_TOKENS * any(request.get(name) for name in EXPLAINED)
    for name in ("messages", "input", "contents", "system"):
        for part in _parts(request.get(name)):
            kind = part.get("type")
            if kind in IMAGES:
                total += IMAGE_TOKENS - sum(map(len, _texts(part)))
            elif kind is not None and kind not in TEXTS:
                return None, f"nobody can tell how many tokens a part of the type {kind!r} has"
    return total, ""


def _parts(value: Any) -> Iterator[Mapping[str, Any]]:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, Mapping):
            yield part
            if part.get("type") not in IMAGES:
                for name in INNER:
                    yield from _parts(part.get(name))


def _texts(part: Any) -> Iterator[str]:
    """Yield the texts in a picture's part: its data, which no model reads as text."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for inner in part.values():
            yield from _texts(inner)


def _written(request: Mapping[str, Any], tariff: Tariff, window: int | None) -> int | None:
    limits = [limit for path in LIMITS if (limit := _number(request, path)) is not None]
    longest = max(limits) if limits else _longest_answer(tariff)
    if longest is None:
        longest = window
    answers = max(_number(request, ("n",)) or 1, _number(request, ("best_of",)) or 1)
    return None if longest is None else longest * answers


def _number(request: Any, path: tuple[str, ...]) -> int | None:
    for name in path:
        request = request.get(name) if isinstance(request, Mapping) else None
    return request if isinstance(request, int) and not isinstance(request, bool) and request > 0 else None


def _longest_answer(tariff: Tariff) -> int | None:
    rows = LONGEST_ANSWERS.get(tariff.billing or "", ())
    return next((tokens for pattern, tokens in rows if re.match(pattern, tariff.candidate.model)), None)
