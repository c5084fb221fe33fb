"""Shows how far a run is while its tests wait for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.readahead import ReadAhead


class Quiet:
    """Shows nothing."""

    def waits(self, ahead: ReadAhead) -> None: ...
    def goes_on(self) -> None: ...


def progress_of(config: pytest.Config) -> Quiet:
    return Quiet()
