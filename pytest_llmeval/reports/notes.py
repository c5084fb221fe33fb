"""What a row of figures cannot say: lines of (label, text) below the table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from pytest_llmeval.errors import ERROR_KINDS
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports.budget import budget_note
from pytest_llmeval.reports.columns import one_line
from pytest_llmeval.reports.mixes import served_notes
from pytest_llmeval.reports.summary import CandidateSummary
from pytest_llmeval.samples import Repeats, cases_of, score_of
from pytest_llmeval.stats import Interval

Rows = Sequence[CandidateSummary]
Note = tuple[str, str]

# Reasons and ids come from outside; a run with hundreds of them, or a very long one, must not bury the table.
MOST_LINES = 5
MOST_NAMES = 4
MOST_CHARACTERS = 160


def notes(run: Run, rows: Rows) -> list[Note]:
    """Return the notes on a run, the most pressing first."""
    return [
        *_errors(rows),
        *_repeats(rows),
        *_flaky(rows),
        *_known_failing(rows),
        *_gate(run),
        *_tasks(run),
        *served_notes(rows),
        *_budget(run),
        *_replayed(rows),
        *_cost(rows),
        *_by_cost_status(rows, "unknown", "unpriced"),
        *_by_cost_status(rows, "estimated", "estimated"),
        *_by_cost_status(rows, "free", "free"),
        *_unpinned(run, rows),
        *_answered(run, rows),
        *_schema(rows),
        *_ignored(run),
        *_weights(rows),
        *_scores(rows),
    ]


def _clip(text: str) -> str:
    text = one_line(text)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _calls(count: int) -> str:
    return f"{count:,} call{'s' * (count != 1)}"


def _join(parts: Sequence[str]) -> str:
    shown = ", ".join(parts[:MOST_NAMES])
    return shown if len(parts) <= MOST_NAMES else f"{shown} and {len(parts) - MOST_NAMES} more"


def _errors(rows: Rows) -> Iterator[Note]:
    for row in rows:
        if row.call_errors:
            kinds = "; ".join(_kind(kind, count) for kind, count in row.call_errors.most_common(MOST_LINES))
            yield "errors", f"{_clip(row.name)}: {_calls(row.call_errors.total())} without an answer: {kinds}"
        if row.other_errors:
            tests = f"{row.other_errors:,} test{'s' * (row.other_errors != 1)}"
            yield (
                "errors",
                f"{_clip(row.name)}: {tests} without a verdict: a recording is missing or stale, or the setup failed",
            )


def _kind(kind: str, count: int) -> str:
    meaning = ERROR_KINDS.get(kind)
    return f"{count:,} {_clip(kind)}" + (f", {meaning}" if meaning else "")


def _repeats(rows: Rows) -> Iterator[Note]:
    for row in rows:
        if row.repeats is not None:
            yield "repeats", f"{_clip(row.name)}: {_repeated(row.repeats)}"
    same = [_clip(row.name) for row in rows if row.repeats is not None and row.repeats.identical]
    if same:
        yield "repeats", f"{_join(same)}: samples are identical, as at temperature 0; a higher one shows what varies"


def _repeated(repeats: Repeats) -> str:
    fewest, most = repeats.samples
    parts = [f"{fewest if fewest == most else f'{fewest} to {most}'} samples of {_cases(repeats.cases)}"]
    if repeats.pass_at_1 is not None:
        rates = [f"pass@1 {repeats.pass_at_1:.2f}"]
        if repeats.pass_at_k is not None and repeats.pass_hat_k is not None:
            some = "" if repeats.counted == repeats.cases else f" (over {_cases(repeats.counted)} with {repeats.k})"
            rates.append(f"pass@{repeats.k} {repeats.pass_at_k:.2f}")
            rates.append(f"pass^{repeats.k} {repeats.pass_hat_k:.2f}{some}")
        parts.append(", ".join(rates))
    if repeats.spread is not None:
        parts.append(f"spread within a case {repeats.spread:.2f} (mean standard deviation)")
    return "; ".join(parts)


def _cases(count: int) -> str:
    return f"{count:,} case{'s' * (count != 1)}"


def _flaky(rows: Rows) -> Iterator[Note]:
    for row in rows:
        if row.repeats is not None and row.repeats.flaky:
            cases = [f"{_clip(case.name)} {case.passes}/{case.verdicts}" for case in row.repeats.flaky]
            yield "flaky", f"{_clip(row.name)}: {_join(cases)}"


def _known_failing(rows: Rows) -> Iterator[Note]:
    for row in rows:
        failing = [_clip(case.name) for case in row.known_failing if not case.passed]
        passing = [_clip(case.name) for case in row.known_failing if case.passed]
        if failing:
            yield "known failing", f"{_clip(row.name)}: {_join(failing)}, not counted"
        if passing:
            yield "known failing", f"{_clip(row.name)}: {_join(passing)} now passed: take llm_known_failing away?"


def _gate(run: Run) -> Iterator[Note]:
    if run.gate is not None:
        from pytest_llmeval.reports.gate import gate_note

        yield "gate", gate_note(run.gate)


def _tasks(run: Run) -> Iterator[Note]:
    groups: dict[str, dict[str, list[TestRecord]]] = {}
    for test in run.tests:
        if test.task and test.candidate:
            groups.setdefault(test.task, {}).setdefault(test.candidate, []).append(test)
    for task, by_name in sorted(groups.items()):
        parts = []
        for name, tests in by_name.items():
            mean = score_of(cases_of(tests))
            if mean is not None:
                parts.append((mean.mean, f"{_clip(name)} {mean.mean:.2f} ({mean.low:.2f}-{mean.high:.2f})"))
        if parts:
            # The best first, and of equals as they were asked.
            yield "tasks", f"{_clip(task)}: {_join([text for _, text in sorted(parts, key=lambda part: -part[0])])}"


def _budget(run: Run) -> Iterator[Note]:
    text = budget_note(run)
    if text is not None:
        yield "budget", text


def _replayed(rows: Rows) -> Iterator[Note]:
    replayed, answers = sum(row.replayed for row in rows), sum(row.answers for row in rows)
    if not replayed:
        return
    first = min((row.recorded[0] for row in rows if row.recorded), default=None)
    last = max((row.recorded[1] for row in rows if row.recorded), default=None)
    days = "on an unknown day" if first is None else first if first == last else f"{first} to {last}"
    part = f"{replayed:,}" if replayed == answers else f"{replayed:,} of {answers:,}"
    noun = "answer" if answers == 1 else "answers"
    yield "replayed", f"{part} {noun}, recorded {days}; latency and cost as recorded"


def _cost(rows: Rows) -> Iterator[Note]:
    total = sum((row.cost for row in rows), TotalCost(Decimal(0)))
    if total.priced or total.estimated or total.part:
        yield "cost", f"{total} in total"


def _by_cost_status(rows: Rows, status: str, label: str) -> Iterator[Note]:
    reasons: dict[str, Counter[str]] = {}
    for row in rows:
        for (found, source), count in row.cost_sources.items():
            if found == status:
                reasons.setdefault(source, Counter())[row.name] += count
    ordered = sorted(reasons.items(), key=lambda item: -item[1].total())
    for source, counts in ordered[:MOST_LINES]:
        who = _join([f"{_clip(name)}: {_calls(count)}" for name, count in counts.items()])
        yield label, f"{_clip(source)} ({who})"
    if left := sum(counts.total() for _, counts in ordered[MOST_LINES:]):
        yield label, f"other reasons ({_calls(left)})"


def _unpinned(run: Run, rows: Rows) -> Iterator[Note]:
    parts = []
    by_candidate = run.by_candidate() if run.unpinned else {}
    for row in rows:
        asked = run.unpinned.get(row.name)
        if asked is None:
            continue
        members = unpinned_members(asked, by_candidate[row.name])
        for member, answered in members.items():
            parts.append(f"{_clip(member)}{_answered_by(answered)} in {_clip(row.name)}")
        if not members:
            known_as = _clip(row.name) if row.name.endswith(asked) else f"{_clip(row.name)} = {_clip(asked)}"
            parts.append(known_as + _answered_by([model for model in row.models if model != asked]))
    if parts:
        yield "unpinned", f"{_join(parts)}: may become another model without notice; ask for a dated id"


def _answered_by(models: Sequence[str]) -> str:
    return f" (answered by {_join([_clip(model) for model in models])})" if models else ""


def unpinned_members(asked: str, tests: Sequence[TestRecord]) -> dict[str, list[str]]:
    """Return the members of a mix that may move, each with the models that answered in its place; of a model, nothing.

    Args:
        asked: What `TestRecord.unpinned` says of the mix.
        tests: What it was asked in.

    >>> from pytest_llmeval.records import Call
    >>> call = Call("safe", calls=[Call("mini", error_kind="server"), Call("openai:gpt-4o", "gpt-4o-2024-08-06")])
    >>> unpinned_members("mini = gpt-4o-mini, openai:gpt-4o", [TestRecord("test_x[safe]", "safe", calls=[call])])
    {'mini = gpt-4o-mini': [], 'openai:gpt-4o': ['gpt-4o-2024-08-06']}
    """
    models = Counter(
        (leaf.candidate, leaf.model) for test in tests for call in test.calls if call.calls for leaf in call.leaves
    )
    if not models:
        return {}
    found: dict[str, list[str]] = {member: [] for member in asked.split(", ")}
    for member, answered in found.items():
        for (name, model), _ in models.most_common():
            # A member's id alone is what older runs say.
            is_it = member == name or member.startswith(f"{name} = ") or name.endswith(f":{member}")
            if is_it and model and not f":{member}".endswith((f":{model}", f" = {model}")):
                answered.append(model)
    return found


def _answered(run: Run, rows: Rows) -> Iterator[Note]:
    for row in rows:
        asked = row.name.partition(":")[2]
        others = [model for model in row.models if asked and not same_model(asked, model)]
        # What an alias asks for is not in the run; only that its answers disagree can be told.
        if row.name not in run.unpinned and not row.served and (others or len(row.models) > 1):
            models = [f"{_clip(model)} ({count:,})" for model, count in row.models.most_common()]
            yield "answered by", f"{_clip(row.name)}: {_join(models)}"


def same_model(asked: str, answered: str) -> bool:
    """Whether a server that names `answered` means what was asked for, at most in its long or dated form.

    >>> same_model("gpt-4o", "gpt-4o-2024-08-06"), same_model("gpt-4o", "gpt-4o-mini"), same_model("x/Qwen", "qwen")
    (True, False, True)
    """
    asked, answered = (model.lower().removesuffix(":latest").rpartition("/")[2] for model in (asked, answered))
    return re.fullmatch(re.escape(asked) + r"([-@:][\d-]+)?", answered) is not None


def _schema(rows: Rows) -> Iterator[Note]:
    names = [f"{_clip(row.name)}: {_calls(row.schema_in_prompt)}" for row in rows if row.schema_in_prompt]
    if names:
        yield "schema", f"asked for in the prompt, since the endpoint cannot enforce one ({_join(names)})"


def _ignored(run: Run) -> Iterator[Note]:
    counts = Counter(rule for test in run.tests for rule in test.ignored)
    if counts:
        rules = [f"{_clip(rule)} ({count:,} test{'s' * (count != 1)})" for rule, count in counts.most_common()]
        yield "ignored", f"makes no difference in requests, as declared: {_join(rules)}"


def _weights(rows: Rows) -> Iterator[Note]:
    # Candidates are asked the same cases, as a rule.
    ranges = [row.weights for row in rows if row.weights is not None]
    if ranges:
        least, most = min(low for low, _ in ranges), max(high for _, high in ranges)
        yield "weights", f"scores and intervals are by the weights of the cases, {least:g} to {most:g}"


def _scores(rows: Rows) -> Iterator[Note]:
    found: dict[str, list[tuple[str, Interval]]] = {}
    for row in rows:
        for name, interval in row.scores.items():
            found.setdefault(name, []).append((row.name, interval))
    for name, intervals in found.items():
        parts = [f"{_clip(who)} {mean.mean:.2f} ({mean.low:.2f}-{mean.high:.2f})" for who, mean in intervals]
        yield "scores", f"{_clip(name)}: {', '.join(parts)}"
