"""Errors that pytest-llmeval raises. Each message says what happened, with which value, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class LLMEvalError(Exception):
    """Base of every error that pytest-llmeval raises on purpose."""


class ConfigError(LLMEvalError):
    """A setting, option, marker or candidate name that cannot be used; shown as a pytest usage error."""


MOST_FAULTS = 20


class DatasetError(ConfigError):
    """Cases that cannot be used: `faults` has all that is wrong, the message the first of them, one a line."""

    def __init__(self, heading: str, faults: Sequence[str] = ()) -> None:
        more = len(faults) - MOST_FAULTS
        shown = [*faults[:MOST_FAULTS], *([f"and {more:,} more"] if more > 0 else [])]
        super().__init__("\n".join([heading, *(f"  {fault}" for fault in shown)]))
        self.heading, self.faults = heading, list(faults)


class CassetteError(LLMEvalError):
    """A cassette that cannot be read or written; the message names the file, and the line where there is one."""


class DamagedError(CassetteError):
    """A cassette that was cut or changed, or is none: never replayed, and replaced by ``--llm-record=all`` alone."""


class SecretError(CassetteError):
    """A recording that holds a secret: it is not written, and the message says where the secret was."""


class RunError(LLMEvalError):
    """A run's file that cannot be read or written; the message names the file, and the line where there is one."""


class ProviderError(LLMEvalError):
    """A call that got no whole answer. It counts against availability and is never a score of 0.

    Args:
        message: What happened and what to do, for the person who runs the tests.
        candidate: Name of the candidate that was asked.
        kind: One of `ERROR_KINDS`.
        cause: The exception of the SDK, if there was one.
        status: HTTP status, if an answer came at all.
        retries: How often the SDK had tried again before it gave up.
        final: Whether asking again cannot help, though the endpoint says 429: what was paid for is used up.

    Attributes:
        tries: What was tried, if the candidate is made of several: a `response.Try` each.
    """

    def __init__(
        self,
        message: str,
        *,
        candidate: str,
        kind: str,
        cause: BaseException | None = None,
        status: int | None = None,
        retries: int = 0,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.candidate = candidate
        self.kind = kind
        self.cause = cause
        self.status = status
        self.retries = retries
        self.final = final
        self.tries: Sequence[Any] = ()

    @property
    def brief(self) -> str:
        """What happened, without the server's own words."""
        return brief(self.candidate, self.kind)


def brief(candidate: str, kind: str) -> str:
    """Say what happened to a call, without the server's own words.

    >>> brief("small", "rate_limit")
    'small: too many requests (429)'
    """
    return f"{candidate}: {ERROR_KINDS.get(kind, kind)}"


ERROR_KINDS = {
    "auth": "the key is missing or was refused",
    "rate_limit": "too many requests (429)",
    "timeout": "no answer in time",
    "connection": "no connection, or it broke",
    "server": "the server failed (5xx)",
    "bad_request": "the server refused the request (4xx)",
    "not_found": "no such model or endpoint (404)",
    "malformed": "the answer is not what the protocol says",
    "truncated": "the answer ended before it was finished",
    "circuit_open": "it had failed too often in a row, and was not asked",
    "unknown": "anything else",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to `name`, or an empty string.

    >>> nearest("opnai", ["openai", "anthropic"])
    " Did you mean 'openai'?"
    """
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
