from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.columns import columns, format_count, format_ms
from pytest_llmeval.reports.summary import summarize
from pytest_llmeval.reports.terminal import render_summary, shorten_names

LLAMA_70B = "together:meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo"
LLAMA_8B = "together:meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = [20, 34, 60, 80, 100, 120, 200]


def call(candidate: str = "a", **changes: Any) -> Call:
    given: dict[str, Any] = {
        "latency_ms": 850.0,
        "input_tokens": 1500,
        "output_tokens": 500,
        "cost": "0.000525",
        "cost_status": "priced",
        "cost_source": "genai-prices",
    }
    return Call(candidate, **(given | changes))


def unpriced(candidate: str = "a", why: str = "nobody knows", **changes: Any) -> Call:
    return call(candidate, cost=None, cost_status="unknown", cost_source=why, **changes)


def failed(candidate: str = "a", kind: str = "rate_limit") -> Call:
    return Call(candidate, error="no answer", error_kind=kind)


def record(candidate: str = "a", *calls: Call, score: float | None = 1.0, **changes: Any) -> TestRecord:
    outcome = "error" if score is None else "passed" if score >= 0.5 else "failed"
    return TestRecord("test_x", candidate, score=score, **({"calls": list(calls), "outcome": outcome} | changes))


def run(*tests: TestRecord, **changes: Any) -> Run:
    return Run(list(dict.fromkeys(test.candidate for test in tests)), tests=list(tests), **changes)


def render(*tests: TestRecord, width: int = 200, **changes: Any) -> str:
    return render_summary(run(*tests, **changes), width=width, color=False)


def table(text: str) -> dict[str, list[str]]:
    """Return the cells of each candidate's row."""
    body = re.split(r"\n[─-]+\n", text)[1].split("\n\n")[0].splitlines()
    rows = [re.split(r" {2,}", line) for line in body]
    return {row[0]: row[1:] for row in rows}


def cell(text: str, head: str, candidate: str = "a") -> str:
    """Return the cell under a heading, by its position: a cell ends where its heading ends."""
    lines = text.splitlines()
    rule = next(i for i, line in enumerate(lines) if re.fullmatch(r"[─-]+", line))
    ends = {found.end() for line in lines[:rule] for found in re.finditer(re.escape(head), line)}
    row = next(line for line in lines[rule:] if line.startswith(candidate))
    assert len(ends) == 1, f"{head!r} is not one heading of {lines[:rule]}"
    return re.split(r" {2,}", row[: ends.pop()])[-1].strip()


def note(text: str, label: str) -> str:
    """Return the text beside a label, with its further lines joined."""
    found = re.search(rf"^{label}  +(.*(?:\n .*)*)", text.partition("\n\n")[2], re.M)
    return " ".join(found[1].split()) if found else ""


def varied() -> Run:
    """Six candidates of every kind: streamed, long names, tiny and huge numbers, free, unpriced, failing, idle."""
    hostile = "evil [red]x[/red]\x1b[31m\n\x00[/]"
    return run(
        *(record("openai:gpt-4o-mini", call(ttft_ms=120.0, tokens_per_second=98.7), score=s / 10) for s in range(11)),
        *(record(LLAMA_70B, call(latency_ms=123_456.7, input_tokens=10**9, cost="12345.678")) for _ in range(400)),
        *(record(LLAMA_8B, unpriced(output_tokens=None), json_checked=1) for _ in range(40)),
        record(hostile, call(latency_ms=0.3, cost="0.00000000123", model="\x1b]0;x\x07[bold]m[/bold]")),
        *(record("ollama:qwen2.5", call(cost="0", cost_status="free", cost_source="local")) for _ in range(7)),
        *(record("openai:broken", failed(kind="weird\x1b[2J"), score=None) for _ in range(10)),
        record("idle"),
        unpinned={"openai:gpt-4o-mini": "gpt-4o-mini"},
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("brief", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(width: int, color: bool, brief: bool, encoding: str) -> None:
    text = render_summary(varied(), width=width, color=color, brief=brief, encoding=encoding)
    assert text.endswith("\n")
    assert max(cell_len(ANSI.sub("", line)) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_no_cell_but_a_name_is_ever_cut_or_wrapped(width: int) -> None:
    whole = list(table(render_summary(varied(), width=500, color=False)).values())
    shown = list(table(render_summary(varied(), width=width, color=False)).values())
    assert len(shown) == len(whole) == 7
    for full_row, row in zip(whole, shown, strict=True):
        remaining = iter(full_row)
        # In order, each cell is one of the full row's cells.
        assert all(text in remaining for text in row), (full_row, row)


def test_columns_go_in_the_order_of_their_rank_as_the_terminal_narrows() -> None:
    calls = [call(ttft_ms=9.0, tokens_per_second=77.0), call(ttft_ms=11.0, latency_ms=2000.0), failed()]
    full = run(*(record("a", *calls, json_checked=1) for _ in range(3)))
    ranked = [column.cells[0] for column in sorted(columns(summarize(full)), key=lambda column: column.rank)]
    assert len(set(ranked)) == 13, "the cells must differ for this test to tell the columns apart"
    counts = set()
    for width in range(20, 160):
        row = table(render_summary(full, width=width, color=False))["a"]
        assert set(row) == set(ranked[: len(row)]), width
        counts.add(len(row))
    assert counts == set(range(1, 14))


def test_a_column_goes_only_when_its_last_cell_has_no_room() -> None:
    full = run(record("a", call(ttft_ms=9.0, tokens_per_second=77.0), failed(), json_checked=1))
    width = len(render_summary(full, width=500, color=False).splitlines()[2])
    assert len(table(render_summary(full, width=width, color=False))["a"]) == 13
    assert len(table(render_summary(full, width=width - 1, color=False))["a"]) == 12


def test_an_optional_column_goes_before_a_name_is_shortened() -> None:
    tests = [record("openai:gpt-4o-mini-2024-07-18", call(ttft_ms=9.0, tokens_per_second=9.0), json_checked=1)]
    whole_names, cut_names = (render(*tests, width=width) for width in (95, 80))
    assert "openai:gpt-4o-mini-2024-07-18 " in whole_names.split("\n\n")[0]
    assert "TTFT" not in whole_names
    assert "…" in cut_names.split("\n\n")[0]


def test_a_name_gives_way_before_latency_and_cost_do() -> None:
    text = render(record(LLAMA_70B, call(), json_checked=1, json_valid=1), width=80)
    assert table(text) == {"together:meta…nstruct-Turbo": ["1.00", "0.21-1.00", "1/1", "100%", "850 ms", "$0.000525"]}


def test_shortened_names_stay_different_and_in_their_width() -> None:
    names = [LLAMA_70B, LLAMA_8B, "openai:o3"]
    for width in range(8, 60):
        short = shorten_names(names, width)
        assert len(set(short)) == 3
        assert max(map(cell_len, short)) <= width
    assert shorten_names(names, 60) == names


def test_names_that_differ_where_they_must_be_cut_are_numbered() -> None:
    names = ["x" * 30 + middle + "y" * 30 for middle in "ab"]
    assert shorten_names(names, 12) == ["xxxxxxxxxx…1", "xxxxxxxxxx…2"]


def test_wide_characters_are_counted_in_cells() -> None:
    short = shorten_names(["供应商:模型" * 8, "b"], 20)
    assert 18 <= cell_len(short[0]) <= 20
    assert cell_len(render(record("供应商:模型" * 8, call()), width=60).splitlines()[3]) <= 60


def test_what_models_wrote_can_neither_steer_the_terminal_nor_style_the_text() -> None:
    hostile = "evil [red]x[/red]\x1b[31m\n\x00[/]\u202e"
    tests = [
        record(
            hostile,
            call(model="\x1b]0;owned\x07[bold]m[/bold]\r"),
            unpriced(why="[link=x]\x9b31m"),
            scores={"\x1b[2J": 1},
        ),
        record(hostile, failed(kind="\x1b[5m[blink]"), score=None),
    ]
    text = render(*tests)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "evil [red]x[/red] [31m [/]" in table(text)
    assert "[blink]" in note(text, "errors")
    assert "[link=x]" in note(text, "unpriced")
    colored = render_summary(run(*tests), width=200, color=True)
    assert ANSI.sub("", colored) == text


def test_a_huge_name_from_outside_does_not_bury_the_table() -> None:
    text = render(record("a:" + "m" * 5000, unpriced(why="w" * 5000), failed(kind="k" * 5000)), width=80)
    assert len(text.splitlines()) < 30


def test_a_score_stands_beside_its_95_percent_interval() -> None:
    text = render(*(record("a", call(), score=float(i < 17)) for i in range(20)))
    assert table(text)["a"][:3] == ["0.85", "0.64-0.95", "17/20"]


def test_a_test_without_a_verdict_counts_neither_as_a_score_nor_as_passed() -> None:
    text = render(record("a", call()), record("a", failed(), score=None))
    assert (cell(text, "score"), cell(text, "passed"), cell(text, "errors")) == ("1.00", "1/2", "1")


def test_a_skipped_test_is_left_out() -> None:
    assert cell(render(record("a", call()), record("a", outcome="skipped", score=None)), "passed") == "1/1"


def test_a_candidate_that_only_failed_has_no_score_and_no_latency_rather_than_zero() -> None:
    text = render(record("a", failed(kind="timeout"), score=None), record("b", call("b")))
    row = table(text)["a"]
    assert row == ["-", "-", "0/1", "1", "-", "-", "-", "-", "?", "?"]


def test_json_reads_100_percent_only_when_every_answer_was_valid() -> None:
    tests = [record("a", call(), json_checked=1000, json_valid=999), record("b", call(), json_checked=3, json_valid=3)]
    assert (cell(render(*tests), "JSON", "a"), cell(render(*tests), "JSON", "b")) == (">99%", "100%")


def test_latency_shows_median_and_95th_percentile() -> None:
    text = render(*(record("a", call(latency_ms=100.0 * i)) for i in range(1, 21)))
    assert "1.05 s" in table(text)["a"]
    assert "1.91 s" in table(text)["a"]


@pytest.mark.parametrize("ms", [0.0, 0.4, 999.4, 999.5, 1000.0, 59_999.0])
def test_a_time_never_reads_as_zero_nor_as_a_thousand_milliseconds(ms: float) -> None:
    assert re.fullmatch(r"<1 ms|[1-9]\d{0,2} ms|[1-9]\d*\.\d\d s", format_ms(ms))


@pytest.mark.parametrize(("count", "text"), [(0, "0"), (999_949, "999.9k"), (999_950, "1.0M"), (10**12, "1,000.0G")])
def test_counts_change_unit_before_they_read_as_a_thousand(count: int, text: str) -> None:
    assert format_count(count) == text


def test_a_count_that_some_answers_lack_reads_as_a_lower_bound() -> None:
    text = render(record("a", call(), call(input_tokens=None, output_tokens=None)))
    assert (cell(text, "tokens in"), cell(text, "tokens out")) == ("≥1,500", "≥500")


def test_a_figure_that_no_answer_has_is_unknown() -> None:
    blank: dict[str, Any] = {"latency_ms": None, "input_tokens": None, "output_tokens": None}
    text = render(record("a", unpriced(**blank)), record("b", call()))
    assert table(text)["a"][3:] == ["?", "?", "?", "?", "?", "?"]


@pytest.mark.parametrize("head", ["TTFT", "tok/s", "JSON", "errors"])
def test_a_column_without_any_data_is_left_out(head: str) -> None:
    assert head not in render(record("a", call()))


def test_streaming_figures_do_not_apply_to_a_candidate_that_did_not_stream() -> None:
    text = render(record("a", call()), record("b", call(ttft_ms=212.0, tokens_per_second=88.4)))
    assert (cell(text, "TTFT", "b"), cell(text, "tok/s", "b")) == ("212 ms", "88")
    assert cell(text, "TTFT", "a") == "-"


def cost_cells(*calls: Call) -> tuple[str, str]:
    row = table(render(record("a", *calls), record("z", call("z"))))["a"]
    return row[-2], row[-1]


@pytest.mark.parametrize(
    ("calls", "per_request", "total"),
    [
        ([call(), call()], "$0.000525", "$0.001050"),
        ([call(), unpriced()], "$0.000525", "≥$0.000525"),
        ([unpriced()], "?", "?"),
        ([call(cost="0", cost_status="free")], "free", "free"),
        ([call(cost="0", cost_status="free"), unpriced()], "?", "?"),
        ([call(cost="0.0000000001")], "<$0.000001", "<$0.000001"),
        ([failed()], "-", "-"),
        ([failed(kind="timeout")], "?", "?"),
        ([], "-", "-"),
    ],
)
def test_an_unknown_cost_never_reads_as_zero(calls: Sequence[Call], per_request: str, total: str) -> None:
    assert cost_cells(*calls) == (per_request, total)


def test_amounts_of_one_column_have_the_same_decimals() -> None:
    text = render(record("a", call(cost="12.5")), record("b", call(cost="0.0123")))
    assert (table(text)["a"][-1], table(text)["b"][-1]) == ("$12.5000", "$0.0123")


def test_the_cost_of_the_whole_run_is_named_and_is_a_lower_bound_while_calls_are_unpriced() -> None:
    text = render(record("a", call(), unpriced()), record("b", call(cost="1"), unpriced()))
    assert note(text, "cost") == "≥ $1.00 (2 calls unpriced) in total"


def test_unpriced_calls_say_why_and_whose_they_are() -> None:
    text = render(
        record("a", unpriced(why="no usage")), record("b", unpriced(why="no usage"), unpriced(why="no price"))
    )
    assert note(text, "unpriced") == "no usage (a: 1 call, b: 1 call) no price (b: 1 call)"


def test_estimated_and_free_calls_say_on_what_ground() -> None:
    text = render(
        record("a", call(cost_status="estimated", cost_source="user; a guess")),
        record("b", call(cost="0", cost_status="free", cost_source="local; hardware is not counted")),
    )
    assert note(text, "estimated") == "user; a guess (a: 1 call)"
    assert note(text, "free") == "local; hardware is not counted (b: 1 call)"


def test_many_reasons_are_summed_up() -> None:
    text = render(record("a", *(unpriced(why=f"reason {i}") for i in range(40))))
    assert note(text, "unpriced").endswith("other reasons (35 calls)")


def test_replayed_answers_say_from_which_days_they_are() -> None:
    days = ["2026-11-23T08:00:00Z", "2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z"]
    tests = [record("a", call(replayed=True, recorded_at=day)) for day in days]
    assert note(render(*tests), "replayed") == (
        "3 answers, recorded 2026-11-20 to 2026-11-23; latency and cost as recorded"
    )
    assert note(render(*tests, record("b", call())), "replayed").startswith("3 of 4 answers, ")
    assert "recorded 2026-11-23; " in note(render(tests[0]), "replayed")
    assert note(render(record("a", call())), "replayed") == ""


def test_errors_are_counted_by_kind_and_explained() -> None:
    text = render(record("a", failed(), failed(), failed(kind="timeout"), score=None))
    assert note(text, "errors") == (
        "a: 3 calls without an answer: 2 rate_limit, too many requests (429); 1 timeout, no answer in time"
    )


def test_a_test_that_failed_to_start_is_told_from_a_failed_call() -> None:
    text = render(record("a", score=None), record("a", call()))
    assert note(text, "errors") == "a: 1 test without a verdict: a recording is missing or stale, or the setup failed"


def test_unpinned_models_are_named_with_what_answered() -> None:
    tests = [record("openai:gpt-4o", call(model="another-model")), record("fast", call(model="m-latest"))]
    text = render(*tests, unpinned={"openai:gpt-4o": "gpt-4o", "fast": "m-latest"})
    assert note(text, "unpinned").startswith(
        "openai:gpt-4o (answered by another-model), fast = m-latest: may become another model"
    )
    assert note(text, "answered by") == ""


@pytest.mark.parametrize(
    ("unpinned", "large", "mini"),
    [
        ("openai:gpt-4o, mini = gpt-4o-mini", "openai:gpt-4o", "mini = gpt-4o-mini"),
        # As older runs have it.
        ("gpt-4o, gpt-4o-mini", "gpt-4o", "gpt-4o-mini"),
    ],
)
def test_members_of_a_mix_that_may_move_are_named_each_with_what_answered_in_its_place(
    unpinned: str, large: str, mini: str
) -> None:
    pinned = call("openai:gpt-4.1-2025-04-14", model="gpt-4.1-2025-04-14", role="answer")
    inner = call("mix", model="gpt-4o-2024-08-06", role="answer", calls=[
        call("openai:gpt-4o", model="gpt-4o-2024-08-06", role="answer"),
    ])  # fmt: skip
    classified = call("mini", model="gpt-4o-mini-2024-07-18", role="classify")
    unasked = call("nested", model=pinned.model, calls=[pinned])
    nested = [unasked, call("nested", model=inner.model, calls=[classified, inner])]
    moves = "may become another model without notice; ask for a dated id"

    text = render(record("nested", unasked), unpinned={"nested": unpinned})
    assert note(text, "unpinned") == f"{large} in nested, {mini} in nested: {moves}"
    text = render(record("nested", *nested), unpinned={"nested": unpinned})
    small = f"{mini} (answered by gpt-4o-mini-2024-07-18)" if "=" in mini else mini
    assert note(text, "unpinned") == f"{large} (answered by gpt-4o-2024-08-06) in nested, {small} in nested: {moves}"


def test_another_model_than_the_one_asked_for_is_named() -> None:
    tests = [
        record("openai:m-7b", call(model="m-70b")),
        record("groq:same", call(model="same")),
        record("fireworks:accounts/f/models/Same", call(model="same")),
        record("ollama:same", call(model="same:latest")),
        record("alias", call(model="x"), call(model="x"), call(model="y")),
        record("steady", call(model="x")),
    ]
    assert note(render(*tests), "answered by") == "openai:m-7b: m-70b (1) alias: x (2), y (1)"


def test_a_schema_that_only_the_prompt_asked_for_is_said() -> None:
    text = render(record("a", call(schema_mode="prompt")), record("b", call(schema_mode="native")))
    assert note(text, "schema").endswith("(a: 1 call)")


def test_named_scores_have_a_line_each_and_the_unnamed_one_has_none() -> None:
    text = render(*(record("a", call(), scores={"tone": tone, "score": 1.0}) for tone in (0.4, 0.5, 0.6)))
    assert note(text, "scores") == "tone: a 0.50 (0.25-0.75)"


def test_a_run_without_calls_shows_scores_alone() -> None:
    text = render(record("a"), width=80)
    assert table(text) == {"a": ["1.00", "0.21-1.00", "1/1"]}
    assert "\n\n" not in text


def test_a_run_without_tests_has_no_summary() -> None:
    assert render_summary(Run(["a"]), width=80, color=True) == ""


def test_brief_is_one_line_a_candidate() -> None:
    tests = [record("a", call(), unpriced()), record("bb", call(cost="0.5"), failed())]
    text = render_summary(run(*tests), width=80, color=False, brief=True)
    assert text.splitlines() == [
        "a   1.00  1/1 passed  errors 0  p50 850 ms  $0.000525/request  total ≥$0.000525",
        "bb  1.00  1/1 passed  errors 1  p50 850 ms  $0.500000/request   total $0.500000",
    ]


def test_without_color_there_is_no_escape_sequence() -> None:
    assert "\x1b" not in render_summary(varied(), width=120, color=False)


def test_color_marks_the_best_figure_and_the_errors_and_changes_no_text() -> None:
    tests = [record("a", call(latency_ms=100.0)), record("b", call(latency_ms=900.0), failed())]
    text = render_summary(run(*tests), width=160, color=True)
    assert "\x1b[1m 100 ms\x1b[0m" in text
    assert re.search(r"\x1b\[31m +1\x1b\[0m", text)
    assert not re.search(r"\x1b\[1m[^m]*900 ms", text)
    assert ANSI.sub("", text) == render(*tests, width=160)


def test_figures_that_read_alike_are_not_told_apart() -> None:
    tests = [record("a", call(latency_ms=850.1)), record("b", call(latency_ms=849.9))]
    assert "\x1b[1m" not in render_summary(run(*tests), width=160, color=True)


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM"])
@pytest.mark.parametrize("color", [True, False])
def test_width_and_color_come_from_the_caller_alone(
    variable: str, color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = render_summary(varied(), width=130, color=color)
    monkeypatch.setenv(variable, {"COLUMNS": "40", "TERM": "dumb"}.get(variable, "1"))
    assert render_summary(varied(), width=130, color=color) == expected


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_stream_that_lacks_the_signs_gets_others(encoding: str) -> None:
    text = render_summary(run(record("模型" + "x" * 90, call(), unpriced())), width=80, color=False, encoding=encoding)
    assert text.encode(encoding)
    assert ">= $0.000525 (1 call unpriced)" in text


def samples(
    passes: int, of: int, candidate: str = "a", name: str = "case", asked: int | None = None, **changes: Any
) -> list[TestRecord]:
    """Return the records of a repeated case."""
    return [
        TestRecord(
            f"test_x[{candidate}-{name}{f'-sample{n}' if n > 1 else ''}]",
            candidate,
            "passed" if n <= passes else "failed",
            **({"score": float(n <= passes), "sample": n, "samples": asked or of} | changes),
        )
        for n in range(1, of + 1)
    ]


def test_repeats_count_as_one_case_in_the_score_its_interval_and_what_passed() -> None:
    tests = [each for name in "abcdefgh" for each in samples(8, 10, name=name)]
    text = render(*tests)
    assert cell(text, "passed") == "0/8"
    # The mean of eight equal cases: the interval is that of eight, not of eighty.
    assert cell(text, "score") == "0.80"
    assert cell(text, "interval") == cell(render(*(record(score=0.8) for _ in range(8))), "interval")
    assert (
        cell(render(*(each for name in "ab" for each in samples(8, 10, name=name, min_pass_rate=0.8))), "passed")
        == "2/2"
    )
    assert cell(render(*samples(2, 2), *samples(1, 2, name="b"), record(score=0.0)), "passed") == "1/3"


def test_repeats_are_told_for_each_candidate() -> None:
    text = render(
        *(each for name in "abcd" for each in samples(8, 10, name=name)),
        *samples(1, 2, "b"),
        *samples(3, 4, "b", name="more"),
        record("c"),
    )
    assert note(text, "repeats") == (
        "a: 10 samples of 4 cases; pass@1 0.80, pass@10 1.00, pass^10 0.00; spread within a case 0.42 (mean standard "
        "deviation) b: 2 to 4 samples of 2 cases; pass@1 0.62, pass@2 1.00, pass^2 0.25; spread within a case 0.60 "
        "(mean standard deviation)"
    )


def test_what_samples_without_a_verdict_leave_unknown_is_left_out_and_said() -> None:
    errors = [
        TestRecord(f"test_x[a-b{f'-sample{n}' if n > 1 else ''}]", "a", "error", sample=n, samples=2) for n in (1, 2)
    ]
    assert "pass^2 0.00 (over 1 case with 2); spread" in note(render(*samples(1, 2), *errors), "repeats")
    assert note(render(*errors), "repeats") == "a: 2 samples of 1 case"


def test_flaky_cases_are_named_the_worst_first_and_not_hundreds() -> None:
    tests = [each for n in range(3, 10) for each in samples(n, 10, name=f"case{n}")]
    assert note(render(*tests), "flaky") == (
        "a: test_x[case3] 3/10, test_x[case4] 4/10, test_x[case5] 5/10, test_x[case6] 6/10 and 3 more"
    )
    assert note(render(*samples(1, 2, case="refund\x1b[31m")), "flaky") == "a: refund [31m 1/2"
    assert note(render(*samples(2, 2), *samples(0, 2, name="b")), "flaky") == ""


def test_samples_that_are_identical_are_told_of_by_candidate() -> None:
    same = samples(2, 2, calls=[call(digest="x")])
    text = render(*same, *samples(1, 1, "b", asked=2, calls=[call(digest="x")]))
    assert "a: samples are identical, as at temperature 0; a higher one shows what varies" in note(text, "repeats")
    assert "identical" not in render(*samples(2, 2, calls=[call()]))


def test_cases_count_by_their_weights_and_the_summary_says_so() -> None:
    light, heavy = record(score=1.0, scores={"tone": 1.0}), record(score=0.0, scores={"tone": 0.0}, weight=3.0)
    text = render(light, heavy)
    assert cell(text, "score") == "0.25"
    assert "tone: a 0.25" in note(text, "scores")
    assert note(text, "weights") == "scores and intervals are by the weights of the cases, 1 to 3"
    assert note(render(light, record(score=0.0)), "weights") == ""
    # Repeats make no case heavier.
    text = render(light, *samples(0, 9, name="repeated", weight=3.0))
    assert cell(text, "score") == "0.25"
