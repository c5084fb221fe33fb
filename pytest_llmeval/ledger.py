"""The run's money: what is spent, what is set aside for calls on their way, and what is left."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol

from pytest_llmeval.runheader import Spending

#: ``wait``: what is set aside for others may turn out to be enough.
Verdict = Literal["granted", "wait", "refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the ledger says to whoever wants to ask a model.

    Attributes:
        verdict: Whether the call may go out.
        spending: How things stand.
    """

    verdict: Verdict
    spending: Spending


class Ledger(Protocol):
    """Who keeps the run's money; safe to use from several threads."""

    def reserve(self, ticket: str, owner: str, amount: Decimal | None) -> Answer:
        """Set money aside for a call.

        Args:
            ticket: Stands for the call.
            owner: Who waits until it may go out: ``thread``, or ``thread/task``.
            amount: The most that it can cost; None for a call whose price is unknown.
        """
        ...

    def settle(self, ticket: str, amount: Decimal | None) -> None:
        """Note what a call cost; None where nobody knows: then the most that it can have cost counts as spent."""
        ...

    def leave(self, owner: str) -> None:
        """Note that somebody has stopped waiting."""
        ...


@dataclass(slots=True)
class _Hold:
    owner: str
    amount: Decimal
    unpriced: bool


@dataclass
class RunLedger:
    """The ledger of a whole run.

    What is spent and what is set aside never exceed the limit together, as long as no call costs more than was set
    aside for it.

    >>> ledger = RunLedger(Decimal("1.00"))
    >>> ledger.reserve("a", "thread", Decimal("0.60")).verdict, ledger.reserve("b", "other", Decimal("0.60")).verdict
    ('granted', 'wait')
    >>> ledger.settle("a", Decimal("0.10"))
    >>> ledger.reserve("b", "other", Decimal("0.60")).verdict, ledger.reserve("c", "thread", Decimal("0.91")).verdict
    ('granted', 'refused')
    """

    limit: Decimal
    _spent: Decimal = Decimal(0)
    _assumed: Decimal = Decimal(0)
    _assumed_calls: int = 0
    _unpriced: int = 0
    _holds: dict[str, _Hold] = field(default_factory=dict)
    _waiting: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def spending(self) -> Spending:
        """How things stand."""
        with self._lock:
            return self._spending()

    def reserve(self, ticket: str, owner: str, amount: Decimal | None) -> Answer:
        """Set money aside for a call; see `Ledger`."""
        with self._lock:
            return Answer(self._reserve(ticket, owner, amount), self._spending())

    def _reserve(self, ticket: str, owner: str, amount: Decimal | None) -> Verdict:
        self._waiting.discard(owner)
        most = amount or Decimal(0)
        gone = self._spent + self._assumed
        if amount is not None and gone + most > self.limit:
            return "refused"
        if amount is None or gone + self._held() + most <= self.limit:
            self._holds[ticket] = _Hold(owner, most, amount is None)
            return "granted"
        self._waiting.add(owner)
        if all(self._is_stuck(hold) for hold in self._holds.values()):
            # Nobody is left who could finish a call: a stream, say, that its reader has left to ask something else.
            self._waiting.discard(owner)
            return "refused"
        return "wait"

    def _is_stuck(self, hold: _Hold) -> bool:
        """Whether a call cannot end before another one does: its owner waits, or the thread that it lives in."""
        return hold.owner in self._waiting or hold.owner.partition("/")[0] in self._waiting

    def settle(self, ticket: str, amount: Decimal | None) -> None:
        """Note what a call cost; see `Ledger`. A call is settled once."""
        with self._lock:
            hold = self._holds.pop(ticket, None)
            if hold is None:
                return
            if amount is not None:
                self._spent += amount
            elif hold.unpriced:
                self._unpriced += 1
            else:
                self._assumed += hold.amount
                self._assumed_calls += 1

    def leave(self, owner: str) -> None:
        """Note that somebody has stopped waiting."""
        with self._lock:
            self._waiting.discard(owner)

    def close(self, worker: str) -> None:
        """Settle what a worker has left: it is gone, and what it asked may well be billed."""
        prefix = f"{worker}:"
        with self._lock:
            left = [ticket for ticket in self._holds if ticket.startswith(prefix)]
            self._waiting = {owner for owner in self._waiting if not owner.startswith(prefix)}
        for ticket in left:
            self.settle(ticket, None)

    def _spending(self) -> Spending:
        return Spending(
            limit=str(self.limit),
            spent=str(self._spent),
            assumed=str(self._assumed),
            assumed_calls=self._assumed_calls,
            unpriced=self._unpriced,
            held=str(self._held()),
        )

    def _held(self) -> Decimal:
        return sum((hold.amount for hold in self._holds.values()), Decimal(0))

    def serve(self, request: Any) -> Any:
        """Do for a worker of xdist what its `WorkerLedger` asks for; both speak plain JSON types."""
        what, *rest = request
        if what == "reserve":
            ticket, owner, amount = rest
            answer = self.reserve(ticket, owner, None if amount is None else Decimal(amount))
            return [answer.verdict, answer.spending.to_json()]
        if what == "settle":
            ticket, amount = rest
            self.settle(ticket, None if amount is None else Decimal(amount))
        elif what == "leave":
            self.leave(*rest)
        return None


class WorkerLedger:
    """The run's ledger as a worker of xdist sees it: the controller keeps it.

    Args:
        ask: Sends something to the controller and returns its answer.
        tell: Sends something to the controller.
    """

    def __init__(self, ask: Callable[[Any], Any], tell: Callable[[Any], None]) -> None:
        self._ask = ask
        self._tell = tell

    def reserve(self, ticket: str, owner: str, amount: Decimal | None) -> Answer:
        """Set money aside for a call; see `Ledger`."""
        verdict, spending = self._ask(["reserve", ticket, owner, None if amount is None else str(amount)])
        return Answer(verdict, Spending.from_json(spending))

    def settle(self, ticket: str, amount: Decimal | None) -> None:
        """Note what a call cost; see `Ledger`."""
        self._tell(["settle", ticket, None if amount is None else str(amount)])

    def leave(self, owner: str) -> None:
        """Note that somebody has stopped waiting."""
        self._tell(["leave", owner])
