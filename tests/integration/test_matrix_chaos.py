"""Fallbacks against servers that fail at random, over few cases; ``python -m tests.matrices.chaos`` tries many."""

from __future__ import annotations

from pathlib import Path

from tests.matrices.chaos import AVAILABILITY, SETTINGS_TRIED, chaos_matrix


def test_a_fallback_answers_where_a_third_of_requests_fail_and_replays_the_same(tmp_path: Path) -> None:
    single, healthy, *_, last = SETTINGS_TRIED
    matrix = chaos_matrix(40, tmp_path, settings=[single, healthy, last])
    assert matrix.lost == []
    alone, *fallbacks = [row for row in matrix.rows if row.cells[1] == "live"]
    assert len(fallbacks) == 2
    assert float(alone.cells[2]) < 0.9
    assert all(float(row.cells[2]) >= AVAILABILITY for row in fallbacks)
