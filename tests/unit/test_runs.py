from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.errors import RunError
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.json import render
from pytest_llmeval.runheader import CandidateInfo, End, Header, PriceUsed
from pytest_llmeval.runlines import end_line, header_line, record_line, run_lines
from pytest_llmeval.runs import load_run

HEADER = Header(
    1,
    "one",
    name="main",
    started="2025-06-01T10:00:00Z",
    mode="none",
    commit="abc",
    dirty=False,
    versions={"python": "3.11.7"},
    candidates=[CandidateInfo("b", "openai", "gpt", prices={"input": "0.2"}), CandidateInfo("a", parameters={"n": 1})],
    prices=[PriceUsed("b", "gpt", "genai-prices", "2025-06-01", "2025-06-01", input="0.15")],
)
CALL = Call("b", "gpt-2024", latency_ms=12.5, input_tokens=3, cost="0.000525", cost_status="priced", replayed=True)
TESTS = [
    TestRecord("test_a", "b", score=1.0, scores={"score": 1.0}, calls=[CALL], unpinned="gpt", tags=["x"], weight=2.0),
    TestRecord("test_b", "a", "error", message="no answer", again={"amount": "0.1"}, sample=2, samples=5),
]
END = End("2025-06-01T10:01:00Z", 1, None, 2, {"error": 1, "passed": 1})
WHOLE = Run(["b", "a"], "none", TESTS, {"b": "gpt"}, HEADER, END)


def line(nodeid: str, **changes: Any) -> str:
    return record_line(TestRecord(nodeid, "b", **changes).to_json())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def write(file: Path, *lines: str) -> Path:
    file.write_text("".join(lines), encoding="utf-8")
    return file


def test_what_was_written_is_read_back(file: Path) -> None:
    assert load_run(write(file, *run_lines(WHOLE))) == WHOLE


def test_a_json_report_is_read_like_json_lines(tmp_path: Path) -> None:
    assert load_run(write(tmp_path / "run.json", render(WHOLE))) == WHOLE


def test_lines_of_others_may_have_their_keys_in_any_order(file: Path) -> None:
    lines = [json.dumps(json.loads(each), sort_keys=True) + "\n" for each in run_lines(WHOLE)]
    assert load_run(write(file, *lines, "\n")) == WHOLE


def test_a_test_that_was_run_again_counts_as_it_was_last(file: Path) -> None:
    run = load_run(write(file, header_line(HEADER), line("t", outcome="failed"), line("t"), end_line(END)))
    assert [test.outcome for test in run.tests] == ["passed"]


def test_the_last_header_of_a_run_counts(file: Path) -> None:
    first = Header(1, "one", started="2025-06-01T10:00:00Z")
    run = load_run(write(file, header_line(first), line("t"), header_line(HEADER), line("u")))
    assert (run.candidates, len(run.tests)) == (["b", "a"], 2)


def test_a_torn_last_line_is_passed_over_and_said(file: Path) -> None:
    lines = [*run_lines(WHOLE)]
    for cut in (1, 20, len(lines[2]) // 2, len(lines[2]) - 2):
        run = load_run(write(file, *lines[:2], lines[2][:cut]))
        assert [test.nodeid for test in run.tests] == ["test_a"]
        assert run.incomplete
        assert run.remarks == [
            f"{file}: its last line was cut off, and is passed over.",
            f"{file}: the run was cut: it has no closing line.",
        ]


def test_a_last_line_that_lacks_only_its_break_is_whole(file: Path) -> None:
    run = load_run(write(file, *[*run_lines(WHOLE)][:3]))
    file.write_bytes(file.read_bytes()[:-1])
    assert load_run(file).tests == run.tests == TESTS


def test_a_run_that_was_stopped_says_why(file: Path) -> None:
    run = load_run(write(file, header_line(HEADER), end_line(End(stopped="interrupted"))))
    assert run.incomplete
    assert run.remarks == [f"{file}: the run was cut: interrupted."]


def test_runs_one_after_the_other_are_one(file: Path) -> None:
    other = Run(["b"], "none", [TestRecord("test_c", "b")], {}, Header(1, "two", mode="none"), End(tests=1))
    run = load_run(write(file, *run_lines(WHOLE), *run_lines(other)))
    assert [test.nodeid for test in run.tests] == ["test_a", "test_b", "test_c"]
    assert run.header is not None
    assert sorted(run.header.merged_from) == ["one", "two"]


FAULTS = {
    "no json": ("nonsense\n", 2, "not JSON"),
    "no object": ("[1]\n", 2, 'it has no "kind"'),
    "no kind": ("{}\n", 2, 'it has no "kind"'),
    "a field of another type": (line("t").replace('"score": null', '"score": "high"'), 2, "score: .*'high'"),
    "a field deep inside": (
        line("t", calls=[CALL]).replace('"latency_ms": 12.5', '"latency_ms": []'),
        2,
        r"calls\[0\].latency_ms: .*\[\]",
    ),
    "a field that is missing": ('{"kind": "test", "nodeid": "t"}\n', 2, "candidate: required, but not there"),
    "an end of another type": ('{"kind": "end", "tests": "many"}\n', 2, "tests: .*'many'"),
    "nested beyond all measure": ('{"kind": "test", "nodeid": ' + "[" * 100_000 + "\n", 2, "not JSON"),
    "a text that is no UTF-8": ('{"kind": "test", "nodeid": "\udcff", "candidate": ""}\n', 2, "not JSON"),
}


@pytest.mark.parametrize(("text", "number", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_malformed_line_is_an_error_that_names_it(file: Path, text: str, number: int, reason: str) -> None:
    file.write_bytes("".join([header_line(HEADER), text, end_line(END)]).encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=rf"{file.name}:{number}: .*{reason}") as caught:
        load_run(file)
    assert len(str(caught.value)) < 500


def test_all_malformed_lines_are_told_at_once(file: Path) -> None:
    with pytest.raises(RunError) as caught:
        load_run(write(file, header_line(HEADER), *["x\n"] * 9, end_line(END)))
    lines = str(caught.value).splitlines()
    assert [each.split(": ")[0] for each in lines[:5]] == [f"{file}:{number}" for number in range(2, 7)]
    assert lines[5:] == ["... and 4 more lines"]


def test_a_newer_version_says_what_to_do(file: Path, tmp_path: Path) -> None:
    newer = Header(2, "one")
    message = r"schema version 2, this one reads up to 1\): upgrade pytest-llmeval"
    with pytest.raises(RunError, match=message):
        load_run(write(file, header_line(newer)))
    with pytest.raises(RunError, match=message):
        load_run(write(tmp_path / "run.json", render(Run(header=newer))))


def test_fields_and_kinds_of_newer_versions_are_passed_over(file: Path) -> None:
    lines = [each.replace('"kind"', '"later": [1], "kind"') for each in run_lines(WHOLE)]
    assert load_run(write(file, lines[0], '{"kind": "comparison", "p": 0.1}\n', *lines[1:])) == WHOLE


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("run.jsonl", "", "no run is in it"),
        ("run.jsonl", "{", "no run is in it, but a line that was cut off"),
        ("run.jsonl", "version: 1\ninteractions: []\n", "run.jsonl:1: not JSON"),
        ("run.jsonl", '{"kind": "test", "nodeid": "t", "candidate": ""}\n', "begins with a header line"),
        ("run.json", "[]", "no report of a run that can be read: "),
        ("run.json", "{", "no report .*: not JSON"),
        ("run.json", '{"header": {"schema_version": 1, "id": ""}, "tests": [{}]}', r"tests\[0\].nodeid: required"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(RunError, match=reason):
        load_run(write(tmp_path / name, text))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such file"):
        load_run(tmp_path / "no.jsonl")
    with pytest.raises(RunError, match="cannot be read: Is a directory"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"score": 7.0}, "score: should be between 0 and 1 (it is 7.0)"),
        ({"score": float("nan")}, "score: "),
        ({"scores": {"tone": -0.1}}, "scores.tone: should be between 0 and 1 (it is -0.1)"),
        ({"weight": 0.0}, "weight: should be a positive number, up to 1e+09 (it is 0.0)"),
        ({"weight": 1e300}, "weight: should be a positive number, up to 1e+09 (it is 1e+300)"),
        ({"json_valid": 2}, "json_valid: should be between 0 and json_checked, 0 (it is 2)"),
        ({"calls": [Call("b", latency_ms=-1.0)]}, "calls[0]: should have a time between 0 and 1e+09 ms (it has -1.0)"),
        ({"calls": [Call("b", cost="a lot")]}, "calls[0].cost: should be an amount of USD (it is 'a lot')"),
        ({"calls": [Call("b", cost="1E+300")]}, "calls[0].cost: should be an amount of USD (it is '1E+300')"),
        ({"calls": [Call("b", cost="-1")]}, "calls[0].cost: should be an amount of USD (it is '-1')"),
    ],
)
def test_figures_that_cannot_be_are_faults_of_the_file(
    file: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    bad = json.dumps({"kind": "test", **TestRecord("test_c", "b").to_json()} | _plain(changes)) + "\n"
    with pytest.raises(
        RunError, match=re.escape(f"run.jsonl:3: {said}" if "nan" not in bad.lower() else "run.jsonl:3: ")
    ):
        load_run(write(file, header_line(HEADER), line("test_a"), bad))
    document = write(
        tmp_path / "run.json", render(WHOLE).replace('{"nodeid": "test_b"', f'{bad.strip()},\n{{"nodeid": "test_b"')
    )
    with pytest.raises(RunError, match=r"run\.json: no report of a run that can be read: "):
        load_run(document)


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    calls = {"calls": [asdict(call) for call in changes["calls"]]} if "calls" in changes else {}
    return changes | calls


@pytest.mark.parametrize("cost", ["0", "0.000525", "1E-7", "1.5E+3"])
def test_any_amount_that_was_written_is_read(file: Path, cost: str) -> None:
    text = record_line(TestRecord("test_a", "b", calls=[Call("b", cost=cost)]).to_json())
    assert load_run(write(file, header_line(HEADER), text)).tests[0].calls[0].cost == cost


def test_a_json_report_is_read_however_it_is_laid_out(tmp_path: Path) -> None:
    document = json.loads(render(WHOLE))
    for text in (json.dumps(document), json.dumps(document, indent=2), json.dumps(document, indent=0)):
        assert load_run(write(tmp_path / "run.json", text)) == WHOLE


def test_a_lean_run_has_what_a_comparison_needs_and_no_more(file: Path) -> None:
    whole, lean = (load_run(write(file, *run_lines(WHOLE)), lean=lean) for lean in (False, True))
    kept = ("nodeid", "candidate", "outcome", "score", "weight", "sample", "samples", "prompts", "cassette", "case")
    assert [[getattr(t, name) for name in kept] for t in lean.tests] == [
        [getattr(t, name) for name in kept] for t in whole.tests
    ]
    assert lean.tests[0].calls[0].latency_ms == 12.5
    assert (lean.tests[0].scores, lean.tests[0].tags, lean.tests[1].message) == ({}, [], None)
    assert (lean.header, lean.unpinned) == (whole.header, {"b": "gpt"})
