"""HTTP libraries other than httpx: vcrpy's own patchers, bound to our cassette, loaded at the first request."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from contextlib import ExitStack
from copy import deepcopy
from typing import Any
from urllib.parse import urlencode

from vcr.cassette import Cassette as VCRCassette
from vcr.filters import decode_response
from vcr.patch import CassettePatcherBuilder
from vcr.request import Request as VCRRequest

from pytest_llmeval.cassettes.exchange import Exchange
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.store import Cassette
from pytest_llmeval.cassettes.transport import cassette_for, refuse_missing_key


class BoundCassette(VCRCassette):  # type: ignore[misc]  # vcrpy ships no types
    """What vcrpy's stubs take for a cassette: each request goes to the store of the test that runs."""

    def __init__(self, path: str, *, waits: bool) -> None:
        """Make one; `waits` is whether a request may wait here for its turn, as it may not in an event loop."""
        super().__init__(path, skip_patchers=("httpx", "httpx2", "aiohttp"))
        # By identity, as the stubs ask several times about one request; kept with it, so that the id is not reused.
        self._exchanges: dict[int, tuple[VCRRequest, Exchange | None]] = {}
        self._waits = waits

    @property
    def write_protected(self) -> bool:
        """A request without a recording has failed before vcrpy could ask this."""
        return False

    def can_play_response_for(self, request: VCRRequest) -> bool:
        """Whether the request has a recording; fails where it has none and nothing may be recorded."""
        exchange = self._exchange(request)
        return exchange is not None and exchange.recorded is not None

    def play_response(self, request: VCRRequest) -> dict[str, Any]:
        """Return the recorded answer in vcrpy's form."""
        exchange = self._exchange(request)
        self._exchanges.pop(id(request), None)
        assert exchange is not None
        assert exchange.recorded is not None
        recorded = exchange.recorded
        return {
            "status": {"code": recorded.status, "message": recorded.reason},
            "headers": deepcopy(recorded.headers),
            "body": {"string": recorded.content},
        }

    def append(self, request: VCRRequest, response: dict[str, Any]) -> None:
        """Take the answer of the real server."""
        exchange = self._exchange(request)
        self._exchanges.pop(id(request), None)
        if exchange is None or exchange.recorded is not None:
            return
        response = _decoded(deepcopy(response))
        headers = [(name, value) for name, values in response["headers"].items() for value in values]
        status, content = response["status"], response["body"].get("string") or b""
        exchange.done(status["code"], status["message"] or "", headers, content)

    def find_requests_with_most_matches(self, request: VCRRequest) -> list[Any]:  # noqa: ARG002 - vcrpy's signature
        """Return nothing: a redirect is looked up like any request."""
        return []

    def filter_request(self, request: VCRRequest) -> VCRRequest:
        """Return the request as it is: hosts that are left alone are sorted out by `_exchange`."""
        return request

    def _exchange(self, request: VCRRequest) -> Exchange | None:
        """Return the exchange of a request, opened at its first mention; None for a host that is left alone."""
        if id(request) not in self._exchanges:
            cassette = cassette_for(request.host, request.port)
            exchange = None
            if cassette is not None:
                exchange = cassette.open(_seen(request))
                if exchange.recorded is None:
                    refuse_missing_key(cassette, exchange)
                    if cassette.engine.budget is not None and self._waits:
                        cassette.engine.budget.hold(exchange, _seen(request).body)
            self._exchanges[id(request)] = (request, exchange)
        return self._exchanges[id(request)][1]

    def broke(self, exc: BaseException) -> None:
        """Give back what was set aside for a request that broke off."""
        for _, exchange in self._exchanges.values():
            if exchange is not None and exchange.hold is not None:
                exchange.hold.failed(_root(exc))

    async def ahold(self) -> None:
        """Set money aside for the request that is to be sent."""
        for request, exchange in list(self._exchanges.values()):
            budget = None if exchange is None else exchange.cassette.engine.budget
            if exchange is not None and budget is not None:
                await budget.ahold(exchange, _seen(request).body)


def _root(exc: BaseException) -> str:
    """Return the name of the error at the root of another: urllib3 keeps that as a reason, others as a cause."""
    while inner := getattr(exc, "reason", None) or exc.__cause__ or exc.__context__:
        if not isinstance(inner, BaseException):
            break
        exc = inner
    return type(exc).__name__


def _seen(request: VCRRequest) -> HTTPRequest:
    headers = {str(name): [_text(value)] for name, value in request.headers.items()}
    # Pairs of a form are a list too, and vcrpy's `body_bytes` would join them.
    body = request.body if isinstance(request.body, dict | list | tuple) else request.body_bytes
    return HTTPRequest(request.method, request.uri, headers, _body(body))


def _body(body: Any) -> bytes:
    """Return what stands for a body: aiohttp's forms reach the stub before they are encoded."""
    if isinstance(body, bytes):
        return body
    fields = getattr(body, "_fields", None)
    if fields is not None:
        return repr([(dict(options), _text(value)) for options, _, value in fields]).encode()
    if isinstance(body, dict | list | tuple):
        return urlencode(body, doseq=True).encode()
    return _text(body).encode()


def encoded(session: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Encode aiohttp's `json=` as aiohttp would, since vcrpy's stub takes it for a form."""
    if kwargs.get("json") is None or kwargs.get("data") is not None:
        return kwargs
    serialize = getattr(session, "_json_serialize", json.dumps)
    headers = {**(kwargs.get("headers") or {})}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    rest = {name: value for name, value in kwargs.items() if name != "json"}
    return {**rest, "data": serialize(kwargs["json"]).encode(), "headers": headers}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _decoded(response: dict[str, Any]) -> dict[str, Any]:
    try:
        return decode_response(response)  # type: ignore[no-any-return]
    except Exception:  # aiohttp has undone the compression already, and the header still names it
        return response


def patch_for(cassette: Cassette) -> None:
    """Put vcrpy's patchers in place until this cassette closes."""
    with ExitStack() as stack:
        bound = BoundCassette(str(cassette.path), waits=True)
        cassette.others_broke = bound.broke
        for patcher in CassettePatcherBuilder(bound).build():
            stack.enter_context(patcher)
        cassette.vcr_patches = stack.pop_all()


def aiohttp_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return aiohttp's request method wrapped in vcrpy's stub, for one call."""
    from vcr.stubs.aiohttp_stubs import vcr_request

    bound = BoundCassette("aiohttp", waits=False)

    @functools.wraps(original)
    async def send(*args: Any, **kwargs: Any) -> Any:
        await bound.ahold()
        try:
            return await original(*args, **kwargs)
        except BaseException as exc:
            bound.broke(exc)
            raise

    return vcr_request(bound, send)  # type: ignore[no-any-return]
