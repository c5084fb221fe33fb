"""One cassette: finds recorded answers, takes new ones, and writes them whole or not at all."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn

from pytest_llmeval.cassettes import format as tape_format
from pytest_llmeval.cassettes import redact, sse, stale
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.matching import Fingerprint, HTTPRequest, fingerprint, request_fingerprint, scrub_uri
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.errors import CassetteError
from pytest_llmeval.response import Timing
from pytest_llmeval.running import Running

MODES = {
    "none": "replay only, no network",
    "once": "record a test that has no recording, replay the others",
    "new": "record what is missing, keep the rest",
    "all": "record everything again",
    "live": "no recordings: ask, keep nothing",
}
# A wrong key, an unpaid bill or a passing fault says nothing about the model: once kept, it would replay for ever.
NOT_KEPT = {401, 402, 403, 407, 408, 409, 425, 429}


@dataclass(slots=True)
class Engine:
    """What all cassettes of a run share.

    Attributes:
        fail: Raises what no SDK swallows or retries: `pytest.fail.Exception`.
        scanner: Finds secrets in a finished text.
        redact: The user's redaction hook: changes a request, and before writing also its answer, in place.
        passthrough: Hosts (``host`` or ``host:port``) that are left alone.
    """

    fail: Callable[[str], NoReturn]
    scanner: redact.SecretScanner
    redact: Callable[[HTTPRequest, Interaction | None], object] | None = None
    passthrough: frozenset[str] = frozenset()


@dataclass(slots=True)
class Exchange:
    """One request on its way, and the slot that its answer will take."""

    cassette: Cassette
    request: HTTPRequest
    slot: int
    recorded: Interaction | None = None
    timing: Timing = field(default_factory=Timing)
    started: float = field(default_factory=perf_counter)

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request was sent."""
        return round((perf_counter() - self.started) * 1000, 3)

    @property
    def keeps(self) -> bool:
        """Whether the answer will be recorded."""
        return self.slot >= 0

    def done(
        self,
        status: int,
        reason: str,
        headers: Iterable[tuple[str, str]],
        content: bytes,
        chunks: list[tuple[float, int]] | None = None,
    ) -> None:
        """Take the whole answer. `chunks` is (milliseconds, bytes) for each part of a streamed body."""
        self.timing.latency_ms = self.timing.position_ms = self.elapsed_ms()
        if not self.keeps:
            return
        kept = redact.kept_headers(headers, redact.RESPONSE_HEADERS)
        if "location" in kept:
            kept["location"] = [scrub_uri(location) for location in kept["location"]]
        interaction = Interaction(
            method=self.request.method,
            uri=scrub_uri(self.request.uri),
            body=self.request.body,
            request_headers=redact.kept_headers(_pairs(self.request.headers), redact.REQUEST_HEADERS),
            status=status,
            reason=reason,
            headers=kept,
            content=content,
        )
        problem = _unusable(interaction)
        if problem:
            self.failed(problem)
            return
        interaction.meta = self._meta(interaction, chunks)
        self.cassette.take(self, interaction)

    def failed(self, reason: str) -> None:
        """Note that there is no whole, good answer; nothing is recorded."""
        if self.keeps:
            self.cassette.drop(self, reason)

    def _meta(self, interaction: Interaction, chunks: list[tuple[float, int]] | None) -> dict[str, Any]:
        timing = self.timing
        meta: dict[str, Any] = {"recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        meta["latency_ms"] = timing.latency_ms
        if timing.headers_ms is not None:
            meta["headers_ms"] = timing.headers_ms
        meta["retries"] = timing.retries
        agent = tape_format.header(self.request.headers, "user-agent")
        if agent:
            meta["client"] = agent[:80]
        if chunks is not None and "event-stream" in interaction.content_type:
            stream = sse.read_stream(interaction.content)
            if stream.first_content is not None:
                meta["ttft_ms"] = _offset_of(stream.first_content, chunks)
            meta["text"] = stream.text
            meta["chunks"] = tuple(chunks)
        return meta


class Cassette:
    """The recordings of one test. Safe to use from several threads.

    Args:
        path: Its file.
        mode: One of `MODES`.
        engine: What all cassettes share.
        command: Returns the command that runs this test alone, for messages.

    Attributes:
        misses: Messages of requests that had no recording, in case the code under test swallows the failure.
        closed: Whether the test is over.
        kept: Whether the file was there or has been written.
    """

    def __init__(self, path: Path, mode: str, engine: Engine, command: Callable[[], str] = lambda: "pytest") -> None:
        self.path = path
        self.mode = mode
        self.engine = engine
        self._command = command
        self.misses: list[str] = []
        self.closed = False
        self.vcr_patches: contextlib.ExitStack | None = None
        self._patched = False
        self._lock = threading.RLock()
        self._loaded: Tape | None = None
        self.kept = False
        self._queues: dict[Fingerprint, deque[Interaction]] = defaultdict(deque)
        self._asked: dict[Fingerprint, int] = defaultdict(int)
        self._slots: list[Interaction | None] = []
        self._free: dict[Fingerprint, list[int]] = defaultdict(list)
        self._failed: dict[int, str] = {}
        self._open: dict[int, Exchange] = {}

    @property
    def shown(self) -> str:
        """What messages call the file."""
        return shown_path(self.path)

    @property
    def command(self) -> str:
        """The command that runs this test alone."""
        return self._command()

    @property
    def replay_only(self) -> bool:
        """Whether nothing may be recorded: mode ``none``, or ``once`` with a complete file."""
        tape = self._load()
        return self.mode == "none" or (self.mode == "once" and self.kept and not tape.incomplete)

    def open(self, request: HTTPRequest) -> Exchange:
        """Return the exchange for a request: with its recording, or with a slot for the answer to come.

        Raises:
            BaseException: The engine's `fail`: there is no recording and nothing may be recorded, or the test that
                this request belongs to is over.
        """
        if self.closed:
            self.engine.fail(
                f"{scrub_uri(request.uri)} was asked after its test had ended ({self.command}). "
                "Wait for threads and tasks before the test returns."
            )
        if self.mode == "live":
            return Exchange(self, request, -1)
        with self._lock:
            self._load_or_fail()
            if self.engine.redact:
                self.engine.redact(request, None)
            key = request_fingerprint(request)
            self._asked[key] += 1
            if self.mode != "all" and self._queues.get(key):
                return self._replayed(request, self._queues[key].popleft())
            if self.replay_only:
                self._miss(request, key)
            return self._recording(request, key)

    def _replayed(self, request: HTTPRequest, interaction: Interaction) -> Exchange:
        meta = interaction.meta
        timing = Timing(
            headers_ms=_number(meta.get("headers_ms")),
            latency_ms=_number(meta.get("latency_ms")),
            retries=meta["retries"] if isinstance(meta.get("retries"), int) else 0,
            replayed=True,
            recorded_at=str(meta["recorded_at"]) if meta.get("recorded_at") else None,
        )
        return Exchange(self, request, -1, recorded=interaction, timing=timing)

    def _recording(self, request: HTTPRequest, key: Fingerprint) -> Exchange:
        # A retry of the SDK takes the place of the try that failed, so that equal requests keep their order.
        retries = retry_count(request)
        if retries and self._free[key]:
            slot = self._free[key].pop(0)
            self._failed.pop(slot, None)
        else:
            slot = len(self._slots)
            self._slots.append(None)
        exchange = Exchange(self, request, slot, timing=Timing(retries=retries))
        self._open[slot] = exchange
        return exchange

    def claim_vcr(self) -> bool:
        """Whether vcrpy's patchers are still to be put in place for this test; True once."""
        with self._lock:
            first, self._patched = not self._patched and not self.closed, True
            return first

    def take(self, exchange: Exchange, interaction: Interaction) -> None:
        """Put a good answer into its slot."""
        with self._lock:
            self._open.pop(exchange.slot, None)
            if self.engine.redact:
                self.engine.redact(exchange.request, interaction)
            self._slots[exchange.slot] = interaction

    def drop(self, exchange: Exchange, reason: str) -> None:
        """Free the slot of a request that got no good answer."""
        with self._lock:
            self._open.pop(exchange.slot, None)
            self._failed[exchange.slot] = reason
            self._free[request_fingerprint(exchange.request)].append(exchange.slot)

    def close(self, *, interrupted: bool = False) -> None:
        """Write what was recorded. After this, requests that still come are refused.

        Args:
            interrupted: Whether the test may have wanted to ask more.

        Raises:
            CassetteError: The file cannot be written; what was there before is intact.
            SecretError: The text holds a secret; nothing was written.
        """
        with self._lock:
            self.closed = True
            if self.vcr_patches is not None:
                self.vcr_patches.close()
            for slot in list(self._open):
                self._failed[slot] = "the test ended before the answer did"
            recorded = [interaction for interaction in self._slots if interaction is not None]
            if recorded:
                tape = self._tape(recorded)
                tape.incomplete = tape.incomplete or interrupted
                write_tape(self.path, tape, self.engine.scanner, first_wins=self._first_wins())
                self.kept = True

    def _first_wins(self) -> bool:
        return self.mode in ("once", "none") and not self.kept

    def _tape(self, recorded: list[Interaction]) -> Tape:
        kept = self._loaded.interactions if self._loaded else []
        if self.mode == "all":
            # A run that failed half-way must not cost the answers that it did not get to replace.
            again = {_key(interaction) for interaction in recorded}
            kept = [old for old in kept if _key(old) not in again] if self._failed else []
        return Tape([*kept, *recorded], incomplete=bool(self._failed))

    def _load_or_fail(self) -> None:
        try:
            self._load()
        except CassetteError as exc:
            # No SDK may swallow this, and no retry can help.
            self.misses.append(str(exc))
            self.engine.fail(str(exc))

    def _load(self) -> Tape:
        if self._loaded is None:
            self._loaded, self.kept = read_tape(self.path)
            for interaction in self._loaded.interactions:
                self._queues[_key(interaction)].append(interaction)
        return self._loaded

    def _miss(self, request: HTTPRequest, key: Fingerprint) -> NoReturn:
        lines, again = self._why_missed(request, key)
        lines.append(f"Record again:  {self.command} --llm-record={again}")
        message = "\n".join(lines)
        self.misses.append(message)
        self.engine.fail(message)

    def _why_missed(self, request: HTTPRequest, key: Fingerprint) -> tuple[list[str], str]:
        """Return the lines that say why a request has no recording, and the mode that would record it."""
        tape = self._load()
        target = f"  {request.method} {stale.plain(scrub_uri(request.uri))}"
        if not self.kept:
            return [f"No recording: {self.shown} does not exist, and mode '{self.mode}' asks nobody.", target], "once"
        same = sum(_key(interaction) == key for interaction in tape.interactions)
        if same:
            return [f"{self.shown}: recorded {same}x, asked {self._asked[key]}x.", target], "new"
        if tape.interactions and not any(self._queues.values()):
            count = len(tape.interactions)
            return [f"{self.shown}: all {count} recorded answers are used up, and this is one more.", target], "new"
        lines = [f"{self.shown} is stale: it has no recording of this request.", target]
        close = stale.nearest(request, tape.interactions)
        if close is not None:
            lines.append("Nearest recorded request ([-recorded-] {+now+}):")
            lines += [f"  {line}" for line in stale.differences(request, close)]
        return lines, "all"


def retry_count(request: HTTPRequest) -> int:
    """Return which retry of an SDK this request is: 0 is the first try."""
    text = tape_format.header(request.headers, "x-stainless-retry-count")
    return int(text) if text.isdecimal() else 0


def _unusable(interaction: Interaction) -> str | None:
    """Return why an answer is not worth keeping, or None."""
    if interaction.status >= 500 or interaction.status in NOT_KEPT:
        return f"status {interaction.status}"
    if "event-stream" in interaction.content_type:
        if interaction.status < 400 and not sse.read_stream(interaction.content).finished:
            return "the stream ended before it was finished"
    elif "json" in interaction.content_type and interaction.status != 204:
        return _json_fault(interaction.content)
    return None


def _json_fault(content: bytes) -> str | None:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    return None


def _offset_of(position: int, chunks: list[tuple[float, int]]) -> float | None:
    seen = 0
    for offset, size in chunks:
        seen += size
        if seen >= position:
            return offset
    return None


def _key(interaction: Interaction) -> Fingerprint:
    return fingerprint(interaction.method, interaction.uri, interaction.body, interaction.request_type)


def _pairs(headers: dict[str, list[str]]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, values in headers.items() for value in values)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


running_cassette: Running[Cassette] = Running("llmeval_cassette")
