"""Holds a run against requirements: those of the settings, and those that were written over them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmeval.figures import figures_of
from pytest_llmeval.provenance import context_of
from pytest_llmeval.settings import Requirements, load_settings, parse_requirements
from pytest_llmeval.verdicts import recommend

if TYPE_CHECKING:
    from pytest_llmeval.records import Run
    from pytest_llmeval.runheader import CandidateInfo


def requirements_of(rootdir: Path, written: Iterable[str] = (), source: str = "--llm-require") -> Requirements:
    """Return the requirements of a project, with those over them that were written as ``key=value``.

    Raises:
        ConfigError: Settings or requirements that cannot be used.
    """
    return parse_requirements(written, load_settings(rootdir).requirements, source)


def judged(run: Run, requirements: Requirements, described: Iterable[CandidateInfo]) -> Run:
    """Return a run with its recommendation; the run as it is where nothing is required, or nobody was asked.

    Args:
        run: The records.
        requirements: What candidates have to meet.
        described: What is known of them beside their tests.

    >>> from pytest_llmeval.records import Run, TestRecord
    >>> run = judged(Run(tests=[TestRecord("test_x[a]", "a", score=1.0)]), Requirements(min_quality_score=0.8), ())
    >>> run.recommendation.candidates[0].verdicts[0].text
    'quality 1.00 >= 0.80'
    """
    if not requirements or not run.by_candidate():
        return run
    known = {info.name: info for info in described}
    if requirements.context_needed is not None:
        known = {name: replace(info, context=context_of(info)) for name, info in known.items()}
    return replace(run, recommendation=recommend(figures_of(run, known), requirements))
