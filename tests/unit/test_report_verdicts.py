"""Verdicts in words."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len

from pytest_llmeval.judging import judged
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports import json as json_report
from pytest_llmeval.reports import markdown
from pytest_llmeval.reports.sections import sections
from pytest_llmeval.reports.verdicts import conclusions, heading, not_met_lines
from pytest_llmeval.runheader import Header
from pytest_llmeval.settings import Requirements
from pytest_llmeval.verdicts import Recommendation

WANTED = Requirements(min_quality_score=0.85, max_latency_ms=2000, requests_per_month=1000)


def asked(name: str, score: float, cost: str | None = "0.01", ms: float = 900.0) -> list[TestRecord]:
    calls = [Call(name, latency_ms=ms, cost=cost, cost_status="priced" if cost else "unknown")]
    return [TestRecord(f"test_x[{name}-{n}]", name, score=score, calls=calls) for n in range(100)]


def verdict(*candidates: list[TestRecord], wanted: Requirements = WANTED) -> Run:
    run = Run(tests=[test for each in candidates for test in each], header=Header(1, "1"))
    return judged(run, wanted, ())


def recommendation(*candidates: list[TestRecord], **changes: Any) -> Recommendation:
    found = verdict(*candidates, **changes).recommendation
    assert found is not None
    return found


def said(found: Recommendation) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for label, text in conclusions(found):
        lines.setdefault(label, []).append(text)
    return lines


def test_the_cheapest_the_runner_up_and_what_an_unmet_wish_would_save() -> None:
    found = recommendation(asked("small", 0.70, "0.001"), asked("mid", 0.92, "0.004"), asked("large", 0.99, "0.02"))
    assert said(found) == {
        "cheapest": ["mid meets all requirements, at $0.004 a request, $4.00 a month"],
        "runner-up": ["large meets all requirements, at $0.02 a request, $20.00 a month"],
        "misses": ["small: quality 0.70 < 0.85; without that, it would save $0.003 a request, $3.00 a month"],
    }


def test_one_that_is_dearer_saves_nothing() -> None:
    found = recommendation(asked("good", 0.92, "0.004"), asked("bad", 0.70, "0.02"))
    assert said(found)["misses"] == ["bad: quality 0.70 < 0.85"]
    assert said(found)["dominated"] == ["bad, by good: no better in quality, p95 and cost"]


def test_no_candidate_that_meets_all_is_told() -> None:
    found = recommendation(asked("small", 0.70), asked("slow", 0.92, ms=2400.0))
    assert said(found)["cheapest"] == ["no candidate meets all requirements"]
    assert not_met_lines([found]) == [
        "No candidate meets all requirements (--llm-require-fail):",
        "  small: quality 0.70 < 0.85",
        "  slow: p95 2.40 s > 2.00 s",
    ]


def test_one_candidate_that_meets_all_is_enough() -> None:
    assert not_met_lines([recommendation(asked("small", 0.70), asked("good", 0.92))]) == []


def test_what_is_unknown_is_not_met_and_told() -> None:
    found = recommendation(asked("small", 0.92), wanted=Requirements(data_privacy="strict"))
    assert not_met_lines([found])[1:] == ["  small: data_privacy unknown, nobody knows where it is hosted"]


def test_a_cost_that_nobody_knows_makes_nobody_the_cheapest() -> None:
    found = recommendation(asked("inhouse", 0.92, None))
    assert said(found)["cheapest"] == ["inhouse meets all requirements; nobody knows what it costs"]
    assert heading(found.candidates[0], found) == "inhouse: meets all requirements, nobody knows what a month costs"


def test_what_the_data_cannot_tell_is_said() -> None:
    found = recommendation(asked("small", 0.92)[:20])
    assert said(found)["cheapest"][0].endswith("; not certain: max_latency_ms, min_quality_score")
    assert said(found)["not certain"]


def test_requests_a_month_alone_make_no_verdict_but_a_cost() -> None:
    found = recommendation(asked("small", 0.92), wanted=Requirements(requests_per_month=500_000))
    assert heading(found.candidates[0], found) == "small: $5,000.00 a month for 500,000 requests"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_section_has_a_row_per_requirement_and_keeps_the_width(width: int) -> None:
    run = verdict(asked("small", 0.70, "0.001"), asked("openai:gpt-4o", 0.92))
    ((_, _), (title, text)) = sections(run, width=width, color=False)
    assert title == "LLM requirements"
    assert max(map(cell_len, text.splitlines())) <= width
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "min_quality_score not met quality 0.70 < 0.85" in lines
    assert "max_latency_ms met p95 900 ms <= 2.00 s" in lines


def test_colour_tells_what_is_not_met() -> None:
    (_, (_, text)) = sections(verdict(asked("small", 0.70)), width=80, color=True)
    assert "\x1b[31mnot met" in text


def test_brief_is_the_conclusion_alone() -> None:
    (_, (_, text)) = sections(verdict(asked("small", 0.92)), width=120, color=False, brief=True)
    assert text == "cheapest  small meets all requirements, at $0.01 a request, $10.00 a month\n"


def test_a_run_without_requirements_has_no_such_section() -> None:
    assert [title for title, _ in sections(Run(tests=asked("a", 1.0)), width=80, color=False)] == ["LLM evaluation"]


def test_markdown_and_json_have_the_verdicts_and_no_name_is_markup() -> None:
    run = verdict(asked("<b>|x", 0.70))
    text = markdown.render(run)
    assert "| &lt;b&gt;&#124;x | max&#95;latency&#95;ms | met | p95 900 ms &lt;= 2.00 s |" in text
    assert "- **misses**: &lt;b&gt;&#124;x: quality 0.70 &lt; 0.85" in text
    assert '"requirement": "min_quality_score",\n    "status": "not met",' in json_report.render(run)
    assert "Requirements" not in markdown.render(Run(tests=asked("a", 1.0)))


def test_a_month_is_free_where_every_call_is() -> None:
    free = [TestRecord("test_x[a]", "a", score=1.0, calls=[Call("a", cost="0", cost_status="free")])]
    found = recommendation(free, wanted=Requirements(requests_per_month=10, max_cost_per_request=Decimal(1)))
    assert heading(found.candidates[0], found) == "a: meets all requirements, free for 10 requests"


def test_the_verdicts_of_many_candidates_fit_into_a_comment() -> None:
    run = verdict(*(asked(f"model-{number}-{'|' * 60}", 0.5)[:4] for number in range(150)))
    shown = markdown.render(run)
    assert len(shown) <= 60_000
    assert re.search(r"\.\.\. and \d+ more lines", shown)
    assert shown.splitlines()[-1].startswith("<sub>")
