"""The checklist of choosing a model, answered from a run: yes with evidence, no, or that the data cannot tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Literal

from pytest_llmeval.prices import TotalCost, format_usd
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.columns import format_ms, format_share
from pytest_llmeval.reports.notes import same_model, unpinned_members
from pytest_llmeval.reports.summary import CandidateSummary, summarize
from pytest_llmeval.reports.terminal import Screen

if TYPE_CHECKING:
    from pytest_llmeval.settings import Requirements

Status = Literal["yes", "no", "can't tell"]

ENOUGH_CASES = 20
ENOUGH_CANDIDATES = 3
#: An input is long that is so many times the usual one.
LONG = 4
MOST_NAMES = 4

#: What cases are tagged with that look for the edges; parts of a tag, apart by signs or blanks.
EDGES: Mapping[str, frozenset[str]] = {
    "long": frozenset({"long", "length", "large"}),
    "adversarial": frozenset({"adversarial", "attack", "hostile", "injection", "injected", "jailbreak"}),
    "multilingual": frozenset(
        {"multilingual", "language", "translated", "arabic", "chinese", "czech", "dutch", "french", "german", "hindi"}
        | {"italian", "japanese", "korean", "polish", "portuguese", "russian", "spanish", "swedish", "turkish"}
        | {"ar", "cs", "de", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv", "tr", "zh"}
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the checklist."""

    section: str
    line: str
    status: Status
    evidence: str


def checklist(run: Run, requirements: Requirements) -> list[Answer]:
    """Answer each line of the checklist from a run and the requirements.

    >>> from pytest_llmeval.settings import Requirements
    >>> found = checklist(Run(), Requirements(max_latency_ms=3000))
    >>> [(answer.line, answer.status) for answer in found][1]
    ('acceptable latency', 'yes')
    """
    rows = summarize(run)
    sections = {
        "requirements": _requirements(run, rows, requirements),
        "constraints": _constraints(run, requirements),
        "tests": _tests(run, rows),
        "operation": _operation(run, rows),
    }
    return [Answer(name, *answer) for name, answers in sections.items() for answer in answers]


Told = tuple[str, Status, str]


def _requirements(run: Run, rows: Sequence[CandidateSummary], asked: Requirements) -> Iterator[Told]:
    tests = list(
        dict.fromkeys(test.nodeid.partition("[")[0].rpartition("::")[2] for test in run.tests if test.candidate)
    )
    yield ("task", "yes", f"tested by {_join(tests)}") if tests else ("task", "no", "no test asked a candidate")
    p95 = [f"{row.name} {format_ms(row.latency.p95_ms)}" for row in rows if row.latency.p95_ms is not None]
    yield _asked("acceptable latency", "max_latency_ms", asked, f"p95 {_join(p95)}" if p95 else "")
    costs = [f"{row.name} {format_usd(row.cost.per_request)}" for row in rows if row.cost.per_request]
    yield _asked("budget per request", "max_cost_per_request", asked, _join(costs))
    yield _asked("volume", "requests_per_month", asked, "")
    longest = max((_tokens(call) for test in run.tests for call in test.calls), default=0)
    yield _asked("context length", "context_needed", asked, f"longest call {longest:,} tokens" if longest else "")


def _asked(line: str, key: str, requirements: Requirements, measured: str) -> Told:
    value = getattr(requirements, key)
    beside = f"; measured: {measured}" if measured else ""
    if value is None:
        return line, "no", f"{key} is not set{beside}"
    return line, "yes", f"{key} {value if value % 1 else int(value):,}{beside}"


def _constraints(run: Run, asked: Requirements) -> Iterator[Told]:
    privacy = asked.data_privacy
    yield "on-premise", "yes" if privacy else "no", f"data_privacy {privacy}" if privacy else "data_privacy is not set"
    yield "compliance", "can't tell", "no run says which rules hold for the data"
    infos = run.header.candidates if run.header is not None else []
    own = [info.name for info in infos if info.hosting in ("local", "self-hosted")]
    hosted = f"{_join(own)}: asked on machines of your own" if own else "no candidate ran on machines of your own"
    yield "able to operate servers", "yes" if own else "can't tell", hosted
    yield "existing relationship", "can't tell", "no run says with whom there are contracts"


def _tests(run: Run, rows: Sequence[CandidateSummary]) -> Iterator[Told]:
    counts = [row.tests for row in rows]
    fewest = min(counts, default=0)
    real = "; whether they are real data, no run tells" if fewest else ""
    yield f"at least {ENOUGH_CASES} cases", _status(fewest >= ENOUGH_CASES), f"{fewest:,} for each candidate{real}"
    names = _join([row.name for row in rows]) or "none"
    yield f"at least {ENOUGH_CANDIDATES} candidates", _status(len(rows) >= ENOUGH_CANDIDATES), f"{len(rows)}: {names}"
    yield _measured("quality measured", rows, [row.score is not None for row in rows], _scores(rows))
    yield _measured("latency measured", rows, [row.latency.p95_ms is not None for row in rows], "p50 and p95")
    total = sum((row.cost for row in rows), TotalCost(Decimal(0)))
    priced = [not row.cost.unpriced and bool(row.cost.known) for row in rows]
    yield _measured("cost measured", rows, priced, f"{total}{'; hardware is not counted' * total.is_free}")
    for edge, words in EDGES.items():
        yield _edge(edge, words, run.tests)
    checked = [row for row in rows if row.json_checked]
    rates = _join([f"{row.name} {format_share(row.json_valid, row.json_checked)}" for row in checked])
    yield (
        "JSON success rate",
        _status(bool(rows) and len(checked) == len(rows)),
        rates or "no answer was checked for JSON",
    )


def _measured(line: str, rows: Sequence[CandidateSummary], known: Sequence[bool], evidence: str) -> Told:
    lacking = [row.name for row, is_known in zip(rows, known, strict=True) if not is_known]
    if not rows:
        return line, "no", "no test asked a candidate"
    return (line, "no", f"not of {_join(lacking)}") if lacking else (line, "yes", evidence)


def _scores(rows: Sequence[CandidateSummary]) -> str:
    return _join([f"{row.name} {row.score.mean:.2f}" for row in rows if row.score is not None])


def _edge(edge: str, words: frozenset[str], tests: Sequence[TestRecord]) -> Told:
    line = f"edge cases: {edge}"
    tagged = {tag for test in tests for tag in test.tags if words & set(re.split(r"[\W_]+", tag.lower()))}
    cases = {test.case or test.nodeid for test in tests if tagged & set(test.tags)}
    if cases:
        return line, "yes", f"{len(cases):,} case{'s' * (len(cases) != 1)} tagged {_join(sorted(tagged))}"
    read = [call.input_tokens for test in tests for call in test.calls if call.input_tokens]
    if edge == "long" and read and max(read) >= LONG * median(read):
        return line, "yes", f"longest input {max(read):,} tokens, the median {median(read):,.0f}"
    if any(test.tags for test in tests):
        return line, "no", f"no tag of a case says {_join(sorted(words))}"
    return line, "can't tell", "cases have no tags"


def _operation(run: Run, rows: Sequence[CandidateSummary]) -> Iterator[Told]:
    asked = [test for test in run.tests if test.calls]
    own = [test for test in asked if not test.candidate]
    through = f"{len(asked) - len(own):,} of {len(asked):,} tests ask whichever candidate is chosen"
    yield (
        ("provider abstraction", _status(not own), through)
        if asked
        else (
            "provider abstraction",
            "can't tell",
            "no test asked a model",
        )
    )
    yield _fallback(run, rows)
    yield _monitoring(run, rows)
    yield _rate_limits([call for test in run.tests for call in test.calls])
    by_candidate = run.by_candidate()
    moving = [
        _resolved(row, asked_id, by_candidate[row.name])
        for row in rows
        if (asked_id := run.unpinned.get(row.name)) is not None
    ]
    pinned = f"{_join([row.name for row in rows])}: dated ids, or weights of one name" if rows else "no candidate"
    yield "model version pinned", _status(bool(rows) and not moving), _join(moving) or pinned


def _fallback(run: Run, rows: Sequence[CandidateSummary]) -> Told:
    line = "fallback configured"
    passing = (
        {info.name for info in run.header.candidates if info.provider in ("fallback", "cascade")} if run.header else ()
    )
    by_candidate = run.by_candidate()
    told = [_passed_over(row.name, by_candidate[row.name]) for row in rows if row.name in passing]
    if told:
        return line, "yes", _join(told)
    return line, "can't tell", "no candidate of the run says who is asked when it fails"


def _passed_over(name: str, tests: Sequence[TestRecord]) -> str:
    calls = [call for test in tests for call in test.calls]
    # Several may be passed over in one call.
    over = sum(any(part.why is not None for part in call.calls) for call in calls)
    return f"{name} passed a candidate over in {over:,} of {len(calls):,} calls"


def _monitoring(run: Run, rows: Sequence[CandidateSummary]) -> Told:
    unpriced = sum(row.cost.unpriced for row in rows)
    budget = (
        f"budget {format_usd(Decimal(run.budget.limit))}" if run.budget is not None else "no budget (--llm-max-cost)"
    )
    if unpriced:
        return "cost monitoring", "no", f"{unpriced:,} calls have no price; {budget}"
    priced = sum(row.cost.known for row in rows)
    return "cost monitoring", _status(priced > 0), f"{priced:,} calls, each with its cost; {budget}"


def _rate_limits(calls: Sequence[Call]) -> Told:
    line = "rate limits with back-off"
    # Of a candidate that is made of others, each of these.
    calls = [leaf for call in calls for leaf in call.leaves]
    refused, retried = sum(call.error_kind == "rate_limit" for call in calls), sum(call.retries > 0 for call in calls)
    if refused:
        return line, "no", f"{refused:,} calls were given up after a 429"
    if retried:
        # A record has how often a call was tried again, and not after which status.
        told = f"{retried:,} call{'s were' if retried != 1 else ' was'} tried again, whether after a 429 no run says"
        return line, "can't tell", f"{told}; the SDKs back off by themselves"
    return line, "can't tell", "no call was tried again; the SDKs back off by themselves"


def _resolved(row: CandidateSummary, asked: str, tests: Sequence[TestRecord]) -> str:
    members = unpinned_members(asked, tests)
    if members:
        told = [f"{member}{_answered_by(answered)}" for member, answered in members.items()]
        return f"{row.name} may move: {_join(told)}"
    answered = [model for model in row.models if model != asked and same_model(asked, model)]
    return f"{row.name} may move{_answered_by(answered)}"


def _answered_by(models: Sequence[str]) -> str:
    return f", answered by {_join(models)}" if models else ""


def _tokens(call: Call) -> int:
    return (call.input_tokens or 0) + (call.output_tokens or 0)


def _status(is_so: bool) -> Status:
    return "yes" if is_so else "no"


def _join(parts: Sequence[str]) -> str:
    shown = ", ".join(parts[:MOST_NAMES])
    return shown if len(parts) <= MOST_NAMES else f"{shown} and {len(parts) - MOST_NAMES} more"


def show_checklist(screen: Screen, answers: Sequence[Answer]) -> None:
    """Show the checklist, section by section."""
    width = max(len(answer.line) for answer in answers)
    for section in dict.fromkeys(answer.section for answer in answers):
        screen.line(section, "bold")
        lines = [answer for answer in answers if answer.section == section]
        screen.notes(
            [(f"{answer.line:<{width}}  {answer.status:<10}", answer.evidence) for answer in lines], after_table=False
        )
        screen.line()
    counts = [
        f"{sum(answer.status == status for answer in answers)} {status}" for status in ("yes", "no", "can't tell")
    ]
    screen.line(", ".join(counts))
