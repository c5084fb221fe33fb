"""One request on its way through a cassette, and what its answer becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from pytest_llmeval.cassettes import redact, sse
from pytest_llmeval.cassettes.format import Interaction, header, number
from pytest_llmeval.cassettes.keeping import unusable
from pytest_llmeval.cassettes.matching import HTTPRequest, scrub_uri
from pytest_llmeval.response import Timing

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.detours import Detour
    from pytest_llmeval.cassettes.store import Cassette


class Hold(Protocol):
    """What is set aside for a request that costs money."""

    def answered(self, status: int, headers: dict[str, list[str]], content: bytes) -> None:
        """Take the whole answer, which says what it cost."""
        ...

    def failed(self, reason: str) -> None:
        """Note that there is no whole answer."""
        ...


@dataclass(slots=True)
class Exchange:
    """One request on its way, and the slot that its answer will take."""

    cassette: Cassette
    request: HTTPRequest
    slot: int
    recorded: Interaction | None = None
    timing: Timing = field(default_factory=Timing)
    drain: Callable[[], None] | None = None
    hold: Hold | None = None
    detour: Detour | None = None
    started: float = field(default_factory=perf_counter)

    def restart(self) -> None:
        """Start the clock anew: the request had to wait before it was sent."""
        self.started = perf_counter()

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request was sent."""
        return round((perf_counter() - self.started) * 1000, 3)

    @property
    def keeps(self) -> bool:
        """Whether the answer will be recorded."""
        return self.slot >= 0

    @property
    def wants_answer(self) -> bool:
        """Whether the answer is to be looked at when it is whole."""
        return self.slot >= 0 or self.hold is not None

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
        headers = list(headers)
        self.cassette.engine.scanner.learn_answer(headers, content)
        if self.hold is not None:
            self.hold.answered(status, redact.kept_headers(headers, redact.RESPONSE_HEADERS), content)
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
        if self.cassette.engine.redact:
            self.cassette.engine.redact(self.request, interaction)
            chunks = chunks if len(interaction.content) == len(content) else None
        problem = unusable(interaction)
        if problem:
            self.failed(problem)
            return
        interaction.meta = self._meta(interaction, chunks)
        self.cassette.take(self, interaction)

    def failed(self, reason: str) -> None:
        """Note that there is no whole, good answer; nothing is recorded."""
        if self.hold is not None:
            self.hold.failed(reason)
        if self.keeps:
            self.cassette.drop(self, reason)

    def left(self, status: int, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        """Note that the reader has closed an answer that is not recorded; the SDKs do so at a stream's last event."""
        if self.hold is None:
            return
        if status >= 400 or sse.read_stream(content).finished:
            self.hold.answered(status, redact.kept_headers(list(headers), redact.RESPONSE_HEADERS), content)
        else:
            self.hold.failed("closed early")

    def _meta(self, interaction: Interaction, chunks: list[tuple[float, int]] | None) -> dict[str, Any]:
        timing = self.timing
        meta: dict[str, Any] = {"recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        meta["latency_ms"] = timing.latency_ms
        if timing.headers_ms is not None:
            meta["headers_ms"] = timing.headers_ms
        meta["retries"] = timing.retries
        agent = header(self.request.headers, "user-agent")
        if agent:
            meta["client"] = agent[:80]
        if interaction.streamed:
            stream = sse.read_stream(interaction.content)
            meta["text"] = stream.text
            if chunks is not None:
                if stream.first_content is not None:
                    meta["ttft_ms"] = _offset_of(stream.first_content, chunks)
                meta["chunks"] = tuple(chunks)
        return meta


def recorded_timing(interaction: Interaction) -> Timing:
    """Return how long a recorded answer took when it was recorded."""
    meta, when = interaction.meta, interaction.recorded_at
    return Timing(
        headers_ms=number(meta.get("headers_ms")),
        latency_ms=number(meta.get("latency_ms")),
        retries=meta["retries"] if isinstance(meta.get("retries"), int) else 0,
        replayed=True,
        recorded_at=when.isoformat(timespec="seconds").replace("+00:00", "Z") if when else None,
    )


def _offset_of(position: int, chunks: list[tuple[float, int]]) -> float | None:
    seen = 0
    for offset, size in chunks:
        seen += size
        if seen >= position:
            return offset
    return None


def _pairs(headers: dict[str, list[str]]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, values in headers.items() for value in values)


def chunks_of(recorded: Interaction) -> list[tuple[float, int]]:
    """Return (milliseconds, bytes) of each recorded part; an odd list is passed over, as it only holds the clock."""
    chunks = recorded.meta.get("chunks")
    if not isinstance(chunks, list):
        return []
    pairs = [
        (float(chunk[0]), chunk[1])
        for chunk in chunks
        if isinstance(chunk, list)
        and len(chunk) == 2
        and isinstance(chunk[0], int | float)
        and isinstance(chunk[1], int)
        and chunk[1] > 0
    ]
    return pairs if len(pairs) == len(chunks) else []
