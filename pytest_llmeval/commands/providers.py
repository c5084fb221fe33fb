"""``llmeval providers``: which providers are known, where they are, and which key each takes."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from pytest_llmeval.commands.output import add_format, new_screen, print_json

if TYPE_CHECKING:
    from pytest_llmeval.providers.endpoints import Endpoint


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("providers", help="list providers: addresses, variables of their keys, hosting")
    add_format(parser)
    parser.set_defaults(run=_providers)


def _providers(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.providers.endpoints import ENDPOINTS

    if arguments.format == "json":
        print_json([_json(endpoint) for endpoint in ENDPOINTS])
        return 0
    screen = new_screen()
    rows = [(endpoint.name, endpoint.hosting, *_key(endpoint), endpoint.base_url) for endpoint in ENDPOINTS]
    heads = ("provider", "hosting", "key", "set", "base URL")
    screen.grid([[(head, "bold") for head in heads], *([(cell, "") for cell in row] for row in rows)])
    screen.notes([("models", "provider:model, such as openai:gpt-4o-mini; a model's settings may say base_url")])
    print(screen.text(), end="")
    return 0


def _key(endpoint: Endpoint) -> tuple[str, str]:
    """Return the variable of its key, and whether that is set."""
    is_set = _is_set(endpoint)
    return (endpoint.key_envs[0] if endpoint.key_envs else "any"), "-" if is_set is None else "yes" if is_set else "no"


def _is_set(endpoint: Endpoint) -> bool | None:
    return any(os.environ.get(name, "").strip() for name in endpoint.key_envs) if endpoint.key_envs else None


def _json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "provider": endpoint.name,
        "base_url": endpoint.base_url,
        "key_variables": list(endpoint.key_envs),
        "key_is_set": _is_set(endpoint),
        "hosting": endpoint.hosting,
    }
