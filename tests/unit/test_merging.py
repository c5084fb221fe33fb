from __future__ import annotations

from typing import Any

import pytest

from pytest_llmeval.errors import RunError
from pytest_llmeval.merging import merge_runs
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End, Header, PriceUsed


def shard(name: str, *tests: TestRecord, candidates: tuple[CandidateInfo, ...] = (), **header: Any) -> Run:
    given = {"started": f"2025-06-01T10:00:0{name}Z", "commit": "abc", "mode": "none"} | header
    names = [candidate.name for candidate in candidates] or ["a"]
    end = End(f"2025-06-01T10:01:0{name}Z", 0, None, len(tests))
    return Run(names, given["mode"], list(tests), {}, Header(1, name, candidates=list(candidates), **given), end)


def test_shards_become_one_run() -> None:
    a, b = CandidateInfo("a", "openai", "gpt"), CandidateInfo("b", "openai", "gpt")
    price = PriceUsed("a", "gpt", "genai-prices", "2025-06-01", "2025-06-01")
    first = shard("1", TestRecord("test_b", "a", unpinned="gpt"), candidates=(a,), prices=[price])
    second = shard("2", TestRecord("test_a", "b", "failed"), candidates=(a, b), prices=[price])
    run = merge_runs([first, second])
    assert [test.nodeid for test in run.tests] == ["test_a", "test_b"]
    assert (run.candidates, run.mode, run.unpinned, run.remarks) == (["a", "b"], "none", {"a": "gpt"}, [])
    assert run.header is not None
    assert (run.header.candidates, run.header.prices) == ([a, b], [price])
    assert run.header.merged_from == ["1", "2"]
    assert run.header.id not in ("1", "2")
    assert (run.header.started, run.header.commit) == ("2025-06-01T10:00:01Z", "abc")
    assert run.end == End("2025-06-01T10:01:02Z", 0, None, 2, {"failed": 1, "passed": 1})


def test_equal_records_are_counted_once_and_said() -> None:
    live = TestRecord("test_a", "a", calls=[Call("a")])
    replayed = TestRecord("test_a", "a", calls=[Call("a", replayed=True)])
    run = merge_runs([shard("1", live), shard("2", replayed), shard("3", replayed)], strict=True)
    assert len(run.tests) == 1
    assert run.remarks == ["1 test is in several runs alike, and counted once."]


@pytest.mark.parametrize("backwards", [False, True])
def test_of_conflicting_records_the_newer_wins_whatever_the_order(backwards: bool) -> None:
    old, new = shard("1", TestRecord("test_a", "a", "failed")), shard("2", TestRecord("test_a", "a", "passed"))
    run = merge_runs([new, old] if backwards else [old, new])
    assert [test.outcome for test in run.tests] == ["passed"]
    assert run.remarks == ["Several runs differ in test_a: the record of the one that began last is taken."]


def test_conflicting_records_are_refused_if_asked() -> None:
    tests = [TestRecord(f"test_{number}\x1b[31m", "a", "failed") for number in range(9)]
    others = [TestRecord(f"test_{number}\x1b[31m", "a", "passed") for number in range(9)]
    with pytest.raises(RunError, match=r"^test_0\\x1b\[31m, .* and 4 more: the runs have different records"):
        merge_runs([shard("1", *tests), shard("2", *others)], strict=True)


def test_samples_and_candidates_of_a_test_are_no_duplicates() -> None:
    tests = [TestRecord("test_a", "a", sample=1), TestRecord("test_a", "a", sample=2), TestRecord("test_a", "b")]
    assert len(merge_runs([shard("1", tests[0]), shard("2", *tests[1:])], strict=True).tests) == 3


def test_runs_of_different_code_or_candidates_are_told() -> None:
    first = shard("1", candidates=(CandidateInfo("a", "openai", "gpt", parameters={"temperature": 0}),))
    second = shard(
        "2",
        candidates=(CandidateInfo("a", "openai", "gpt\x1b", parameters={"temperature": 1}),),
        commit="def",
        dirty=True,
        mode="live",
        versions={"pytest-llmeval": "9"},
    )
    assert merge_runs([first, second]).remarks == [
        "The runs are of different commits: abc, def (dirty).",
        "The runs are of different versions of pytest-llmeval: 9, ?.",
        "The runs are of different record modes: live, none.",
        "The runs do not mean the same by the candidate a: model 'gpt' and 'gpt\\x1b', "
        "parameters {'temperature': 0} and {'temperature': 1}.",
    ]


def test_a_candidate_that_one_run_never_asked_is_no_difference() -> None:
    known = CandidateInfo("a", "openai", "gpt")
    run = merge_runs([shard("1", candidates=(known,)), shard("2", candidates=(CandidateInfo("a"),))])
    assert run.remarks == []
    assert run.header is not None
    assert run.header.candidates == [known]


def test_one_run_that_was_cut_makes_the_whole_incomplete() -> None:
    whole, cut, stopped = shard("1"), shard("2"), shard("3")
    cut.end, stopped.end = None, End(stopped="interrupted", exit_status=2)
    assert merge_runs([whole, cut]).end is None
    end = merge_runs([whole, stopped]).end
    assert end is not None
    assert (end.stopped, end.exit_status) == ("interrupted", 2)


def test_a_shard_without_tests_is_no_fault() -> None:
    empty, whole = shard("1"), shard("2", TestRecord("test_a", "a"))
    empty.end = End(exit_status=5)
    end = merge_runs([empty, whole]).end
    assert end is not None
    assert end.exit_status == 0


def test_merging_again_remembers_every_part() -> None:
    run = merge_runs([merge_runs([shard("1"), shard("2")]), shard("3")])
    assert run.header is not None
    assert sorted(run.header.merged_from) == ["1", "2", "3"]


def test_remarks_of_the_parts_are_kept_and_nothing_is_no_run() -> None:
    one = shard("1")
    one.remarks.append("its last line was cut off")
    assert merge_runs([one, shard("2")]).remarks == ["its last line was cut off"]
    with pytest.raises(RunError, match="no run to merge"):
        merge_runs([])
