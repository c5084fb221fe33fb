"""The protocol between a test and whoever answers: `Request` in, `Response` out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.response import Response

OMIT = "omit"


#: Sent to servers that take any key: the SDKs refuse to start without one.
UNUSED_KEY = "unused"


@dataclass(frozen=True, slots=True)
class Request:
    """One question, in no provider's dialect.

    Attributes:
        messages: Turns as ``{"role": "user" | "assistant" | "tool", "content": ...}``; system text is apart.
        system: System text, or None.
        temperature: 0.0 by default; None, or ``"omit"`` in `params`, sends none.
        max_tokens: Most tokens that the model may write.
        stream: Whether to stream the answer (measures TTFT); the `Response` is whole all the same.
        schema: JSON Schema that the answer must conform to, or None.
        tools: Tools in OpenAI's form (``{"type": "function", "function": {...}}``).
        params: Anything else, sent under its own name.
    """

    messages: Sequence[Mapping[str, Any]]
    system: str | None = None
    temperature: float | None = 0.0
    max_tokens: int | None = 1024
    stream: bool = False
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Provider(Protocol):
    """Asks one candidate. Made once a session and candidate; used from several threads at once."""

    #: Provider id under which genai-prices knows this endpoint's prices; None if nobody publishes them.
    billing: str | None
    #: ``api``, ``self-hosted`` or ``local``.
    hosting: str

    def complete(self, request: Request) -> Response:
        """Return the whole answer, without a cost.

        Raises:
            ProviderError: There is no whole answer.
        """
        ...

    async def acomplete(self, request: Request) -> Response:
        """Do what `complete` does, in the running event loop."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


ProviderFactory = Callable[["Candidate"], Provider]
