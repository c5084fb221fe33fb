from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.errors import ConfigError, ProviderError
from pytest_llmeval.pacing import (
    AbandonedError,
    Pace,
    PacedCall,
    Paces,
    Patience,
    call_of,
    earlier_requests,
    patience,
    retry_after,
)
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(8, patience=60, clock=clock)


@pytest.fixture
def patient() -> Iterator[None]:
    token = patience.set(Patience())
    yield
    patience.reset(token)


def fill(pace: Pace) -> int:
    while pace.try_enter() is not None:
        pass
    return pace.in_flight


def busy(status: int = 429) -> ProviderError:
    return ProviderError("x", candidate="x", kind="rate_limit" if status == 429 else "server", status=status)


def test_no_more_requests_are_in_flight_than_the_limit(pace: Pace) -> None:
    assert fill(pace) == 8
    pace.leave()
    assert fill(pace) == 8


def test_a_refusal_halves_the_limit_down_to_one(pace: Pace, clock: Clock) -> None:
    limits = []
    for _ in range(5):
        clock.now += 100
        pace.refused(clock())
        limits.append(pace.limit)
    assert limits == [4, 2, 1, 1, 1]


def test_refusals_of_what_was_under_way_together_count_once(pace: Pace, clock: Clock) -> None:
    sent = [pace.enter() for _ in range(8)]
    clock.now += 1
    for when in sent:
        pace.refused(when)
    assert pace.limit == 4


def test_answers_raise_the_limit_by_one_a_round_trip_and_no_further_than_the_most(pace: Pace, clock: Clock) -> None:
    clock.now += 100
    pace.refused(clock())
    for _ in range(4):
        pace.answered()
    assert 4.8 < pace.limit <= 5
    for _ in range(1000):
        pace.answered()
    assert pace.limit == 8


def test_the_limit_that_was_refused_is_tried_again_with_caution(clock: Clock) -> None:
    pace = Pace(8, clock=clock)
    for _ in range(3):
        clock.now += 100
        pace.refused(clock())
    answers = 0
    while pace.limit < 2:
        pace.answered()
        answers += 1
    assert answers == 12
    clock.now += 100
    pace.refused(clock())
    assert int(pace.limit) == 1


def test_caution_ends_where_more_is_answered_than_was_refused(pace: Pace, clock: Clock) -> None:
    for _ in range(3):
        clock.now += 100
        pace.refused(clock())
    while pace.limit < 3:
        pace.answered()
    before = pace.limit
    pace.answered()
    assert pace.limit == pytest.approx(before + 1 / before)


def test_no_request_goes_out_before_the_time_that_the_endpoint_names(pace: Pace, clock: Clock) -> None:
    pace.refused(pace.enter(), 20)
    clock.now += 19.9
    assert pace.try_enter() is None
    clock.now += 0.1
    assert pace.try_enter() is not None


def test_an_endpoint_that_refuses_even_one_at_a_time_is_given_a_rest(clock: Clock) -> None:
    pace = Pace(1, clock=clock)
    pace.refused(pace.enter())
    pace.leave()
    assert pace.try_enter() is None
    clock.now += 1
    assert pace.try_enter() is not None


def test_it_gives_up_where_nothing_was_answered_for_too_long(pace: Pace, clock: Clock) -> None:
    pace.refused(clock())
    clock.now += 59
    pace.refused(clock())
    assert not pace.gives_up()
    pace.answered()
    clock.now += 2
    pace.refused(clock())
    assert not pace.gives_up()
    clock.now += 61
    assert pace.gives_up()


def test_it_gives_up_at_once_where_it_would_have_to_wait_for_too_long(pace: Pace, clock: Clock) -> None:
    pace.refused(clock(), 3600)
    assert pace.gives_up()


def enters(pace: Pace, then: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        pace.enter()
        then()

    return run


def test_a_waiting_request_goes_out_when_another_leaves() -> None:
    pace = Pace(1)
    pace.enter()
    entered = threading.Event()
    thread = threading.Thread(target=enters(pace, entered.set))
    thread.start()
    assert not entered.wait(0.05)
    pace.leave()
    assert entered.wait(5)
    thread.join()


def test_all_that_fit_go_out_when_the_limit_has_risen() -> None:
    pace = Pace(4)
    pace.refused(pace.enter())
    pace.refused(pace.enter())
    assert pace.limit == 1
    gone = threading.Semaphore(0)
    threads = [threading.Thread(target=enters(pace, gone.release)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        pace.answered()
    pace.leave()
    pace.leave()
    assert all(gone.acquire(timeout=5) for _ in range(4))
    for thread in threads:
        thread.join()


def test_who_waits_leaves_when_nobody_wants_the_answer() -> None:
    pace = Pace(1)
    pace.enter()
    unwanted = threading.Event()
    raised = threading.Event()

    def ask() -> None:
        try:
            pace.enter(unwanted.is_set)
        except AbandonedError:
            raised.set()

    thread = threading.Thread(target=ask)
    thread.start()
    unwanted.set()
    pace.wake()
    assert raised.wait(5)
    thread.join()
    assert pace.in_flight == 1


@pytest.mark.parametrize(
    ("status", "headers", "limit"),
    [
        (200, {}, 8),
        (429, {}, 4),
        (529, {}, 4),
        (503, {"retry-after": "0"}, 4),
        (503, {}, 8),
        (500, {"retry-after": "0"}, 8),
        (400, {}, 8),
    ],
)
def test_what_the_transport_sees_sets_the_limit(pace: Pace, status: int, headers: dict[str, str], limit: int) -> None:
    call = PacedCall(pace)
    call.send()
    call.answered(status, headers)
    assert pace.limit == limit


@pytest.mark.parametrize(("status", "in_flight"), [(200, 1), (404, 0), (429, 0), (500, 0)])
def test_a_refused_request_is_no_longer_in_flight_while_the_sdk_waits(pace: Pace, status: int, in_flight: int) -> None:
    with call_of(pace) as call:
        call.send()
        call.answered(status, {})
        assert pace.in_flight == in_flight
    assert pace.in_flight == 0


def test_a_call_is_tried_again_only_where_someone_has_the_patience(pace: Pace) -> None:
    with call_of(pace) as call:
        call.send()
        call.answered(429, {"retry-after": "0"})
        assert not call.again(busy())


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("status", [429, 529])
def test_a_call_that_the_sdk_gave_up_is_tried_again(status: int) -> None:
    pace = Pace(8)
    with call_of(pace) as call:
        for _ in range(3):
            call.send()
            call.answered(status, {"retry-after": "0"})
        assert earlier_requests() == 0
        assert call.again(busy(status))
        assert earlier_requests() == 3
    assert earlier_requests() == 0


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    "error",
    [
        ProviderError("x", candidate="x", kind="server", status=500),
        ProviderError("x", candidate="x", kind="rate_limit", status=429, final=True),
        ValueError("x"),
    ],
)
def test_other_errors_are_final(pace: Pace, error: Exception) -> None:
    with call_of(pace) as call:
        call.send()
        call.answered(500, {})
        assert not call.again(error)


@pytest.mark.usefixtures("patient")
def test_a_refusal_is_final_where_the_endpoint_says_so(pace: Pace) -> None:
    with call_of(pace) as call:
        call.send()
        call.answered(429, {"x-should-retry": "false"})
        assert not call.again(busy())


@pytest.mark.usefixtures("patient")
def test_a_refusal_that_was_not_seen_is_known_by_its_error() -> None:
    pace = Pace(8)
    with call_of(pace) as call:
        assert call.again(busy())
        assert pace.limit == 4
        assert call.earlier == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "20", "retry-after": "9"}, 0.02),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({}, None),
    ],
)
def test_the_time_that_an_endpoint_names(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_the_time_that_an_endpoint_names_may_be_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    seconds = retry_after({"retry-after": when})
    assert seconds is not None
    assert 25 < seconds <= 30


def test_candidates_of_one_endpoint_share_its_pace() -> None:
    paces = Paces(8, {"alias": 2, "ollama": 1}, ["openai", "ollama", "alias"])
    first, second = Candidate("openai:a", "openai", "a"), Candidate("openai:b", "openai", "b")
    elsewhere = Candidate("c", "openai", "c", base_url="http://x/v1")
    assert paces.of(first) is paces.of(second)
    assert paces.of(elsewhere) is not paces.of(first)
    assert [paces.of(candidate).most for candidate in (first, elsewhere)] == [8, 8]
    assert paces.of(Candidate("ollama:x", "ollama", "x")).most == 1
    assert paces.of(Candidate("alias", "openai", "a")).most == 2


def test_a_limit_for_what_there_is_not_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"concurrency\.opnai .*Did you mean 'openai'\? Known: ollama, openai\."):
        Paces(8, {"opnai": 2}, ["openai", "ollama"])
