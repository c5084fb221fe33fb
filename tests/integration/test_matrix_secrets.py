"""Secrets in every place where one can be; `python -m tests.matrices.secrets` prints the whole tables."""

from __future__ import annotations

from tests.matrices.secret_canaries import CANARIES
from tests.matrices.secrets import apart, found_in_stock, together

MOST = apart(CANARIES)[0]
# The whole table takes minutes; its half has some of each kind.
HALF = MOST[::2]


def test_no_secret_reaches_a_file_the_terminal_a_log_or_a_report() -> None:
    matrix = together(HALF)
    assert matrix.lost == []
    assert matrix.tried >= 30


def test_scan_finds_what_stock_vcrpy_wrote() -> None:
    matrix = found_in_stock(HALF)
    assert matrix.lost == []
    assert matrix.tried >= 25
