from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_llmeval.cassettes import detours
from pytest_llmeval.cassettes.detours import Detour, Failure, NotAskedError, PassedOver, passed_over
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.turns import Equals, Turns

FAILURE = Failure("big", "server", 503, 2, 12.5, unbilled=True)


def answer(**meta: object) -> Interaction:
    body = b'{"model": "small"}'
    return Interaction("POST", "https://b/v1", body, {}, 200, "OK", {}, b"{}", {"recorded_at": "2026-01-01", **meta})


def over(place: int = 0, carrier: Interaction | None = None) -> PassedOver:
    found = PassedOver("POST", "https://a/v1", b'{"a":1}', {"content-type": ["application/json"]}, 0, "", {}, b"")
    found.failure, found.place, found.carrier = FAILURE, place, carrier
    return found


@pytest.fixture
def detour() -> Iterator[Detour]:
    detour = Detour()
    token = detours.current.set(detour)
    yield detour
    detours.current.reset(token)


def test_what_was_passed_over_survives_the_way_through_a_recording() -> None:
    told = answer(instead_of=[over(3).to_meta()])
    (found,) = passed_over([told])
    assert (found.failure, found.place, found.carrier is told) == (FAILURE, 3, True)
    assert (found.method, found.uri, found.request_type) == ("POST", "https://a/v1", "application/json")
    assert found.recorded_at == told.recorded_at


@pytest.mark.parametrize(
    "told",
    [
        *(None, "x", [1], [{}], [{"candidate": "a", "kind": "server"}]),
        *([{**over().to_meta(), name: value}] for name in ("place", "retries", "status") for value in ("0", -1, 1.5)),
        *([{**over().to_meta(), name: 1}] for name in ("candidate", "kind", "method", "uri", "body")),
    ],
)
def test_what_cannot_be_read_is_left_out(told: object) -> None:
    assert passed_over([answer(instead_of=told)]) == []


def test_a_time_that_is_none_is_unknown() -> None:
    (found,) = passed_over([answer(instead_of=[{**over().to_meta(), "latency_ms": "x"}])])
    assert found.failure.latency_ms is None


def test_it_is_no_answer_for_who_asks_the_candidate_alone(detour: Detour) -> None:
    equals = Equals(recorded=[over()])
    assert equals.answer(0) is not None
    token = detours.current.set(None)
    assert equals.answer(0) is None
    detours.current.reset(token)
    with pytest.raises(NotAskedError):
        detours.refuse_passed_over(equals.recorded[0])
    assert not detour.later


def test_the_answer_that_came_instead_is_found_among_equal_ones(detour: Detour) -> None:
    first, second = answer(), answer()
    equals = Equals(recorded=[first, second])
    detour.replayed(over(carrier=second))
    assert equals.answer(equals.place(retry=False)) is second
    detour.begin()
    assert equals.answer(equals.place(retry=False)) is first


def test_turns_leave_no_gaps_where_not_all_come(detour: Detour) -> None:
    equals, turns = Equals(recorded=[answer()]), Turns(["same", "same"])
    detour.answered()
    with turns.of(1):
        assert equals.place(retry=False) == 0


def test_a_request_that_is_skipped_is_not_sent(detour: Detour) -> None:
    detours.refuse_skipped()
    detour.skip = True
    with pytest.raises(NotAskedError):
        detours.refuse_skipped()
