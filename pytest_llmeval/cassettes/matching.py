"""Which recorded request is this one? A fingerprint: method, URL less its secrets, canonical body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pytest_llmeval.cassettes.format import header

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
    """A request as a cassette sees it. Redaction hooks may change it in place."""

    method: str
    uri: str
    headers: dict[str, list[str]]
    body: bytes


def fingerprint(method: str, uri: str, body: bytes, content_type: str) -> Fingerprint:
    """Return what makes two requests the same.

    JSON bodies count by value: order of keys, white space, `0` for `0.0` and ``"stream": false`` make no difference.

    >>> a = fingerprint("POST", "http://x/v1?key=1", b'{"b": 1.0, "a": 2}', "application/json")
    >>> a == fingerprint("POST", "http://x/v1", b'{"a":2,"b":1,"stream":false}', "application/json")
    True
    """
    return method.upper(), scrub_uri(uri), canonical_body(body, content_type)


def canonical_body(body: bytes, content_type: str) -> bytes:
    """Return the bytes that are compared."""
    if not body:
        return b""
    boundary = BOUNDARY.search(content_type)
    if boundary:
        return body.replace(boundary.group(1).encode(), b"boundary")
    data = json_body(body)
    if data is None:
        return body
    if isinstance(data, dict) and data.get("stream") is False:
        del data["stream"]
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")


def json_body(body: bytes) -> Any:
    """Return a JSON object or list, None for any other body."""
    if body.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(body, parse_float=_number)
    except (ValueError, RecursionError):
        return None


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def scrub_uri(uri: str) -> str:
    """Return a URL without credentials and secret parameters, and with the other parameters in order.

    >>> scrub_uri("https://me:pw@host/v1?b=2&api_key=abc&a=1#top")
    'https://host/v1?a=1&b=2'
    """
    if "?" not in uri and "@" not in uri and "#" not in uri:
        return uri
    parts = urlsplit(uri)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = urlencode(sorted(pair for pair in pairs if pair[0].lower() not in SECRET_PARAMETERS))
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def request_fingerprint(request: HTTPRequest) -> Fingerprint:
    """Return the fingerprint of a request."""
    return fingerprint(request.method, request.uri, request.body, header(request.headers, "content-type"))
