"""All that the terminal shows of a run, in sections: a title, and a text that ends with a newline."""

from __future__ import annotations

from pytest_llmeval.records import Run
from pytest_llmeval.reports.terminal import Screen, render_summary
from pytest_llmeval.reports.verdicts import conclusions, heading, verdict_text
from pytest_llmeval.verdicts import Recommendation

STYLES = {"met": "green", "not met": "red", "unknown": "yellow"}


def sections(
    run: Run, *, width: int, color: bool, brief: bool = False, encoding: str = "utf-8"
) -> list[tuple[str, str]]:
    """Return the sections that say anything of a run; the arguments are those of `render_summary`."""
    found = [("LLM evaluation", render_summary(run, width=width, color=color, brief=brief, encoding=encoding))]
    if run.recommendation is not None:
        screen = Screen(width, color, encoding)
        _requirements(screen, run.recommendation, brief=brief)
        found.append(("LLM requirements", screen.text()))
    return [(title, text) for title, text in found if text]


def _requirements(screen: Screen, recommendation: Recommendation, *, brief: bool) -> None:
    found = conclusions(recommendation)
    if brief:
        screen.notes(found[:1], after_table=False)
        return
    for candidate in recommendation.candidates:
        screen.line(heading(candidate, recommendation))
        screen.grid(
            [
                (("", ""), (verdict.key, ""), (verdict_text(verdict), STYLES[verdict.status]), (verdict.text, ""))
                for verdict in candidate.verdicts
            ]
        )
    screen.notes(found)
