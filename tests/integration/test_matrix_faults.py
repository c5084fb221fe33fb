"""What a server's faults lead to, over a part of the cells; ``python -m tests.matrices.faults`` tries them all."""

from __future__ import annotations

from pathlib import Path

from tests.matrices.fault_cells import CALLS, FAULTS, PROTOCOLS, SHAPES, WAYS, Cell, cells_of, quarter
from tests.matrices.fault_mocks import FakeLLM, LLMock
from tests.matrices.fault_server import CAN
from tests.matrices.faults import faults_matrix

OTHERS = [cell for mock in (LLMock, FakeLLM) for cell in quarter(cells_of(mock.name, mock.can))]


def part(cells: list[Cell]) -> list[Cell]:
    """Leave out what takes seconds each: all but a few time-outs and large answers."""
    kept = {"hang": ("passing",), "hang-mid": ("lasting",)}
    return [
        cell
        for cell in cells
        if cell.course in kept.get(cell.fault, (cell.course,))
        and (cell.fault != "big" or (cell.server, cell.call) == ("own", "sync"))
        and (cell.server == "own" or cell.course in ("lasting", "passing", "always"))
    ]


def test_every_fault_is_tried_in_both_protocols_both_calls_both_shapes_and_both_ways() -> None:
    cells = cells_of("own", CAN)
    for name, fault in FAULTS.items():
        of_fault = [cell for cell in cells if cell.fault == name]
        seen = {(cell.protocol, cell.call, cell.shape, cell.way) for cell in of_fault}
        assert len(seen) == len(PROTOCOLS) * len(CALLS) * len(WAYS) * len(fault.shapes)
    assert len([fault for fault in FAULTS.values() if fault.shapes == SHAPES]) >= 14


def test_no_bad_answer_is_recorded_and_no_good_one_is_lost(tmp_path: Path) -> None:
    matrix = faults_matrix(part([*quarter(cells_of("own", CAN)), *OTHERS]), tmp_path)
    assert matrix.lost == []
    assert matrix.tried >= 250
    assert {row.cells[0] for row in matrix.rows} == {"own", "llmock", "fakellm"}
