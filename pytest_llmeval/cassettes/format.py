"""Cassettes as text: vcrpy's format version 1, laid out for reviewers, sealed with a checksum.

Stock vcrpy reads these files. What it does not know (`llmeval` in a response, the checksum) it leaves alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_llmeval.cassettes import sealed, stock
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.errors import DamagedError

VERSION = 1
HEADER = "# Recorded by pytest-llmeval. The last line seals the file: record again rather than edit.\n"
CONFLICT = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)
SEAL = re.compile(r"^checksum: sha256:([0-9a-f]{64})$")


@dataclass(slots=True)
class Interaction:
    """One request with its answer.

    Attributes:
        body: Body of the request as bytes.
        content: Body of the answer, with any compression undone.
        meta: What only we write: `latency_ms`, `headers_ms`, `ttft_ms`, `chunks`, `retries`, `recorded_at`, `text`.
    """

    method: str
    uri: str
    body: bytes
    request_headers: dict[str, list[str]]
    status: int
    reason: str
    headers: dict[str, list[str]]
    content: bytes
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def request_type(self) -> str:
        """Content type of the request, or an empty string."""
        return header(self.request_headers, "content-type")

    @property
    def content_type(self) -> str:
        """Content type of the answer, or an empty string."""
        return header(self.headers, "content-type")

    @property
    def streamed(self) -> bool:
        """Whether the answer is server-sent events, by its label or, as the SDKs pass over that, by its beginning."""
        return "event-stream" in self.content_type or self.content.startswith((b"data:", b"event:"))

    @property
    def recorded_at(self) -> datetime | None:
        """When it was recorded, in UTC; stock vcrpy does not note that, but may have kept the server's date."""
        text = self.meta.get("recorded_at")
        try:
            if text:
                when = datetime.fromisoformat(str(text))
            elif date := header(self.headers, "date"):
                when = parsedate_to_datetime(date)
            else:
                return None
            return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


@dataclass(slots=True)
class Tape:
    """The interactions of one file, in the order in which they were issued.

    Attributes:
        incomplete: Whether the next run may add to it.
        ours: Whether we wrote the file: what stock vcrpy wrote went through no hook of ours.
        metadata: What stock vcrpy keeps beside the interactions.
    """

    interactions: list[Interaction] = field(default_factory=list)
    incomplete: bool = False
    ours: bool = True
    metadata: Any = None


def header(headers: dict[str, list[str]], name: str) -> str:
    """Return the first value of a header, whatever the case of its name; an empty string if there is none."""
    values = headers.get(name)
    if values:
        return values[0]
    for key, values in headers.items():
        if key.lower() == name and values:
            return values[0]
    return ""


def number(value: Any) -> float | None:
    """Return a number that was recorded; None for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# YAML takes these for line breaks, or refuses them, so that a text with one would not come back as it was.
NOT_IN_YAML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff\ufeff]")


def dumps(tape: Tape) -> str:
    """Return the text of a cassette: UTF-8, LF, JSON bodies pretty in block scalars, sealed."""
    return sealed_with(head(tape) + "".join(map(laid_out, tape.interactions)))


def head(tape: Tape) -> str:
    """Return what stands above the interactions."""
    from pytest_llmeval.cassettes import dumper

    data: dict[str, Any] = {"version": VERSION}
    if tape.incomplete:
        data["incomplete"] = True
    if tape.metadata:
        data["metadata"] = tape.metadata
    return f"{HEADER}{dumper.dump(data)}interactions:{'' if tape.interactions else ' []'}\n"


def laid_out(interaction: Interaction) -> str:
    """Return the text of one interaction, which is the same whatever else a cassette holds."""
    from pytest_llmeval.cassettes import dumper

    return dumper.dump_item(_as_dict(interaction))


def sealed_with(text: str) -> str:
    """Return a text with its checksum below it."""
    return f"{text}checksum: sha256:{_checksum(text)}\n"


def _as_dict(interaction: Interaction) -> dict[str, Any]:
    return {
        "request": {
            "method": interaction.method,
            "uri": interaction.uri,
            "body": readable(interaction.body, interaction.request_type),
            "headers": interaction.request_headers,
        },
        "response": {
            "status": {"code": interaction.status, "message": interaction.reason},
            "headers": interaction.headers,
            "body": {"string": readable(interaction.content, interaction.content_type)},
            "llmeval": {name: _on_one_line(value) for name, value in interaction.meta.items()},
        },
    }


def _on_one_line(value: Any) -> Any:
    """Return lists of lists as they were first written: an answer that is kept looks as it did."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    return value


def readable(body: bytes, content_type: str) -> str | bytes:
    """Return a body as text that a reviewer can read; as it is where that would change its meaning.

    >>> print(readable(b'{"a":1}', "application/json"))
    {
      "a": 1
    }
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return body
    if "json" in content_type or (not content_type and text.startswith("{")):
        text = _pretty(text)
    return body if NOT_IN_YAML.search(text) else text


def _pretty(text: str) -> str:
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        pretty = _indented(data)
        return json.dumps(data, indent=2) if NOT_IN_YAML.search(pretty) else pretty
    except (ValueError, RecursionError):
        return text


#: What `to_json` writes in another way than `json`: 0.00001 for 1e-05, 1e-7 for 1e-07, and what is no number in JSON.
OTHERWISE = re.compile(r"[0-9]e|0\.0000|Infinity")


def _indented(data: Any) -> str:
    from pydantic_core import PydanticSerializationError, to_json

    # `json` indents in Python, which took a tenth of the time of recording an answer.
    try:
        text = to_json(data, indent=2, inf_nan_mode="constants").decode()
    except PydanticSerializationError:
        text = "Infinity"
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) if OTHERWISE.search(text) else text


def is_json_object(body: bytes) -> bool:
    """Whether a body is one JSON object, which a cassette shows with all its keys and texts.

    >>> is_json_object(b'{"a": 1}'), is_json_object(b'["a"]'), is_json_object(b'{"a": 1}{"b": 2}')
    (True, False, False)
    """
    if not body.startswith(b"{"):
        return False
    try:
        json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key stands twice")
    return data


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def loads(text: str, source: Path) -> Tape:
    """Parse the text of a cassette of ours or of stock vcrpy.

    Args:
        text: Content of the file.
        source: The file, for messages.

    Raises:
        DamagedError: Damaged, changed since it was recorded, or not a cassette; names the file and the line.
    """
    # A run that only replays needs no YAML parser: importing one takes as long as replaying ten tests.
    data = sealed.read(text) if _is_sealed(text, source) else None
    if data is None:
        from pytest_llmeval.cassettes import foreign

        data = foreign.parse(text, source)
    if isinstance(data, list) and data:
        raise damaged(source, 1, "vcrpy before 1.0 wrote it: `python -m vcr.migration` makes it readable")
    if not isinstance(data, dict) or not isinstance(data.get("interactions"), list):
        raise damaged(source, 1, "it has no list of interactions")
    if data.get("version") != VERSION:
        raise damaged(source, 1, f"format version {data.get('version')!r}, known is {VERSION}")
    interactions = []
    for index, entry in enumerate(data["interactions"]):
        try:
            interactions.append(_interaction(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            reason = f"no {exc}" if isinstance(exc, KeyError) else str(exc)
            raise damaged(source, _line_of(text, index), f"interaction {index + 1}: {reason}") from None
    return Tape(interactions, data.get("incomplete") is True, text.startswith(HEADER[:30]), data.get("metadata"))


def _is_sealed(text: str, source: Path) -> bool:
    """Whether the file is what we wrote; a file without our header and seal is stock vcrpy's.

    Raises:
        DamagedError: A file of ours that was cut or changed.
    """
    text = text.replace("\r\n", "\n")
    body, _, last = text.rstrip("\n").rpartition("\n")
    seal = SEAL.match(last)
    if seal and _checksum(f"{body}\n") == seal.group(1):
        return True
    _refuse_what_git_left(text, source)
    line = text.count("\n", 0, len(body)) + 2
    if seal:
        raise damaged(source, line, "the checksum does not match: the file was changed since it was recorded")
    if text.startswith(HEADER[:30]) or "\nchecksum:" in text:
        raise damaged(source, line, "the file is cut off: its last line is not the checksum")
    return False


def _refuse_what_git_left(text: str, source: Path) -> None:
    if text.startswith("version https://git-lfs.github.com/"):
        raise damaged(source, 1, "it is a pointer of Git LFS: `git lfs pull` gets the file itself")
    # What YAML has in its first column is never this, and inside a text it would be replayed.
    conflict = CONFLICT.search(text)
    if conflict:
        raise damaged(source, text.count("\n", 0, conflict.start()) + 1, "a merge conflict stands here")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def damaged(source: Path, line: int, reason: str) -> DamagedError:
    """Return the error of a file that cannot be used for what stands in this line."""
    return DamagedError(
        f"{shown_path(source)}:{line}: not a usable cassette: {reason}. Restore the file from version control, "
        "or record it again with --llm-record=all. It was left as it is."
    )


def _line_of(text: str, index: int) -> int:
    marks = ("- request", "- resp", '            "request": {')
    starts = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(marks)]
    return starts[index] if index < len(starts) else 1


def _interaction(entry: Any) -> Interaction:
    request, response = entry["request"], entry["response"]
    # Stock vcrpy keeps the old httpx layout with `content` and `status_code` readable, so we do too.
    status = response.get("status") or {"code": response["status_code"], "message": ""}
    code = status["code"]
    if not isinstance(code, int) or not 100 <= code <= 599:
        raise ValueError(f"status code {code!r}")
    meta = response.get("llmeval")
    if not isinstance(meta, dict | None):
        raise TypeError("response.llmeval is not a mapping")
    headers, content = _headers(response.get("headers")), stock.answer_body(response)
    if meta is None:
        # What we wrote ourselves is unpacked.
        meta = {"recorded_at": entry["recorded_at"]} if "recorded_at" in entry else {}
        headers, content = stock.unpacked(headers, content)
    return Interaction(
        method=_text(request["method"], "request.method"),
        uri=_uri(request["uri"]),
        body=stock.request_body(request.get("body")),
        request_headers=_headers(request.get("headers")),
        status=code,
        reason=_text(status.get("message") or "", "response.status.message"),
        headers=headers,
        content=content,
        meta=meta,
    )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}, not text")
    return value


def _uri(value: Any) -> str:
    uri = _text(value, "request.uri")
    try:
        urlsplit(uri)
    except ValueError as exc:
        raise ValueError(f"request.uri: {exc}") from None
    return uri


def _headers(value: Any) -> dict[str, list[str]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("headers are not a mapping")
    headers: dict[str, list[str]] = {}
    for name, values in value.items():
        items = values if isinstance(values, list | tuple) else [values]
        name = name.decode("latin-1") if isinstance(name, bytes) else _text(name, "a header's name")
        headers[name] = [_header(item, name) for item in items if item is not None]
    return headers


def _header(value: Any, name: str) -> str:
    # Clients pass bytes and numbers too, and vcrpy keeps them as they come.
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value) if isinstance(value, int) else _text(value, f"header {name}")
