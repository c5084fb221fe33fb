"""The run's money: never more than there is, whoever asks."""

from __future__ import annotations

import random
import threading
import time
from decimal import Decimal

import pytest

from pytest_llmeval.ledger import RunLedger, WorkerLedger
from pytest_llmeval.runheader import Spending


def gone(spending: Spending) -> Decimal:
    return Decimal(spending.spent) + Decimal(spending.assumed)


@pytest.mark.parametrize("seed", range(4))
def test_threads_that_reserve_at_once_never_exceed_the_limit(seed: int) -> None:
    limit = Decimal("1.00")
    ledger = RunLedger(limit)
    worst: list[Decimal] = []
    refused: list[str] = []

    def ask(thread: int) -> None:
        chance = random.Random(seed * 100 + thread)
        for number in range(60):
            ticket, most = f"{thread}-{number}", Decimal(chance.randrange(1, 300)) / 1000
            while (answer := ledger.reserve(ticket, str(thread), most)).verdict == "wait":
                worst.append(gone(answer.spending) + Decimal(answer.spending.held))
            worst.append(gone(answer.spending) + Decimal(answer.spending.held))
            if answer.verdict == "refused":
                refused.append(ticket)
                continue
            # The call takes a while, so that others come meanwhile.
            time.sleep(0.001)
            part = Decimal(chance.randrange(0, 11)) / 100
            ledger.settle(ticket, chance.choice([most * part, Decimal(0), None]))

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert max(worst) <= limit
    assert refused
    assert ledger.spending.held == "0"


def test_what_nobody_can_tell_counts_as_the_most_that_it_can_have_cost() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "t", Decimal("0.4"))
    ledger.settle("a", None)
    assert ledger.spending == Spending("1", assumed="0.4", assumed_calls=1)
    assert ledger.reserve("b", "t", Decimal("0.61")).verdict == "refused"


def test_a_call_is_settled_once() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "t", Decimal("0.4"))
    ledger.settle("a", Decimal("0.1"))
    ledger.settle("a", Decimal("0.4"))
    assert ledger.spending.spent == "0.1"


def test_a_limit_can_be_used_to_the_last_cent() -> None:
    ledger = RunLedger(Decimal("0.3"))
    for ticket in "abc":
        # As floats, three tenths would be more than 0.3.
        assert ledger.reserve(ticket, "t", Decimal("0.1")).verdict == "granted"
        ledger.settle(ticket, Decimal("0.1"))
    assert ledger.reserve("d", "t", Decimal("0.000001")).verdict == "refused"


def test_calls_without_a_price_are_let_through_and_counted() -> None:
    ledger = RunLedger(Decimal(0))
    assert ledger.reserve("a", "t", None).verdict == "granted"
    assert ledger.reserve("b", "t", None).verdict == "granted"
    ledger.settle("a", None)
    ledger.settle("b", Decimal("0.2"))
    assert (ledger.spending.unpriced, ledger.spending.spent) == (1, "0.2")


def test_whoever_waits_for_itself_is_refused() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "thread", Decimal("0.9"))
    assert ledger.reserve("b", "thread", Decimal("0.2")).verdict == "refused"
    assert ledger.reserve("b", "other", Decimal("0.2")).verdict == "wait"


def test_of_two_that_wait_for_each_other_one_is_refused() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "one", Decimal("0.5"))
    ledger.reserve("b", "two", Decimal("0.5"))
    assert ledger.reserve("c", "one", Decimal("0.5")).verdict == "wait"
    assert ledger.reserve("d", "two", Decimal("0.5")).verdict == "refused"
    # It goes on to something else, and what it had open comes to an end.
    ledger.settle("b", Decimal(0))
    assert ledger.reserve("c", "one", Decimal("0.5")).verdict == "granted"


def test_tasks_of_a_thread_that_waits_are_stuck() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "thread/task", Decimal("0.9"))
    assert ledger.reserve("b", "thread/another", Decimal("0.2")).verdict == "wait"
    ledger.leave("thread/another")
    assert ledger.reserve("b", "thread", Decimal("0.2")).verdict == "refused"


def test_whoever_has_stopped_waiting_holds_up_nobody() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("a", "one", Decimal("0.9"))
    assert ledger.reserve("b", "two", Decimal("0.2")).verdict == "wait"
    ledger.reserve("c", "two", Decimal("0.05"))
    assert ledger.reserve("d", "one", Decimal("0.2")).verdict == "wait"


def test_what_a_dead_worker_left_may_be_billed() -> None:
    ledger = RunLedger(Decimal(1))
    ledger.reserve("gw0:1", "gw0:1", Decimal("0.4"))
    ledger.reserve("gw01:1", "gw01:1", Decimal("0.3"))
    ledger.close("gw0")
    assert (ledger.spending.assumed, ledger.spending.held) == ("0.4", "0.3")


def test_a_worker_sees_the_ledger_of_the_run() -> None:
    run = RunLedger(Decimal("0.5"))
    worker = WorkerLedger(run.serve, run.serve)
    assert worker.reserve("a", "t", Decimal("0.4")).verdict == "granted"
    assert worker.reserve("b", "u", Decimal("0.4")).verdict == "wait"
    worker.leave("u")
    worker.settle("a", Decimal("0.123"))
    answer = worker.reserve("b", "u", Decimal("0.4"))
    assert (answer.verdict, answer.spending) == ("refused", run.spending)
    assert worker.reserve("c", "u", None).verdict == "granted"
    worker.settle("c", None)
    assert run.spending == Spending("0.5", spent="0.123", unpriced=1)
