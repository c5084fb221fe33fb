"""What a person, a pull request and a program read of a comparison."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pytest_llmeval.comparing import compare_candidates, compare_runs
from pytest_llmeval.comparison import CandidateChange, CaseChange, Change, Comparison, Resolution, Uncompared
from pytest_llmeval.records import Run
from pytest_llmeval.reports import changes
from pytest_llmeval.reports.comparison import Compared, Side, render_comparison, render_json, render_markdown
from pytest_llmeval.stats.differences import Estimate
from tests.unit.test_comparing import call, case, run, scored

HOSTILE = "evil\x1b[31m\n<b>*x*</b> | @you"


def change(figure: str = "score", *values: float, p: float | None = 0.001, **given: Any) -> Change:
    before, after, low, high = values
    return Change(figure, before, after, Estimate(after - before, low, high), p=p, n=40, **given)


def candidate(score: Change, **given: Any) -> CandidateChange:
    return CandidateChange("mini", "mini", {"score": score}, **given)


def compared(before: Run, after: Run) -> Compared:
    standings = compare_candidates(after) if len(after.by_candidate()) > 1 else None
    return Compared(Side("this run"), Side("main"), compare_runs(before, after), standings)


def text(before: Run, after: Run, **given: Any) -> str:
    told = render_comparison(compared(before, after), **({"width": 120, "color": False} | given))
    return " ".join(told.split())


def lost(count: int) -> tuple[CaseChange, ...]:
    return tuple(CaseChange(f"c{n}", f"c{n}", 1.0, 0.0) for n in range(count))


def test_many_candidates_and_long_names_still_fit_into_a_comment() -> None:
    names = [f"c{number}-{'|' * 60}" for number in range(40)]
    before = run(*(case(f"x{n}", 1.0, name) for name in names for n in range(8)))
    after = run(*(case(f"x{n}", float(n > k % 5), name) for k, name in enumerate(names) for n in range(8)))
    told = compared(before, after)
    shown = render_markdown(told)
    assert len(shown) <= 60_000
    assert "<sub>" in shown.splitlines()[-1]
    assert "- pairs: 765 more, which --format=json has" in render_markdown(
        Compared(told.after, standings=told.standings)
    )
    assert "pairs 765 more" in " ".join(render_comparison(told, width=120, color=False).split())


def test_the_sentence_of_a_candidate_that_got_worse() -> None:
    found = candidate(change("score", 0.91, 0.84, -0.12, -0.02), lost=lost(3), won=lost(1))
    assert changes.headline(found) == "0.91 → 0.84 (−0.07, 95% −0.12…−0.02): worse. 3 cases lost: c0, c1, c2; 1 won"


def test_the_sentence_of_which_nobody_can_tell() -> None:
    score = change("score", 0.91, 0.90, -0.12, 0.10, p=0.6)
    found = candidate(score, resolution=Resolution(40, 0.113, 0.05, 163), lost=lost(7))
    assert changes.headline(found) == (
        "0.91 → 0.90 (−0.01, 95% −0.12…+0.10): cannot tell: 40 cases resolve differences of 0.11 or more; about 160 "
        "would resolve 0.05. 7 cases lost: c0, c1, c2, c3, c4 and 2 more"
    )


@pytest.mark.parametrize(
    ("resolution", "said"),
    [
        (Resolution(1, None, 0.05, None), "1 case resolves no difference"),
        (Resolution(5, None, 0.05, 1234), "5 cases resolve no difference; about 1,200 would resolve 0.05"),
        (Resolution(40, 0.004, 0.005, None), "40 cases resolve differences of 0.004 or more"),
        (None, "nothing was scored"),
    ],
)
def test_what_cases_resolve(resolution: Resolution | None, said: str) -> None:
    assert changes.resolution(resolution) == said


def test_a_difference_that_is_only_too_small_among_several_says_why() -> None:
    score = change("score", 0.91, 0.84, -0.12, -0.02, p=0.09)
    found = changes.headline(candidate(score, resolution=Resolution(40, 0.11, 0.05, None)))
    assert "cannot tell among several candidates (p = 0.09): 40 cases" in found


def test_a_small_difference_is_written_with_the_decimals_that_it_takes() -> None:
    assert changes.arrow(change("score", 0.9134, 0.9112, -0.003, -0.001)) == "0.913 → 0.911"
    assert changes.difference(change("score", 0.9134, 0.9112, -0.003, -0.001)) == "−0.002, 95% −0.003…−0.001"


def test_times_and_costs_are_told_relatively_and_from_nothing_in_their_unit() -> None:
    relative = Estimate(0.2, 0.1, 0.305)
    slower = change("p95", 2000.0, 2400.0, 100.0, 900.0, relative=relative)
    assert f"{changes.arrow(slower)} ({changes.difference(slower)})" == "2.00 s → 2.40 s (+20%, 95% +10%…+30%)"
    priced = change("cost", 0.0, 0.002, 0.002, 0.002)
    assert f"{changes.arrow(priced)} ({changes.difference(priced)})" == "$0.00 → $0.002 (+$0.002, 95% +$0.002…+$0.002)"


def test_figures_that_changed_have_a_line_and_the_others_one_together() -> None:
    before = scored([1.0] * 60, json_checked=1, json_valid=1)
    after = scored([1.0] * 60, json_checked=1, json_valid=1)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        old.calls = [call(100.0 + number)]
        new.calls = [call(2 * (100.0 + number), cost="0.0011" if number % 2 else "0.0009")]
    told = text(run(*before), run(*after))
    assert "latency p95 156 ms → 312 ms (+100%, 95% +100%…+100%): worse" in told
    assert "cannot tell: cost $0.001 → $0.001 (+0%, 95% −3%…+3%)" in told
    assert "valid JSON" not in told
    assert "passed" not in told


def test_what_could_not_be_compared_is_said_with_the_reason() -> None:
    found = [
        Uncompared("a", "a", "passed", "error"),
        Uncompared("b", "b", "not_run", "skipped"),
        Uncompared("c", "c", None, "passed"),
    ]
    told = list(changes.uncompared(candidate(change("score", 1.0, 1.0, 0, 0), uncompared=tuple(found))))
    assert told == [
        "1 case not in the earlier run: c",
        "2 cases without a verdict (1 ended in an error now, 1 was not run before, 1 was skipped now): a, b",
    ]


def test_an_unpriced_call_leaves_the_cost_unknown_and_said() -> None:
    unpriced = scored([1.0] * 8, calls=[call(cost=None)])
    assert "cost unknown: 8 calls unpriced now" in text(run(*scored([1.0] * 8)), run(*unpriced))


def test_runs_without_a_candidate_in_common_say_so() -> None:
    told = text(run(case("a"), case("a", 1.0, "b")), run(case("a", 1.0, "x"), case("a", 1.0, "y")))
    assert "only in the earlier run: mini, b" in told
    assert "only in the later run: x, y" in told
    assert "the runs have none in common, so that nothing is compared" in told


def test_verdicts_have_colours_where_there_are_any() -> None:
    told = text(run(*scored([1.0] * 30)), run(*scored([0.0] * 30)), color=True)
    assert "\x1b[31mworse\x1b[0m" in told


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_name_steers_it(width: int) -> None:
    before, after = run(*scored([1.0] * 9, HOSTILE)), run(*scored([0.0] * 9, HOSTILE))
    before.tests[0].case = HOSTILE
    told = render_comparison(compared(before, after), width=width, color=False)
    assert all(line.isprintable() for line in told.splitlines())
    assert max(map(len, told.splitlines())) <= width


def test_an_ascii_terminal_gets_ascii() -> None:
    told = text(run(*scored([1.0] * 30)), run(*scored([0.0] * 30)), encoding="ascii")
    assert "1.00 -> 0.00 (-1.00, 95% -1.00~-0.77): worse" in told


def test_markdown_shows_what_others_wrote_as_text_and_fits_a_comment() -> None:
    names = [f"{HOSTILE}{n}" for n in range(120)]
    before, after = (run(*(t for name in names for t in scored(s, name))) for s in ([1.0] * 30, [0.0] * 30))
    found = Compared(Side("this run"), Side(HOSTILE, remarks=(HOSTILE,)), compare_runs(before, after))
    told = render_markdown(found)
    assert "<b>" not in told
    assert "@you" not in told
    assert "&lt;b&gt;" in told
    assert len(told) <= 65_536


def test_markdown_has_the_sentence_and_a_table_that_unfolds() -> None:
    told = render_markdown(compared(run(*scored([1.0] * 30)), run(*scored([0.0] * 30))))
    assert (
        "- **mini** 1.00 → 0.00 (−1.00, 95% −1.00…−0.77): worse. 30 cases lost: c0, c1, c2, c3, c4 and 25 more" in told
    )
    assert re.search(r"\| score \| 1\.00 \| 0\.00 \| −1\.00 \| −1\.00…−0\.77 \| worse \|", told)
    assert "- lost: <code>c19</code> 1.00 → 0.00 (a run does not say what was asked)\n- ... and 10 more lost" in told


def test_json_has_every_figure_and_null_for_what_nobody_knows() -> None:
    unpriced = scored([0.5] * 8, calls=[call(cost=None)])
    document = json.loads(render_json(compared(run(*scored([1.0] * 8)), run(*unpriced))))
    (found,) = document["candidates"]
    assert found["figures"]["cost"] | {"why": ""} == {
        "verdict": "unknown",
        "before": None,
        "after": None,
        "change": None,
        "relative": None,
        "p": None,
        "n": 0,
        "why": "",
    }
    assert found["figures"]["score"]["change"] | {"low": 0, "high": 0} == {
        "value": -0.5,
        "low": 0,
        "high": 0,
        "confidence": 0.95,
    }
    assert document["standings"] is None


def test_remarks_stand_first() -> None:
    found = Compared(
        Side("now", remarks=("a file was torn",)), Side("main"), Comparison(remarks=("The earlier run was cut.",))
    )
    told = render_comparison(found, width=80, color=False).splitlines()
    assert told[:4] == ["before  main", "after   now", "note    a file was torn", "        The earlier run was cut."]
    assert "> ⚠️ a file was torn" in render_markdown(found)


def test_what_fails_now_is_told_on_top_also_where_scores_are_the_same() -> None:
    before = run(*scored([0.5] * 30, outcome="passed"))
    after = run(*scored([0.5] * 20, outcome="passed"), *(case(f"c{n}", 0.5, outcome="failed") for n in range(20, 30)))
    told = render_markdown(compared(before, after))
    head = told.partition("<details>")[0]
    assert (
        "- **mini** 0.50 → 0.50: the same score in all 30 cases. 10 cases lost: c20, c21, c22, c23, c24 and 5" in head
    )
    assert "  - passed 1.00 → 0.67 (−0.33" in head
    assert "- lost: <code>c20</code> 0.50, passed → failed" in told
    assert "passed 1.00 → 0.67" in text(before, after)


def test_candidates_are_compared_in_what_else_differs_for_sure() -> None:
    slow = run(
        *scored([1.0] * 40),
        *(case(f"c{n}", 1.0, "big", calls=[call(900.0 + n, candidate="big")]) for n in range(40)),
    )
    shown = Compared(Side("run"), standings=compare_candidates(slow))
    assert "latency p50 100 ms → 920 ms" in " ".join(render_comparison(shown, width=120, color=False).split())
    assert "latency p50 100 ms → 920 ms" in render_markdown(shown)
