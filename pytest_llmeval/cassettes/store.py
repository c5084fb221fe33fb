"""One cassette: finds recorded answers, takes new ones, and writes them whole or not at all."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from pytest_llmeval.cassettes import detours
from pytest_llmeval.cassettes.disk import check_writable
from pytest_llmeval.cassettes.elsewhere import Found, TakeOver, likeliest, nowhere
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.exchange import Exchange, recorded_timing
from pytest_llmeval.cassettes.files import move, read_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.ignoring import NOTHING, Ignored
from pytest_llmeval.cassettes.matching import (
    Fingerprint,
    HTTPRequest,
    fingerprint,
    request_fingerprint,
    retry_count,
    scrub_uri,
)
from pytest_llmeval.cassettes.misses import late_message, why_missed
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.tapes import recorded_now, recorded_so_far, tape_to_write
from pytest_llmeval.cassettes.turns import Equals
from pytest_llmeval.cassettes.writing import Writer
from pytest_llmeval.errors import CassetteError, ConfigError, DamagedError
from pytest_llmeval.response import Timing
from pytest_llmeval.running import Running


class Cassette:
    """The recordings of one test. Safe to use from several threads.

    Args:
        path: Its file.
        mode: One of `MODES`.
        engine: What all cassettes share.
        command: Returns the command that runs this test alone, for messages.
        ignored: Parts of requests that make no difference.
        elsewhere: Yields recordings at other paths that may be this test's, the likeliest first.

    Attributes:
        misses: Messages of requests that had no recording, in case the code under test swallows the failure.
        refused: Messages of requests that the budget did not reach for, in case the code under test swallows that.
        missed: ``stale`` or ``missing`` after a miss: whether there was a recording.
        unkept: Why answers were not worth keeping, once the test is over.
        unread: Where answers came from that were not read to their end when the test ended, so are not recorded.
        closed: Whether the test is over.
        fetched_ahead: Whether who asks calls `flush` as soon as the answer is there.
        wide: Whether this is not a test's, but of a fixture that serves several.
        kept: Whether the file was there or has been written.
        source: Where the recording was read from.
        too_old: Replayed recordings that are older than they may be.
        taken_over: Recordings of what is gone that this test may go on with.
        loaded: What was there before; None before it is read.
        used: Recorded answers that were replayed, by id.
        slots: Answers that are recorded now, in the order in which their requests were issued; None until one comes.
        equals: What was asked and recorded, by fingerprint.
        failed: Slots whose request got no good answer, and why.
        outdated: By id, the recording that an answer is to replace, and the place that the answer will have.
    """

    def __init__(
        self,
        path: Path,
        mode: str,
        engine: Engine,
        command: Callable[[], str] = lambda: "pytest",
        *,
        ignored: Ignored = NOTHING,
        elsewhere: Callable[[], Iterable[Found]] = nowhere,
    ) -> None:
        self.path = self.source = path
        self.mode = mode
        self.engine = engine
        self.ignored = ignored
        self._command = command
        self.elsewhere = elsewhere
        self.misses: list[str] = []
        self.refused: list[str] = []
        self.missed: str | None = None
        self.unkept: list[str] = []
        self.unread: list[str] = []
        self.too_old: list[Interaction] = []
        self.taken_over: TakeOver | None = None
        self.closed = self.fetched_ahead = self.wide = self._patched = self._damaged = False
        self.vcr_patches: contextlib.ExitStack | None = None
        self.others_broke: Callable[[BaseException], None] | None = None
        self._lock = threading.RLock()
        self.loaded: Tape | None = None
        self.kept = False
        self.equals: dict[Fingerprint, Equals] = defaultdict(Equals)
        self.slots: list[Interaction | None] = []
        self._writer = Writer(path, engine.scanner)
        self.failed: dict[int, str] = {}
        self._open: dict[int, Exchange] = {}
        self.used: set[int] = set()
        self.outdated: dict[int, tuple[Equals, int]] = {}

    @property
    def written(self) -> bool:
        """Whether the file was written in this run."""
        return self._writer.written

    @property
    def shown(self) -> str:
        """What messages call the file."""
        return shown_path(self.source)

    @property
    def command(self) -> str:
        """What runs this test alone."""
        return self._command()

    @property
    def recorded(self) -> list[Interaction]:
        """What was there before the test began."""
        return self.loaded.interactions if self.loaded else []

    @property
    def was_asked(self) -> bool:
        """Whether any request came."""
        return bool(self.equals)

    @property
    def unused(self) -> list[Interaction]:
        """Recorded answers that the test has not asked for."""
        return [interaction for interaction in self.recorded if id(interaction) not in self.used]

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
        self.engine.scanner.learn_request(request)
        with self._lock:
            if self.closed:
                self.too_late(scrub_uri(request.uri))
            if self.mode == "live":
                detours.refuse_skipped()
                return Exchange(self, request, -1)
            self._or_fail(self._load)
            if redact := self.engine.redact:
                self._or_fail(lambda: redact(request, None))
            self._or_fail(lambda: self.rules(request))
        # What takes a while is done outside: where hundreds of threads ask in one test, they would wait for each other.
        key = request_fingerprint(request, self.rules(request))
        with self._lock:
            if self.closed:
                self.too_late(scrub_uri(request.uri))
            if not (self.kept or self.equals or self.mode == "all"):
                self._or_fail(lambda: self._look_elsewhere(key))
            equals = self.equals[key]
            # A retry of the SDK takes the place of the try that failed, so that equal requests keep their order.
            place = equals.place(retry=retry_count(request) > 0)
            interaction = equals.answer(place) if self.mode != "all" else None
            if interaction is not None and not self._outdates(interaction, equals, place):
                return self._replayed(request, interaction)
            if self.replay_only:
                self._miss(request, equals)
            return detours.recording(self._recording(request, equals, place), equals, place)

    def rules(self, request: HTTPRequest) -> Ignored:
        """Return what makes no difference in a request."""
        return self.ignored.and_also(request.ignore, "pytest_llmeval_redact") if request.ignore else self.ignored

    def key(self, interaction: Interaction, tape: Tape | None = None) -> Fingerprint:
        """Return the fingerprint of a recorded request, under the rules that hold for one like it now."""
        rules = self.ignored
        if self.engine.redact:
            headers = {name: list(values) for name, values in interaction.request_headers.items()}
            request = HTTPRequest(interaction.method, interaction.uri, headers, interaction.body)
            self.engine.redact(request, None)
            rules = self.rules(request)
            if tape is not None and not tape.ours:
                return request_fingerprint(request, rules)
            # What the hook would change was changed before we wrote it; only the rules are wanted.
        return fingerprint(interaction.method, interaction.uri, interaction.body, interaction.request_type, rules)

    def keys(self, tape: Tape) -> set[Fingerprint]:
        """Return the fingerprints of all requests of a tape."""
        return {self.key(interaction, tape) for interaction in tape.interactions}

    def _outdates(self, interaction: Interaction, equals: Equals, place: int) -> bool:
        """Whether an answer is to be recorded again for its age; else one that is too old is noted."""
        if not self.engine.too_old(interaction):
            return False
        if self.mode == "stale":
            self.outdated[id(interaction)] = equals, place
            return True
        self.too_old += [] if isinstance(interaction, detours.PassedOver) else [interaction]
        return False

    def too_late(self, asked: str) -> NoReturn:
        """Refuse a request of a test that is over."""
        # Whatever runs this may swallow the failure, so the run must hear of it from us.
        self.engine.late.append(late_message(asked, self.command))
        self.engine.fail(self.engine.late[-1])

    def _replayed(self, request: HTTPRequest, interaction: Interaction) -> Exchange:
        detours.refuse_passed_over(interaction)
        self.used.add(id(interaction))
        return Exchange(self, request, -1, recorded=interaction, timing=recorded_timing(interaction))

    def _recording(self, request: HTTPRequest, equals: Equals, place: int) -> Exchange:
        slot = equals.slots.get(place)
        if not self.slots:
            self._or_fail(lambda: check_writable(self.path))
        if slot is None:
            slot = equals.slots[place] = len(self.slots)
            self.slots.append(None)
        self.failed.pop(slot, None)
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
        # Keys may come into the environment while tests run, and be gone before the file is written.
        self.engine.scanner.learn()
        with self._lock:
            self._open.pop(exchange.slot, None)
            detours.taken(exchange, interaction)
            # From now on it may be written, and no longer changes.
            self.slots[exchange.slot] = interaction
        if not self.fetched_ahead:
            self.engine.autosave.note(self)

    def drop(self, exchange: Exchange, reason: str) -> None:
        """Free the slot of a request that got no good answer."""
        with self._lock:
            self._open.pop(exchange.slot, None)
            self.failed[exchange.slot] = reason
            for equals in self.equals.values():
                equals.give_back(exchange.slot)

    def close(self, *, interrupted: bool = False, failed: bool = False, passed: bool = False) -> None:
        """Write what was recorded. After this, requests that still come are refused.

        Args:
            interrupted: Whether the test may have wanted to ask more.
            failed: Whether the test failed: a refusal (4xx) that it ended with is then no answer worth keeping.
            passed: Whether the test asked all that it wants: mode ``stale`` then drops what it did not ask for.

        Raises:
            CassetteError: The file cannot be written; what was there before is intact.
            SecretError: The text holds a secret. What was there before is intact, or what was saved before it came.
        """
        self.engine.autosave.forget(self)
        with self._lock:
            # A stream that its reader forgot to close is read to its end, as one that was closed early is.
            for exchange in list(self._open.values()):
                if exchange.drain is not None:
                    exchange.drain()
            self.closed = True
            if self.vcr_patches is not None:
                self.vcr_patches.close()
            if self.engine.budget is not None:
                self.engine.budget.close(self)
            for slot, exchange in self._open.items():
                self.failed[slot] = "the test ended before the answer did"
                self.unread.append(scrub_uri(exchange.request.uri))
            recorded = recorded_now(self, failed=failed)
            self.unkept = sorted(set(self.failed.values()))
            to_write = self._settle(recorded, interrupted=interrupted, passed=passed)
            self._write(recorded, to_write=to_write, interrupted=interrupted, passed=passed)
            if self.written:
                self.kept, self.source = True, self.path

    def prepare(self) -> None:
        """Do what writing takes that nobody has to wait for."""
        self._writer.prepare(self.slots if self.written else [*self.recorded, *self.slots])

    def save(self) -> None:
        """Write what was recorded so far, while the test runs on; see `flush`."""
        with self._lock, self._writer.as_prepared():
            self.flush(whole=False)

    def flush(self, *, whole: bool) -> None:
        """Write what was recorded so far, so that a kill does not cost what was paid for.

        Args:
            whole: Whether the test asks for nothing more; else the next run may add to it.

        Raises:
            CassetteError: See `close`.
        """
        # What was whole would be cut by it; it is noted again when more comes.
        self.engine.autosave.forget(self)
        with self._lock:
            if not self.closed:
                recorded = recorded_so_far(self, whole=whole)
                self._write(recorded, to_write=bool(recorded), interrupted=not whole, passed=False)

    def _write(self, recorded: list[Interaction], *, to_write: bool, interrupted: bool, passed: bool) -> None:
        # A test that passed asked all that it wants, also where it was cut off when it was recorded.
        cut = self.loaded is not None and self.loaded.incomplete and self.source == self.path
        mended = cut and passed and not self.failed and self.mode != "none"
        if not (to_write or mended) or (self._damaged and (self.failed or interrupted)):
            return
        tape = tape_to_write(self, recorded, whole=passed, cut=interrupted)
        self._writer.write(tape, first_wins=self._first_wins())

    def _first_wins(self) -> bool:
        return self.mode in ("once", "none") and not self.written and (not self.kept or self.taken_over is not None)

    def _or_fail(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (CassetteError, ConfigError) as exc:
            again = f"\nRecord again:  {self.command} --llm-record=all" if isinstance(exc, DamagedError) else ""
            # No SDK may swallow this, and no retry can help.
            self.misses.append(f"{exc}{again}")
            self.engine.fail(self.misses[-1])

    def _load(self) -> Tape:
        if self.loaded is None:
            self._take_up(self._read())
        assert self.loaded is not None
        return self.loaded

    def _read(self) -> Tape:
        try:
            tape, self.kept = read_tape(self.path)
        except DamagedError:
            # This mode asks for a new recording; only a whole one takes the place of what may still be mended.
            if self.mode != "all":
                raise
            self._damaged = True
            return Tape()
        return tape

    def _take_up(self, tape: Tape) -> None:
        self.loaded = tape
        for interaction in tape.interactions:
            self.equals[self.key(interaction, tape)].recorded.append(interaction)
        for over in detours.passed_over(tape.interactions):
            self.equals[self.key(over, tape)].recorded.insert(over.place, over)

    def _look_elsewhere(self, key: Fingerprint) -> None:
        """Take up a recording at another path, if it has this request, and it is clear which one."""
        holding = [found for found in self.elsewhere() if found.sure or key in self.keys(found.tape)]
        likely = likeliest(holding, self.path)
        if not likely:
            # Another process may have moved one here since this one looked.
            self._take_up(self._read())
            return
        self.kept = not likely[0].gone
        self.taken_over = TakeOver(likely) if likely[0].gone else None
        if len(likely) == 1:
            self.source = likely[0].path
            self._take_up(likely[0].tape)

    def _settle(self, recorded: list[Interaction], *, interrupted: bool, passed: bool) -> bool:
        """Move what was taken over here, if it is this test's to its last answer. Return whether there is to write."""
        taken = self.taken_over
        if taken is None or taken.undecided:
            return bool(recorded)
        taken.used = len(self.used)
        self.kept = not self.misses
        if self.mode == "none":
            return False
        if recorded or self.failed or self.unused or self.misses or interrupted:
            # Of a test that failed nobody knows what else it would have asked.
            return bool(recorded) or (passed and taken.used > 0)
        if move(self.source, self.path):
            taken.moved, self.source = True, self.path
        # Another process may have taken it in the meantime.
        return not self.source.is_file()

    def _miss(self, request: HTTPRequest, equals: Equals) -> NoReturn:
        self.missed = "stale" if self.kept else "missing"
        lines, again = why_missed(self, request, equals)
        self.misses.append("\n".join([*lines, f"Record again:  {self.command} --llm-record={again}"]))
        self.engine.fail(self.misses[-1])


running_cassette: Running[Cassette] = Running("llmeval_cassette")
