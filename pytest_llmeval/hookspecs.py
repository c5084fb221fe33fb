"""Hooks that other plugins and a project's conftest.py can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.format import Interaction
    from pytest_llmeval.cassettes.matching import HTTPRequest
    from pytest_llmeval.providers.base import ProviderFactory
    from pytest_llmeval.records import Run
    from pytest_llmeval.settings import Prices


@pytest.hookspec
def pytest_llmeval_providers(config: pytest.Config) -> dict[str, ProviderFactory] | None:
    """Add providers: what stands before the colon of a candidate, and who makes the one that answers.

    Example::

        def pytest_llmeval_providers(config):
            return {"inhouse": lambda candidate: InhouseProvider(candidate.model)}

    `InhouseProvider` has what `pytest_llmeval.Provider` asks for. Requests that it sends through httpx, requests or
    aiohttp are recorded and replayed like any other.
    """


@pytest.hookspec
def pytest_llmeval_prices(config: pytest.Config) -> dict[str, Prices] | None:
    """Add prices, by name of the candidate, where the settings give none.

    Example::

        def pytest_llmeval_prices(config):
            return {"inhouse:large": Prices(input=Decimal("0.40"), output=Decimal("1.20"))}
    """


@pytest.hookspec
def pytest_llmeval_redact(request: HTTPRequest, response: Interaction | None) -> None:
    """Change what would be written to a cassette, in place.

    Called before a request is looked up (with `response` None) and again before it is written with its answer. What
    this changes is not what the server gets. Both calls must change a request in the same way. Rules that are added to
    `request.ignore` say which parts make no difference; see `llm_cassette(ignore=...)`.

    Example::

        def pytest_llmeval_redact(request, response):
            request.body = re.sub(rb"customer-[0-9]+", b"customer-0", request.body)
            if response is not None:
                response.content = re.sub(rb"customer-[0-9]+", b"customer-0", response.content)
    """


@pytest.hookspec
def pytest_llmeval_run_finished(config: pytest.Config, run: Run) -> Any:
    """Take the records of the whole run, once, in the process that reports it.

    Example::

        def pytest_llmeval_run_finished(config, run):
            for test in run.tests:
                print(test.candidate, test.nodeid, test.score)
    """
