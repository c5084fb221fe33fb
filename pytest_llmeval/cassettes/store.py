"""One cassette: finds recorded answers, takes new ones, and writes them whole or not at all."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pytest_llmeval.cassettes import stale
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.exchange import Exchange
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape, header
from pytest_llmeval.cassettes.matching import Fingerprint, HTTPRequest, fingerprint, request_fingerprint, scrub_uri
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.turns import Equals
from pytest_llmeval.errors import CassetteError
from pytest_llmeval.response import Timing
from pytest_llmeval.running import Running


class Cassette:
    """The recordings of one test. Safe to use from several threads.

    Args:
        path: Its file.
        mode: One of `MODES`.
        engine: What all cassettes share.
        command: Returns the command that runs this test alone, for messages.

    Attributes:
        misses: Messages of requests that had no recording, in case the code under test swallows the failure.
        unread: Where answers came from that were not read to their end when the test ended, so are not recorded.
        closed: Whether the test is over.
        kept: Whether the file was there or has been written.
    """

    def __init__(self, path: Path, mode: str, engine: Engine, command: Callable[[], str] = lambda: "pytest") -> None:
        self.path = path
        self.mode = mode
        self.engine = engine
        self._command = command
        self.misses: list[str] = []
        self.unread: list[str] = []
        self.closed = False
        self.vcr_patches: contextlib.ExitStack | None = None
        self._patched = False
        self._lock = threading.RLock()
        self._loaded: Tape | None = None
        self.kept = False
        self._equals: dict[Fingerprint, Equals] = defaultdict(Equals)
        self._slots: list[Interaction | None] = []
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
        with self._lock:
            if self.closed:
                self._too_late(request)
            if self.mode == "live":
                return Exchange(self, request, -1)
            self._load_or_fail()
            if self.engine.redact:
                self.engine.redact(request, None)
            key = request_fingerprint(request)
            equals = self._equals[key]
            # A retry of the SDK takes the place of the try that failed, so that equal requests keep their order.
            place = equals.place(retry=retry_count(request) > 0)
            interaction = equals.answer(place) if self.mode != "all" else None
            if interaction is not None:
                return self._replayed(request, interaction)
            if self.replay_only:
                self._miss(request, key)
            return self._recording(request, equals, place)

    def _too_late(self, request: HTTPRequest) -> NoReturn:
        message = (
            f"{scrub_uri(request.uri)} was asked after its test had ended ({self.command}). "
            "Wait for threads and tasks before the test returns."
        )
        # Whatever runs this may swallow the failure, so the run must hear of it from us.
        self.engine.late.append(message)
        self.engine.fail(message)

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

    def _recording(self, request: HTTPRequest, equals: Equals, place: int) -> Exchange:
        slot = equals.slots.get(place)
        if slot is None:
            slot = equals.slots[place] = len(self._slots)
            self._slots.append(None)
        self._failed.pop(slot, None)
        exchange = Exchange(self, request, slot, timing=Timing(retries=retry_count(request)))
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
            # Keys may come into the environment while tests run, and be gone before the file is written.
            self.engine.scanner.learn()
            self._slots[exchange.slot] = interaction

    def drop(self, exchange: Exchange, reason: str) -> None:
        """Free the slot of a request that got no good answer."""
        with self._lock:
            self._open.pop(exchange.slot, None)
            self._failed[exchange.slot] = reason
            self._equals[request_fingerprint(exchange.request)].give_back(exchange.slot)

    def close(self, *, interrupted: bool = False, failed: bool = False) -> None:
        """Write what was recorded. After this, requests that still come are refused.

        Args:
            interrupted: Whether the test may have wanted to ask more.
            failed: Whether the test failed: a refusal (4xx) that it ended with is then no answer worth keeping.

        Raises:
            CassetteError: The file cannot be written; what was there before is intact.
            SecretError: The text holds a secret; nothing was written.
        """
        with self._lock:
            # A stream that its reader forgot to close is read to its end, as one that was closed early is.
            for exchange in list(self._open.values()):
                if exchange.drain is not None:
                    exchange.drain()
            self.closed = True
            if self.vcr_patches is not None:
                self.vcr_patches.close()
            for slot, exchange in self._open.items():
                self._failed[slot] = "the test ended before the answer did"
                self.unread.append(scrub_uri(exchange.request.uri))
            recorded = self._in_order(without_last_refusals=failed)
            if recorded:
                tape = self._tape(recorded)
                tape.incomplete = tape.incomplete or interrupted
                write_tape(self.path, tape, self.engine.scanner, first_wins=self._first_wins())
                self.kept = True

    def _in_order(self, *, without_last_refusals: bool) -> list[Interaction]:
        """Return what was recorded: in the order in which it was issued, equal requests by their places."""
        slots = self._slots
        while without_last_refusals and slots and (slots[-1] is None or slots[-1].status >= 400):
            # An unknown model or an empty purse: kept, it would replay after it was mended.
            slots.pop()
            self._failed[len(slots)] = "refused"
            for equals in self._equals.values():
                equals.forget(len(slots))
        ordered = list(slots)
        for equals in self._equals.values():
            by_place = [equals.slots[place] for place in sorted(equals.slots)]
            for position, slot in zip(sorted(by_place), by_place, strict=True):
                ordered[position] = slots[slot]
                if slots[slot] is not None:
                    # Other clients than the SDKs do not say that they try again; that they got an answer shows it.
                    self._failed = {failed: why for failed, why in self._failed.items() if failed not in by_place}
        return [interaction for interaction in ordered if interaction is not None]

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
                self._equals[_key(interaction)].recorded.append(interaction)
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
        equals = self._equals[key]
        if equals.recorded:
            return [f"{self.shown}: recorded {len(equals.recorded)}x, asked {equals.asked}x.", target], "new"
        if tape.interactions and not any(others.unused for others in self._equals.values()):
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
    text = header(request.headers, "x-stainless-retry-count")
    return int(text) if text.isdecimal() else 0


def _key(interaction: Interaction) -> Fingerprint:
    return fingerprint(interaction.method, interaction.uri, interaction.body, interaction.request_type)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


running_cassette: Running[Cassette] = Running("llmeval_cassette")
