"""Which models there are to choose from: the user's, those of the shipped catalog, and those with a published price."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.candidates import is_unpinned, resolve_candidate
from pytest_llmeval.catalog import Model, load_catalog
from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.providers.endpoints import builtin_providers, connection_of, endpoint_of
from pytest_llmeval.published import priced, published_models

if TYPE_CHECKING:
    from pytest_llmeval.settings import Settings

#: Source of the prices that the user sets.
SETTINGS = "settings"
#: Length of the answer whose time is told.
ANSWER_TOKENS = 500


def list_models(settings: Settings, on: date) -> list[Model]:
    """Return the user's models, those of the catalog `reference`, and all others with a published price.

    Prices are the user's, else the published ones of that day, else those of the catalog.
    """
    known = known_models(settings, on)
    named = {model.id for model in known}
    rest = (model for model in published_models(on) if model.id not in named)
    return [*known, *sorted(rest, key=lambda model: model.id)]


def known_models(settings: Settings, on: date) -> list[Model]:
    """Return the user's models and those of the catalog `reference`."""
    # What is made of others is no model, and has no prices of its own.
    own = [_own(name, entry.model, settings, on) for name, entry in settings.models.items() if entry.model]
    return [*own, *(_priced(model, on) for model in load_catalog("reference", on))]


def find_model(name: str, models: Sequence[Model]) -> Model:
    """Return a model by its id or its name.

    Raises:
        ConfigError: There is none, or several; names the nearest.

    >>> find_model("o3", load_catalog()).id
    'openai:o3'
    """
    ids = [model for model in models if model.id == name]
    bare = [model for model in models if name in (model.name, model.id.partition(":")[2])]
    found = {model.id: model for model in ids or bare}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise ConfigError(f"model {name!r}: several have that name: {', '.join(sorted(found))}. Write one of these.")
    near = nearest(name, [known for model in models for known in (model.id, model.name, model.id.partition(":")[2])])
    raise ConfigError(f"model {name!r}: not in the list of models.{near} `llmeval models` lists them.")


def _priced(model: Model, on: date) -> Model:
    endpoint = endpoint_of("", model.provider)
    return priced(model, endpoint.billing if endpoint else None, model.id.partition(":")[2], on)


def _own(name: str, named: str, settings: Settings, on: date) -> Model:
    entry = settings.models[name]
    provider, _, asked = named.partition(":")
    if provider not in builtin_providers():
        # A third party's hook knows it; nobody here does.
        return _with_own_prices(Model(named, name, hosting=entry.hosting or "api", own=True), entry.prices)
    candidate = resolve_candidate(name, builtin_providers(), settings.models)
    endpoint = endpoint_of("", candidate.provider)
    assert endpoint is not None
    connection = connection_of(endpoint, candidate)
    model = next((model for model in load_catalog("reference", on) if model.id == named), None)
    model = model or Model(named, name)
    model = replace(model, id=name, name=named, own=True, hosting=connection.hosting, pinned=not is_unpinned(candidate))
    if connection.billing is None:
        # Prices of the provider do not hold at another address.
        model = replace(model, input=None, output=None)
    return _with_own_prices(priced(model, connection.billing, asked, on), entry.prices)


def _with_own_prices(model: Model, prices: Any) -> Model:
    if prices is None:
        return model
    if isinstance(prices, str):
        return replace(model, input=Decimal(0), output=Decimal(0), source=SETTINGS, as_of=None)
    return replace(model, input=prices.input, output=prices.output, source=SETTINGS, as_of=None, tiered=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on a model: ``context>=128K``; one whose figure nobody knows does not meet it."""

    key: str
    sign: str
    value: str

    def holds(self, model: Model) -> bool:
        """Whether a model meets it."""
        if self.key in NUMBERS:
            figure = NUMBERS[self.key](model)
            return figure is not None and SIGNS[self.sign](figure, number(self.value))
        texts = [text.lower() for text in TEXTS[self.key](model)]
        wanted = self.value.lower()
        if self.sign == "~":
            return any(wanted in text for text in texts)
        return (wanted in texts) == (self.sign == "=")


SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


def _benchmark(name: str) -> Callable[[Model], Any]:
    return lambda model: None if (score := model.scores.get(name)) is None else Decimal(str(score))


BENCHMARKS = ("MMLU", "HumanEval", "MATH", "GSM8K")
NUMBERS: Mapping[str, Callable[[Model], Any]] = {
    "context": lambda model: model.context,
    "input": lambda model: model.input,
    "output": lambda model: model.output,
    "blended": lambda model: model.blended,
    "seconds": lambda model: None if (took := model.seconds(ANSWER_TOKENS)) is None else Decimal(str(took[1])),
    **{name: _benchmark(name) for name in BENCHMARKS},
}
TEXTS: Mapping[str, Callable[[Model], Sequence[str]]] = {
    "id": lambda model: [model.id],
    "name": lambda model: [model.name],
    "provider": lambda model: [model.provider],
    "hosting": lambda model: [model.hosting],
    "strengths": lambda model: model.strengths,
    "own": lambda model: ["yes" if model.own else "no"],
    "source": lambda model: [model.source],
    "pinned": lambda model: [{True: "yes", False: "no", None: "?"}[model.pinned]],
}
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def number(text: str) -> Decimal:
    """Return a number that may end with K or M.

    Raises:
        ValueError: It is none.

    >>> number("128K"), number("0.5")
    (Decimal('128000'), Decimal('0.5'))
    """
    match = re.fullmatch(r"\$?(\d{1,15}(?:\.\d{1,15})?|\.\d{1,15})([km]?)", text.strip().replace("_", "").lower())
    if match is None:
        raise ValueError(f"{text!r} is no number")
    return Decimal(match[1]) * UNITS[match[2]]


def parse_conditions(written: Iterable[str]) -> list[Condition]:
    """Return conditions on models, as they are written on a command line.

    Raises:
        ConfigError: Some cannot be used; tells of all of them.

    >>> parse_conditions(["context>=128K", "strengths~code"])[0]
    Condition(key='context', sign='>=', value='128K')
    """
    found = [_condition(text) for text in written]
    faults = [fault for fault in found if isinstance(fault, str)]
    if faults:
        raise ConfigError("\n".join(["--where: conditions that cannot be used:", *(f"  {fault}" for fault in faults)]))
    return [condition for condition in found if isinstance(condition, Condition)]


def _condition(text: str) -> Condition | str:
    match = re.fullmatch(r"\s*(\w+)\s*(<=|>=|!=|=|<|>|~)\s*(.+?)\s*", text)
    if match is None:
        return f"{text!r}: write KEY=VALUE, with =, !=, <, >, <=, >= or ~ (contains): 'context>=128K'"
    key, sign, value = match.groups()
    known = {name.lower(): name for name in (*NUMBERS, *TEXTS)}
    if key.lower() not in known:
        return f"{text!r}: unknown key {key!r}.{nearest(key, known.values())} Known: {', '.join(known.values())}"
    key = known[key.lower()]
    if key in NUMBERS:
        try:
            number(value)
        except ValueError:
            return f"{text!r}: {key} is a number; write one, such as 0.5, 128K or 1M"
    allowed = tuple(SIGNS) if key in NUMBERS else ("=", "!=", "~")
    if sign not in allowed:
        return f"{text!r}: {key} takes {' '.join(allowed)}"
    return Condition(key, sign, value)


def matching(models: Iterable[Model], conditions: Sequence[Condition]) -> Iterator[Model]:
    """Yield the models that meet all conditions.

    >>> [model.id for model in matching(load_catalog(), parse_conditions(["output<0.5", "context>=1M"]))]
    ['gemini:gemini-2.0-flash']
    """
    return (model for model in models if all(condition.holds(model) for condition in conditions))
