"""Names of models to be tested: `provider:model`, an alias from the settings, or a well-known bare id."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pytest_llmeval.settings import Hosting, ModelSettings, Prices

BARE_IDS = (
    (re.compile(r"(gpt-|chatgpt-|o\d)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
)


@dataclass(frozen=True)
class Candidate:
    """A model to be tested, with all that is needed to ask it.

    Attributes:
        name: What the user calls it and what reports show: the alias, or ``provider:model``.
        provider: Who speaks for it: ``openai``, ``anthropic``, a row of the endpoint table, or a third party's name.
        model: The id that is sent.
        base_url: The endpoint, if it is not the provider's own.
        api_key_env: Environment variable of the key, if it is not the provider's usual one.
        hosting: ``api``, ``self-hosted`` or ``local``; None takes the provider's.
        context: Tokens that the model can hold, if the user says so.
        parameters: Sent with each request, over the test's own; the value ``"omit"`` leaves a parameter out.
        prices: The user's prices, ``"free"``, or None.
        structured_output: ``native``, ``prompt``, or ``auto``: native, and the prompt where the endpoint refuses that.
        timeout: Seconds that one request may take; None takes the SDK's default.
        max_retries: How often the SDK tries again; None takes the SDK's default.
        members: Those that it is made of, in order; a model has none. `provider` then says how (``fallback``,
            ``router``, ``cascade``), and `model` is empty.
        mix: What the settings say of a mix.
    """

    name: str
    provider: str
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    hosting: Hosting | None = None
    context: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    prices: Prices | str | None = None
    structured_output: str = "auto"
    timeout: float | None = None
    max_retries: int | None = None
    members: tuple[Candidate, ...] = ()
    mix: ModelSettings | None = field(default=None, hash=False)


def leaves_of(candidate: Candidate) -> list[Candidate]:
    """Return the models that a candidate is made of in the end, each once; of a model, itself.

    >>> a, b = Candidate("a", "openai", "a"), Candidate("b", "openai", "b")
    >>> [leaf.name for leaf in leaves_of(Candidate("safe", "fallback", "", members=(a, b, a)))]
    ['a', 'b']
    """
    if not candidate.members:
        return [candidate]
    return list(dict.fromkeys(leaf for member in candidate.members for leaf in leaves_of(member)))


def split_names(values: Iterable[str]) -> list[str]:
    """Split comma-separated names, drop blanks and repeats, keep the order.

    >>> split_names(["a, b", "c,a", ""])
    ['a', 'b', 'c']
    """
    names = [name.strip() for value in values for name in value.split(",")]
    return list(dict.fromkeys(name for name in names if name))


def resolve_candidate(name: str, providers: Iterable[str], aliases: Mapping[str, ModelSettings]) -> Candidate:
    """Return the candidate that `name` stands for.

    Args:
        name: ``provider:model``, an alias, or a bare well-known id such as ``gpt-4o-mini``.
        providers: Names of the providers there are.
        aliases: `[tool.llmeval.models]`.

    Raises:
        ConfigError: No such provider or alias, or no model; lists what there is and names the nearest.

    >>> resolve_candidate("gpt-4o-mini", ["openai"], {}).provider
    'openai'
    """
    known = sorted(providers)
    if name not in aliases and _are_several(name, known, aliases):
        raise ConfigError(f"candidate {name!r}: write commas between names: {','.join(name.split())!r}.")
    if name in aliases:
        entry = aliases[name]
        if entry.members:
            return _mixed(name, entry, known, aliases)
        provider, model = _split(entry.model or "", known, [], f"model {entry.model!r} of alias {name!r}")
        return Candidate(
            name=name,
            provider=provider,
            model=model,
            base_url=entry.base_url,
            api_key_env=entry.api_key_env,
            hosting=entry.hosting,
            context=entry.context,
            parameters=entry.parameters,
            prices=entry.prices,
            structured_output=entry.structured_output,
            timeout=entry.timeout,
            max_retries=entry.max_retries,
        )
    provider, model = _split(name, known, sorted(aliases), f"candidate {name!r}")
    return Candidate(name=name, provider=provider, model=model)


def _mixed(name: str, entry: ModelSettings, providers: list[str], aliases: Mapping[str, ModelSettings]) -> Candidate:
    """Return the candidate of an alias that is made of others."""
    members: list[Candidate] = []
    faults: list[str] = []
    for member in entry.members:
        try:
            members.append(resolve_candidate(member, providers, aliases))
        except ConfigError as exc:
            faults += [f"{line}" for line in str(exc).splitlines() if line not in faults]
    if faults:
        told = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"alias {name!r} names candidates that cannot be used:\n{told}")
    return Candidate(name, entry.kind, "", members=tuple(members), mix=entry)


def _are_several(name: str, providers: Iterable[str], aliases: Iterable[str]) -> bool:
    """Whether a name is several with blanks between: each stands for a candidate. A model's id may have blanks."""
    parts = name.split()
    return len(parts) > 1 and all(
        part in aliases
        or any(pattern.match(part) for pattern, _ in BARE_IDS)
        or any(part.startswith(f"{provider}:") and part != f"{provider}:" for provider in providers)
        for part in parts
    )


def _split(name: str, providers: list[str], aliases: list[str], what: str) -> tuple[str, str]:
    provider, colon, model = (part.strip() for part in name.partition(":"))
    if not colon and name not in providers:
        for pattern, family in BARE_IDS:
            if pattern.match(name) and family in providers:
                return family, name
        named = f" Aliases in the settings: {', '.join(aliases)}." if aliases else ""
        if len(name.split()) > 1:
            named = f" Between names stand commas: {','.join(name.split())!r}.{named}"
        raise ConfigError(
            f"{what}: neither 'provider:model', nor an alias, nor a well-known model id."
            f"{nearest(name, [*aliases, *providers])}{named} Providers: {', '.join(providers)}."
        )
    if provider not in providers:
        raise ConfigError(
            f"{what}: unknown provider {provider!r}.{nearest(provider, providers)} Known: {', '.join(providers)}."
        )
    if not model:
        raise ConfigError(f"{what}: no model after {name!r}. Write for example 'openai:gpt-4o-mini'.")
    return provider, model


def unpinned_of(candidate: Candidate) -> str | None:
    """Return the id under which the provider may put another model without notice, or None.

    Of a candidate that is made of others, the names of those of which this is so; an alias with its id.

    >>> mini = Candidate("mini", "openai", "gpt-4o-mini")
    >>> large = Candidate("openai:gpt-4o", "openai", "gpt-4o")
    >>> unpinned_of(mini), unpinned_of(Candidate("safe", "fallback", "", members=(mini, large)))
    ('gpt-4o-mini', 'mini = gpt-4o-mini, openai:gpt-4o')
    """
    found = [leaf for leaf in leaves_of(candidate) if is_unpinned(leaf)]
    if not candidate.members:
        return candidate.model if found else None
    told = [leaf.name if leaf.name.endswith(leaf.model) else f"{leaf.name} = {leaf.model}" for leaf in found]
    return ", ".join(dict.fromkeys(told)) or None


UNPINNED = re.compile(r"(-latest|:latest|latest)$")
DATED = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{8}|-\d{4}(-preview)?|-preview-\d{2}-\d{2}|-\d{3}|@\d+)$")
MOVING_PROVIDERS = {"openai", "anthropic", "gemini", "mistral"}
#: Hosts that pass ids on, and before the slash whose: vendors that publish dated ids, and a host that picks models.
PASSED_ON = {"openrouter": {"openai", "anthropic", "google", "mistralai", "x-ai", "cohere", "openrouter"}}
#: What such vendors also give away: a name is one set of weights there.
OPEN_WEIGHTS = re.compile(r"(gpt-oss|gemma)")


def is_unpinned(candidate: Candidate) -> bool:
    """Whether the provider may put another model under this id without notice.

    True for `*-latest`, and for undated ids of the vendors that publish dated ones: asked at their own endpoint, or
    through a host that passes ids on. A fine-tuned model is dated by the one that it was made from.

    >>> is_unpinned(Candidate("gpt-4o", "openai", "gpt-4o")), is_unpinned(Candidate("x", "openai", "gpt-4o-2024-08-06"))
    (True, False)
    """
    if UNPINNED.search(candidate.model):
        return True
    if candidate.base_url is not None:
        return False
    if candidate.provider in PASSED_ON:
        vendor, slash, passed = candidate.model.partition("/")
        model = passed.partition(":")[0]
        moves = bool(slash) and vendor in PASSED_ON[candidate.provider] and not OPEN_WEIGHTS.match(model)
    else:
        model = candidate.model.split(":")[1] if candidate.model.startswith("ft:") else candidate.model
        moves = candidate.provider in MOVING_PROVIDERS
    return moves and not DATED.search(model)


def refuse_unpinned(candidates: Iterable[Candidate]) -> None:
    """Refuse candidates whose id may become another model without notice (``--llm-require-pinned``).

    Raises:
        ConfigError: There are some; names all of them.

    >>> refuse_unpinned([Candidate("gpt-4o-2024-08-06", "openai", "gpt-4o-2024-08-06")])
    """
    leaves = dict.fromkeys(leaf for candidate in candidates for leaf in leaves_of(candidate))
    moving = [leaf for leaf in leaves if is_unpinned(leaf)]
    if moving:
        named = ", ".join(
            each.name if each.name.endswith(each.model) else f"{each.name} (model {each.model})" for each in moving
        )
        raise ConfigError(
            f"--llm-require-pinned: {named}: may become another model without notice. Ask for a dated id; which one "
            "answers now, a run without this option says below its summary."
        )
