"""What to tell of a request that has no recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmeval.cassettes import stale
from pytest_llmeval.cassettes.matching import HTTPRequest, scrub_uri
from pytest_llmeval.cassettes.paths import shown_path

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.format import Interaction
    from pytest_llmeval.cassettes.store import Cassette
    from pytest_llmeval.cassettes.turns import Equals


def why_missed(cassette: Cassette, request: HTTPRequest, equals: Equals) -> tuple[list[str], str]:
    """Return the lines that say why a request has no recording, and the mode that would record it."""
    target = f"  {request.method} {stale.plain(scrub_uri(request.uri))}"
    shown = cassette.shown
    if not cassette.kept:
        own = shown_path(cassette.path)
        lines = [f"No recording: {own} does not exist, and mode '{cassette.mode}' asks nobody.", target]
        return [*lines, *_taken_over(cassette), *_elsewhere(cassette, request)], "once"
    if equals.recorded:
        return [f"{shown}: recorded {len(equals.recorded)}x, asked {equals.asked}x.", target], "stale"
    recorded = cassette.recorded
    if recorded and not cassette.unused:
        return [f"{shown}: all {len(recorded)} recorded answers are used up, and this is one more.", target], "stale"
    lines = [f"{shown} is stale: it has no recording of this request.", target]
    close = stale.nearest(request, recorded)
    if close is not None:
        lines.append("Nearest recorded request ([-recorded-] {+now+}):")
        lines += _differences(cassette, request, close)
    return lines, "stale"


def _taken_over(cassette: Cassette) -> list[str]:
    """Return what recordings of tests that are gone have to do with it."""
    taken = cassette.taken_over
    if taken is None:
        return []
    paths = [shown_path(found.path) for found in taken.found]
    if taken.undecided:
        to = shown_path(cassette.path)
        return [f"{' and '.join(paths)} have this request, and their tests are gone.", f"Move the right one to {to}."]
    return [f"{paths[0]}, whose test is gone, has what was asked before this, but not this."]


def _elsewhere(cassette: Cassette, request: HTTPRequest) -> list[str]:
    """Return what differs from the nearest request that stock or a test that is gone has recorded."""
    nearest = None
    for found in cassette.elsewhere():
        close = stale.nearest(request, found.tape.interactions)
        if close is not None:
            likeness = stale.likeness(request, close)
            if likeness >= stale.ALIKE and (nearest is None or likeness > nearest[0]):
                nearest = likeness, found.path, close
    if nearest is None:
        return []
    if not stale.differences(request, nearest[2], cassette.rules(request)):
        return []
    head = f"Nearest recorded request, in {shown_path(nearest[1])} ([-recorded-] {{+now+}}):"
    return [head, *_differences(cassette, request, nearest[2])]


def _differences(cassette: Cassette, request: HTTPRequest, close: Interaction) -> list[str]:
    ignored = cassette.rules(request)
    lines = [f"  {line}" for line in stale.differences(request, close, ignored)]
    if ignored:
        lines.append(f"  ignored: {', '.join(stale.plain(rule) for rule in ignored.rules)}")
    return lines


def late_message(asked: str, command: str) -> str:
    """Return what to say of a request that came after its test had ended.

    Args:
        asked: The URL.
        command: What runs that test alone.
    """
    return (
        f"{asked} was asked after its test had ended ({command}). Wait for threads and tasks before the test returns; "
        "start what serves several tests in a fixture of the session; name in llm_passthrough what is to be left alone."
    )
