"""Looks at what a test would ask, as the cassette would see it, and sends nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from pytest_llmeval.cassettes.exchange import Exchange
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.store import Cassette
from pytest_llmeval.cassettes.turns import Equals


class Seen(BaseException):
    """Stands in for the answer to a request; no error, since no SDK may swallow it or try again.

    Attributes:
        request: The request as it would go out.
        recorded: Its recording, if it has one.
        fault: Why nobody can tell whether it has one; None if that can be told.
    """

    def __init__(self, request: HTTPRequest | None, recorded: Interaction | None, fault: str | None = None) -> None:
        super().__init__("nothing was sent")
        self.request = request
        self.recorded = recorded
        self.fault = fault


class Probe(Cassette):
    """A cassette that answers the first request with what is known of it, and changes nothing on the disk.

    Args:
        cassette: The one whose place it takes.
    """

    def __init__(self, cassette: Cassette) -> None:
        engine = replace(cassette.engine, fail=self._fail, passthrough=frozenset(), budget=None, late=[])
        super().__init__(cassette.path, "none", engine, ignored=cassette.ignored, elsewhere=cassette.elsewhere)
        self._sent: HTTPRequest | None = None

    @property
    def incomplete(self) -> bool:
        """Whether the next run may add to the recording."""
        return self.loaded is not None and self.loaded.incomplete

    def read(self) -> None:
        """Read the recording, without a request.

        Raises:
            CassetteError: It cannot be used.
        """
        self._load()
        if not self.kept:
            self._take_over()

    def open(self, request: HTTPRequest) -> Exchange:
        """Raise what is known of a request.

        Raises:
            Seen: Always.
        """
        # Before a hook redacts it.
        self._sent = replace(request, headers={name: list(values) for name, values in request.headers.items()})
        return super().open(request)

    def _replayed(self, request: HTTPRequest, interaction: Interaction) -> NoReturn:  # noqa: ARG002 - see Cassette
        raise Seen(self._sent, interaction)

    def _miss(self, request: HTTPRequest, equals: Equals) -> NoReturn:  # noqa: ARG002 - see Cassette
        raise Seen(self._sent, None)

    def _fail(self, message: str) -> NoReturn:
        raise Seen(self._sent, None, message)

    def _take_over(self) -> None:
        """Take up a recording at another path that is this test's for sure."""
        found = next((found for found in self.elsewhere() if found.sure), None)
        if found is not None:
            self.kept = True
            self._take_up(found.tape)
