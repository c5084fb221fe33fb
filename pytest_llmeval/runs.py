"""Runs that were kept: read from JSON Lines or from a JSON report, with care."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from pytest_llmeval.display import path_text, shorten
from pytest_llmeval.errors import RunError
from pytest_llmeval.merging import merge_runs
from pytest_llmeval.records import SCHEMA_VERSION, Run, TestRecord
from pytest_llmeval.runheader import End, Header
from pytest_llmeval.runlines import END, HEADER, TEST, key_of

MOST_FAULTS = 5
DOCUMENT = "run"
# How our own lines of tests begin: these need not be looked at twice.
OWN_TEST = b'{"kind": "test", '
#: The line of a JSON report of ours behind which tests stand, one a line.
FIRST_TEST = b'"tests": [\n'
# What the records of a lean run share.
NO_NUMBERS: dict[str, float] = {}
NO_PROMPTS: dict[str, str] = {}
NO_TEXTS: list[str] = []
NO_OBJECTS: list[dict[str, Any]] = []
#: As `Decimal` writes what is not negative.
#: What nothing that is measured exceeds, be it milliseconds, USD or a weight: beyond, sums of squares overflow.
LEAST, MOST = 1e-9, 1e9
COST = re.compile(r"[0-9]+(\.[0-9]+)?(E[+-]?[0-9]{1,3})?")


@dataclass(slots=True)
class _Document:
    """A JSON report."""

    header: Header
    tests: list[TestRecord]
    end: End | None = None


KINDS: Mapping[str, type[Any]] = {HEADER: Header, TEST: TestRecord, END: End}


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    # Each takes milliseconds to make.
    return TypeAdapter(KINDS.get(kind, _Document))


def load_run(path: str | os.PathLike[str], *, lean: bool = False) -> Run:
    r"""Read a run from a file that `--llm-save`, `--llm-report` or ``llmeval merge`` wrote.

    JSON Lines (also of a run that was cut, and of several runs one after the other) or a JSON report. A test that was
    run again counts once, as it was last. A last line that was torn by a kill is passed over; `Run.remarks` says so,
    and `Run.incomplete` that the run was cut.

    Args:
        path: The file.
        lean: Leave out what a comparison does without: messages, tags, named scores, tokens. Such a run takes half the
            memory; it is not to be written or changed.

    Raises:
        RunError: The file cannot be read, is no run, or is of a newer version; names file and line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "run.jsonl")
    ...     _ = file.write_text('{"kind": "header", "schema_version": 1, "id": "1"}\n')
    ...     load_run(file).incomplete
    True
    """
    source = Path(path)
    try:
        with source.open("rb") as file, _uncollected():
            return _from_document(file, source, lean) if source.suffix == ".json" else _Reader(source, lean).read(file)
    except FileNotFoundError:
        raise RunError(f"{source}: there is no such file.") from None
    except OSError as exc:
        raise RunError(f"{source}: cannot be read: {exc.strerror or exc}.") from None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for garbage among ever more records, none of which is: it takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _FaultError(Exception):
    """What is wrong with one line."""


class _Reader:
    """Goes through the lines of a file once."""

    def __init__(self, source: Path, lean: bool) -> None:
        self._source = source
        self._lean = lean
        self._faults: list[str] = []
        self._parts: list[_Part] = []
        self._torn = False

    def read(self, file: BinaryIO) -> Run:
        for number, line in enumerate(file, 1):
            whole = line.endswith(b"\n")
            if not line.strip():
                continue
            try:
                self._take(_parsed(line))
            except _FaultError as exc:
                if not whole:
                    self._torn = True
                    break
                self._faults.append(f"{self._source}:{number}: {exc}")
        if self._faults:
            left = len(self._faults) - MOST_FAULTS
            more = [f"... and {left:,} more lines"] if left > 0 else []
            raise RunError("\n".join([*self._faults[:MOST_FAULTS], *more]))
        if not self._parts:
            raise RunError(f"{self._source}: no run is in it{', but a line that was cut off' if self._torn else ''}.")
        return self._run()

    def _take(self, value: Header | TestRecord | End | None) -> None:
        if isinstance(value, Header):
            if not self._parts or self._parts[-1].header.id != value.id:
                self._parts.append(_Part(value))
            # A run writes its header again when it learns of a candidate.
            self._parts[-1].header = value
        elif not self._parts:
            raise _FaultError("a run begins with a header line")
        elif isinstance(value, TestRecord):
            if self._lean:
                _slim(value)
            self._parts[-1].tests[key_of(value)] = value
        elif isinstance(value, End):
            self._parts[-1].end = value

    def _run(self) -> Run:
        runs = [part.run() for part in self._parts]
        run = runs[0] if len(runs) == 1 else merge_runs(runs)
        if self._torn:
            run.remarks.insert(0, f"{self._source}: its last line was cut off, and is passed over.")
        if run.end is None:
            run.remarks.append(f"{self._source}: the run was cut: it has no closing line.")
        elif run.end.stopped:
            run.remarks.append(f"{self._source}: the run was cut: {run.end.stopped}.")
        return run


class _Part:
    """One of the runs in a file."""

    def __init__(self, header: Header, tests: Iterable[TestRecord] = (), end: End | None = None) -> None:
        self.header = header
        self.tests = {key_of(test): test for test in tests}
        self.end = end

    def run(self) -> Run:
        tests = [self.tests[key] for key in sorted(self.tests)]
        return Run(
            candidates=[candidate.name for candidate in self.header.candidates],
            mode=self.header.mode,
            tests=tests,
            unpinned={test.candidate: test.unpinned for test in tests if test.unpinned},
            header=self.header,
            end=self.end,
            budget=self.end.budget if self.end is not None else None,
            texts=self.header.texts,
        )


def _parsed(line: bytes) -> Header | TestRecord | End | None:
    """Return what a line holds; None for a kind that only newer versions know."""
    if line.startswith(OWN_TEST):
        return _test(line)
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise _FaultError(f"not JSON: {exc}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        raise _FaultError('not a line of a run: it has no "kind"')
    if kind == HEADER:
        _check_version(data.get("schema_version"))
    if kind == TEST:
        return _test(line)
    found: Header | End | None = _checked(kind, line) if kind in KINDS else None
    return found


def _test(line: bytes) -> TestRecord:
    test: TestRecord = _checked(TEST, line)
    _check_ranges(test)
    return test


def _whole(file: BinaryIO) -> _Document:
    file.seek(0)
    document: _Document = _checked(DOCUMENT, file.read())
    for number, test in enumerate(document.tests):
        _check_ranges(test, f"tests[{number}].")
    return document


def _by_line(file: BinaryIO, lean: bool) -> _Document | None:
    """Read a report that is laid out as we write it, a test a line: as a whole it takes three times the memory.

    None for any other, and for one with a fault, which is then told as that of the whole.
    """
    around: list[bytes] = []
    tests: list[TestRecord] = []
    inside = False
    try:
        for line in file:
            if inside and line.startswith(b"{"):
                test: TestRecord = _checked(TEST, line.rstrip(b",\n"))
                _check_ranges(test)
                if lean:
                    _slim(test)
                tests.append(test)
            else:
                inside = line == FIRST_TEST
                around.append(line)
        document: _Document = _checked(DOCUMENT, b"".join(around))
    except _FaultError:
        return None
    if document.tests:
        return None
    document.tests = tests
    return document


def _check_ranges(test: TestRecord, where: str = "") -> None:
    """Refuse figures that cannot be: what is computed from them would be wrong, or fail."""
    score, scores = test.score, test.scores
    if score is not None and not 0 <= score <= 1:
        raise _FaultError(f"{where}score: should be between 0 and 1 (it is {score!r})")
    for name in scores:
        if not 0 <= scores[name] <= 1:
            raise _FaultError(f"{where}scores.{name}: should be between 0 and 1 (it is {scores[name]!r})")
    if not LEAST <= test.weight <= MOST:
        raise _FaultError(f"{where}weight: should be a positive number, up to {MOST:g} (it is {test.weight!r})")
    if not 0 <= test.json_valid <= test.json_checked:
        raise _FaultError(
            f"{where}json_valid: should be between 0 and json_checked, {test.json_checked} (it is {test.json_valid})"
        )
    for number, call in enumerate(test.calls):
        for time in (call.latency_ms, call.ttft_ms):
            if time is not None and not 0 <= time <= MOST:
                raise _FaultError(
                    f"{where}calls[{number}]: should have a time between 0 and {MOST:g} ms (it has {time!r})"
                )
        if call.cost is not None and not (COST.fullmatch(call.cost) and float(call.cost) <= MOST):
            raise _FaultError(f"{where}calls[{number}].cost: should be an amount of USD (it is {call.cost!r})")


def _check_version(version: Any) -> None:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise _FaultError(
            f"a newer pytest-llmeval wrote it (schema version {version}, this one reads up to {SCHEMA_VERSION}): "
            "upgrade pytest-llmeval to read it"
        )


def _checked(kind: str, text: bytes) -> Any:
    """Return an instance of a record from its JSON text."""
    try:
        return _adapter(kind).validator.validate_json(text, strict=True)
    except ValidationError as exc:
        raise _FaultError("; ".join(_said(error) for error in exc.errors(include_url=False)[:MOST_FAULTS])) from None


def _said(error: Any) -> str:
    if error["type"] == "json_invalid":
        return f"not JSON: {error['ctx']['error']}"
    where = path_text(error["loc"])
    if error["type"] == "missing":
        return f"{where}: required, but not there"
    return f"{where}: {error['msg']} (it is {shorten(error['input'])})"


def _slim(test: TestRecord) -> None:
    """Take out of a record what a comparison does without; what is empty is shared."""
    test.scores, test.fields = NO_NUMBERS, NO_NUMBERS
    test.message = test.again = None
    test.tags, test.taken_over, test.unkept, test.ignored, test.unmatched = NO_TEXTS, NO_OBJECTS, *[NO_TEXTS] * 3
    if not test.prompts:
        test.prompts = NO_PROMPTS
    for call in test.calls:
        call.input_tokens = call.output_tokens = call.cached_tokens = call.tokens_per_second = None


def _from_document(file: BinaryIO, source: Path, lean: bool) -> Run:
    """Read a JSON report."""
    try:
        document = _by_line(file, lean) or _whole(file)
        _check_version(document.header.schema_version)
    except _FaultError as exc:
        raise RunError(f"{source}: no report of a run that can be read: {exc}") from None
    run = _Part(document.header, document.tests, document.end).run()
    if run.incomplete:
        reason = document.end.stopped if document.end is not None else None
        run.remarks.append(f"{source}: the run was cut{f': {reason}' if reason else ''}.")
    return run
