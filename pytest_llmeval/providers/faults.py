"""What can go wrong with a call, said so that a person knows what to do. Neither SDK is imported here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import ProviderError
from pytest_llmeval.providers.base import UNUSED_KEY
from pytest_llmeval.standins import MISSING_KEY

if TYPE_CHECKING:
    from pytest_llmeval.providers.endpoints import Connection

MAX_DETAIL = 300
KEY_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|fw|tgp|xai|hf|r8|key)[-_][\w*.-]{6,}|\bAIza[\w*-]{10,}|(?i:(?<=bearer )[\w*.~+/-]{8,})"
)
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")
#: Parameters that some models refuse.
REFUSED_PARAMETER = re.compile(
    r"\b(temperature|top_p|top_k|max_tokens|max_completion_tokens|seed|stop|tools|tool_choice|presence_penalty"
    r"|frequency_penalty|reasoning_effort|logprobs)\b"
)
NOT_TAKEN = re.compile(r"unsupported|not support|deprecated|not permitted|extra.forbidden|unrecognized|unknown", re.I)

#: `error.type` or `error.code` of a 429 that no waiting helps.
USED_UP = re.compile(r"insufficient.?(quota|balance|credit|fund)|billing|credit.?balance|payment.?required")

STATUS_KINDS = {401: "auth", 403: "auth", 404: "not_found", 408: "timeout", 429: "rate_limit", 504: "timeout"}
#: `error.type` or `error.code` of an error that arrives inside a stream, whose HTTP status was still 200.
TYPE_KINDS = (
    (re.compile(r"rate.?limit|quota|too.?many"), "rate_limit"),
    (re.compile(r"timeout"), "timeout"),
    (re.compile(r"authentication|permission|api.?key"), "auth"),
    (re.compile(r"not.?found"), "not_found"),
    (re.compile(r"invalid|bad.?request|context.?length|too.?large"), "bad_request"),
)


class AdapterError(Exception):
    """What an adapter found wrong, mostly with an answer that the SDK took for good."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class SDKErrors:
    """The exception classes of one SDK."""

    timeout: type[Exception]
    connection: type[Exception]
    base: type[Exception]


@contextmanager
def reading() -> Iterator[None]:
    """Turn what goes wrong while an answer is taken apart into a `AdapterError`: the server broke the protocol."""
    try:
        yield
    except (AttributeError, TypeError, KeyError, IndexError, ValueError) as exc:
        raise AdapterError("malformed", f"{type(exc).__name__}: {exc}") from exc


def provider_error(exc: Exception, errors: SDKErrors, connection: Connection, retries: int = 0) -> ProviderError:
    """Return the `ProviderError` for what an SDK, httpx2 or an adapter raised.

    `retries` counts where the exception itself does not know how often the SDK had tried again.
    """
    status = getattr(exc, "status_code", None)
    status = status if isinstance(status, int) and status >= 400 else None
    retries = _retries(exc, retries)
    kind = _kind(exc, status, errors)
    text = _message(kind, exc, status, connection, retries)
    return ProviderError(
        f"{connection.candidate.name}: {text}",
        candidate=connection.candidate.name,
        kind=kind,
        cause=exc,
        status=status,
        retries=retries,
        final=kind == "rate_limit" and bool(USED_UP.search(_codes(exc))),
    )


def clean(text: str, key: str) -> str:
    r"""Return hostile text fit for a terminal: no keys, no control characters, one line, short.

    >>> clean("Incorrect API key provided: sk-abcd****wxyz.\x1b[2J", "secret")
    'Incorrect API key provided: [key] [2J'
    """
    if len(key) >= 6 and key != UNUSED_KEY and not key.startswith(MISSING_KEY):
        text = text.replace(key, "[key]")
    text = " ".join(CONTROLS.sub(" ", KEY_SHAPES.sub("[key]", text)).split())
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}..."


def said(exc: BaseException) -> str:
    """Return what the server said went wrong, else what the exception says."""
    if isinstance(exc, json.JSONDecodeError):
        return f"broken JSON: {exc}"
    error = _error_of(exc)
    return _words(error) if error else str(exc)


def upstream_error(error: Any) -> AdapterError:
    """Return the fault for an ``error`` object that came where an answer should be, with status 200."""
    return AdapterError(_kind_of(error), _words(error))


def _error_of(exc: BaseException) -> Any:
    body = getattr(exc, "body", None)
    return body.get("error", body) if isinstance(body, Mapping) else body


def _codes(exc: BaseException) -> str:
    error = _error_of(exc)
    return f"{error.get('type')} {error.get('code')}".lower() if isinstance(error, Mapping) else ""


def _words(error: Any) -> str:
    return str((error.get("message") or error.get("detail") or error) if isinstance(error, Mapping) else error)


def _kind(exc: Exception, status: int | None, errors: SDKErrors) -> str:
    if isinstance(exc, AdapterError):
        return exc.kind
    names = {cls.__name__ for cls in type(exc).__mro__}
    if isinstance(exc, errors.timeout) or "TimeoutException" in names:
        return "timeout"
    if isinstance(exc, errors.connection) or "RequestError" in names:
        return "connection"
    if status is not None:
        return STATUS_KINDS.get(status, "server" if status >= 500 else "bad_request")
    if "APIResponseValidationError" in names or names & {"JSONDecodeError", "UnicodeDecodeError", "AssertionError"}:
        return "malformed"
    return _kind_of(_error_of(exc)) if isinstance(exc, errors.base) else "unknown"


def _kind_of(error: Any) -> str:
    if not isinstance(error, Mapping):
        return "server"
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return STATUS_KINDS.get(code, "server" if code >= 500 else "bad_request")
    words = f"{error.get('type')} {code}"
    return next((kind for pattern, kind in TYPE_KINDS if pattern.search(words)), "server")


def _retries(exc: Exception, otherwise: int) -> int:
    response = getattr(exc, "response", None)
    timing = getattr(response, "extensions", {}).get("llmeval")
    if timing is not None and timing.replayed:
        return int(timing.retries)
    try:
        request: Any = getattr(exc, "request", None)
        return int(request.headers["x-stainless-retry-count"])
    except (AttributeError, KeyError, ValueError, RuntimeError):
        return otherwise


def _message(kind: str, exc: Exception, status: int | None, connection: Connection, retries: int) -> str:
    detail = _sentence(clean(said(exc), connection.key))
    code = f" ({status})" if status else ""
    tries = f", also after {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""
    setting, address = _setting(connection), _address(connection)
    if kind == "auth":
        return f"{_no_key(connection, code, setting)} {detail}"
    if kind == "connection":
        return _no_connection(exc, connection, tries)
    if kind == "timeout":
        limit = connection.candidate.timeout
        within = f"within {limit:g} s" if limit else "in time"
        return f"no answer from {address} {within}{tries}. Raise timeout in {setting}, or ask for less."
    if kind == "bad_request" and status is None and isinstance(exc, AdapterError):
        return detail
    return {
        "rate_limit": f"too many requests{code}{tries}: {detail} Ask less at once, or raise max_retries in {setting}.",
        "server": f"the server failed{code}{tries}: {detail}",
        "not_found": f"{address} has no model {connection.candidate.model!r}, or is no such address{code}: {detail}",
        "bad_request": f"the server refused the request{code}: {detail}{_leave_out(detail, setting)}",
        "malformed": f"the answer from {address} is not what the protocol says: {detail}",
        "truncated": f"the answer ended before it was finished: {detail}",
    }.get(kind, f"{type(exc).__name__}: {detail}")


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _address(connection: Connection) -> str:
    return re.sub(r"//[^/]*@", "//", connection.base_url)


def _setting(connection: Connection) -> str:
    candidate = connection.candidate
    named = f"{candidate.provider}:{candidate.model}"
    if candidate.name == named:
        return f'a [tool.llmeval.models.NAME] with model = "{named}"'
    return f"[tool.llmeval.models.{candidate.name}]"


def _no_key(connection: Connection, code: str, setting: str) -> str:
    variable = connection.key_env
    if variable is None:
        return (
            f"{_address(connection)} asks for a key{code}: name the environment variable that holds it with api_key_env"
            f" in {setting}."
        )
    if connection.key.startswith(MISSING_KEY):
        return f"no key: the environment variable {variable} is not set. Set it to your key for {_address(connection)}."
    return f"{_address(connection)} refused the key in the environment variable {variable}{code}."


def _no_connection(exc: BaseException, connection: Connection, tries: str) -> str:
    root = exc
    while root.__cause__ is not None and "RequestError" not in {cls.__name__ for cls in type(root).__mro__}:
        root = root.__cause__
    kind = type(root).__name__
    said_so = clean(str(root), connection.key)
    reason = said_so or kind
    if kind in ("ConnectError", "UnsupportedProtocol", "ProxyError"):
        ask = "is the network up?" if connection.own_host and connection.hosting == "api" else "is the server running?"
        return f"cannot connect to {_address(connection)}: {ask} ({reason}{tries})"
    broke = f"{kind}: {said_so}" if said_so else kind
    return f"the connection to {_address(connection)} broke before the answer was whole ({broke}{tries})"


def _leave_out(detail: str, setting: str) -> str:
    named = REFUSED_PARAMETER.search(detail)
    if not named or not NOT_TAKEN.search(detail):
        return ""
    return f' To leave it out for this model: parameters = {{ {named[1]} = "omit" }} in {setting}.'
