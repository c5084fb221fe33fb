"""Rewrite a cassette of stock vcrpy to our form: no secrets, readable bodies, the same answers in the same order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlunsplit

from pytest_llmeval.cassettes import redact as redaction
from pytest_llmeval.cassettes import sse
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.matching import SECRET_PARAMETERS, HTTPRequest, split_uri
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.secrets import is_placeholder
from pytest_llmeval.errors import CassetteError, SecretError

#: A cassette may have been made to show how code takes a refusal or turns pages: what it goes by there has to stay.
ANSWER_HEADERS = frozenset({*redaction.RESPONSE_HEADERS, "link", "retry-after", "retry-after-ms", "x-should-retry"})
LINKED = re.compile(r"<([^>]*)>")

Redact = Callable[[HTTPRequest, Interaction | None], object]


@dataclass(slots=True)
class Adopted:
    """What became of one file.

    Attributes:
        path: Where the recordings are now: the file itself, or a ``.yaml`` beside a file of JSON, which stays.
        interactions: How many it holds.
        changed: Whether anything was written; a file that has our form already is left alone.
        request_headers: How often a header of requests was dropped, by lower-case name.
        answer_headers: The same of answers.
        parameters: How often a secret parameter of a URL was dropped, by name. Stock vcrpy finds its recordings by them
            unless ``filter_query_parameters`` names them.
    """

    path: Path
    interactions: int = 0
    changed: bool = False
    request_headers: Counter[str] = field(default_factory=Counter)
    answer_headers: Counter[str] = field(default_factory=Counter)
    parameters: Counter[str] = field(default_factory=Counter)


def adopt(path: Path, scanner: SecretScanner, redact: Redact | None = None) -> Adopted:
    """Rewrite a cassette of stock vcrpy or pytest-recording in place, to our form.

    Everything that it answers with stays, errors and what is no LLM's too, in its order. Stock vcrpy replays the result
    as it did before, unless it was told to match headers or raw bodies.

    Args:
        path: The file. Recordings in JSON go to a ``.yaml`` beside it, as our form is YAML.
        scanner: Refuses what holds a secret.
        redact: The user's redaction hook, as for recordings.

    Raises:
        SecretError: A body holds a secret, or another part that is kept; the file is left as it was.
        CassetteError: There is no such file, it is damaged or cannot be written; the file is left as it was.
    """
    tape, there = read_tape(path)
    if not there:
        raise CassetteError(f"{shown_path(path)}: there is no such file.")
    if tape.ours:
        return Adopted(path, len(tape.interactions))
    target = _target(path)
    if target != path and target.exists():
        beside, _ = read_tape(target)
        if not beside.ours:
            raise CassetteError(f"{shown_path(path)}: {shown_path(target)} is there already. Adopt or remove that.")
        return Adopted(target, len(beside.interactions))
    done = Adopted(target, len(tape.interactions), changed=True)
    adopted = in_our_form(tape.interactions, scanner, redact, done)
    found = [where for number, each in enumerate(adopted, 1) for where in _secrets(each, number, scanner)]
    if found:
        raise SecretError(
            f"{shown_path(path)}: left as it was, since it holds a secret where adopting takes none out: "
            f"{'; '.join(found)}. Redact it with the hook pytest_llmeval_redact or take it out by hand; if anyone else "
            "has seen the file, replace the key as well."
        )
    # A link stays one: what it points at is rewritten.
    write_tape(target.resolve(), Tape(adopted, metadata=tape.metadata), scanner)
    return done


def in_our_form(
    interactions: Sequence[Interaction], scanner: SecretScanner, redact: Redact | None, done: Adopted
) -> list[Interaction]:
    """Return interactions of stock vcrpy as we would have recorded them; note in `done` what was dropped."""
    for interaction in interactions:
        _learn(interaction, scanner)
    return [_adopted(interaction, done, redact) for interaction in interactions]


def _target(path: Path) -> Path:
    return path.with_suffix(".yaml") if path.suffix == ".json" else path


def _adopted(old: Interaction, done: Adopted, redact: Redact | None) -> Interaction:
    """Return an interaction as we would have recorded it."""
    request = HTTPRequest(old.method, old.uri, _lower(old.request_headers), old.body)
    if redact is not None:
        redact(request, None)
    new = Interaction(
        method=request.method,
        uri=_scrubbed(request.uri, done.parameters),
        body=request.body,
        request_headers=_kept(request.headers, redaction.REQUEST_HEADERS, done.request_headers),
        status=old.status,
        reason=old.reason,
        headers=_kept(old.headers, ANSWER_HEADERS, done.answer_headers),
        content=old.content,
    )
    _scrub_links(new.headers, done.parameters)
    if redact is not None:
        redact(request, new)
    new.meta = _meta(old, new)
    return new


def _scrub_links(headers: dict[str, list[str]], dropped: Counter[str]) -> None:
    if "location" in headers:
        headers["location"] = [_scrubbed(value, dropped) for value in headers["location"]]
    if "link" in headers:
        headers["link"] = [
            LINKED.sub(lambda match: f"<{_scrubbed(match.group(1), dropped)}>", value) for value in headers["link"]
        ]


def _meta(old: Interaction, new: Interaction) -> dict[str, Any]:
    meta = dict(old.meta)
    when = old.recorded_at
    if when is not None:
        meta = {**meta, "recorded_at": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if "event-stream" in new.content_type:
        meta["text"] = sse.read_stream(new.content).text
    if new.content != old.content:
        # It says where the parts of the body that was begin and end.
        meta.pop("chunks", None)
    return meta


def _lower(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    return redaction.kept_headers(_pairs(headers), {name.lower() for name in headers})


def _kept(
    headers: dict[str, list[str]], allowed: set[str] | frozenset[str], dropped: Counter[str]
) -> dict[str, list[str]]:
    dropped.update(name.lower() for name in headers if name.lower() not in allowed)
    return redaction.kept_headers(_pairs(headers), set(allowed))


def _pairs(headers: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, values in headers.items() for value in values)


def _scrubbed(uri: str, dropped: Counter[str]) -> str:
    """Return a URL without its secrets, and otherwise letter for letter: stock vcrpy compares it as text.

    What stands in for a secret stays, since vcrpy puts the same in its place before it compares.
    """
    parts = split_uri(uri)
    kept = []
    for pair in parts.query.split("&"):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        if name.lower() in SECRET_PARAMETERS and value and not is_placeholder(unquote_plus(value)):
            dropped[name] += 1
        else:
            kept.append(pair)
    if len(kept) == parts.query.count("&") + 1 and "@" not in parts.netloc and not parts.fragment:
        return uri
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(kept), ""))


def _learn(interaction: Interaction, scanner: SecretScanner) -> None:
    """Take up what stands where credentials do: it may be nowhere in the environment, and be echoed in a body."""
    request = HTTPRequest(interaction.method, interaction.uri, interaction.request_headers, interaction.body)
    scanner.learn_request(request)
    scanner.learn_answer(_pairs(interaction.headers), interaction.content)


def _secrets(interaction: Interaction, number: int, scanner: SecretScanner) -> Iterator[str]:
    """Yield where a secret is left, for a message that does not say which."""
    texts = {
        "URL": interaction.uri,
        "request headers": _lines(interaction.request_headers),
        "answer's headers": _lines(interaction.headers),
    }
    found = {where: [finding.what for finding in scanner.find(text)] for where, text in texts.items()}
    found["request body"] = scanner.find_in_body(interaction.body)
    found["answer's body"] = scanner.find_in_body(interaction.content)
    for where, whats in found.items():
        if whats:
            yield f"interaction {number}, {where}: {', '.join(whats)}"


def _lines(headers: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in _pairs(headers))
