"""Every combination of protocol, plain or streamed, sync or async."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.dialects import ANTHROPIC, OPENAI, Dialect
from tests.integration.providers.asking import Ask, Made
from tests.servers import ScriptedServer


@pytest.fixture(params=[OPENAI, ANTHROPIC], ids=lambda dialect: dialect.provider)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=[False, True], ids=["plain", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    if request.param == "sync":
        return lambda provider, question: provider.complete(question)
    return lambda provider, question: asyncio.run(provider.acomplete(question))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def make() -> Iterator[Made]:
    made = Made()
    yield made
    for provider in made.open:
        provider.close()
