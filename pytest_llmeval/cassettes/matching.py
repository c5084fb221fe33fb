"""Which recorded request is this one? A fingerprint: method, URL less its secrets, canonical body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from pytest_llmeval.cassettes.format import header
from pytest_llmeval.cassettes.ignoring import NOTHING, Ignored
from pytest_llmeval.pacing import earlier_requests

Fingerprint = tuple[str, str, bytes]

# Whole names only: a country_code or a page_token is a part of the question.
SECRET_PARAMETERS = {
    "key",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "token",
    "access_token",
    "accesstoken",
    "auth_token",
    "refresh_token",
    "id_token",
    "auth",
    "authorization",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "credential",
    "credentials",
    "sig",
    "signature",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
}
BOUNDARY = re.compile(r'boundary="?([^";]+)"?')


@dataclass(slots=True)
class HTTPRequest:
    """A request as a cassette sees it. Redaction hooks may change it in place.

    Attributes:
        ignore: Rules for parts that vary by nature, which a hook may add to; see `cassettes.ignoring`.
    """

    method: str
    uri: str
    headers: dict[str, list[str]]
    body: bytes
    ignore: list[str] = field(default_factory=list)


def fingerprint(method: str, uri: str, body: bytes, content_type: str, ignored: Ignored = NOTHING) -> Fingerprint:
    """Return what makes two requests the same, but for parts that are ignored.

    JSON bodies count by value: order of keys, white space, `0` for `0.0` and ``"stream": false`` make no difference.

    >>> a = fingerprint("POST", "http://x/v1?key=1", b'{"b": 1.0, "a": 2}', "application/json")
    >>> a == fingerprint("POST", "http://x/v1", b'{"a":2,"b":1,"stream":false}', "application/json")
    True
    """
    uri = scrub_uri(uri)
    return method.upper(), ignored.uri(uri) if ignored else uri, canonical_body(body, content_type, ignored)


def canonical_body(body: bytes, content_type: str, ignored: Ignored = NOTHING) -> bytes:
    """Return the bytes that are compared."""
    if not body:
        return b""
    boundary = BOUNDARY.search(content_type) if "boundary" in content_type else None
    if boundary:
        body = body.replace(boundary.group(1).encode(), b"boundary")
    data = None if boundary else json_body(body)
    if data is None and not content_type:
        data = _form(body)
    if data is None:
        return ignored.bytes(body)
    if ignored:
        data = ignored.data(data)
    if isinstance(data, dict) and data.get("stream") is False:
        del data["stream"]
    return CANONICAL.encode(data).encode("utf-8", "surrogatepass")


def json_body(body: bytes) -> Any:
    """Return a JSON object or list, None for any other body."""
    if body.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return NUMBERS.decode(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def _form(body: bytes) -> dict[str, str] | None:
    """Return the fields of a form whose names differ, else None.

    Stock vcrpy keeps what aiohttp was given as `data=` or `json=` without saying which of them it was.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


# Made once: `json.loads` and `json.dumps` make one for each call that has arguments.
NUMBERS = json.JSONDecoder(parse_float=_number)
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def split_uri(uri: str) -> SplitResult:
    """Return the parts of a URL; of what is none, nothing that could hold a secret.

    >>> split_uri("http://me:pw@[x?key=1").geturl()
    '[x'
    """
    try:
        return urlsplit(uri)
    except ValueError:
        return SplitResult("", "", uri.partition("?")[0].rpartition("@")[2], "", "")


def scrub_uri(uri: str) -> str:
    """Return a URL without credentials and secret parameters, and with the other parameters in order.

    >>> scrub_uri("https://me:pw@host/v1?b=2&api_key=abc&a=1#top")
    'https://host/v1?a=1&b=2'
    """
    if "?" not in uri and "@" not in uri and "#" not in uri:
        return uri
    parts = split_uri(uri)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(sorted(pair for pair in pairs if pair[0].lower() not in SECRET_PARAMETERS))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def request_fingerprint(request: HTTPRequest, ignored: Ignored = NOTHING) -> Fingerprint:
    """Return the fingerprint of a request."""
    return fingerprint(request.method, request.uri, request.body, header(request.headers, "content-type"), ignored)


def retry_count(request: HTTPRequest) -> int:
    """Return which retry of an SDK a request is: 0 is the first try."""
    text = header(request.headers, "x-stainless-retry-count")
    return earlier_requests() + (int(text) if text.isdecimal() else 0)
