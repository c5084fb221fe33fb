"""Who answers: one file a protocol."""

from pytest_llmeval.providers.endpoints import builtin_providers

__all__ = ["builtin_providers"]
