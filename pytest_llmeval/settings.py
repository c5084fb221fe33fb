"""`[tool.llmeval]` of pyproject.toml, or llmeval.toml: models, endpoints, prices. Secrets never live here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.mixes import (
    KINDS,
    CircuitBreakerSettings,
    EscalateOn,
    FallbackOn,
    Name,
    RouterSettings,
    mix_faults,
)

Hosting = Literal["api", "self-hosted", "local"]


class Prices(BaseModel):
    """USD per 1M tokens; or what the machine costs, for a model that you host yourself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal | None = Field(default=None, ge=0, description="tokens read")
    output: Decimal | None = Field(default=None, ge=0, description="tokens written")
    cached_input: Decimal | None = Field(default=None, ge=0, description="tokens read from the provider's prompt cache")
    cache_write: Decimal | None = Field(default=None, ge=0, description="tokens written to the provider's prompt cache")
    gpu_hour: Decimal | None = Field(
        default=None, ge=0, description="USD an hour for the machine, instead of token prices"
    )
    concurrency: int = Field(default=1, ge=1, description="requests that the machine serves at once; shares gpu_hour")


def _kind_of_prices(value: Any) -> str:
    return "word" if isinstance(value, str) else "table"


# Told apart by type, so that a fault in one is not reported for both.
PricesOrFree = Annotated[
    Annotated[Prices, Tag("table")] | Annotated[Literal["free"], Tag("word")], Discriminator(_kind_of_prices)
]


class ModelSettings(BaseModel):
    """One entry of `[tool.llmeval.models.NAME]`: a name for a model with its endpoint, parameters and prices.

    Or for several candidates together: a fallback, a router or a cascade.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(default=None, description="'provider:model'")
    fallback: tuple[Name, ...] | None = Field(
        default=None, description="candidates instead of a model: the first is asked, and if it fails, the next"
    )
    fallback_on: tuple[FallbackOn, ...] = Field(
        default=(), description="answers after which the next is asked, as after errors"
    )
    router: RouterSettings | None = Field(
        default=None, description="candidates instead of a model: one of two is asked"
    )
    cascade: tuple[Name, ...] | None = Field(
        default=None,
        description="candidates instead of a model: the first is asked, and where that is not enough, the next",
    )
    escalate_on: tuple[EscalateOn, ...] = Field(
        default=("invalid_json", "cut_off"), description="answers of a cascade that are not enough, beside errors"
    )
    min_score: float = Field(default=0.7, gt=0, le=1, description="below which what it gives itself is a low_score")
    circuit_breaker: CircuitBreakerSettings = Field(default_factory=CircuitBreakerSettings)
    base_url: str | None = None
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="environment variable that holds the key"
    )
    hosting: Hosting | None = None
    context: int | None = Field(default=None, gt=0, description="tokens that the model can hold")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="sent with each request; 'omit' leaves one out"
    )
    prices: PricesOrFree | None = None
    structured_output: Literal["auto", "native", "prompt"] = "auto"
    timeout: float | None = Field(default=None, gt=0, description="seconds that one request may take")
    max_retries: int | None = Field(default=None, ge=0)

    @property
    def kind(self) -> str:
        """``model``, or how others are put together: ``fallback``, ``router`` or ``cascade``."""
        return next(kind for kind in KINDS[::-1] if kind == "model" or getattr(self, kind) is not None)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the candidates that it is made of; none for a model."""
        router = self.router
        if router is not None:
            return tuple(name for name in (router.simple, router.complex, router.classifier) if name is not None)
        return self.fallback or self.cascade or ()


class CassetteSettings(BaseModel):
    """`[tool.llmeval.cassettes]`: how recordings are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ignore: tuple[str, ...] = Field(default=(), description="parts of requests that vary by nature")


class Requirements(BaseModel):
    """`[tool.llmeval.requirements]`: what a candidate has to meet; what is not set is not asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_latency_ms: float | None = Field(default=None, gt=0, description="milliseconds, on the 95th percentile")
    max_cost_per_request: Decimal | None = Field(default=None, ge=0, description="USD, on the mean")
    min_quality_score: float | None = Field(default=None, ge=0, le=1, description="0-1, on the mean of your own tests")
    context_needed: int | None = Field(default=None, gt=0, description="tokens")
    data_privacy: Literal["standard", "strict", "air-gapped"] | None = None
    output_format: Literal["text", "json", "code"] | None = None
    requests_per_month: int | None = Field(default=None, gt=0)
    availability: float | None = Field(default=None, gt=0, le=1, description="fraction of requests that must succeed")

    def __bool__(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.to_json())

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Requirements:
        """Build them from `to_json`'s output; keys of newer versions are passed over.

        Raises:
            ConfigError: Somebody has changed them.
        """
        return parse_requirements([f"{key}={data[key]}" for key in cls.model_fields if key in data], source="the run")

    def to_json(self) -> dict[str, Any]:
        """Return what is asked for as plain JSON types; an amount of USD is a decimal string."""
        return self.model_dump(mode="json", exclude_none=True)


class TaskSettings(BaseModel):
    """One entry of `[tool.llmeval.tasks.NAME]`: which model does a task of the application, and how it is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        default=None, description="asked where no candidates are chosen: 'provider:model' or alias"
    )
    temperature: float | Literal["omit"] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    parameters: dict[str, Any] = Field(default_factory=dict, description="sent with each request of the task")
    requests_per_month: int | None = Field(default=None, gt=0)
    requirements: Requirements = Field(default_factory=Requirements, description="over those of the project")

    def over(self, project: Requirements) -> Requirements:
        """Return the project's requirements with those of the task over them."""
        own = self.requirements.model_dump(exclude_none=True)
        if self.requests_per_month is not None:
            own["requests_per_month"] = self.requests_per_month
        return project.model_copy(update=own)


class Settings(BaseModel):
    """All of `[tool.llmeval]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cassettes: CassetteSettings = Field(default_factory=CassetteSettings)
    concurrency: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="most requests in flight, by provider or alias"
    )
    models: dict[Name, ModelSettings] = Field(default_factory=dict)
    requirements: Requirements = Field(default_factory=Requirements)
    tasks: dict[Name, TaskSettings] = Field(default_factory=dict)


def load_settings(rootdir: Path) -> Settings:
    """Read `llmeval.toml`, else `[tool.llmeval]` of `pyproject.toml`, in `rootdir`; neither gives the defaults.

    Raises:
        ConfigError: The file is not TOML, or a key or value cannot be used; names the file and the path to the key.
    """
    own, shared = rootdir / "llmeval.toml", rootdir / "pyproject.toml"
    if own.is_file():
        return parse_settings(_read(own), str(own))
    if shared.is_file():
        table = _read(shared).get("tool", {}).get("llmeval")
        if table is not None:
            return parse_settings(table, str(shared), "tool.llmeval")
    return Settings()


def parse_settings(data: dict[str, Any], source: str, prefix: str = "") -> Settings:
    """Validate settings that were read from `source`; `prefix` is the path of the table in it.

    Raises:
        ConfigError: All faults at once, one a line.
    """
    faults: list[str] = []
    settings = None
    try:
        settings = Settings.model_validate(data)
    except ValidationError as exc:
        faults = [_fault(error, prefix) for error in exc.errors()]
    faults += [f"{_where(path, prefix)}: {said}" for path, said in mix_faults(data)]
    if settings is None or faults:
        told = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{source}: settings that cannot be used:\n{told}")
    return settings


def _where(path: list[str], prefix: str) -> str:
    return ".".join(([prefix] if prefix else []) + path)


def parse_requirements(
    written: Iterable[str], base: Requirements | None = None, source: str = "--llm-require"
) -> Requirements:
    """Return requirements that were written as ``key=value``, over those of the settings.

    Args:
        written: One requirement each.
        base: What holds for keys that are not written.
        source: Where they were written.

    Raises:
        ConfigError: All faults at once: no ``=``, a key that is no requirement, a value that cannot be used.

    >>> parse_requirements(["max_latency_ms=2000"], Requirements(availability=0.99)).to_json()
    {'max_latency_ms': 2000.0, 'availability': 0.99}
    """
    pairs = [each.partition("=") for each in written]
    faults = [f"{key!r}: write key=value: max_latency_ms=2000" for key, sign, _ in pairs if not sign]
    given = {key.strip(): value.strip() for key, sign, value in pairs if sign}
    try:
        found = Requirements.model_validate(given)
    except ValidationError as exc:
        faults += [_fault(error, "", Requirements) for error in exc.errors()]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{source}: requirements that cannot be used:\n{lines}")
    changes = {name: getattr(found, name) for name in found.model_fields_set}
    return (base or Requirements()).model_copy(update=changes)


def _fault(error: Any, prefix: str, table: type[BaseModel] | None = None) -> str:
    path = [str(part) for part in error["loc"]]
    if path[2:3] == ["prices"]:
        # pydantic puts the tag of the variant into the path.
        del path[3:4]
    if is_name := path[-1:] == ["[key]"]:
        path.pop()
    where = _where(path, prefix)
    if is_name:
        return f"{where}: a name cannot be empty, hold a comma, or begin or end with a blank"
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key.{nearest(path[-1], list(table.model_fields) if table else _known_keys(path))}"
    if error["type"] == "missing":
        return f"{where}: required, but not there"
    if path[-1:] == ["api_key_env"]:
        # Not the value: it may be a key that was pasted into the wrong place.
        return f"{where}: should be the name of an environment variable, such as INHOUSE_KEY; keys never stand here"
    if error["type"] == "tuple_type":
        return f"{where}: write a list: {path[-1]} = [{json.dumps(error['input'], default=str)}]"
    said = "should be a table" if error["type"] in ("model_type", "dict_type") else error["msg"]
    return f"{where}: {said} (it is {error['input']!r})"


def _known_keys(path: list[str]) -> list[str]:
    if len(path) == 1:
        return list(Settings.model_fields)
    tables: dict[str, type[BaseModel]] = {"cassettes": CassetteSettings, "requirements": Requirements}
    if path[0] in tables:
        return list(tables[path[0]].model_fields)
    if path[0] == "tasks":
        return list((Requirements if path[2] == "requirements" else TaskSettings).model_fields)
    within: dict[str, type[BaseModel]] = {
        "prices": Prices,
        "circuit_breaker": CircuitBreakerSettings,
        "router": RouterSettings,
    }
    return list(within.get(path[2], ModelSettings).model_fields)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}") from None
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from None
