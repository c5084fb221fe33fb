"""What a run says of itself: where it came from, who was asked, at which prices, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class CandidateInfo:
    """One candidate as it was asked. Keys never stand here.

    Attributes:
        name: What the user calls it: the alias, or ``provider:model``.
        provider: Who speaks for it. OpenTelemetry: `gen_ai.provider.name`, which has other words for some.
        model: The id that is sent. OpenTelemetry: `gen_ai.request.model`.
        endpoint: Base URL of the settings, without credentials; null for the provider's own. OpenTelemetry, in parts:
            `server.address`, `server.port`.
        hosting: ``api``, ``self-hosted`` or ``local``; null if only its provider knows.
        parameters: What the settings send with each request, but for headers and URL parameters, of which only the
            names are kept. OpenTelemetry, for those that it names: `gen_ai.request.temperature`, and so on.
        prices: The user's prices in USD per 1M tokens as decimal strings (or `gpu_hour`, an hour of the machine);
            ``free`` if declared so; null if published ones are taken.
        structured_output: How a schema is asked for: ``auto``, ``native`` or ``prompt``.
        private: Whether its address is one of this machine or of a private network; null if only its provider knows.
        context: Tokens that the model can hold, as the settings, the catalog `reference` or genai-prices has it; null
            if none of them knows.
        members: Those that it is made of, in order; `provider` then says how (``fallback``,
            ``router`` or ``cascade``), and `model` is null.
    """

    name: str
    provider: str | None = None
    model: str | None = None
    endpoint: str | None = None
    hosting: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    prices: dict[str, str | int] | str | None = None
    structured_output: str | None = None
    private: bool | None = None
    context: int | None = None
    members: list[CandidateInfo] = field(default_factory=list)

    @property
    def leaves(self) -> list[CandidateInfo]:
        """The models that it is made of in the end; of a model, itself."""
        return [leaf for member in self.members for leaf in member.leaves] if self.members else [self]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CandidateInfo:
        """Build it from plain JSON types; keys of newer versions are passed over."""
        values = _known(cls, data)
        values["members"] = [cls.from_json(member) for member in data.get("members", [])]
        return cls(**values)


@dataclass(slots=True)
class PriceUsed:
    """A published price that calls of this run were priced with, in USD per 1M tokens.

    Attributes:
        candidate: Name of the candidate.
        model: The model that answered.
        source: Who published it.
        first: First day (``YYYY-MM-DD``) whose price was taken.
        last: Last such day.
        input: Of tokens read, as a decimal string, with its steps where it depends on the length of the request; null
            if nobody published one.
        output: Of tokens written.
        cached_input: Of tokens read from the provider's prompt cache.
        cache_write: Of tokens written to it.
    """

    candidate: str
    model: str
    source: str
    first: str
    last: str
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    cache_write: str | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PriceUsed:
        """Build it from plain JSON types; keys of newer versions are passed over."""
        return cls(**_known(cls, data))


@dataclass(slots=True)
class Header:
    """The first line of a run.

    Attributes:
        schema_version: Version of this schema. Fields may be added without a new one.
        id: Of this run, by chance.
        name: Name under which it was kept (``--llm-save``).
        started: When it began (ISO 8601, UTC).
        mode: Record mode: ``none``, ``once``, ``new``, ``stale``, ``all``, ``live``, or ``mixed`` after a merge.
        commit: Git commit of the project.
        dirty: Whether tracked files of the project differed from that commit; null without git.
        versions: Versions of Python, pytest, pytest-llmeval, the SDKs and genai-prices, by name.
        platform: Operating system and machine.
        candidates: Who was asked, in the order of the reports.
        prices: Published prices that were used; what the user set stands with the candidate.
        merged_from: Ids of the runs that this one was merged from.
        requirements: What candidates had to meet, by the keys of the settings; amounts of USD are decimal strings.
        task_requirements: The same by task, where tests name tasks.
        texts: System texts and parameters that calls share, by their digests, so that a comparison can show what
            changed; no more than 64, and none longer than 8,000 characters.
    """

    schema_version: int
    id: str
    name: str | None = None
    started: str | None = None
    mode: str = "once"
    commit: str | None = None
    dirty: bool | None = None
    versions: dict[str, str] = field(default_factory=dict)
    platform: str | None = None
    candidates: list[CandidateInfo] = field(default_factory=list)
    prices: list[PriceUsed] = field(default_factory=list)
    merged_from: list[str] = field(default_factory=list)
    requirements: dict[str, str | int | float] = field(default_factory=dict)
    task_requirements: dict[str, dict[str, str | int | float]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Header:
        """Build it from `to_json`'s output; keys of newer versions are passed over."""
        values = _known(cls, data)
        values["candidates"] = [CandidateInfo.from_json(each) for each in data.get("candidates", [])]
        values["prices"] = [PriceUsed.from_json(each) for each in data.get("prices", [])]
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Spending:
    """How a run stands with its budget (``--llm-max-cost``); amounts in USD.

    Attributes:
        limit: Most that the run may spend.
        spent: What calls have cost, those included that the code under test made by itself.
        assumed: The most that other calls can have cost: they broke off, or their answers do not say what they used.
        assumed_calls: How many those are.
        unpriced: How many calls had no price, under ``--llm-unknown-price=ignore``.
        held: What is set aside for calls on their way.
    """

    limit: str
    spent: str = "0"
    assumed: str = "0"
    assumed_calls: int = 0
    unpriced: int = 0
    held: str = "0"

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Spending:
        """Build it from `to_json`'s output; keys of newer versions are passed over."""
        return cls(**_known(cls, data))


@dataclass(slots=True)
class End:
    """The last line of a run; a run without one was cut.

    Attributes:
        finished: When it ended (ISO 8601, UTC).
        exit_status: pytest's exit status: 0 all passed, 1 something failed, 2 interrupted.
        stopped: Why it ended before all its tests had run; null if it did not.
        tests: Number of test records.
        counts: Number of tests by outcome.
        budget: How the run stood with its budget; null if it had none.
    """

    finished: str | None = None
    exit_status: int | None = None
    stopped: str | None = None
    tests: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    budget: Spending | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> End:
        """Build it from `to_json`'s output; keys of newer versions are passed over."""
        values = _known(cls, data)
        budget = data.get("budget")
        values["budget"] = Spending.from_json(budget) if budget is not None else None
        return cls(**values)


def _known(cls: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
