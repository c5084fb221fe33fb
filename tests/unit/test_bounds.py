"""Most tokens and most money that a request can take."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.bounds import (
    EXPLANATION_TOKENS,
    IMAGE_TOKENS,
    NO_LIMIT,
    TEMPLATE_TOKENS,
    Bounds,
    asks_model,
    bounds_of,
    likely_read,
    most_cost,
)
from pytest_llmeval.candidates import Candidate
from pytest_llmeval.settings import Prices
from pytest_llmeval.tariffs import Tariff

CHAT = "https://gateway/v1/chat/completions"
NOW = datetime(2025, 6, 1, tzinfo=UTC)
OWN = Tariff(Candidate("own", "openai", "own", prices=Prices(input=Decimal(1), output=Decimal(10))), None, "api")


def published(model: str, billing: str = "openai") -> Tariff:
    return Tariff(Candidate(model, billing, model), billing, "api")


def bounds(tariff: Tariff = OWN, uri: str = CHAT, **request: Any) -> Bounds:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **request}
    return bounds_of(uri, json.dumps(body, ensure_ascii=False).encode(), tariff)


TEXTS = [
    "plain words",
    '{"a":[1,2,3]}' * 50,
    "\U0001f469\u200d\U0001f467\U0001f389" * 9,
    "\u6c49\u5b57" * 100,
    "\n\t \x00" * 30,
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_text_has_more_tokens_than_bytes(text: str) -> None:
    read = bounds(messages=[{"role": "user", "content": text}]).read
    assert read is not None
    assert read >= len(text.encode()) + TEMPLATE_TOKENS


def test_tools_and_schemas_are_explained_to_the_model() -> None:
    plain, tools = bounds().read, bounds(tools=[{"type": "function", "function": {"name": "f"}}]).read
    assert plain is not None
    assert tools is not None
    assert tools > plain + EXPLANATION_TOKENS


LIMITED: list[tuple[dict[str, Any], int]] = [
    ({"max_tokens": 20}, 20),
    ({"max_completion_tokens": 30}, 30),
    ({"max_output_tokens": 40}, 40),
    ({"max_tokens": 20, "max_completion_tokens": 30}, 30),
    ({"max_tokens": 20, "n": 3}, 60),
    ({"generationConfig": {"maxOutputTokens": 7}}, 7),
    ({"inferenceConfig": {"maxTokens": 8}}, 8),
]


@pytest.mark.parametrize(("request_", "written"), LIMITED, ids=str)
def test_an_answer_is_as_long_as_the_request_lets_it_be(request_: dict[str, Any], written: int) -> None:
    assert bounds(**request_).written == written


@pytest.mark.parametrize("limit", [None, "20", 0, -1, True, 2.5])
def test_what_is_no_limit_limits_nothing(limit: Any) -> None:
    found = bounds(max_tokens=limit)
    assert (found.written, found.why) == (None, NO_LIMIT)


def test_the_catalog_limits_what_the_request_does_not() -> None:
    assert bounds(published("gpt-4o-mini")).written == 16_384
    assert bounds(published("gpt-4o-mini"), n=2).written == 32_768
    # By what it can hold, where nobody says how long its answers get.
    assert bounds(published("claude-haiku-4-5", "anthropic")).written == 200_000
    assert bounds(published("llama-3.3-70b-versatile", "groq")).written is None


def test_no_model_reads_more_than_it_can_hold() -> None:
    assert bounds(published("gpt-4o-mini"), messages=[{"role": "user", "content": "x" * 900_000}]).read == 128_000


def image(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def test_a_picture_counts_as_the_dearest_that_there_is_however_large_its_file() -> None:
    small, large = (bounds(messages=image(f"data:image/png;base64,{'A' * size}")).read for size in (10, 500_000))
    assert small == large
    assert small is not None
    assert IMAGE_TOKENS <= small < IMAGE_TOKENS + 1_000


@pytest.mark.parametrize("kind", ["input_audio", "file", "document", "something_new"])
def test_of_what_is_no_text_nobody_knows_how_much_is_read(kind: str) -> None:
    messages = [{"role": "user", "content": [{"type": kind, "data": "AAAA"}]}]
    found = bounds(messages=messages, max_tokens=5)
    assert found.read is None
    assert kind in found.why
    assert bounds(published("gpt-4o-mini"), messages=messages, max_tokens=5).read == 128_000


BEYOND: list[dict[str, Any]] = [
    {"previous_response_id": "resp_1"},
    {"prompt": {"id": "pmpt_1"}},
    {"web_search_options": {"search_context_size": "low"}},
    {"service_tier": "priority"},
    {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
]


@pytest.mark.parametrize("more", BEYOND, ids=str)
def test_what_brings_costs_of_its_own_is_not_bounded(more: dict[str, Any]) -> None:
    found = bounds(published("gpt-4o-mini"), max_tokens=5, **more)
    assert (found.read, found.written) == (None, None)
    assert most_cost(found, published("gpt-4o-mini"), NOW).amount is None


def test_embeddings_write_nothing() -> None:
    tariff = published("text-embedding-3-small")
    body = b'{"model": "text-embedding-3-small", "input": "text"}'
    found = bounds_of("https://api.openai.com/v1/embeddings", body, tariff)
    assert found.written == 0
    assert most_cost(found, tariff, NOW).amount is not None


def test_the_most_is_the_price_of_the_bounds() -> None:
    assert most_cost(Bounds(1_000, 100), OWN, NOW).amount == Decimal("0.002")


def test_what_goes_into_the_cache_may_cost_more() -> None:
    haiku = published("claude-haiku-4-5", "anthropic")
    plain, cached = (most_cost(Bounds(1_000, 100, cached=cached), haiku, NOW).amount for cached in (False, True))
    assert (plain, cached) == (Decimal("0.0015"), Decimal("0.00175"))
    content = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
    assert bounds(haiku, messages=[{"role": "user", "content": content}], max_tokens=5).cached


def test_the_reason_for_an_unknown_price_goes_before_that_for_a_missing_limit() -> None:
    unpriced = Tariff(Candidate("x", "openai", "x"), None, "api")
    assert "nobody publishes prices" in most_cost(Bounds(None, None, NO_LIMIT), unpriced, NOW).source
    assert most_cost(Bounds(10, None, NO_LIMIT), OWN, NOW).source == NO_LIMIT


def test_what_is_free_or_paid_by_the_hour_needs_no_bounds() -> None:
    free = Tariff(Candidate("x", "openai", "x", prices="free"), None, "api")
    hour = Tariff(Candidate("x", "openai", "x", prices=Prices(gpu_hour=Decimal("3.6")), timeout=10.0), None, "api")
    assert most_cost(Bounds(None, None, NO_LIMIT), free, NOW).status == "free"
    assert most_cost(Bounds(None, None, NO_LIMIT), hour, NOW).amount == Decimal("0.01")


@pytest.mark.parametrize(
    ("method", "uri", "body", "asks"),
    [
        ("POST", CHAT, {"messages": []}, True),
        ("POST", "https://api.openai.com/v1/audio/transcriptions", None, True),
        ("POST", "https://api.openai.com/v1/embeddings", {"model": "m", "input": "x"}, True),
        ("POST", "https://bedrock/model/m/converse", {"messages": []}, True),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens", {"messages": []}, False),
        ("POST", "https://api.openai.com/v1/files", None, False),
        ("GET", "https://api.openai.com/v1/models", None, False),
        ("POST", "https://shop/search", {"input": "shoes"}, False),
        ("POST", "https://shop/search", ["messages"], False),
    ],
)
def test_which_requests_cost_money(method: str, uri: str, body: Any, asks: bool) -> None:
    assert asks_model(method, uri, body) is asks


def test_what_is_likely_is_a_quarter_of_the_bytes_and_pictures_apart() -> None:
    body = json.dumps({"messages": image("A" * 100_000)}).encode()
    assert likely_read(body) in range(1_000, 1_050)
    assert likely_read(b"no json") is None
