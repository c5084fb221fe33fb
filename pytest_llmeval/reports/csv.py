"""A run as a table: a row per test, ready for pandas and spreadsheets. An empty cell is what nobody knows."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from decimal import Decimal
from io import StringIO
from typing import Any

from pytest_llmeval.prices import is_unpriced
from pytest_llmeval.records import DEFAULT_SCORE, Call, Run, TestRecord
from pytest_llmeval.reports.columns import one_line
from pytest_llmeval.runlines import key_of, plain

#: What a spreadsheet takes for a formula when a cell begins with it (OWASP, "CSV Injection"), full-width forms too.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


def render(run: Run) -> str:
    """Return a head and a row per test.

    Times, tokens and costs are those of all calls of a test together. A text that a spreadsheet would take for a
    formula gets an apostrophe in front; numbers are never touched.
    """
    return "".join(parts(run))


def parts(run: Run) -> Iterator[str]:
    """Yield what `render` returns, a line at a time."""
    scores = sorted({name for test in run.tests for name in test.scores if name != DEFAULT_SCORE})
    fields = sorted({name for test in run.tests for name in test.fields})
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([guarded(head) for head in _row(TestRecord("", ""), scores, fields)])
    for test in sorted(run.tests, key=key_of):
        writer.writerow([_cell(value) for value in _row(test, scores, fields).values()])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def guarded(text: str) -> str:
    """Return text on one line that no spreadsheet runs.

    >>> guarded("=HYPERLINK(1)"), guarded("fine"), guarded("-1")
    ("'=HYPERLINK(1)", 'fine', "'-1")
    """
    text = one_line(text.encode("utf-8", "replace").decode())
    return f"'{text}" if text.startswith(FORMULA) else text


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


def _row(test: TestRecord, scores: Sequence[str], fields: Sequence[str]) -> dict[str, Any]:
    data = plain(test.to_json())
    return {
        "nodeid": test.nodeid,
        "candidate": test.candidate,
        "task": test.task,
        "case": test.case,
        "tags": ", ".join(test.tags),
        "weight": test.weight,
        "sample": test.sample,
        "samples": test.samples,
        "outcome": test.outcome,
        "known_failing": test.known_failing is not None,
        "score": data["score"],
        **{f"score_{name}": data["scores"].get(name) for name in scores},
        **{f"field_{name}": data["fields"].get(name) for name in fields},
        "json_checked": test.json_checked,
        "json_valid": test.json_valid,
        **_figures(test.calls),
        "recording": test.recording,
        "cassette": test.cassette,
        "message": test.message,
    }


def _figures(calls: Sequence[Call]) -> dict[str, Any]:
    answers = [call for call in calls if call.error is None]
    streamed = [call.ttft_ms for call in answers if call.ttft_ms is not None]
    return {
        "calls": len(calls),
        "call_errors": len(calls) - len(answers),
        "error_kinds": ", ".join(sorted({call.error_kind or "unknown" for call in calls if call.error is not None})),
        "models": ", ".join(sorted({call.model for call in answers if call.model})),
        "latency_ms": _sum([call.latency_ms for call in answers], 3),
        "ttft_ms": round(sum(streamed) / len(streamed), 3) if streamed else None,
        **{name: _sum([getattr(call, name) for call in answers]) for name in COUNTS},
        "cost_usd": _cost(calls),
        "retries": sum(call.retries for call in calls),
        "replayed": all(call.replayed for call in answers) if answers else None,
        "recorded_at": min((call.recorded_at for call in answers if call.recorded_at), default=None),
    }


def _sum(values: Sequence[Any], decimals: int | None = None) -> Any:
    """Add up what is known of all calls; one of which it is not known makes the sum unknown."""
    if not values or None in values:
        return None
    return sum(values) if decimals is None else round(sum(values), decimals)


def _cost(calls: Sequence[Call]) -> Decimal | None:
    if not calls or any(is_unpriced(call) for call in calls):
        return None
    return sum((Decimal(call.cost) for call in calls if call.cost is not None), Decimal(0))
