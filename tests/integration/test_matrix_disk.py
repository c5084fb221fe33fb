"""A part of `tests.matrices.disk`, which tries each fault in all modes: ``python -m tests.matrices.disk``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if not hasattr(os, "fork") or sys.platform != "linux":
    pytest.skip("limits and permissions are set in the way of Linux", allow_module_level=True)

from tests.matrices.disk import PORTABLE, namespace, tried


def test_a_disk_that_fails_is_told_and_costs_nothing_else(tmp_path: Path) -> None:
    matrix = tried(PORTABLE, tmp_path, cases=1, xdist=0)
    assert matrix.lost == []
    assert matrix.tried >= len(PORTABLE)


def test_a_folder_whose_name_is_too_long_is_told_in_each_mode(tmp_path: Path) -> None:
    (fault,) = (fault for fault in PORTABLE if fault.name == "a name too long")
    matrix = tried((fault,), tmp_path, cases=len(fault.cases), xdist=0)
    assert matrix.lost == []
    assert matrix.tried >= len(fault.cases)


def test_it_is_told_with_workers_too(tmp_path: Path) -> None:
    matrix = tried(PORTABLE[:1], tmp_path, cases=0, xdist=1)
    assert matrix.lost == []
    assert matrix.tried >= 1


def test_file_systems_that_are_full_or_read_only_are_told() -> None:
    inside = namespace()
    if inside is None:
        pytest.skip("nothing can be mounted here")
    command = [*inside, sys.executable, "-m", "tests.matrices.disk", "--mounts", "--cases=1", "--xdist=0"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost 0" in ended.stdout
