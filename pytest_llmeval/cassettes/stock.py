"""What stock vcrpy writes in other ways than we do, as plain data: compressed bodies, forms, older layouts."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

Headers = dict[str, list[str]]

#: A cassette from a stranger may hold a few kilobytes that unpack to gigabytes.
MOST_BYTES = 64 * 2**20
#: What says how long the body was, or how it was packed, on its way.
OF_THE_TRANSFER = {"content-encoding", "content-length", "transfer-encoding"}


def upload(kind: str, data: Any) -> bytes:
    """Return the body that vcrpy wrote as a Python object: an open file (`_io.BytesIO`) or an iterator (`iter`).

    Both hold nothing but bytes or text, which are taken out; no object is built.

    >>> upload("_io.BytesIO", {"state": [b"abc", 0, None]}), upload("iter", {"args": [[b"a", "b"]], "state": 0})
    (b'abc', b'ab')
    """
    parts = data["state"][:1] if kind == "_io.BytesIO" else data["args"][0]
    return b"".join(part.encode() if isinstance(part, str) else bytes(memoryview(part)) for part in parts)


def request_body(value: Any) -> bytes:
    """Return the bytes of a request's body, where vcrpy kept what it was made from.

    aiohttp's `json=` and `data=` both reach the cassette as they were passed: objects are JSON here, as nearly all are,
    and pairs are a form.

    >>> request_body({"a": [1, None]}), request_body([("a", "1"), ("b", "2")])
    (b'{"a": [1, null]}', b'a=1&b=2')
    """
    if isinstance(value, list | tuple) and value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        return urlencode(value).encode()
    if isinstance(value, dict | list | tuple):
        binary = isinstance(value, dict) and any(isinstance(part, bytes) for part in value.values())
        return urlencode(value).encode() if binary else json.dumps(value, ensure_ascii=False).encode()
    return text_body(value, "request.body")


def text_body(value: Any, what: str) -> bytes:
    """Return the bytes of a body that is text, bytes or nothing.

    Raises:
        TypeError: It is anything else.
    """
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{what} is {type(value).__name__}, not text")


def answer_body(response: dict[str, Any]) -> bytes:
    """Return the bytes of an answer's body in each of the layouts that there were.

    Raises:
        TypeError: It is not text.
        ValueError: There is none, or it is not base64 where it should be.
    """
    if "body" not in response:
        if "content" not in response:
            raise ValueError("the response has no body")
        # vcrpy before 6 wrote httpx's answers in this way.
        return text_body(response["content"], "response.content")
    body = response["body"]
    if not isinstance(body, dict):
        raise TypeError(f"response.body is {type(body).__name__}, not a mapping with the text as `string`")
    if "base64_string" in body and "string" not in body:
        try:
            return base64.b64decode(text_body(body["base64_string"], "response.body.base64_string"), validate=True)
        except binascii.Error as exc:
            raise ValueError(f"response.body.base64_string: {exc}") from None
    if body and "string" not in body:
        raise ValueError("response.body has no `string`")
    # aiohttp's answers without a body have none.
    return text_body(body.get("string"), "response.body.string")


def unpacked(headers: Headers, content: bytes) -> tuple[Headers, bytes]:
    """Return an answer without its compression, which clients differ in: aiohttp's bodies are kept unpacked already.

    Raises:
        ValueError: The body is damaged, or its compression is not known here.
    """
    names = [name.strip().lower() for name in ",".join(_values(headers, "content-encoding")).split(",") if name.strip()]
    if not names or not content:
        return headers, content
    for name in reversed(names):
        content = _unpack(name, content)
    return {name: values for name, values in headers.items() if name.lower() not in OF_THE_TRANSFER}, content


def _values(headers: Headers, wanted: str) -> list[str]:
    return [value for name, values in headers.items() if name.lower() == wanted for value in values]


def _unpack(name: str, content: bytes) -> bytes:
    if name == "identity":
        return content
    if name not in _UNPACKERS:
        raise ValueError(f"the body is compressed with {name!r}, which is not known here")
    begins, unpack = _UNPACKERS[name]
    if begins and not content.startswith(begins):
        return content
    try:
        return unpack(content)
    except ImportError:
        # What is text is not compressed any more, whatever the header says.
        if _is_text(content):
            return content
        raise ValueError(
            f"the body is compressed with {name!r}: install the package {_PACKAGES[name]} to read it"
        ) from None
    except Exception as exc:  # brotli and zstandard have exceptions of their own
        if not begins and _is_text(content):
            return content
        raise ValueError(f"the body does not unpack ({name}): {exc}") from None


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _inflate(content: bytes, window: int) -> bytes:
    parts: list[bytes] = []
    room = MOST_BYTES
    while content:
        # gzip may come in several members.
        inflater = zlib.decompressobj(window)
        parts.append(inflater.decompress(content, room))
        room -= len(parts[-1])
        if inflater.unconsumed_tail or room <= 0:
            raise ValueError(f"more than {MOST_BYTES:,} bytes")
        if not inflater.eof:
            raise ValueError("it is cut off")
        content = inflater.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _gzip(content: bytes) -> bytes:
    return _inflate(content, zlib.MAX_WBITS | 16)


def _deflate(content: bytes) -> bytes:
    try:
        return _inflate(content, zlib.MAX_WBITS)
    except zlib.error:
        # Some servers leave the wrapping out.
        return _inflate(content, -zlib.MAX_WBITS)


def _brotli(content: bytes) -> bytes:
    unpack: Callable[[bytes], bytes] = _first_of("brotli", "brotlicffi").decompress
    return unpack(content)


def _zstd(content: bytes) -> bytes:
    module = _first_of("compression.zstd", "backports.zstd", "zstandard")
    unpack = module.ZstdDecompressor().decompressobj() if module.__name__ == "zstandard" else module.ZstdDecompressor()
    whole: bytes = unpack.decompress(content)
    return whole


def _first_of(*names: str) -> Any:
    for name in names[:-1]:
        try:
            return import_module(name)
        except ImportError:
            continue
    return import_module(names[-1])


#: How a compressed body begins, where that can be told, and what unpacks it.
_UNPACKERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "gzip": (b"\x1f\x8b", _gzip),
    "x-gzip": (b"\x1f\x8b", _gzip),
    "deflate": (b"", _deflate),
    "br": (b"", _brotli),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstd),
}
_PACKAGES = {"br": "brotli", "zstd": "zstandard"}
