"""What a run says of its recordings: which do not hold, what recording them again costs, and the command for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, partial
from typing import Any

from pytest_llmeval.prices import TotalCost, total_cost
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports.columns import one_line

MOST_LISTED = 5
FAULTS = {"stale": "stale", "missing": "missing", "old": "older than --llm-max-age allows"}


def recording_lines(run: Run, arguments: Sequence[str], *, whole: bool = False) -> list[str]:
    """Return lines about the recordings of a run; none if all is well.

    Args:
        run: The records.
        arguments: Command line of this run, for the command that records again.
        whole: Whether no test was left out, so that a rule that nothing matched is worth a line.
    """
    kept = sum(test.cassette is not None or test.recording is not None for test in run.tests)
    groups = {why: [test for test in run.tests if test.recording == why] for why in FAULTS}
    lines = [line for why, tests in groups.items() if tests for line in _group(run, why, tests, kept)]
    if lines:
        lines += ["Record just these again:", f"  {again(arguments)}"]
    return [*lines, *_unkept(run), *_renamed(run), *(_unmatched(run) if whole else ())]


def _group(run: Run, why: str, tests: Sequence[TestRecord], kept: int) -> Iterator[str]:
    usual = cache(partial(_usual_cost, run))
    costs = [usual(test.candidate) if test.again is None else TotalCost.from_json(test.again) for test in tests]
    cost = sum(costs, TotalCost(Decimal(0)))
    are = "is" if len(tests) == 1 else "are"
    yield f"{len(tests):,} of {kept:,} recordings {are} {FAULTS[why]}, {about(cost)}"


def _usual_cost(run: Run, candidate: str) -> TotalCost:
    """Return what a candidate's tests cost on average, which stands for those that were never recorded."""
    costs = [total_cost(test.calls) for test in run.tests if test.candidate == candidate and test.calls]
    whole = [cost for cost in costs if cost.known and not cost.unpriced]
    if not whole:
        return TotalCost(Decimal(0), unpriced=1)
    if all(cost.is_free for cost in whole):
        return TotalCost(Decimal(0), free=1)
    return TotalCost(sum((cost.amount for cost in whole), Decimal(0)) / len(whole), estimated=1)


def about(cost: TotalCost) -> str:
    """Say what recording again costs.

    >>> about(TotalCost(Decimal("0.04"), priced=3)), about(TotalCost(Decimal(0), unpriced=2))
    ('about $0.04 to record again', 'at a cost that nobody knows')
    """
    if not cost.known:
        return "at a cost that nobody knows"
    if cost.is_free:
        return "free to record again"
    return f"{'at least' if cost.unpriced else 'about'} {str(cost).removeprefix('≥ ')} to record again"


def again(arguments: Sequence[str]) -> str:
    """Return the command of this run with the mode that records what does not hold.

    >>> again(["tests", "--llm-record", "none", "-q"])
    'pytest tests -q --llm-record=stale'
    """
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.partition("=")[0] == "--llm-record":
            # Its value may be the next argument.
            skip = not skip and "=" not in argument
            continue
        kept.append(argument)
    return shlex.join(["pytest", *kept, "--llm-record=stale"])


def _unkept(run: Run) -> Iterator[str]:
    unkept = [test for test in run.tests if test.unkept]
    for test in unkept[:MOST_LISTED]:
        yield f"Not recorded: an answer that {one_line(test.nodeid)} passed with ({one_line('; '.join(test.unkept))})."
    if len(unkept) > MOST_LISTED:
        yield f"... and answers of {len(unkept) - MOST_LISTED:,} more tests that passed"


def _unmatched(run: Run) -> Iterator[str]:
    declared = [rule for test in run.tests for rule in test.ignored]
    matched = {rule for test in run.tests for rule in test.ignored if rule not in test.unmatched}
    rules = [one_line(rule) for rule in dict.fromkeys(declared) if rule not in matched]
    if rules:
        more = f" and {len(rules) - MOST_LISTED:,} more" if len(rules) > MOST_LISTED else ""
        yield f"Ignored in vain, since no request of this run has it: {', '.join(rules[:MOST_LISTED])}{more}"


def _renamed(run: Run) -> Iterator[str]:
    # Workers of xdist each set up a fixture of the session: one of them moved its recording, whoever used it.
    told = [(test, entry) for test in run.tests for entry in test.taken_over]
    told.sort(key=lambda pair: bool(pair[1]["moved"]))
    taken = {("" if entry["fixture"] else test.nodeid, *entry["from"]): (test, entry) for test, entry in told}
    for test, entry in list(taken.values())[:MOST_LISTED]:
        yield _taken_over(test, entry)
    if len(taken) > MOST_LISTED:
        yield f"... and {len(taken) - MOST_LISTED:,} more that were renamed"
    if run.mode == "none" and any(len(entry["from"]) == 1 for _, entry in taken.values()):
        yield "Mode 'none' leaves files where they are: run once with --llm-record=once to move them."


def _taken_over(test: TestRecord, entry: Mapping[str, Any]) -> str:
    """Say what became of the recording of a test or fixture that is gone."""
    who = f"a fixture of {one_line(test.nodeid)}" if entry["fixture"] else one_line(test.nodeid)
    gone = "fixture is gone" if entry["fixture"] else "test is gone"
    was, now = " and ".join(map(one_line, entry["from"])), one_line(entry["to"])
    if len(entry["from"]) > 1:
        return f"Renamed? {who} may be what recorded {was}. Move the right one to {now}."
    if entry["moved"]:
        return f"Renamed: {who} took over {was}, now {now}."
    some = entry["copied"] or entry["used"] < entry["of"]
    part = f"{entry['used']:,} of {entry['of']:,} answers of " if some else ""
    copied = f"; they are in {now} too" if entry["copied"] else ""
    return f"Renamed? {who} replays {part}{was}, whose {gone}{copied}."
