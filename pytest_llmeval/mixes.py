"""Settings of candidates that are made of other candidates, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

# Names are listed with commas between them: any other could not be chosen.
Name = Annotated[str, StringConstraints(pattern=r"^[^,\s]([^,]*[^,\s])?$")]

#: What an alias may be: one of these.
KINDS = ("model", "fallback", "router", "cascade")
#: What only a model has; a mix leaves it to those that it is made of.
OF_MODELS = (
    *("base_url", "api_key_env", "hosting", "context", "parameters", "prices"),
    *("structured_output", "timeout", "max_retries"),
)
#: What only some kinds have.
OF_KINDS = {
    "fallback_on": ("fallback",),
    "escalate_on": ("cascade",),
    "min_score": ("cascade",),
    "circuit_breaker": ("fallback", "cascade"),
}
#: How deep candidates may be made of candidates that are made of candidates.
DEEPEST = 3
#: By what a router decides: one of these.
DECIDERS = ("classifier", "rule", "pattern", "longer_than")

FallbackOn = Literal["refusal", "invalid_json"]
EscalateOn = Literal["invalid_json", "schema", "cut_off", "refusal", "low_score"]


class CircuitBreakerSettings(BaseModel):
    """`circuit_breaker` of a fallback or cascade: when one that keeps failing is left out for a while."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    failures: int = Field(default=5, ge=0, description="failures in a row after which it is left out; 0 for never")
    cooldown: float = Field(default=30.0, gt=0, description="seconds after which one request may try it again")


class RouterSettings(BaseModel):
    """`router`: two candidates, and what decides which of them is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    simple: Name = Field(description="who is asked what is simple")
    complex: Name = Field(description="who is asked all else")
    classifier: Name | None = Field(default=None, description="a candidate that answers 'simple' or 'complex'")
    prompt: str | None = Field(default=None, min_length=1, description="system text for the classifier")
    rule: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="'module:function': takes the user's text, returns 'simple' or 'complex'",
    )
    pattern: str | None = Field(default=None, description="regular expression: what it finds is complex")
    longer_than: int | None = Field(default=None, ge=0, description="characters: a longer text is complex")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except (re.error, OverflowError, RecursionError) as exc:
            raise ValueError(f"is no regular expression that can be used: {exc}") from None
        return value


def members_of(entry: Mapping[str, Any]) -> list[str]:
    """Return the names of the candidates that an entry of `models` is made of, as it stands in the file.

    >>> members_of({"fallback": ["small", "large"]})
    ['small', 'large']
    >>> members_of({"router": {"simple": "small", "complex": "large", "pattern": "refund"}})
    ['small', 'large']
    """
    router = entry.get("router")
    found = [router.get(key) for key in ("simple", "complex", "classifier")] if isinstance(router, Mapping) else []
    for kind in ("fallback", "cascade"):
        named = entry.get(kind)
        found += list(named) if isinstance(named, list | tuple) else []
    return [name for name in found if isinstance(name, str)]


def mix_faults(data: Any) -> Iterator[tuple[list[str], str]]:
    """Yield what is wrong with the kinds of aliases and with how they are made of each other: a path and a sentence."""
    models = data.get("models") if isinstance(data, dict) else None
    tables = models.items() if isinstance(models, dict) else ()
    entries = {name: entry for name, entry in tables if isinstance(entry, dict)}
    for name, entry in entries.items():
        path = ["models", name]
        kinds = [kind for kind in KINDS if kind in entry]
        if not kinds:
            yield [*path, "model"], "required, but not there"
        elif len(kinds) > 1:
            yield path, f"{' and '.join(kinds)} exclude each other: an alias is one of them"
        else:
            yield from _misplaced(path, entry, kinds[0])
            yield from _badly_made(path, entry, kinds[0])
    for circle in _circles(entries):
        yield ["models", circle[0]], f"made of itself: {' -> '.join([*circle, circle[0]])}"
    for name, deep in _depths(entries).items():
        if deep > DEEPEST:
            yield ["models", name], f"candidates within candidates, {deep} deep; at most {DEEPEST}"


def _misplaced(path: list[str], entry: Mapping[str, Any], kind: str) -> Iterator[tuple[list[str], str]]:
    for key in OF_MODELS if kind != "model" else ():
        if key in entry:
            yield [*path, key], f"a {kind} has none of its own; set it for the candidates that it names"
    for key, kinds in OF_KINDS.items():
        if key in entry and kind not in kinds:
            yield [*path, key], f"only a {' or a '.join(kinds)} has that"


def _badly_made(path: list[str], entry: Mapping[str, Any], kind: str) -> Iterator[tuple[list[str], str]]:
    if kind in ("fallback", "cascade") and isinstance(entry[kind], list | tuple):
        names = members_of(entry)
        if len(names) < 2:
            yield [*path, kind], "name at least two candidates"
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield [*path, kind], f"names {name!r} more than once"
    router = entry.get("router")
    if isinstance(router, Mapping):
        deciders = [key for key in DECIDERS if key in router]
        if len(deciders) != 1:
            have = f"it has {' and '.join(deciders)}" if deciders else "it has none"
            yield [*path, kind], f"needs one of {', '.join(DECIDERS)} to decide by; {have}"
        if "prompt" in router and "classifier" not in router:
            yield [*path, kind, "prompt"], "only a classifier is told that"
    if kind == "cascade" and "min_score" in entry and "low_score" not in (entry.get("escalate_on") or ()):
        yield [*path, "min_score"], "means nothing unless escalate_on has 'low_score'"


def _circles(entries: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return circles, each from the name in it that comes first: one for each name that leads back."""
    found: list[list[str]] = []
    walked: set[str] = set()

    def walk(name: str, above: list[str]) -> None:
        if name in above:
            found.append(above[above.index(name) :])
        elif name in entries and name not in walked:
            walked.add(name)
            for member in members_of(entries[name]):
                walk(member, [*above, name])

    for name in entries:
        walk(name, [])
    return found


def _depths(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return for each name how many mixes are within each other, counting itself."""
    found: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in found:
            # What comes back here is a circle, which is told of apart.
            found[name] = 0
            members = members_of(entries.get(name, {}))
            found[name] = 1 + max(map(depth, members)) if members else 0
        return found[name]

    return {name: depth(name) for name in entries}
