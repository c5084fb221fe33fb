"""A small part of `tests.matrices.kills`, which kills two hundred times: ``python -m tests.matrices.kills``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if not hasattr(os, "fork"):
    pytest.skip("kill -9 is a matter of POSIX", allow_module_level=True)

from tests.matrices.kill_site import site
from tests.matrices.kills import Kill, tried

# Before the temporary file is opened, before it gets its name (torn in the middle), before it is removed.
AT_STEPS = [Kill("process", "once", 1, step) for step in (6, 7, 8)]
AT_STEPS += [Kill("process", "new", 1, 2), Kill("process", "all", 1, 2), Kill("process", "all", 1, 4)]
AT_RANDOM = [Kill("process", "once", 11), Kill("process", "new", 12)]
UNDER_XDIST = [Kill("controller", "once", 13), Kill("worker", "once", 5)]


@pytest.mark.parametrize("plan", [AT_STEPS + AT_RANDOM, UNDER_XDIST], ids=["one process", "xdist"])
def test_a_kill_loses_the_running_test_only(tmp_path: Path, plan: list[Kill]) -> None:
    with site(tmp_path) as place:
        matrix = tried(plan, [place])
    assert matrix.lost == []
    # A kill that comes after the end is not counted; those at a step never do.
    assert matrix.tried >= len(plan) - len([kill for kill in plan if kill.step is None])
    assert matrix.tried > 0
