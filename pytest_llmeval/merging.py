"""Several runs as one: shards of a suite, or what several machines ran of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from uuid import uuid4

from pytest_llmeval.display import escape, shorten
from pytest_llmeval.errors import RunError
from pytest_llmeval.records import SCHEMA_VERSION, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End, Header, PriceUsed
from pytest_llmeval.runlines import comparable, key_of

MOST_NAMED = 5
NO_TESTS = 5
Key = tuple[str, str, int]


def merge_runs(runs: Sequence[Run], *, strict: bool = False) -> Run:
    """Return one run with the tests of several.

    A test that several runs have counts once. Where its records differ, the one of the run that began last is taken;
    `Run.remarks` names these tests, and says in what else the runs differ: code, candidates, record mode.

    Args:
        runs: Runs, as `load_run` returns them.
        strict: Refuse tests whose records differ.

    Raises:
        RunError: There is no run, or with `strict`, a test whose records differ.

    >>> shards = [Run(tests=[TestRecord("test_a", "mini")]), Run(tests=[TestRecord("test_b", "mini")])]
    >>> len(merge_runs(shards).tests)
    2
    """
    if not runs:
        raise RunError("there is no run to merge")
    ordered = sorted(runs, key=lambda run: (run.header.started or "") if run.header else "")
    tests: dict[Key, TestRecord] = {}
    equal: dict[Key, TestRecord] = {}
    conflicting: dict[Key, TestRecord] = {}
    for run in ordered:
        for test in run.tests:
            key = key_of(test)
            before = tests.get(key)
            if before is not None:
                (equal if comparable(before) == comparable(test) else conflicting)[key] = test
            tests[key] = test
    if conflicting and strict:
        raise RunError(f"{_named(conflicting.values())}: the runs have different records of the same test")
    remarks = [remark for run in runs for remark in run.remarks]
    remarks += _duplicates([test for key, test in equal.items() if key not in conflicting], conflicting.values())
    remarks += _differences(ordered)
    merged = [tests[key] for key in sorted(tests)]
    header = _header(ordered)
    return Run(
        candidates=_names(runs),
        mode=header.mode,
        tests=merged,
        unpinned={test.candidate: test.unpinned for test in merged if test.unpinned},
        header=header,
        end=_end(ordered, merged),
        remarks=remarks,
        texts=header.texts,
    )


def _named(tests: Iterable[TestRecord]) -> str:
    names = list(dict.fromkeys(escape(test.nodeid) for test in tests))
    left = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {left:,} more" if left > 0 else "")


def _duplicates(equal: Sequence[TestRecord], conflicting: Collection[TestRecord]) -> Iterator[str]:
    if equal:
        many = len(equal) != 1
        yield f"{len(equal):,} test{'s' * many} {'are' if many else 'is'} in several runs alike, and counted once."
    if conflicting:
        yield f"Several runs differ in {_named(conflicting)}: the record of the one that began last is taken."


def _differences(runs: Sequence[Run]) -> Iterator[str]:
    headers = [run.header for run in runs if run.header is not None]
    for what, said in (
        ("commits", {_commit(header) for header in headers}),
        ("requirements, of which the last are taken", {_written(header.requirements) for header in headers}),
        ("versions of pytest-llmeval", {header.versions.get("pytest-llmeval", "?") for header in headers}),
        ("record modes", {run.mode for run in runs}),
    ):
        if len(said) > 1:
            yield f"The runs are of different {what}: {', '.join(sorted(map(escape, said)))}."
    known: dict[str, CandidateInfo] = {}
    for candidate in _described(headers):
        before = known.setdefault(candidate.name, candidate)
        if before != candidate:
            name = escape(candidate.name)
            yield f"The runs do not mean the same by the candidate {name}: {_changes(before, candidate)}."


def _commit(header: Header) -> str:
    return f"{(header.commit or 'unknown')[:12]}{' (dirty)' if header.dirty else ''}"


def _written(requirements: Mapping[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in requirements.items()) or "none"


def _described(headers: Iterable[Header]) -> Iterator[CandidateInfo]:
    """Yield what runs know of their candidates; of one that no test of a run asked, it knows but the name."""
    return (candidate for header in headers for candidate in header.candidates if candidate.provider is not None)


def _changes(before: CandidateInfo, now: CandidateInfo) -> str:
    names = [each.name for each in fields(CandidateInfo) if getattr(before, each.name) != getattr(now, each.name)]
    return ", ".join(f"{name} {shorten(getattr(before, name))} and {shorten(getattr(now, name))}" for name in names)


def _names(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.candidates))


def _header(runs: Sequence[Run]) -> Header:
    headers = [run.header for run in runs if run.header is not None]
    described = {candidate.name: candidate for candidate in _described(headers)}
    modes = {run.mode for run in runs}
    last = headers[-1] if headers else Header(SCHEMA_VERSION, "")
    return Header(
        schema_version=SCHEMA_VERSION,
        id=uuid4().hex,
        name=last.name if len({header.name for header in headers}) == 1 else None,
        started=min((header.started for header in headers if header.started), default=None),
        mode=modes.pop() if len(modes) == 1 else "mixed",
        commit=last.commit,
        dirty=any(header.dirty for header in headers) if any(header.dirty is not None for header in headers) else None,
        versions=last.versions,
        platform=last.platform,
        candidates=[described.get(name, CandidateInfo(name)) for name in _names(runs)],
        prices=_prices(headers),
        merged_from=[part for header in headers for part in (header.merged_from or [header.id])],
        requirements=next((header.requirements for header in reversed(headers) if header.requirements), {}),
        task_requirements={task: each for header in headers for task, each in header.task_requirements.items()},
        texts={digest: text for header in headers for digest, text in header.texts.items()},
    )


def _prices(headers: Iterable[Header]) -> list[PriceUsed]:
    return list({repr(price): price for header in headers for price in header.prices}.values())


def _end(runs: Sequence[Run], tests: Sequence[TestRecord]) -> End | None:
    ends = [run.end for run in runs if run.end is not None]
    if len(ends) < len(runs):
        # Of one that was cut nobody knows what it did not get to.
        return None
    return End(
        finished=max((end.finished for end in ends if end.finished), default=None),
        # Of pytest's exit statuses, 5 (no tests) is no fault, and says nothing once others had some.
        exit_status=max(
            (end.exit_status for end in ends if end.exit_status and end.exit_status != NO_TESTS), default=0
        ),
        stopped=next((end.stopped for end in ends if end.stopped), None),
        tests=len(tests),
        counts=dict(sorted(Counter(test.outcome for test in tests).items())),
    )
