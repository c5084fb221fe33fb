"""What a run leaves behind: a `Call` per request, a `TestRecord` per test, a `Run` of all. Plain JSON types only.

Amounts of money are decimal strings, since a float would round them and xdist cannot carry a `Decimal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import ProviderError
from pytest_llmeval.response import Cost, Response, Try
from pytest_llmeval.runheader import End, Header, Spending

if TYPE_CHECKING:
    from pytest_llmeval.gate import Gate
    from pytest_llmeval.verdicts import Recommendation

SCHEMA_VERSION = 1
DEFAULT_SCORE = "score"
#: Outcomes that say nothing about quality.
NO_VERDICT = ("error", "skipped", "not_run")


@dataclass(slots=True)
class Call:
    """One request to a candidate: what answered, how long it took, what it cost; or the error it ended in.

    Times and costs of a replayed answer are those that were measured when it was recorded. What is not known is None.

    Attributes:
        candidate: Name of who was asked.
        model: What the server says answered. OpenTelemetry: `gen_ai.response.model`.
        error: Why there is no answer; None if there is one.
        error_kind: One of ``auth``, ``rate_limit``, ``timeout``, ``connection``, ``server``, ``bad_request``,
            ``not_found``, ``malformed``, ``truncated``, ``circuit_open``, ``unknown``. OpenTelemetry: `error.type`.
        latency_ms: From the request to the last byte of the attempt that answered, in milliseconds. OpenTelemetry, in
            seconds: `gen_ai.client.operation.duration`.
        ttft_ms: Time to the first content token, in milliseconds; None where the answer was not streamed.
            OpenTelemetry has the first chunk instead, in seconds: `gen_ai.response.time_to_first_chunk`.
        tokens_per_second: Tokens written after the first one, per second of streaming.
        input_tokens: Tokens read, cached ones included. OpenTelemetry: `gen_ai.usage.input_tokens`.
        output_tokens: Tokens written, reasoning included. OpenTelemetry: `gen_ai.usage.output_tokens`.
        cached_tokens: Of those read, from the provider's prompt cache. OpenTelemetry:
            `gen_ai.usage.cache_read.input_tokens`.
        cache_write_tokens: Of those read, written to that cache. OpenTelemetry:
            `gen_ai.usage.cache_creation.input_tokens`.
        reasoning_tokens: Of those written, reasoning. OpenTelemetry: `gen_ai.usage.reasoning.output_tokens`.
        cost: USD as a decimal string; None exactly when it is unknown.
        cost_status: ``priced``, ``estimated``, ``free`` or ``unknown``.
        cost_source: Who set the price, or why it is unknown.
        cost_as_of: Day (``YYYY-MM-DD``) whose price was taken.
        finish_reason: The provider's word for why the answer ended. OpenTelemetry, as a list:
            `gen_ai.response.finish_reasons`.
        schema_mode: How a schema was asked for: ``native``, ``prompt`` or ``ignored``; None if none was.
        retries: How often the SDK tried again.
        replayed: Whether the answer came from a recording.
        recorded_at: When that was recorded (ISO 8601, UTC).
        digest: Of the answer's text, so that equal ones are known without keeping them; None where there is no text.
        system_fingerprint: What the server calls the state of its side, if it says. OpenTelemetry:
            `openai.response.system_fingerprint`.
        system_digest: Of the system text that was sent; None without one. The text may stand in the header.
        messages_digest: Of the messages that were sent.
        parameters_digest: Of the other parts of the request: temperature, limits, schema, tools. See the header.
        served_by: Name of the candidate whose answer it is, if `candidate` is made of several. Times, tokens and cost
            are then those of all `calls`. Absent otherwise, as are the next four.
        route: What a router took the question for: ``simple`` or ``complex``.
        calls: What was asked of those, in order.
        role: Of such a call: what it was for: ``answer``, ``classify`` (of a router), ``score`` (how sure it is of its
            answer).
        why: Of such a call: why its answer did not serve: the error's kind, ``refusal``, ``invalid_json``, ``schema``,
            ``cut_off`` or ``low_score``; None if it did.
    """

    candidate: str
    model: str | None = None
    error: str | None = None
    error_kind: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_second: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: str | None = None
    cost_status: str = "unknown"
    cost_source: str = ""
    cost_as_of: str | None = None
    finish_reason: str | None = None
    schema_mode: str | None = None
    retries: int = 0
    replayed: bool = False
    recorded_at: str | None = None
    digest: str | None = None
    system_fingerprint: str | None = None
    system_digest: str | None = None
    messages_digest: str | None = None
    parameters_digest: str | None = None
    served_by: str | None = None
    route: str | None = None
    calls: list[Call] = field(default_factory=list)
    role: str | None = None
    why: str | None = None

    @classmethod
    def from_response(cls, response: Response) -> Call:
        """Copy out of a `Response` what a record keeps."""
        usage, cost = response.usage, response.cost
        call = cls(
            candidate=response.candidate,
            model=response.model,
            latency_ms=response.latency_ms,
            ttft_ms=response.ttft_ms,
            tokens_per_second=response.tokens_per_second,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost=None if cost.amount is None else str(cost.amount),
            cost_status=cost.status,
            cost_source=cost.source,
            cost_as_of=cost.as_of,
            finish_reason=response.finish_reason,
            schema_mode=response.schema_mode,
            retries=response.retries,
            replayed=response.replayed,
            recorded_at=response.recorded_at,
            digest=_digest(response.content),
            system_fingerprint=response.system_fingerprint,
        )
        if response.tries:
            call.served_by, call.route = response.served_by, response.route
            call.calls = [cls.from_try(tried, brief=True) for tried in response.tries]
        return call

    @classmethod
    def from_error(cls, candidate: str, error: ProviderError, cost: Cost, *, brief: bool = False) -> Call:
        """Note a call that got no answer.

        Args:
            candidate: Who was asked.
            error: Why there is none.
            cost: What such a call costs the candidate when nothing was answered.
            brief: Whether another candidate has answered instead: then a recording knows the error's kind alone.
        """
        return cls(
            candidate=candidate,
            error=error.brief if brief else str(error),
            error_kind=error.kind,
            retries=error.retries,
            cost=None if cost.amount is None else str(cost.amount),
            cost_status=cost.status,
            cost_source=cost.source,
            calls=[cls.from_try(tried, brief=brief) for tried in error.tries],
        )

    @classmethod
    def from_try(cls, tried: Try, *, brief: bool = False) -> Call:
        """Copy out of a `Try` what a record keeps; see `from_error`."""
        if tried.response is not None:
            call = cls.from_response(tried.response)
            call.candidate = tried.candidate
        else:
            error = tried.error or ProviderError("", candidate=tried.candidate, kind="unknown")
            call = cls.from_error(tried.candidate, error, tried.cost, brief=brief)
        call.latency_ms, call.role, call.why = tried.latency_ms, tried.role, tried.why
        return call

    @property
    def leaves(self) -> list[Call]:
        """The calls of single models that it is made of; of a call of one, itself."""
        return [leaf for call in self.calls for leaf in call.leaves] if self.calls else [self]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON types; what only calls of several candidates have is left out of all others."""
        data: dict[str, Any] = dict(zip(_CALL_KEYS, _CALL_VALUES(self), strict=True))
        if self.calls or self.role is not None:
            data |= {name: getattr(self, name) for name in _MIX_KEYS}
            data["calls"] = [call.to_json() for call in self.calls]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Call:
        """Build it from `to_json`'s output; keys of newer versions are passed over."""
        call = cls(**{key: value for key, value in data.items() if key in _CALL_KEYS or key in _MIX_KEYS})
        if call.calls:
            call.calls = [cls.from_json(each) for each in data["calls"]]
        return call


@dataclass(slots=True)
class TestRecord:
    """One test with one candidate.

    Attributes:
        nodeid: pytest's name of the test.
        candidate: Name of who was asked; empty for a test without one.
        outcome: ``passed``, ``failed``, ``error`` (a call, the setup or the recording failed: no verdict on quality),
            ``skipped``, ``xfailed``, ``xpassed``, or ``not_run`` (the budget did not reach).
        score: 0-1, or None for ``error``, ``skipped`` and ``not_run``.
        scores: Mean score by name; unnamed scores are under ``score``. OpenTelemetry: `gen_ai.evaluation.name` and
            `gen_ai.evaluation.score.value`.
        fields: Mean score by field path, from `score_fields`.
        json_checked: How many answers were checked for valid JSON.
        json_valid: How many of them were.
        calls: Its requests, in the order in which they were made.
        message: Why it failed, was skipped or is an error. Files have no addresses of objects in it.
        cassette: File of the recorded answers, relative to the rootdir, if there is one.
        unpinned: Id of the candidate's model if another model may be put under it without notice; of a candidate made
            of others, the names of those of which this is so, an alias as ``name = id``.
        recording: Why the recording does not hold: ``stale`` (a request has none), ``missing`` (there is no recording)
            or ``old`` (older than it may be); None if it does.
        again: What it costs to record that again, as `TotalCost.to_json` writes it; None if nobody can tell.
        taken_over: What became of each recording of a test or fixture that is gone which this one went on with:
            ``from`` (its file; several if nobody can tell which of them is this test's, and none was replayed), ``to``
            (where this test's own belongs), ``used`` and ``of`` (answers), ``moved``, ``copied``, ``fixture``.
        unkept: Why answers of a test that passed were not worth recording: the next run has to ask again.
        ignored: Parts of requests that make no difference, as they were declared; none for a test that asked nothing.
        unmatched: Those of them that no request of the test has.
        task: Which task of the application the test is for (`llm_task`); None if it does not say.
        case: Id of the case, if the test has one (`llm_cases`).
        tags: Those of the case.
        weight: That of the case.
        sample: Which of several independent samples of one case this is, from 1; None where there is only one.
        samples: How many samples of the case were asked for.
        min_pass_rate: Share of the samples that has to pass; None where each has to pass by itself.
        prompts: Files that prompts were read from, relative to the rootdir, with the SHA-256 of each.
        complexity: How the case is labelled for routers, in its field of that name: ``simple`` or ``complex``; None if
            it says neither.
        known_failing: Why the test counts in no figure but calls, times and costs (`llm_known_failing`): the reason,
            or an empty text; None if it counts.
        source: Digest of the test function's source; None where that is not at hand.
        expected: Digest of the answer that the case expects; None without one.
    """

    # pytest collects classes named Test* from modules that import this one.
    __test__ = False

    nodeid: str
    candidate: str
    outcome: str = "passed"
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    fields: dict[str, float] = field(default_factory=dict)
    json_checked: int = 0
    json_valid: int = 0
    calls: list[Call] = field(default_factory=list)
    message: str | None = None
    cassette: str | None = None
    unpinned: str | None = None
    recording: str | None = None
    again: dict[str, Any] | None = None
    taken_over: list[dict[str, Any]] = field(default_factory=list)
    unkept: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    task: str | None = None
    case: str | None = None
    tags: list[str] = field(default_factory=list)
    weight: float = 1.0
    sample: int | None = None
    samples: int = 1
    min_pass_rate: float | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    complexity: str | None = None
    known_failing: str | None = None
    source: str | None = None
    expected: str | None = None

    def properties(self) -> list[tuple[str, object]]:
        """Return what JUnit XML shows of the test: candidate, score, named scores, latency and cost of its calls."""
        pairs: list[tuple[str, object]] = [("llm_candidate", self.candidate)] if self.candidate else []
        if self.known_failing is not None:
            pairs.append(("llm_known_failing", self.known_failing))
        if self.score is not None:
            pairs.append(("llm_score", round(self.score, 6)))
        pairs += [
            (f"llm_score_{name}", round(value, 6)) for name, value in self.scores.items() if name != DEFAULT_SCORE
        ]
        latencies = [call.latency_ms for call in self.calls if call.latency_ms is not None]
        if latencies:
            pairs.append(("llm_latency_ms", round(sum(latencies), 3)))
        if self.calls:
            costs = [call.cost for call in self.calls]
            total = sum((Decimal(cost) for cost in costs if cost is not None), Decimal(0))
            pairs.append(("llm_cost_usd", "unknown" if None in costs else str(total)))
        return pairs

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        # `asdict` copies each value deeply, which took longer than anything else that happens to a replayed test.
        data: dict[str, Any] = dict(zip(_RECORD_KEYS, _RECORD_VALUES(self), strict=True))
        data["calls"] = [call.to_json() for call in self.calls]
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TestRecord:
        """Build a record from `to_json`'s output; keys of newer versions are passed over."""
        values = {key: value for key, value in data.items() if key in _RECORD_KEYS}
        values["calls"] = [Call.from_json(call) for call in data.get("calls", [])]
        return cls(**values)


_MIX_KEYS = ("served_by", "route", "calls", "role", "why")
_CALL_KEYS = {field.name: None for field in fields(Call) if field.name not in _MIX_KEYS}
_RECORD_KEYS = {field.name: None for field in fields(TestRecord)}
_CALL_VALUES, _RECORD_VALUES = attrgetter(*_CALL_KEYS), attrgetter(*_RECORD_KEYS)


@dataclass(slots=True)
class Run:
    """All test records of a run.

    Attributes:
        candidates: Names in the order in which they were asked for.
        mode: Record mode of the run (``none``, ``once``, ``new``, ``all``, ``live``).
        tests: The records, by node id.
        unpinned: Model names that can move to another model without notice, by candidate.
        budget: How the run stood with its budget at the end; None if it had none.
        header: Where the run came from; None if nobody asked for that.
        end: How it ended; None if it was cut, or has not ended.
        remarks: What is to be said of the file or files that it was read from, a sentence each.
        recommendation: What requirements make of it; None if there are none, or nobody has looked yet.
        task_recommendations: What they make of each of its tasks, if its tests name some.
        gate: What became of the conditions of ``--llm-fail-on``; None without any.
        texts: System texts and parameters that were sent, by their digests in `Call`.
    """

    candidates: list[str] = field(default_factory=list)
    mode: str = "once"
    tests: list[TestRecord] = field(default_factory=list)
    unpinned: dict[str, str] = field(default_factory=dict)
    header: Header | None = None
    end: End | None = None
    remarks: list[str] = field(default_factory=list)
    budget: Spending | None = None
    recommendation: Recommendation | None = None
    task_recommendations: tuple[Recommendation, ...] = ()
    gate: Gate | None = None
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """What requirements make of it: by task where there are tasks, since these may have asked different models."""
        whole = () if self.recommendation is None else (self.recommendation,)
        return self.task_recommendations or whole

    @property
    def incomplete(self) -> bool:
        """Whether the run was cut: tests that were to run have no record."""
        return self.end is None or self.end.stopped is not None

    def by_candidate(self) -> dict[str, list[TestRecord]]:
        """Return the records of each candidate: asked-for order first, then as they appear.

        Tests without one (`llm_cassette`, or no candidate was chosen) are left out.
        """
        groups: dict[str, list[TestRecord]] = {name: [] for name in self.candidates}
        for test in self.tests:
            groups.setdefault(test.candidate, []).append(test)
        return {name: tests for name, tests in groups.items() if name and tests}


def _digest(text: str) -> str | None:
    # Where a model calls tools, there is often no text, and equal ones would say nothing.
    return None if not text else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
