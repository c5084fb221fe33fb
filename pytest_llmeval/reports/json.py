"""A run as one JSON document: `pandas.DataFrame(json.load(file)["tests"])` is a table of its tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_llmeval.records import Run
from pytest_llmeval.reports.summary import CandidateSummary, Tokens, summarize
from pytest_llmeval.runlines import key_of, plain, safe_json
from pytest_llmeval.stats import Interval

KIND = "run"


def render(run: Run) -> str:
    """Return the header, the figures of each candidate, the tests, and the end.

    Raises:
        ValueError: The run has no header.
    """
    return "".join(parts(run))


def parts(run: Run, comparison: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield what `render` returns, a test at a time: one a line, as a large run indented throughout takes minutes."""
    if run.header is None:
        raise ValueError("the run has no header: it was neither kept nor read from a file")
    summary = [_figures(row) for row in summarize(run)]
    yield f'{{\n"kind": {safe_json(KIND)},\n"header": {safe_json(run.header.to_json(), indent=2)},\n'
    yield f'"summary": {safe_json(summary, indent=2)},\n"verdicts": {safe_json(_verdicts(run), indent=2)},\n'
    if comparison is not None:
        yield f'"comparison": {safe_json(comparison, indent=2)},\n'
    yield '"tests": ['
    separator = "\n"
    for test in sorted(run.tests, key=key_of):
        yield f"{separator}{safe_json(plain(test.to_json()))}"
        separator = ",\n"
    yield f'\n],\n"end": {safe_json(run.end.to_json() if run.end is not None else None)}\n}}\n'


def _verdicts(run: Run) -> list[dict[str, Any]]:
    """Return a row per candidate and requirement, and per task where there are some."""
    return [
        {
            "task": recommendation.task,
            "candidate": candidate.name,
            "requirement": verdict.key,
            "status": verdict.status,
            "established": verdict.established,
            "text": verdict.text,
        }
        for recommendation in run.recommendations
        for candidate in recommendation.candidates
        for verdict in candidate.verdicts
    ]


def _figures(row: CandidateSummary) -> dict[str, Any]:
    """Return the figures of one candidate; null is what nobody knows or what does not apply."""
    return {
        "candidate": row.name,
        "score": _interval(row.score),
        "scores": {name: _interval(interval) for name, interval in sorted(row.scores.items())},
        "tests": row.tests,
        "passed": row.passed,
        "errors": row.errors,
        "json_checked": row.json_checked,
        "json_valid": row.json_valid,
        "answers": row.answers,
        "replayed": row.replayed,
        "latency_p50_ms": _rounded(row.latency.p50_ms),
        "latency_p95_ms": _rounded(row.latency.p95_ms),
        "ttft_p50_ms": _rounded(row.latency.ttft_ms),
        "tokens_per_second_p50": _rounded(row.latency.tokens_per_second),
        "input_tokens": _tokens(row.input_tokens),
        "output_tokens": _tokens(row.output_tokens),
        # A sum that leaves calls out is no total.
        "cost_usd": None if row.cost.unpriced or not row.cost.known else str(row.cost.amount),
        "cost_at_least_usd": str(row.cost.amount) if row.cost.known or row.cost.amount else None,
        "unpriced_calls": row.cost.unpriced,
        "models": dict(sorted(row.models.items())),
    }


def _interval(interval: Interval | None) -> dict[str, float] | None:
    if interval is None:
        return None
    return {"mean": round(interval.mean, 6), "low": round(interval.low, 6), "high": round(interval.high, 6)}


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)


def _tokens(tokens: Tokens) -> int | None:
    return None if tokens.unknown else tokens.total
