"""Runs that were kept: read from JSON Lines or from a JSON report, with care."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
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


def load_run(path: str | os.PathLike[str]) -> Run:
    r"""Read a run from a file that `--llm-save`, `--llm-report` or ``llmeval merge`` wrote.

    JSON Lines (also of a run that was cut, and of several runs one after the other) or a JSON report. A test that was
    run again counts once, as it was last. A last line that was torn by a kill is passed over; `Run.remarks` says so,
    and `Run.incomplete` that the run was cut.

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
        with source.open("rb") as file:
            if source.suffix == ".json":
                return _from_document(file.read(), source)
            return _Reader(source).read(file)
    except FileNotFoundError:
        raise RunError(f"{source}: there is no such file.") from None
    except OSError as exc:
        raise RunError(f"{source}: cannot be read: {exc.strerror or exc}.") from None


class _FaultError(Exception):
    """What is wrong with one line."""


class _Reader:
    """Goes through the lines of a file once."""

    def __init__(self, source: Path) -> None:
        self._source = source
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
        )


def _parsed(line: bytes) -> Header | TestRecord | End | None:
    """Return what a line holds; None for a kind that only newer versions know."""
    if line.startswith(OWN_TEST):
        test: TestRecord = _checked(TEST, line)
        return test
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise _FaultError(f"not JSON: {exc}") from None
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str):
        raise _FaultError('not a line of a run: it has no "kind"')
    if kind == HEADER:
        _check_version(data.get("schema_version"))
    found: Header | TestRecord | End | None = _checked(kind, line) if kind in KINDS else None
    return found


def _check_version(version: Any) -> None:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise _FaultError(
            f"a newer pytest-llmeval wrote it (schema version {version}, this one reads up to {SCHEMA_VERSION}): "
            "upgrade pytest-llmeval to read it"
        )


def _checked(kind: str, text: bytes) -> Any:
    """Return an instance of a record from its JSON text."""
    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as exc:
        raise _FaultError("; ".join(_said(error) for error in exc.errors(include_url=False)[:MOST_FAULTS])) from None


def _said(error: Any) -> str:
    if error["type"] == "json_invalid":
        return f"not JSON: {error['ctx']['error']}"
    where = path_text(error["loc"])
    if error["type"] == "missing":
        return f"{where}: required, but not there"
    return f"{where}: {error['msg']} (it is {shorten(error['input'])})"


def _from_document(text: bytes, source: Path) -> Run:
    """Read a JSON report."""
    try:
        document: _Document = _checked(DOCUMENT, text)
        _check_version(document.header.schema_version)
    except _FaultError as exc:
        raise RunError(f"{source}: no report of a run that can be read: {exc}") from None
    run = _Part(document.header, document.tests, document.end).run()
    if run.incomplete:
        reason = document.end.stopped if document.end is not None else None
        run.remarks.append(f"{source}: the run was cut{f': {reason}' if reason else ''}.")
    return run
