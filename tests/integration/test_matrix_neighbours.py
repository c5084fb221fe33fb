"""Other plugins, options, patches, threads and processes beside us; ``tests.matrices.neighbours`` has all cases."""

from __future__ import annotations

from pathlib import Path

from tests.matrices.neighbours import BRIEF, all_cases, brief_cases, neighbours


def test_nothing_is_lost_beside_others(tmp_path: Path) -> None:
    matrix = neighbours(brief_cases(), tmp_path)
    assert matrix.lost == []
    assert len(matrix.rows) == len(BRIEF)
    assert matrix.tried >= 190


def test_no_two_cases_have_one_name() -> None:
    names = [(case.neighbour, case.name) for case in all_cases()]
    assert len(names) == len(set(names)) > 80
