"""A part of `tests.matrices.damage`, which cuts at every byte: ``python -m tests.matrices.damage``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.matrices.damage import damaged
from tests.matrices.damage_kinds import recorded
from tests.matrices.hostile import hostile


def test_a_damaged_cassette_replays_exactly_or_is_refused(tmp_path: Path) -> None:
    with recorded(tmp_path) as cassettes:
        matrix = damaged(cassettes, tmp_path, every=20)
    assert matrix.lost == []
    assert matrix.tried > 2500


def test_a_cassette_from_a_stranger_does_no_harm(tmp_path: Path) -> None:
    matrix = hostile(tmp_path)
    assert matrix.lost == []
    assert matrix.tried > 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked, which is a matter of POSIX")
def test_a_run_over_damaged_cassettes_names_file_and_line(tmp_path: Path) -> None:
    from tests.matrices.damage_runs import whole_runs

    matrix = whole_runs(tmp_path)
    assert matrix.lost == []
    assert matrix.tried >= 40
