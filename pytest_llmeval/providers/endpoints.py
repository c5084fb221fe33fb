"""The providers that come with the package: one row each, and what a candidate's own settings make of its row."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.providers.base import UNUSED_KEY
from pytest_llmeval.standins import MISSING_KEY

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.providers.base import Provider, ProviderFactory


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider: where it is, whose key it takes, who publishes its prices.

    Attributes:
        base_url: Its own address.
        key_envs: Environment variables that may hold its key, first choice first; none if it takes any key.
        base_url_env: Environment variable by which its SDK is pointed elsewhere.
        hosting: ``api``, or ``self-hosted`` for servers that people run themselves.
        billing: Its id in genai-prices.
        reports_cost: Whether `usage.cost` of its answers is the price of the call in USD.
    """

    name: str
    base_url: str
    key_envs: tuple[str, ...] = ()
    base_url_env: str | None = None
    hosting: str = "api"
    billing: str | None = None
    reports_cost: bool = False


OPENAI = Endpoint("openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), "OPENAI_BASE_URL", billing="openai")
ANTHROPIC = Endpoint(
    "anthropic",
    "https://api.anthropic.com",
    ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "ANTHROPIC_BASE_URL",
    billing="anthropic",
)
OPENAI_COMPATIBLE = (
    OPENAI,
    Endpoint("ollama", "http://localhost:11434/v1", hosting="self-hosted"),
    Endpoint("vllm", "http://localhost:8000/v1", hosting="self-hosted"),
    Endpoint("together", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",), billing="together"),
    Endpoint("groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",), billing="groq"),
    Endpoint("fireworks", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",), billing="fireworks"),
    Endpoint("mistral", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), billing="mistral"),
    Endpoint(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai/",
        ("GEMINI_API_KEY",),
        billing="google",
    ),
    Endpoint(
        "openrouter",
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        billing="openrouter",
        reports_cost=True,
    ),
)
#: All of them, the two whose own SDKs are used first.
ENDPOINTS = (OPENAI, ANTHROPIC, *OPENAI_COMPATIBLE[1:])


@dataclass(frozen=True, slots=True)
class Connection:
    """How one candidate is reached: its row of the table with the candidate's own settings over it.

    Attributes:
        key: The key itself, `MISSING_KEY`, or `UNUSED_KEY`.
        key_env: Variable that holds the key, or should; None if no key is wanted.
        hosting: ``api``, ``self-hosted``, or ``local`` for the user's own machine.
        billing: Id in genai-prices; None where nobody publishes the price of this address.
        own_host: Whether the address is the provider's own.
    """

    candidate: Candidate
    base_url: str
    key: str
    key_env: str | None
    hosting: str
    billing: str | None
    reports_cost: bool
    own_host: bool


def connection_of(endpoint: Endpoint, candidate: Candidate) -> Connection:
    """Return how `candidate` is reached, reading the environment as it is now.

    A provider's key goes to that provider, or to where its own environment variable points, and nowhere else: a
    `base_url` in a settings file, which may be a stranger's, does not get it, but names an `api_key_env` of its own.

    Raises:
        ConfigError: The base URL is not one.
    """
    from_env = os.environ.get(endpoint.base_url_env, "").strip() if endpoint.base_url_env else ""
    base_url = candidate.base_url or from_env or endpoint.base_url
    host = _host(base_url, candidate)
    own_host = _origin(base_url) == _origin(endpoint.base_url)
    trusted = own_host or candidate.base_url is None
    key, key_env = _key((candidate.api_key_env,) if candidate.api_key_env else endpoint.key_envs if trusted else ())
    hosting = endpoint.hosting
    if hosting == "self-hosted" and _is_loopback(host):
        hosting = "local"
    return Connection(
        candidate=candidate,
        base_url=base_url,
        key=key,
        key_env=key_env,
        hosting=candidate.hosting or hosting,
        billing=endpoint.billing if own_host else None,
        reports_cost=endpoint.reports_cost and own_host,
        own_host=own_host,
    )


def endpoint_of(url: str, provider: str | None = None) -> Endpoint | None:
    """Return the row of a provider, or where none is named, the row whose own address a URL belongs to.

    >>> endpoint_of("https://api.anthropic.com/v1/messages").name
    'anthropic'
    """
    try:
        origin = _origin(url)
    except ValueError:
        return None
    found = (row for row in ENDPOINTS if (row.name == provider if provider else _origin(row.base_url) == origin))
    return next(found, None)


def builtin_providers() -> dict[str, ProviderFactory]:
    """Return the providers that come with the package. A factory imports its SDK when it is called, not before.

    >>> sorted(builtin_providers())[:3]
    ['anthropic', 'fireworks', 'gemini']
    """
    factories = {endpoint.name: _openai_factory(endpoint) for endpoint in OPENAI_COMPATIBLE}
    factories[ANTHROPIC.name] = _anthropic
    return factories


def _openai_factory(endpoint: Endpoint) -> ProviderFactory:
    def build(candidate: Candidate) -> Provider:
        from pytest_llmeval.providers.openai import OpenAIProvider

        return OpenAIProvider(connection_of(endpoint, candidate))

    return build


def _anthropic(candidate: Candidate) -> Provider:
    from pytest_llmeval.providers.anthropic import AnthropicProvider

    return AnthropicProvider(connection_of(ANTHROPIC, candidate))


def _key(variables: tuple[str, ...]) -> tuple[str, str | None]:
    if not variables:
        return UNUSED_KEY, None
    for name in variables:
        # A key pasted with its line break would make an invalid header, whose error message quotes the key.
        if key := os.environ.get(name, "").strip():
            return key, name
    # With the variable's name, which the transport tells when it refuses to send this.
    return f"{MISSING_KEY}-{variables[0]}", variables[0]


def _origin(base_url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(base_url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _host(base_url: str, candidate: Candidate) -> str:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"candidate {candidate.name!r}: base_url {base_url!r} is not an http(s) URL."
            " Write for example 'http://127.0.0.1:8000/v1'."
        )
    return host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


#: Names that resolve in private networks alone: RFC 6762, RFC 8375, and what ICANN set aside in 2024.
PRIVATE_NAMES = (".local", ".home.arpa", ".internal")


def is_private(base_url: str) -> bool:
    """Whether an address is one of this machine or of a private network, as far as it can be told without asking.

    >>> [is_private(f"http://{host}/v1") for host in ("10.0.0.7", "localhost:8000", "gpu.internal", "8.8.8.8", "gpu")]
    [True, True, True, False, False]
    """
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return _is_loopback(host) or host.endswith(PRIVATE_NAMES)
