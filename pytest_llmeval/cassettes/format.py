"""Cassettes as text: vcrpy's format version 1, laid out for reviewers, sealed with a checksum.

Stock vcrpy reads these files. What it does not know (`llmeval` in a response, the checksum) it leaves alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import yaml

from pytest_llmeval.cassettes import sealed
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.errors import CassetteError

VERSION = 1
HEADER = "# Recorded by pytest-llmeval. The last line seals the file: record again rather than edit.\n"
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
    def recorded_at(self) -> datetime | None:
        """When it was recorded; stock vcrpy does not note that, but may have kept the server's date."""
        text, date = self.meta.get("recorded_at"), header(self.headers, "date")
        try:
            when = datetime.fromisoformat(str(text)) if text else parsedate_to_datetime(date) if date else None
        except ValueError:
            return None
        return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when


@dataclass(slots=True)
class Tape:
    """The interactions of one file, in the order in which they were issued."""

    interactions: list[Interaction] = field(default_factory=list)
    incomplete: bool = False


def header(headers: dict[str, list[str]], name: str) -> str:
    """Return the first value of a header, whatever the case of its name; an empty string if there is none."""
    for key, values in headers.items():
        if key.lower() == name and values:
            return values[0]
    return ""


# YAML takes these for line breaks, or refuses them, so that a text with one would not come back as it was.
NOT_IN_YAML = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff\ufeff]")


class _Dumper(yaml.SafeDumper):
    """Python's dumper: libyaml falls back to one quoted line on any emoji."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_chunks(dumper: yaml.SafeDumper, chunk: tuple[Any, ...]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", chunk, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(tuple, _represent_chunks)


def dumps(tape: Tape) -> str:
    """Return the text of a cassette: UTF-8, LF, JSON bodies pretty in block scalars, sealed."""
    data: dict[str, Any] = {"version": VERSION}
    if tape.incomplete:
        data["incomplete"] = True
    data["interactions"] = [_as_dict(interaction) for interaction in tape.interactions]
    text = HEADER + yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**9)
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
            "llmeval": interaction.meta,
        },
    }


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
        pretty = json.dumps(data, indent=2, ensure_ascii=False)
        return json.dumps(data, indent=2) if NOT_IN_YAML.search(pretty) else pretty
    except (ValueError, RecursionError):
        return text


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
        CassetteError: Damaged, changed since it was recorded, or not a cassette; names the file and the line.
    """
    try:
        data = sealed.read(text) if _is_sealed(text, source) else None
        if data is None:
            data = _plain(_node(text))
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise _damaged(source, line, exc.problem or "not YAML") from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise _damaged(source, 1, str(exc) or type(exc).__name__) from None
    if not isinstance(data, dict) or not isinstance(data.get("interactions"), list):
        raise _damaged(source, 1, "it has no list of interactions")
    if data.get("version") != VERSION:
        raise _damaged(source, 1, f"format version {data.get('version')!r}, known is {VERSION}")
    interactions = []
    for index, entry in enumerate(data["interactions"]):
        try:
            interactions.append(_interaction(entry))
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            reason = f"no {exc}" if isinstance(exc, KeyError) else str(exc)
            raise _damaged(source, _line_of(text, index), f"interaction {index + 1}: {reason}") from None
    return Tape(interactions, incomplete=data.get("incomplete") is True)


_SafeLoader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_DEEPEST = 20
_MOST_VALUES = 2_000_000


def _node(text: str) -> yaml.Node | None:
    loader = _SafeLoader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _plain(node: yaml.Node | None, depth: int = 0, count: list[int] | None = None) -> Any:
    """Build data from nodes: half of the time of PyYAML's own constructor, and nothing but plain values.

    Raises:
        yaml.MarkedYAMLError: A tag that no cassette has, or more values than any has: aliases can hold each other.
    """
    if node is None:
        return None
    count = [0] if count is None else count
    count[0] += 1
    if depth > _DEEPEST or count[0] > _MOST_VALUES:
        raise yaml.MarkedYAMLError(problem="nested too deeply, or too large", problem_mark=node.start_mark)
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode):
        if kind == "str":
            return node.value
        if kind in _SCALARS:
            return _SCALARS[kind](node)
    elif isinstance(node, yaml.MappingNode) and kind == "map":
        return {_plain(key, depth + 1, count): _plain(value, depth + 1, count) for key, value in node.value}
    elif isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(item, depth + 1, count) for item in node.value]
    raise yaml.MarkedYAMLError(problem=f"tag {node.tag!r} has no place in a cassette", problem_mark=node.start_mark)


_constructor = yaml.constructor.SafeConstructor()
_SCALARS: dict[str, Callable[[yaml.ScalarNode], Any]] = {
    "int": _constructor.construct_yaml_int,
    "float": _constructor.construct_yaml_float,
    "bool": _constructor.construct_yaml_bool,
    "null": _constructor.construct_yaml_null,
    "binary": _constructor.construct_yaml_binary,
    # An unquoted date, as stock vcrpy may write one into a header, is the text that stands there.
    "timestamp": lambda node: str(node.value),
}


def _is_sealed(text: str, source: Path) -> bool:
    """Whether the file is what we wrote; a file without our header and seal is stock vcrpy's.

    Raises:
        CassetteError: A file of ours that was cut or changed.
    """
    text = text.replace("\r\n", "\n")
    body, _, last = text.rstrip("\n").rpartition("\n")
    seal = SEAL.match(last)
    line = text.count("\n", 0, len(body)) + 2
    if seal is None:
        if text.startswith(HEADER[:30]) or "\nchecksum:" in text:
            raise _damaged(source, line, "the file is cut off: its last line is not the checksum")
        return False
    if _checksum(f"{body}\n") != seal.group(1):
        raise _damaged(source, line, "the checksum does not match: the file was changed since it was recorded")
    return True


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _damaged(source: Path, line: int, reason: str) -> CassetteError:
    return CassetteError(
        f"{shown_path(source)}:{line}: not a usable cassette: {reason}. Restore the file from version control, "
        "or delete it and record again. It was left as it is."
    )


def _line_of(text: str, index: int) -> int:
    starts = [number for number, line in enumerate(text.splitlines(), 1) if line.startswith(("- request", "- resp"))]
    return starts[index] if index < len(starts) else 1


def _interaction(entry: Any) -> Interaction:
    request, response = entry["request"], entry["response"]
    # Stock vcrpy keeps the old httpx layout with `content` and `status_code` readable, so we do too.
    status = response.get("status") or {"code": response["status_code"], "message": ""}
    body = response["body"] if "body" in response else {"string": response["content"]}
    code = status["code"]
    if not isinstance(code, int) or not 100 <= code <= 599:
        raise ValueError(f"status code {code!r}")
    meta = response.get("llmeval") or {}
    if not isinstance(meta, dict):
        raise TypeError("response.llmeval is not a mapping")
    return Interaction(
        method=_text(request["method"], "request.method"),
        uri=_text(request["uri"], "request.uri"),
        body=_bytes(request.get("body"), "request.body"),
        request_headers=_headers(request.get("headers")),
        status=code,
        reason=_text(status.get("message") or "", "response.status.message"),
        headers=_headers(response.get("headers")),
        content=_bytes(body.get("string"), "response.body.string"),
        meta=meta,
    )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}, not text")
    return value


def _bytes(value: Any, what: str) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{what} is {type(value).__name__}, not text")


def _headers(value: Any) -> dict[str, list[str]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("headers are not a mapping")
    headers: dict[str, list[str]] = {}
    for name, values in value.items():
        items = values if isinstance(values, list) else [values]
        headers[_text(name, "a header's name")] = [_text(item, f"header {name}") for item in items]
    return headers
