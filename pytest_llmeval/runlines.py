"""A run as JSON Lines: a `header`, a line per `test`, and an `end`; the same records always give the same bytes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.runheader import End, Header

HEADER, TEST, END = "header", "test", "end"

#: All that may differ when the same run is made again from its recordings, by what it is a field of. The calls' are
#: those in which a replay differs from the run that recorded; two replays differ in none of them.
VOLATILE = {
    HEADER: ("id", "started"),
    TEST: (),
    "call": ("replayed", "recorded_at"),
    END: ("finished", "budget"),
}

# Sums of the same numbers in another order differ behind this; no clock is as exact as that.
SCORE_DECIMALS = 12
TIME_DECIMALS = 3
TIMES = ("latency_ms", "ttft_ms", "tokens_per_second")

# What JSON lets stand in a text though it breaks lines, steers terminals, or turns the direction of what is read.
UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
# Half of a character that was written in two: strict readers refuse it in any form.
HALF = re.compile("[\ud800-\udfff]")

# Of objects that a failed assertion shows: another one in each process.
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")

_PLAIN: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False}
_ENCODER = json.JSONEncoder(**_PLAIN)


def header_line(header: Header) -> str:
    """Return the first line of a run."""
    return _line(HEADER, header.to_json())


def record_line(record: Mapping[str, Any]) -> str:
    r"""Return the line of a test, from what `TestRecord.to_json` gives.

    >>> record_line({"nodeid": "test_x", "score": 0.1 + 0.2, "calls": [{"latency_ms": 850.00049}]})
    '{"kind": "test", "nodeid": "test_x", "score": 0.3, "calls": [{"latency_ms": 850.0}]}\n'
    """
    return _line(TEST, plain(record))


def end_line(end: End) -> str:
    """Return the last line of a run."""
    return _line(END, end.to_json())


def run_lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run, its tests in the order of their node ids.

    Raises:
        ValueError: The run has no header.
    """
    if run.header is None:
        raise ValueError("the run has no header: it was neither kept nor read from a file")
    yield header_line(run.header)
    for test in sorted(run.tests, key=key_of):
        yield record_line(test.to_json())
    if run.end is not None:
        yield end_line(run.end)


def key_of(test: TestRecord) -> tuple[str, str, int]:
    """Return what makes two records those of the same test."""
    return test.nodeid, test.candidate, test.sample or 0


def comparable(test: TestRecord) -> str:
    """Return a record as text, without its volatile fields."""
    data = {key: value for key, value in plain(test.to_json()).items() if key not in VOLATILE[TEST]}
    data["calls"] = [_lasting(call) for call in data["calls"]]
    return json.dumps(data, sort_keys=True)


def _lasting(call: Mapping[str, Any]) -> dict[str, Any]:
    data = {key: value for key, value in call.items() if key not in VOLATILE["call"]}
    if data.get("calls"):
        data["calls"] = [_lasting(each) for each in data["calls"]]
    return data


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a test record as it is written: floats rounded, what is no number left unknown, names in order."""
    data = dict(record)
    if data.get("score") is not None:
        data["score"] = _rounded(data["score"], SCORE_DECIMALS)
    for name in ("scores", "fields"):
        if data.get(name):
            data[name] = {key: _rounded(value, SCORE_DECIMALS) for key, value in sorted(data[name].items())}
    if data.get("message"):
        data["message"] = ADDRESS.sub("0x...", data["message"])
    if data.get("prompts"):
        data["prompts"] = dict(sorted(data["prompts"].items()))
    data["calls"] = [_call(call) for call in data.get("calls", ())]
    return data


def safe_json(data: Any, *, indent: int | None = None) -> str:
    r"""Return JSON that is readable in any language, and that neither a line reader nor a terminal stumbles over.

    >>> print(safe_json({"a": "Größe \x9b31m \u2028"}))
    {"a": "Größe \u009b31m \u2028"}
    """
    try:
        text = _ENCODER.encode(data) if indent is None else json.dumps(data, **_PLAIN, indent=indent)
    except ValueError:
        return safe_json(_finite(data), indent=indent)
    if text.isascii() and "\x7f" not in text:
        return text
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", HALF.sub("\ufffd", text))


def _finite(value: Any) -> Any:
    """Return data without the floats that JSON has no word for: nobody knows what they are."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(kind: str, data: Mapping[str, Any]) -> str:
    return f"{safe_json({'kind': kind, **data})}\n"


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    data = dict(call)
    for name in TIMES:
        if data.get(name) is not None:
            data[name] = _rounded(data[name], TIME_DECIMALS)
    if data.get("calls"):
        data["calls"] = [_call(each) for each in data["calls"]]
    return data


def _rounded(value: float, decimals: int) -> float | None:
    # A third party's provider may say anything.
    return round(value, decimals) if math.isfinite(value) else None
