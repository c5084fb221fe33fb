"""Anthropic's Messages through the official SDK."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

import anthropic
from anthropic.resources.messages import Messages
from anthropic.types import Message

from pytest_llmeval.providers import anthropic_format
from pytest_llmeval.providers.clients import async_options, sync_options
from pytest_llmeval.providers.families import parameters, split_known
from pytest_llmeval.providers.faults import AdapterError, SDKErrors, upstream_error
from pytest_llmeval.providers.sdk import Plan, SDKProvider, StreamReader, UnsupportedSchemaError, undeclared
from pytest_llmeval.providers.structured import with_prompt
from pytest_llmeval.providers.usage import anthropic_usage
from pytest_llmeval.response import Response, ToolCall, join_text

ARGUMENTS = frozenset(inspect.signature(Messages.create).parameters) - {"self"}


class AnthropicProvider(SDKProvider[anthropic.Anthropic, anthropic.AsyncAnthropic]):
    """Asks one candidate over the Anthropic protocol."""

    errors = SDKErrors(
        timeout=anthropic.APITimeoutError,
        connection=anthropic.APIConnectionError,
        base=anthropic.APIError,
    )

    def _build(self) -> anthropic.Anthropic:
        http_client = anthropic.DefaultHttpxClient(**sync_options(anthropic.DEFAULT_CONNECTION_LIMITS))
        return anthropic.Anthropic(http_client=http_client, **self._client_options())

    def _build_async(self) -> anthropic.AsyncAnthropic:
        http_client = anthropic.DefaultAsyncHttpxClient(**async_options())
        return anthropic.AsyncAnthropic(http_client=http_client, **self._client_options())

    def _send(self, client: anthropic.Anthropic | anthropic.AsyncAnthropic, plan: Plan) -> Any:
        return client.messages.with_raw_response.create(**self._arguments(plan))

    def _arguments(self, plan: Plan) -> dict[str, Any]:
        request, candidate = plan.request, self.connection.candidate
        values = parameters(request, candidate, {"tools": list(request.tools) if request.tools else None})
        if "max_tokens" not in values:
            raise AdapterError("bad_request", "Anthropic wants max_tokens with each request, and there is none.")
        system = request.system
        if request.schema is not None and plan.schema_mode == "native":
            values["output_config"] = {**values.get("output_config", {}), "format": _format(request.schema)}
        elif request.schema is not None:
            system = with_prompt(system, request.schema)
        system, messages = anthropic_format.system_and_messages(system, request.messages)
        if system:
            values["system"] = system
        if "tools" in values:
            values["tools"] = [anthropic_format.tool(tool) for tool in values["tools"]]
        if "tool_choice" in values:
            values["tool_choice"] = anthropic_format.tool_choice(values["tool_choice"])
        if isinstance(values.get("stop_sequences"), str):
            values["stop_sequences"] = [values["stop_sequences"]]
        if request.stream:
            values["stream"] = True
        return {**split_known(values, ARGUMENTS), "model": candidate.model, "messages": messages}

    def _read(self, answer: Any) -> Response:
        if not isinstance(answer, Message):
            raise AdapterError("malformed", f"the body is not JSON: {str(answer)[:100]!r}")
        # Gateways send an upstream's failure with status 200.
        if error := undeclared(answer, "error"):
            raise upstream_error(error)
        if not isinstance(answer.content, list):
            raise AdapterError("malformed", "the answer has no content")
        calls = [
            ToolCall(block.id, block.name, json.dumps(block.input))
            for block in answer.content
            if block.type == "tool_use"
        ]
        return Response(
            "".join(block.text for block in answer.content if block.type == "text"),
            usage=anthropic_usage(_dumped(answer.usage)),
            model=answer.model,
            finish_reason=answer.stop_reason,
            tool_calls=calls,
            raw=answer,
        )

    def _reader(self) -> StreamReader:
        return _Reader()


class _Reader:
    """Puts the events of a streamed message together."""

    def __init__(self) -> None:
        self._events: list[Any] = []
        self._text: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self._stop: str | None = None

    def add(self, event: Any) -> bool:
        self._events.append(event)
        match event.type:
            case "message_start":
                self._model = event.message.model
                self._usage |= _dumped(event.message.usage)
            case "content_block_start":
                return self._start(event.index, event.content_block)
            case "content_block_delta":
                return self._delta(event.index, event.delta)
            case "message_delta":
                self._stop = event.delta.stop_reason or self._stop
                # Cumulative; what is left out stays as message_start said.
                self._usage |= _dumped(event.usage)
        return False

    def _start(self, index: int, block: Any) -> bool:
        if block.type == "tool_use":
            self._calls[index] = {"id": block.id, "name": block.name, "input": block.input, "json": ""}
            return True
        text = block.text if block.type == "text" else ""
        self._text.append(text)
        return bool(text)

    def _delta(self, index: int, delta: Any) -> bool:
        if delta.type == "text_delta":
            self._text.append(delta.text)
            return bool(delta.text)
        # Server-side tools stream their input too; those calls are not for us.
        if delta.type == "input_json_delta" and index in self._calls:
            self._calls[index]["json"] += delta.partial_json
            return True
        return False

    def response(self) -> Response:
        if not self._events:
            raise AdapterError("malformed", "the stream was empty")
        if self._stop is None:
            raise AdapterError("truncated", f"no stop reason after {sum(map(len, self._text))} characters")
        return Response(
            join_text(self._text),
            usage=anthropic_usage(self._usage),
            model=self._model,
            finish_reason=self._stop,
            tool_calls=[
                ToolCall(call["id"], call["name"], join_text(call["json"]) or json.dumps(call["input"]))
                for call in self._calls.values()
            ],
            raw=self._events,
        )


def _dumped(usage: Any) -> dict[str, Any]:
    if usage is None:
        return {}
    dumped: dict[str, Any] = usage.model_dump(exclude_none=True, warnings=False)
    return dumped


def _format(schema: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"type": "json_schema", "schema": anthropic.transform_schema(dict(schema))}
    # What it cannot express it reports in several ways, an assertion among them.
    except (ValueError, TypeError, AssertionError, AttributeError) as exc:
        raise UnsupportedSchemaError(f"the schema is beyond Anthropic's structured outputs: {exc}") from None
