"""What all cassettes of a run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, Protocol

from pytest_llmeval.cassettes.autosave import Autosave
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.redact import SecretScanner

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.exchange import Exchange
    from pytest_llmeval.cassettes.store import Cassette

MODES = {
    "none": "replay only, no network",
    "once": "record a test that has no recording, replay the others",
    "new": "record what is missing, keep the rest",
    "stale": "record again what is stale, missing or too old, replay the rest",
    "all": "record everything again",
    "live": "no recordings: ask, keep nothing",
}


class Budget(Protocol):
    """What a request that will be sent must be paid from."""

    def hold(self, exchange: Exchange, body: bytes) -> None:
        """Set money aside for a request, or raise."""
        ...

    async def ahold(self, exchange: Exchange, body: bytes) -> None:
        """Do what `hold` does, without holding up the event loop."""
        ...

    def refuse(self, message: str) -> NoReturn:
        """Raise what no SDK swallows or retries, and pytest does not count as a failure."""
        ...

    def watches(self, host: str) -> bool:
        """Whether a host takes money."""
        ...

    def close(self, cassette: Cassette) -> None:
        """Settle what a cassette has left open."""
        ...


@dataclass(slots=True)
class Engine:
    """What all cassettes of a run share.

    Attributes:
        fail: Raises what no SDK swallows or retries: `pytest.fail.Exception`.
        scanner: Finds secrets in a finished text.
        redact: The user's redaction hook: changes a request, and before writing also its answer, in place.
        passthrough: Hosts (``host`` or ``host:port``) that are left alone.
        max_age: How old a recording may be; None for any age.
        now: When the run began.
        late: Messages of requests that came after their test had ended.
        budget: What requests are paid from; None where nobody has set a limit.
        autosave: Writes what long tests have recorded while they run.
    """

    fail: Callable[[str], NoReturn]
    scanner: SecretScanner
    redact: Callable[[HTTPRequest, Interaction | None], object] | None = None
    passthrough: frozenset[str] = frozenset()
    max_age: timedelta | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    late: list[str] = field(default_factory=list)
    budget: Budget | None = None
    autosave: Autosave = field(default_factory=Autosave)

    def take_late(self) -> list[str]:
        """Return the messages of requests that came after their test had ended, once."""
        late, self.late = [self.scanner.mask(message) for message in self.late], []
        return late

    def too_old(self, interaction: Interaction) -> bool:
        """Whether a recording is older than it may be. One without a date is: nobody knows that it is not."""
        if self.max_age is None:
            return False
        when = interaction.recorded_at
        return when is None or self.now - when > self.max_age
