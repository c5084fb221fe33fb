"""What is wrong with the recordings of a test, and what it would cost to record that again."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cassettes.store import Cassette
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.recorded import cost_of_answer, total_of


def why_again(cassettes: Sequence[Cassette]) -> str | None:
    """Return ``stale``, ``missing`` or ``old`` for the recordings of one test, the worst first; None if they hold."""
    found = {cassette.missed for cassette in cassettes} | {"old" for cassette in cassettes if cassette.too_old}
    return next((why for why in ("stale", "missing", "old") if why in found), None)


def cost_again(cassettes: Sequence[Cassette], candidate: Candidate | None) -> TotalCost | None:
    """Return what it costs, at today's prices, to record again what does not hold; None where nothing was recorded.

    What a changed prompt will cost nobody knows: what the answers that it replaces would cost stands for it.
    """
    replaced = []
    for cassette in cassettes:
        if cassette.missed == "stale":
            # All were used, and one more was asked: one like the last.
            replaced += cassette.unused or cassette.recorded[-1:]
        replaced += cassette.too_old
    if not replaced:
        return None
    return total_of(cost_of_answer(interaction, candidate, cassettes[0].engine.now) for interaction in replaced)
