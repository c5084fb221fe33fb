"""Which models there are, by a named catalog; what a month costs, and from which volume on self-hosting pays.

Pure functions over values, for notebooks too. Prices that a run is billed with come from `prices`, never from here.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from pytest_llmeval.candidates import Candidate, is_unpinned
from pytest_llmeval.errors import ConfigError, nearest

MILLION = Decimal(1_000_000)
SECONDS_PER_MONTH = 30 * 24 * 3600
CATALOGS = ("reference",)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a catalog; None for what the catalog does not say.

    Attributes:
        name: What people call it.
        id: ``provider:model``, as a candidate.
        input, output: USD per 1M tokens read and written.
        context: Tokens that it can hold.
        ttft_ms: Typical time to the first token in milliseconds, from and to.
        tokens_per_second: Typical speed of writing.
        answer_seconds: How long an answer of 500 tokens takes, from and to, where the catalog says so itself.
        scores: Published benchmark scores in percent: directional only.
        strengths: Tasks that it is among the first choices for.
        hosting: ``api``, ``self-hosted`` or ``local``.
        pinned: Whether the id stays what it is; False where another model may be put under it without notice.
        tiered: Whether longer requests cost more than `input` and `output` say.
        own: Whether the user's settings name it: `id` is that name then.
        source: Who says the prices: a catalog, ``genai-prices``, ``settings``.
        as_of: Day of the figures.
    """

    name: str
    id: str
    input: Decimal | None = None
    output: Decimal | None = None
    context: int | None = None
    ttft_ms: tuple[int, int] | None = None
    tokens_per_second: float | None = None
    answer_seconds: tuple[float, float] | None = None
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    strengths: tuple[str, ...] = ()
    hosting: str = "api"
    pinned: bool | None = None
    tiered: bool = False
    own: bool = False
    source: str = ""
    as_of: date | None = None

    @property
    def provider(self) -> str:
        """Who speaks for it."""
        return self.id.partition(":")[0]

    @property
    def blended(self) -> Decimal | None:
        """Mean of the prices for tokens in and out, USD per 1M tokens."""
        return None if self.input is None or self.output is None else (self.input + self.output) / 2

    def seconds(self, tokens: int) -> tuple[float, float] | None:
        """Return from and to how long an answer of some tokens takes: TTFT + tokens / speed.

        >>> reference_model("GPT-4o").seconds(500)
        (6.55, 6.55)
        """
        if self.ttft_ms is None or self.tokens_per_second is None:
            return None
        writing = tokens / self.tokens_per_second
        return round(self.ttft_ms[0] / 1000 + writing, 3), round(self.ttft_ms[1] / 1000 + writing, 3)


@cache
def load_catalog(name: str = "reference", on: date | None = None) -> tuple[Model, ...]:
    """Return the models of a shipped catalog, with the prices of its day or of a later one.

    Raises:
        ConfigError: There is no such catalog.

    >>> [str(model.input) for model in (reference_model("o3"), reference_model("o3", date(2025, 7, 1)))]
    ['10.00', '2.00']
    """
    if name not in CATALOGS:
        raise ConfigError(f"catalog {name!r}: there is none.{nearest(name, CATALOGS)} Known: {', '.join(CATALOGS)}.")
    data = _data(name)
    tasks = _tasks(data)
    return tuple(
        replace(_model(row, data["as_of"], on), source=name, strengths=tasks.get(row["name"], ()))
        for row in data["models"]
    )


def first_choices(name: str = "reference") -> dict[str, str]:
    """Return the first choices by task, as the catalog says them.

    >>> first_choices()["complex reasoning, math"]
    'o3, Claude Opus'
    """
    return {row["task"]: row["said"] for row in _data(name)["strengths"]}


@dataclass(frozen=True, slots=True)
class PublishedCost:
    """What traffic costs a month, as it was published; amounts in USD.

    Attributes:
        requests: Requests a month.
        tokens_in, tokens_out: Of each request.
        shares: Share of the traffic by the name of the model.
        said: The amount.
        about: How exact it claims to be, where traffic is split.
    """

    requests: int
    tokens_in: int
    tokens_out: int
    shares: Mapping[str, Decimal]
    said: Decimal
    about: Decimal


def published_costs(name: str = "reference") -> tuple[PublishedCost, ...]:
    """Return what a month costs by a catalog itself, to hold the formula against.

    >>> published_costs()[0].said
    Decimal('8750.00')
    """
    return tuple(
        PublishedCost(
            group["requests"],
            group["tokens_in"],
            group["tokens_out"],
            {model: Decimal(share) for model, share in row["shares"].items()},
            Decimal(row["said"]),
            Decimal(group.get("about", "0")),
        )
        for group in _data(name)["published"]
        for row in group["costs"]
    )


@cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads((files("pytest_llmeval") / "data" / f"{name}.toml").read_text(encoding="utf-8"))


def _tasks(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    tasks: dict[str, tuple[str, ...]] = {}
    for row in data["strengths"]:
        for name in row["models"]:
            tasks[name] = (*tasks.get(name, ()), row["task"])
    return tasks


def reference_model(name: str, on: date | None = None) -> Model:
    """Return a model of the catalog `reference` by its name or id.

    Raises:
        ConfigError: There is no such model.

    >>> reference_model("openai:gpt-4o").name
    'GPT-4o'
    """
    models = load_catalog("reference", on)
    for model in models:
        if name in (model.name, model.id):
            return model
    known = [known for model in models for known in (model.name, model.id)]
    raise ConfigError(f"model {name!r}: not in the catalog 'reference'.{nearest(name, known)}")


def _model(row: Mapping[str, Any], as_of: date, on: date | None) -> Model:
    values = dict(row)
    for later in values.pop("later", ()):
        if on is not None and on >= later["from"]:
            values |= {key: value for key, value in later.items() if key != "from"}
            as_of = later["from"]
    for key in ("input", "output"):
        if key in values:
            values[key] = Decimal(values[key])
    for key in ("ttft_ms", "answer_seconds"):
        if key in values:
            values[key] = tuple(values[key])
    provider, _, model = values["id"].partition(":")
    return Model(**values, pinned=not is_unpinned(Candidate(values["id"], provider, model)), as_of=as_of)


def cost_per_request(model: Model, tokens_in: int, tokens_out: int) -> Decimal | None:
    """Return USD for one request; None where the price is unknown.

    >>> cost_per_request(reference_model("GPT-4o mini"), 1500, 500)
    Decimal('0.000525')
    """
    if model.input is None or model.output is None:
        return None
    return ((tokens_in * model.input + tokens_out * model.output) / MILLION).normalize()


def monthly_cost(model: Model, requests: int, tokens_in: int, tokens_out: int) -> Decimal | None:
    """Return USD a month: requests x (in x input price + out x output price) / 1e6; None where a price is unknown.

    >>> f"{monthly_cost(reference_model('GPT-4o'), 1_000_000, 1500, 500):,.2f}"
    '8,750.00'
    """
    each = cost_per_request(model, tokens_in, tokens_out)
    return None if each is None else each * requests


def split_cost(
    parts: Iterable[tuple[Decimal, Model]], requests: int, tokens_in: int, tokens_out: int
) -> Decimal | None:
    """Return USD a month for traffic that is split over models, each with its share; None where a price is unknown.

    Raises:
        ValueError: The shares do not add up to 1.

    >>> parts = [(Decimal("0.7"), reference_model("GPT-4o mini")), (Decimal("0.3"), reference_model("GPT-4o"))]
    >>> f"{split_cost(parts, 1_000_000, 1000, 1000):,.2f}"
    '4,275.00'
    """
    parts = list(parts)
    if sum(share for share, _ in parts) != 1:
        raise ValueError(f"the shares add up to {sum(share for share, _ in parts)}; they must add up to 1")
    costs = [(share, monthly_cost(model, requests, tokens_in, tokens_out)) for share, model in parts]
    known = [share * cost for share, cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(parts) else None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """An API against machines of one's own, for a month. Amounts in USD.

    Attributes:
        gpus: How many are needed.
        api, self_hosted: What each costs.
        crossover: Requests a month from which on self-hosting is never dearer again; None if there is no such volume.
    """

    gpus: int
    api: Decimal
    self_hosted: Decimal
    crossover: int | None

    @property
    def savings(self) -> Decimal:
        """What self-hosting saves; negative where the API is cheaper."""
        return self.api - self.self_hosted


def break_even(
    *,
    requests: int,
    tokens_per_request: float | Decimal,
    blended_price: float | Decimal,
    gpu_month: float | Decimal,
    tokens_per_second: float | Decimal,
    utilization: float | Decimal = 0.6,
) -> BreakEven:
    """Compare an API with machines of one's own.

    GPUs = max(1, ceil(requests x tokens / (tokens per second x utilization) / seconds of 30 days)).

    All is exact, with a float taken for the number that it is written as: traffic that fills a GPU to its limit needs
    no other.

    Args:
        requests: Requests a month.
        tokens_per_request: In and out together.
        blended_price: USD per 1M tokens of the API, in and out mixed.
        gpu_month: USD a month for one GPU.
        tokens_per_second: What one GPU serves, in and out together.
        utilization: Share of that which is used; the rest is headroom for peaks.

    Raises:
        ValueError: A figure is not a positive number, or the utilization is above 1.

    >>> found = break_even(requests=1_000_000, tokens_per_request=2000, blended_price=Decimal("6.25"),
    ...                    gpu_month=Decimal(1460), tokens_per_second=500, utilization=0.6)
    >>> found.gpus, f"{found.api:,.2f}", f"{found.self_hosted:,.2f}", f"{found.savings:,.2f}", found.crossover
    (3, '12,500.00', '4,380.00', '8,120.00', 116800)
    """
    given: dict[str, float | Decimal] = {
        "requests": requests,
        "tokens_per_request": tokens_per_request,
        "blended_price": blended_price,
        "gpu_month": gpu_month,
        "tokens_per_second": tokens_per_second,
        "utilization": utilization,
    }
    for name, value in given.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; it must be greater than 0")
    if utilization > 1:
        raise ValueError(f"utilization is {utilization}; it must be at most 1")
    price, month, tokens = (_exact(value) for value in (blended_price, gpu_month, tokens_per_request))
    per_gpu = Fraction(_exact(tokens_per_second)) * Fraction(_exact(utilization)) * SECONDS_PER_MONTH / Fraction(tokens)
    each = price * tokens / MILLION
    gpus = max(1, math.ceil(requests / per_gpu))
    return BreakEven(gpus, each * requests, gpus * month, _crossover(per_gpu, Fraction(month) / Fraction(each)))


def _exact(value: float | Decimal) -> Decimal:
    """Return a number as it is written: 0.29 as a float is slightly less, and would cost a GPU more at the limit."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


#: How many numbers of GPUs are looked at one by one for the crossover.
MOST_LOOKED_AT = 10_000


def _crossover(per_gpu: Fraction, worth: Fraction) -> int | None:
    """Return the volume from which on GPUs never cost more than the API: theirs climbs in steps, the API's evenly.

    Args:
        per_gpu: Requests that one GPU can answer.
        worth: Requests for which the API takes what one GPU costs.
    """
    if per_gpu <= worth:
        # A GPU at its limit costs as much as what it replaces, or more: no volume helps.
        return None
    # With fewer, one GPU more is dearer than the API right behind their limit, as the condition below has it.
    margin = per_gpu - worth
    first = max(1, math.ceil((worth - 1) / margin))
    # So many are enough for sure; where the two cost nearly the same, there is no looking at all fewer ones.
    enough = math.ceil(max(worth, Fraction(2)) / margin) + 1
    for gpus in (*range(first, min(enough, first + MOST_LOOKED_AT)), enough):
        volume = _ceil(gpus, worth)
        # With one GPU more, right behind the limit of these, the API must cost no less either.
        limit = _floor(gpus, per_gpu)
        if volume <= limit and limit + 1 >= _ceil(gpus + 1, worth):
            return max(volume, _floor(gpus - 1, per_gpu) + 1)
    return None


def _floor(times: int, each: Fraction) -> int:
    # In whole numbers, since a product of fractions is shortened first, which takes many times as long.
    return times * each.numerator // each.denominator


def _ceil(times: int, each: Fraction) -> int:
    return -_floor(-times, each)


def cheapest(models: Sequence[Model], tokens_in: int, tokens_out: int) -> list[tuple[Model, Decimal]]:
    """Return models with what a request costs, cheapest first; those without a price are left out."""
    priced = [(model, cost_per_request(model, tokens_in, tokens_out)) for model in models]
    return sorted(((model, cost) for model, cost in priced if cost is not None), key=lambda pair: pair[1])
