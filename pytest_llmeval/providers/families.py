"""What models of one family take that others don't: the one table, and how it is applied to a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pytest_llmeval.providers.base import OMIT

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.providers.base import Request


@dataclass(frozen=True, slots=True)
class Family:
    """Models that differ from the rest of their protocol in the same way.

    Attributes:
        pattern: Matches ``provider:model`` from its start.
        temperature: Whether the models take one. A candidate's own `parameters` can still send it.
        rename: Their names for parameters.
    """

    pattern: str
    temperature: bool = True
    rename: Mapping[str, str] = field(default_factory=dict)


COMPLETION_TOKENS = {"max_tokens": "max_completion_tokens"}
STOP_SEQUENCES = {"stop": "stop_sequences"}

#: First match wins.
FAMILIES = (
    # The chat variant of gpt-5 does not reason.
    Family(r"openai:gpt-5-chat", rename=COMPLETION_TOKENS),
    # https://platform.openai.com/docs/guides/reasoning: max_tokens and any temperature but 1 are refused.
    Family(r"openai:(ft:)?(o[1-9]|gpt-([5-9]|[1-9]\d)(?!\d)|codex-)", temperature=False, rename=COMPLETION_TOKENS),
    # https://platform.claude.com/docs/en/about-claude/models/migration-guide: from Opus 4.7 on, sampling parameters are
    # refused ("`temperature` is deprecated for this model").
    Family(
        r"anthropic:.*claude-(opus-4[-.]([7-9]|[1-9]\d)(?!\d)|[a-z]+-([5-9]|[1-9]\d)(?!\d)|mythos|fable)",
        temperature=False,
        rename=STOP_SEQUENCES,
    ),
    Family(r"anthropic:", rename=STOP_SEQUENCES),
    Family(r""),
)


def family_of(candidate: Candidate) -> Family:
    """Return the family of a candidate's model.

    >>> from pytest_llmeval.candidates import Candidate
    >>> family_of(Candidate("x", "openai", "o3-mini")).temperature
    False
    """
    return _family(f"{candidate.provider}:{candidate.model}")


@cache
def _family(name: str) -> Family:
    return next(family for family in FAMILIES if re.match(family.pattern, name))


def parameters(request: Request, candidate: Candidate, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent beside model and messages: the request's, the candidate's over it, in the family's terms.

    Args:
        request: Gives temperature, max_tokens and `params`.
        candidate: Its `parameters` win; ``"omit"`` leaves one out.
        defaults: What the adapter adds by itself; both may override it.
    """
    family = family_of(candidate)
    own = dict(defaults)
    if family.temperature:
        own["temperature"] = request.temperature
    # The two names exclude each other, and whoever writes the exact one means it.
    if "max_completion_tokens" not in {*request.params, *candidate.parameters}:
        own["max_tokens"] = request.max_tokens
    values: dict[str, Any] = {}
    for source in (own, request.params, candidate.parameters):
        values |= {family.rename.get(name, name): value for name, value in source.items()}
    return {name: value for name, value in values.items() if value is not None and value != OMIT}


#: What each method of both SDKs takes.
ALWAYS_KNOWN = frozenset({"extra_body", "extra_headers", "extra_query", "timeout"})


def split_known(values: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return arguments for an SDK call: those it does not know go into its `extra_body`.

    >>> split_known({"top_p": 1, "min_p": 0.1}, frozenset({"top_p"}))
    {'top_p': 1, 'extra_body': {'min_p': 0.1}}
    """
    arguments: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in values.items():
        (arguments if name in known or name in ALWAYS_KNOWN else extra)[name] = value
    if extra:
        arguments["extra_body"] = {**extra, **arguments.get("extra_body", {})}
    return arguments
