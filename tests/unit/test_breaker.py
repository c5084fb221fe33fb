from __future__ import annotations

import pytest

from pytest_llmeval.breaker import CircuitBreaker
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(failures=3, cooldown=10.0, clock=clock)


def test_it_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    for _ in range(2):
        breaker.failed()
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()


def test_an_answer_ends_a_row(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()


def test_after_the_cool_down_one_request_tries(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 10
    assert [breaker.allows() for _ in range(3)] == [True, False, False]


def test_what_that_request_finds_decides(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 10
    assert breaker.allows()
    breaker.failed()
    clock.now += 9
    assert not breaker.allows()
    clock.now += 1
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]


def test_a_request_that_never_ends_does_not_keep_it_open(breaker: CircuitBreaker, clock: Clock) -> None:
    for _ in range(3):
        breaker.failed()
    clock.now += 10
    assert breaker.allows()
    clock.now += 10
    assert breaker.allows()


def test_no_number_of_failures_opens_one_that_is_off(clock: Clock) -> None:
    breaker = CircuitBreaker(failures=0, cooldown=10.0, clock=clock)
    for _ in range(100):
        breaker.failed()
    assert breaker.allows()
