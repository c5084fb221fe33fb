"""The candidates of a session and who answers for them: names to candidates, candidates to providers and tariffs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_llmeval.candidates import Candidate, resolve_candidate, split_names
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.pacing import Pace
from pytest_llmeval.providers import builtin_providers
from pytest_llmeval.providers.base import Provider, ProviderFactory
from pytest_llmeval.providers.endpoints import endpoint_of
from pytest_llmeval.tariffs import Tariff, tariff_of

if TYPE_CHECKING:
    from pytest_llmeval.settings import ModelSettings, Prices


class Roster:
    """Knows the candidates, and builds the provider of each once a session.

    Args:
        aliases: `[tool.llmeval.models]`.
        factories: Providers that other plugins add.
        prices: Prices that other plugins add, by candidate.
    """

    def __init__(
        self,
        aliases: Mapping[str, ModelSettings],
        factories: Mapping[str, ProviderFactory],
        prices: Mapping[str, Prices],
    ) -> None:
        self._aliases = aliases
        self._builtin = builtin_providers()
        self._factories = {**self._builtin, **factories}
        self._prices = prices
        self._providers: dict[Candidate, Provider] = {}
        #: Returns how much a candidate's endpoint takes at once; one of several candidates asks each at its own pace.
        self.pace_of: Callable[[Candidate], Pace] = lambda _: Pace()

    @property
    def names(self) -> list[str]:
        """Return the names of all providers."""
        return list(self._factories)

    def candidates(self, names: Iterable[str]) -> list[Candidate]:
        """Return the candidates of these names.

        Raises:
            ConfigError: A name that stands for nothing.
        """
        return [self._priced(resolve_candidate(name, self._factories, self._aliases)) for name in split_names(names)]

    def _priced(self, candidate: Candidate) -> Candidate:
        members = tuple(map(self._priced, candidate.members))
        return replace(candidate, prices=candidate.prices or self._prices.get(candidate.name), members=members)

    def aliases(self) -> list[Candidate]:
        """Return the candidates of the settings: the code under test may ask them by itself."""
        found = []
        for name in self._aliases:
            # One that nobody asks for may be of a provider that is not installed.
            with contextlib.suppress(ConfigError):
                found += self.candidates([name])
        return found

    def provider(self, candidate: Candidate) -> Provider:
        """Return who answers for a candidate."""
        provider = self._providers.get(candidate)
        if provider is None:
            provider = self._providers[candidate] = self._build(candidate)
        return provider

    def _build(self, candidate: Candidate) -> Provider:
        if candidate.members:
            from pytest_llmeval.providers.routing import build_mix

            return build_mix(candidate, self.provider, self.pace_of)
        return self._factories[candidate.provider](candidate)

    def is_builtin(self, candidate: Candidate) -> bool:
        """Whether a candidate is asked through an official SDK, so that its requests can be looked at unsent."""
        factory = self._builtin.get(candidate.provider)
        return factory is not None and self._factories[candidate.provider] is factory

    def tariff(self, candidate: Candidate) -> Tariff:
        """Return by what a candidate's calls are priced."""
        if endpoint_of("https://any", candidate.provider) is None and candidate.prices is None:
            # Anybody's code: why it fails is told by the first test that asks.
            with contextlib.suppress(Exception):
                provider = self.provider(candidate)
                return Tariff(candidate, provider.billing, provider.hosting)
        return tariff_of("https://any", candidate, None) or Tariff(candidate, None, candidate.hosting or "api")

    def close(self) -> None:
        """Give connections back; a provider that is asked for later is built anew."""
        while self._providers:
            _, provider = self._providers.popitem()
            with contextlib.suppress(Exception):
                provider.close()
