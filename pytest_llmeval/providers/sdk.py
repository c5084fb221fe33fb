"""What the two SDKs have in common: one request, asked for plainly or streamed, in a thread or in an event loop."""

from __future__ import annotations

import inspect
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pytest_llmeval.cassettes.transport import cassette_for
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.providers.base import Request
from pytest_llmeval.providers.clients import STARTED, AsyncClosable, LoopClients
from pytest_llmeval.providers.endpoints import Connection
from pytest_llmeval.providers.faults import AdapterError, SDKErrors, provider_error, reading, said
from pytest_llmeval.providers.structured import REFUSED, REFUSED_STATUS
from pytest_llmeval.response import Response, Timing

#: What `Request` says by its own fields and a candidate cannot change.
RESERVED = frozenset({"model", "messages", "stream"})


class SyncClosable(Protocol):
    """What both SDKs' sync clients are."""

    def close(self) -> None:
        """Give connections back."""
        ...


S = TypeVar("S", bound=SyncClosable)
A = TypeVar("A", bound=AsyncClosable)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a request is asked for. What an endpoint lacks is given up step by step.

    Nothing is remembered from one request to the next: which HTTP requests a test makes must not depend on the tests
    before it, or its recording would not fit when it runs alone.
    """

    request: Request
    schema_mode: str | None
    stream_usage: bool = True


class StreamReader(Protocol):
    """Puts the events of a stream together."""

    def add(self, event: Any) -> bool:
        """Take one event; return whether it brought content (text or a tool call)."""
        ...

    def response(self) -> Response:
        """Return the whole answer.

        Raises:
            AdapterError: The stream ended too early.
        """
        ...


class Exchange:
    """The clock of one HTTP exchange: the transport's, which replays, or else our own."""

    def __init__(self) -> None:
        self.retries = 0
        self._timing: Timing | None = None
        self._started: float | None = None
        self._ttft_ms: float | None = None
        self._read_ms: float | None = None

    def begin(self, raw: Any) -> None:
        """Note that the SDK returned: the headers of a stream, or all of a plain answer, are there."""
        http = raw.http_response
        self._timing = http.extensions.get("llmeval")
        url = http.request.url
        if self._timing is None and cassette_for(url.host, url.port) is not None:
            # Another plugin or a mock answered in the place of the server: what that took says nothing of a model.
            self._started = None
        else:
            self._started = http.request.extensions.get(STARTED)
        self._read_ms = self._own_clock()
        replayed = self._timing is not None and self._timing.replayed
        self.retries = self._timing.retries if self._timing is not None and replayed else raw.retries_taken

    def content(self) -> None:
        """Note the content that was delivered last; the first note is the TTFT."""
        if self._ttft_ms is None:
            self._ttft_ms = self._own_clock() if self._timing is None else self._timing.position_ms

    def end_of_stream(self) -> None:
        """Note that the stream was read to its end."""
        self._read_ms = self._own_clock()

    def date(self, response: Response) -> Response:
        """Write what was measured into the response."""
        timing = self._timing
        response.latency_ms = self._read_ms if timing is None or timing.latency_ms is None else timing.latency_ms
        response.ttft_ms = self._ttft_ms
        response.retries = self.retries
        if timing is not None:
            response.replayed, response.recorded_at = timing.replayed, timing.recorded_at
        return response

    def _own_clock(self) -> float | None:
        return None if self._started is None else (time.perf_counter() - self._started) * 1000


class SDKProvider(ABC, Generic[S, A]):
    """A provider that speaks through an official SDK. The subclasses translate."""

    errors: ClassVar[SDKErrors]

    def __init__(self, connection: Connection) -> None:
        candidate = connection.candidate
        if taken := RESERVED & candidate.parameters.keys():
            raise ConfigError(
                f"candidate {candidate.name!r}: parameters cannot set {', '.join(sorted(taken))}:"
                " the test's own request says that."
            )
        self.connection = connection
        self.billing = connection.billing
        self.hosting = connection.hosting
        self._lock = threading.Lock()
        self._client: S | None = None
        self._aclients: LoopClients[A] = LoopClients(self._build_async)

    @abstractmethod
    def _build(self) -> S: ...

    @abstractmethod
    def _build_async(self) -> A: ...

    @abstractmethod
    def _send(self, client: S | A, plan: Plan) -> Any:
        """Make a request through the SDK; return the raw response, or what is awaited for it."""

    @abstractmethod
    def _read(self, answer: Any) -> Response:
        """Translate a plain answer."""

    @abstractmethod
    def _reader(self) -> StreamReader: ...

    def complete(self, request: Request) -> Response:
        """Return the whole answer, without a cost.

        Raises:
            ProviderError: There is no whole answer.
        """
        __tracebackhide__ = True
        plan = self._first_plan(request)
        while True:
            exchange = Exchange()
            try:
                return self._finish(self._ask(plan, exchange), plan, exchange)
            # The user's own warning filters made an exception of the SDK's deprecation notice.
            except Warning:
                raise
            except Exception as exc:
                failure = exc
            plan = self._next_plan(plan, failure, exchange)

    async def acomplete(self, request: Request) -> Response:
        """Do what `complete` does, in the running event loop."""
        __tracebackhide__ = True
        plan = self._first_plan(request)
        while True:
            exchange = Exchange()
            try:
                return self._finish(await self._aask(plan, exchange), plan, exchange)
            except Warning:
                raise
            except Exception as exc:
                failure = exc
            plan = self._next_plan(plan, failure, exchange)

    def close(self) -> None:
        """Give connections back."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        self._aclients.close()

    def _ask(self, plan: Plan, exchange: Exchange) -> Response:
        __tracebackhide__ = True
        raw = self._send(self._sync_client(), plan)
        exchange.begin(raw)
        parsed = raw.parse()
        if not plan.request.stream:
            with reading():
                return self._read(parsed)
        reader = self._reader()
        with parsed as stream:
            for event in stream:
                with reading():
                    if reader.add(event):
                        exchange.content()
        exchange.end_of_stream()
        return reader.response()

    async def _aask(self, plan: Plan, exchange: Exchange) -> Response:
        __tracebackhide__ = True
        raw = await self._send(await self._aclients.get(), plan)
        exchange.begin(raw)
        parsed = raw.parse()
        if inspect.isawaitable(parsed):
            parsed = await parsed
        if not plan.request.stream:
            with reading():
                return self._read(parsed)
        reader = self._reader()
        async with parsed as stream:
            async for event in stream:
                with reading():
                    if reader.add(event):
                        exchange.content()
        exchange.end_of_stream()
        return reader.response()

    def _client_options(self) -> dict[str, Any]:
        candidate = self.connection.candidate
        options = {"timeout": candidate.timeout, "max_retries": candidate.max_retries}
        given = {name: value for name, value in options.items() if value is not None}
        return {"api_key": self.connection.key, "base_url": self.connection.base_url, **given}

    def _sync_client(self) -> S:
        with self._lock:
            if self._client is None:
                self._client = self._build()
            return self._client

    def _finish(self, response: Response, plan: Plan, exchange: Exchange) -> Response:
        response.candidate = self.connection.candidate.name
        response.schema_mode = plan.schema_mode
        if plan.schema_mode == "native" and _unconstrained(response):
            response.schema_mode = "ignored"
        return exchange.date(response)

    def _first_plan(self, request: Request) -> Plan:
        wanted = self.connection.candidate.structured_output
        return Plan(request, None if request.schema is None else "prompt" if wanted == "prompt" else "native")

    def _next_plan(self, plan: Plan, failure: Exception, exchange: Exchange) -> Plan:
        __tracebackhide__ = True
        if getattr(failure, "status_code", None) in REFUSED_STATUS:
            text = said(failure)
            if plan.request.stream and plan.stream_usage and "stream_options" in text:
                return replace(plan, stream_usage=False)
            if self._may_ask_in_words(plan) and REFUSED.search(text):
                return replace(plan, schema_mode="prompt")
        if isinstance(failure, UnsupportedSchemaError) and self._may_ask_in_words(plan):
            return replace(plan, schema_mode="prompt")
        raise provider_error(failure, self.errors, self.connection, exchange.retries) from None

    def _may_ask_in_words(self, plan: Plan) -> bool:
        return plan.schema_mode == "native" and self.connection.candidate.structured_output == "auto"


def _unconstrained(response: Response) -> bool:
    # Some servers pass over what they don't know (llama.cpp does with Anthropic's output_config). Asking again in words
    # would hide that, and give this candidate a second chance that the others don't have.
    if response.cut:
        return not response.content.lstrip().startswith(tuple('{["-0123456789tfn'))
    if response.tool_calls or response.finish_reason not in ("stop", "end_turn"):
        return False
    try:
        response.json()
    except ValueError:
        return True
    return False


def undeclared(model: Any, name: str) -> Any:
    """Return what the SDK's class does not declare, or None; `getattr` takes long for what is not there."""
    return (getattr(model, "model_extra", None) or {}).get(name)


class UnsupportedSchemaError(AdapterError):
    """A schema that the provider's own means cannot express."""

    def __init__(self, text: str) -> None:
        super().__init__("bad_request", text)
