"""What asks, in the tests of the matrix of faults: `llm`, or an official client that the code under test builds."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai

from pytest_llmeval import LLM, ProviderError, Response
from tests.matrices.fault_cells import TOOL, Cell

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
OPENAI_TOOLS = [{"type": "function", "function": {"name": TOOL, "parameters": SCHEMA}}]
ANTHROPIC_TOOLS = [{"name": TOOL, "input_schema": SCHEMA}]

#: What came of one question, as plain JSON: an answer (`content`, `tools`, `tokens`, `finish`) or an `error`.
Seen = dict[str, Any]


def run_cell(
    cell: Cell,
    urls: dict[str, str],
    llm: LLM | None,
    note: Callable[[Seen], None],
    before: Callable[[str], None] | None = None,
) -> None:
    """Ask what a cell asks, as a test would; let the last error through, as a test would.

    `before` is called with each question before it goes out.
    """
    ask = _asker(cell, urls, llm)
    for prompt in cell.prompts:
        if before is not None:
            before(prompt)
        for last_try in (False, True) if cell.course == "again" else (True,):
            try:
                note(ask(prompt))
                break
            except Exception as exc:
                note(error_of(exc))
                if last_try:
                    raise


def error_of(exc: BaseException) -> Seen:
    """Return what code that catches an exception can know of it."""
    kind = exc.kind if isinstance(exc, ProviderError) else None
    return {"error": type(exc).__name__, "module": type(exc).__module__, "kind": kind, "message": str(exc)}


def _asker(cell: Cell, urls: dict[str, str], llm: LLM | None) -> Callable[[str], Seen]:
    if llm is not None:
        return lambda prompt: _of_response(_ask_llm(cell, llm, prompt))
    url = urls[cell.protocol]
    if cell.call == "sync":
        return _openai(cell, url) if cell.protocol == "openai" else _anthropic(cell, url)
    ask = _async_openai if cell.protocol == "openai" else _async_anthropic
    return lambda prompt: asyncio.run(ask(cell, url, prompt))


def _ask_llm(cell: Cell, llm: LLM, prompt: str) -> Response:
    tools = OPENAI_TOOLS if cell.fault == "tools" else None
    if cell.call == "sync":
        return llm.complete(prompt, stream=cell.streamed, tools=tools)

    async def ask() -> Response:
        return await llm.acomplete(prompt, stream=cell.streamed, tools=tools)

    return asyncio.run(ask())


def _of_response(response: Response) -> Seen:
    # Halves of letters, which no terminal and no file takes, are no text.
    response.content.encode()
    calls = [[call.name, call.arguments] for call in response.tool_calls]
    seen = _seen(response.content, calls, [response.input_tokens, response.output_tokens], response.finish_reason)
    return seen | {"replayed": response.replayed, "timed": (response.ttft_ms is not None, response.latency_ms)}


def _seen(content: Any, calls: list[list[str]], tokens: list[Any], finish: Any) -> Seen:
    text = content if isinstance(content, str) else f"{content!r}"
    return {"content": cut_short(text), "tools": calls, "tokens": tokens, "finish": finish}


def cut_short(text: str) -> str:
    """Return what stands for a text in what was seen: its digest, if it is long."""
    if len(text) <= 500:
        return text
    return f"{len(text)} characters, {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"


def _options(cell: Cell, url: str) -> dict[str, Any]:
    return {"base_url": url, "api_key": "none", "max_retries": cell.max_retries, "timeout": cell.timeout}


def _request(cell: Cell, prompt: str) -> dict[str, Any]:
    request: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    if cell.fault == "tools":
        request["tools"] = OPENAI_TOOLS if cell.protocol == "openai" else ANTHROPIC_TOOLS
    if cell.protocol == "anthropic":
        request["max_tokens"] = 1000
    if cell.streamed:
        request["stream"] = True
        if cell.protocol == "openai":
            request["stream_options"] = {"include_usage": True}
    return request


def _openai(cell: Cell, url: str) -> Callable[[str], Seen]:
    client = openai.OpenAI(**_options(cell, url))

    def ask(prompt: str) -> Seen:
        answer = client.chat.completions.create(**_request(cell, prompt))
        return _of_openai_chunks(list(answer)) if cell.streamed else _of_openai(answer)

    return ask


async def _async_openai(cell: Cell, url: str, prompt: str) -> Seen:
    async with openai.AsyncOpenAI(**_options(cell, url)) as client:
        answer = await client.chat.completions.create(**_request(cell, prompt))
        return _of_openai_chunks([chunk async for chunk in answer]) if cell.streamed else _of_openai(answer)


def _anthropic(cell: Cell, url: str) -> Callable[[str], Seen]:
    client = anthropic.Anthropic(**_options(cell, url))

    def ask(prompt: str) -> Seen:
        answer = client.messages.create(**_request(cell, prompt))
        return _of_events(list(answer)) if cell.streamed else _of_message(answer)

    return ask


async def _async_anthropic(cell: Cell, url: str, prompt: str) -> Seen:
    async with anthropic.AsyncAnthropic(**_options(cell, url)) as client:
        answer = await client.messages.create(**_request(cell, prompt))
        return _of_events([event async for event in answer]) if cell.streamed else _of_message(answer)


def _of_openai(answer: Any) -> Seen:
    # The client hands a body over that it could not make sense of, as text or as an object without content.
    if isinstance(answer, str) or not answer.choices:
        return _seen(answer if isinstance(answer, str) else answer.model_dump(), [], [], None)
    choice, usage = answer.choices[0], answer.usage
    calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []]
    tokens = [usage.prompt_tokens, usage.completion_tokens] if usage else []
    return _seen(choice.message.content or "", calls, tokens, choice.finish_reason)


def _of_openai_chunks(chunks: list[Any]) -> Seen:
    text, finish, tokens, calls = "", None, [], []
    for chunk in chunks:
        if chunk.usage:
            tokens = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        for choice in chunk.choices or []:
            finish = choice.finish_reason or finish
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                if call.id:
                    calls.append([call.function.name, ""])
                calls[-1][1] += call.function.arguments
    return _seen(text, calls, tokens, finish)


def _of_message(answer: Any) -> Seen:
    if isinstance(answer, str) or not answer.content:
        return _seen(answer if isinstance(answer, str) else answer.model_dump(), [], [], None)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [[block.name, json.dumps(block.input)] for block in answer.content if block.type == "tool_use"]
    return _seen(text, calls, [answer.usage.input_tokens, answer.usage.output_tokens], answer.stop_reason)


def _of_events(events: list[Any]) -> Seen:
    text, finish, tokens, calls = "", None, [None, None], []
    for event in events:
        if event.type == "message_start":
            tokens = [event.message.usage.input_tokens, event.message.usage.output_tokens]
        elif event.type == "content_block_start" and event.content_block.type == "tool_use":
            calls.append([event.content_block.name, ""])
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
        elif event.type == "content_block_delta":
            calls[-1][1] += event.delta.partial_json
        elif event.type == "message_delta":
            finish = event.delta.stop_reason or finish
            tokens = [tokens[0], event.usage.output_tokens]
    return _seen(text, calls, tokens, finish)
