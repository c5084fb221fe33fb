"""OpenAI's Chat Completions through the official SDK: OpenAI itself, and every endpoint that speaks that protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pytest_llmeval.providers.clients import async_options, sync_options
from pytest_llmeval.providers.families import parameters
from pytest_llmeval.providers.faults import AdapterError, SDKErrors, upstream_error
from pytest_llmeval.providers.sdk import Plan, SDKProvider, StreamReader, undeclared
from pytest_llmeval.providers.structured import response_format, with_prompt
from pytest_llmeval.providers.usage import openai_usage
from pytest_llmeval.response import Response, ToolCall, join_text

#: Parameters that are none of the body's, and what they are among the options of the SDK's `post`.
OPTIONS = {"extra_body": "extra_json", "extra_headers": "headers", "extra_query": "params", "timeout": "timeout"}
# What `with_raw_response` adds: the SDK returns the answer unparsed, and what became of it on the way.
RAW = {"X-Stainless-Raw-Response": "true"}


class OpenAIProvider(SDKProvider[openai.OpenAI, openai.AsyncOpenAI]):
    """Asks one candidate over the OpenAI protocol.

    A refusal (`message.refusal`) is an answer: its text is the content, and the finish reason is ``refusal``, the word
    that Anthropic has for it.
    """

    errors = SDKErrors(
        timeout=openai.APITimeoutError,
        connection=openai.APIConnectionError,
        base=openai.APIError,
    )

    def _build(self) -> openai.OpenAI:
        client = openai.OpenAI(
            http_client=openai.DefaultHttpxClient(**sync_options(openai.DEFAULT_CONNECTION_LIMITS)),
            **self._client_options(),
        )
        if not self._is_openai():
            client.organization = client.project = None
        return client

    def _build_async(self) -> openai.AsyncOpenAI:
        http_client = openai.DefaultAsyncHttpxClient(**async_options())
        client = openai.AsyncOpenAI(http_client=http_client, **self._client_options())
        if not self._is_openai():
            client.organization = client.project = None
        return client

    def _is_openai(self) -> bool:
        # The SDK takes OPENAI_ORG_ID and OPENAI_PROJECT_ID from the environment; they are nobody else's business.
        candidate = self.connection.candidate
        return candidate.provider == "openai" and (candidate.base_url is None or self.connection.own_host)

    def _send(self, client: openai.OpenAI | openai.AsyncOpenAI, plan: Plan) -> Any:
        # Not `chat.completions.create`: it holds each message against each type of message that there is, to find
        # fields that JSON has other names for. There are none, and it takes a third of the SDK's time.
        body = self._body(plan)
        options: dict[str, Any] = {"security": {"bearer_auth": True}}
        options |= {name: body.pop(key) for key, name in OPTIONS.items() if key in body}
        options["headers"] = {**options.get("headers", {}), **RAW}
        post: Any = partial(client.post, "/chat/completions", cast_to=ChatCompletion, body=body, options=options)
        if not plan.request.stream:
            return post()
        kind: Any = openai.Stream if isinstance(client, openai.OpenAI) else openai.AsyncStream
        return post(stream=True, stream_cls=kind[ChatCompletionChunk])

    def _body(self, plan: Plan) -> dict[str, Any]:
        request, candidate = plan.request, self.connection.candidate
        defaults: dict[str, Any] = {}
        system = request.system
        if request.tools:
            defaults["tools"] = list(request.tools)
        if request.schema is not None and plan.schema_mode == "native":
            defaults["response_format"] = response_format(request.schema)
        elif request.schema is not None:
            system = with_prompt(system, request.schema)
        if request.stream:
            defaults["stream_options"] = {"include_usage": True}
        values = parameters(request, candidate, defaults)
        if not plan.stream_usage:
            values.pop("stream_options", None)
        if request.stream:
            values["stream"] = True
        if isinstance(form := values.get("response_format"), type):
            raise AdapterError("bad_request", f"response_format is a class: ask for it with schema={form.__name__}.")
        messages = [dict(message) for message in request.messages]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        # In an order of their own, so that a cassette that is recorded anew differs in what has changed.
        return {"model": candidate.model, "messages": messages, **dict(sorted(values.items()))}

    def _read(self, answer: Any) -> Response:
        if not isinstance(answer, ChatCompletion):
            raise AdapterError("malformed", f"the body is not JSON: {str(answer)[:100]!r}")
        # OpenRouter and other gateways send an upstream's failure with status 200.
        if error := undeclared(answer, "error"):
            raise upstream_error(error)
        if not answer.choices:
            raise AdapterError("malformed", "the answer has no choices")
        choice = answer.choices[0]
        if error := undeclared(choice, "error"):
            raise upstream_error(error)
        message = choice.message
        calls = [_tool_call(call) for call in message.tool_calls or []]
        if message.content is None and not calls and message.refusal is None and choice.finish_reason is None:
            raise AdapterError("malformed", "the message has neither content nor a finish reason")
        response = self._counted(answer)
        response.content = message.refusal or _text(message.content)
        response.finish_reason = "refusal" if message.refusal else choice.finish_reason
        response.tool_calls = calls
        response.raw = answer
        return response

    def _reader(self) -> StreamReader:
        return _Reader(self)

    def _counted(self, answer: ChatCompletion | ChatCompletionChunk) -> Response:
        response = Response("", usage=openai_usage(answer.usage), model=answer.model)
        # Some servers send what is no text.
        response.system_fingerprint = _text_or_none(answer.system_fingerprint)
        if self.connection.reports_cost and answer.usage is not None:
            response.reported_cost = _decimal(undeclared(answer.usage, "cost"))
        return response


class _Reader:
    """Puts the chunks of a streamed completion together."""

    def __init__(self, provider: OpenAIProvider) -> None:
        self._provider = provider
        self._chunks: list[ChatCompletionChunk] = []
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._finish: str | None = None
        self._counted: ChatCompletionChunk | None = None
        self._model: str | None = None

    def add(self, event: Any) -> bool:
        if not isinstance(event, ChatCompletionChunk):
            raise AdapterError("malformed", f"a chunk is no object: {str(event)[:100]!r}")
        self._chunks.append(event)
        self._model = event.model or self._model
        if event.usage is not None:
            self._counted = event
        content = False
        for choice in event.choices or []:
            if not choice.index:
                content = self._take(choice) or content
        return content

    def _take(self, choice: Any) -> bool:
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta
        if delta is None:
            return False
        text, refusal, calls = _text(delta.content), delta.refusal or "", delta.tool_calls or []
        self._text.append(text)
        self._refusal.append(refusal)
        for call in calls:
            self._take_call(call)
        return bool(text or refusal or calls)

    def _take_call(self, call: Any) -> None:
        # Some endpoints give every call the index 0, or none: a new id is a new call.
        known = next((held for held in reversed(self._calls) if held["index"] == call.index), None)
        if known is None or (call.id and known["id"] and call.id != known["id"]):
            known = {"index": call.index, "id": "", "name": "", "arguments": ""}
            self._calls.append(known)
        known["id"] = call.id or known["id"]
        if call.function is not None:
            known["name"] += call.function.name or ""
            known["arguments"] += _arguments_text(call.function.arguments)

    def response(self) -> Response:
        if not self._chunks:
            raise AdapterError("malformed", "the stream was empty")
        if self._finish is None:
            raise AdapterError("truncated", f"no finish reason after {sum(map(len, self._text))} characters")
        response = self._provider._counted(self._counted or self._chunks[-1])
        refusal = join_text(self._refusal)
        response.model = self._model
        response.content = refusal or join_text(self._text)
        response.finish_reason = "refusal" if refusal else self._finish
        response.tool_calls = [ToolCall(call["id"], call["name"], join_text(call["arguments"])) for call in self._calls]
        response.raw = self._chunks
        return response


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _decimal(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _text(content: Any) -> str:
    if isinstance(content, list):
        # Mistral's reasoning models answer in parts, of which the thinking is no content.
        parts = [part if isinstance(part, Mapping) else part.model_dump() for part in content]
        return "".join(part["text"] for part in parts if part.get("type") == "text")
    if content is not None and not isinstance(content, str):
        raise AdapterError("malformed", f"the content is no text: {str(content)[:100]!r}")
    return content or ""


def _arguments_text(arguments: Any) -> str:
    # The protocol says text; some servers send the object itself.
    return arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments is not None else ""


def _tool_call(call: Any) -> ToolCall:
    if call.type == "custom":
        return ToolCall(call.id or "", call.custom.name, call.custom.input)
    return ToolCall(call.id or "", call.function.name, _arguments_text(call.function.arguments))
