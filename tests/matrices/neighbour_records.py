"""A plugin of the runs of a matrix: writes how many calls each test has in the records to ``run.json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_llmeval.records import Run


@pytest.hookimpl(optionalhook=True)
def pytest_llmeval_run_finished(config: pytest.Config, run: Run) -> None:
    """Write the counts by test."""
    calls = {test.nodeid: len(test.calls) for test in run.tests}
    (config.rootpath / "run.json").write_text(json.dumps(calls), encoding="utf-8")
