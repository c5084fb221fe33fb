"""What the provider tests have in common."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.errors import ProviderError
from pytest_llmeval.providers import builtin_providers
from pytest_llmeval.providers.base import Provider, Request
from pytest_llmeval.response import Response

Ask = Callable[[Provider, Request], Response]


@dataclass
class Made:
    """Builds providers and closes them."""

    open: list[Provider] = field(default_factory=list)

    def __call__(self, candidate: Candidate) -> Provider:
        self.open.append(builtin_providers()[candidate.provider](candidate))
        return self.open[-1]


def failure(ask: Ask, provider: Provider, question: Request) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(provider, question)
    assert caught.value.candidate == "mini"
    assert caught.value.__cause__ is None
    assert str(caught.value).startswith("mini: ")
    return caught.value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
