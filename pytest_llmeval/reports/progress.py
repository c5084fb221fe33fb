"""How far a run is, in one line: answers, calls in flight, cost so far, time left."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llmeval.prices import TotalCost

#: Answers from which the time that is left can be told.
ENOUGH = 3
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a run that goes on.

    Attributes:
        done: How many are done.
        total: How many there are; None if nobody knows yet.
        cost: What was paid so far.
        seconds: How long it has taken.
        asked: How many of those that are done took that time: recordings take none.
        in_flight: Calls that are being made; None if nobody knows.
        unit: What is counted.
    """

    done: int
    total: int | None
    cost: TotalCost
    seconds: float
    asked: int
    in_flight: int | None = None
    unit: str = "answers"

    def line(self, width: int = 120) -> str:
        """Return the line; where it is too long, the last parts are left out.

        >>> from decimal import Decimal
        >>> Progress(30, 90, TotalCost(Decimal("0.12"), priced=30), 60.0, 30, in_flight=8).line()
        'llmeval: 30/90 answers, 8 in flight, about 2 min left, $0.12 so far'
        """
        of_total = f"{self.done:,}" if self.total is None else f"{self.done:,}/{self.total:,}"
        parts = [f"{of_total} {self.unit}"]
        if self.in_flight is not None:
            parts.append(f"{self.in_flight} in flight")
        left = self.seconds_left
        if left is not None:
            parts.append(f"about {duration(left)} left")
        if self.cost.known or self.cost.unpriced:
            parts.append("cost unknown" if not self.cost.known else f"{self.cost}{' so far' * (not self.cost.is_free)}")
        while len(line := f"llmeval: {', '.join(parts)}") > width and len(parts) > 1:
            parts.pop()
        return line

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the rate so far; None if that cannot be told yet."""
        if self.total is None or self.asked < ENOUGH or self.done >= self.total:
            return None
        return (self.total - self.done) * self.seconds / self.asked


def duration(seconds: float) -> str:
    """Return a time as a person would say it.

    >>> [duration(seconds) for seconds in (0.2, 42, 200, 4000, 36_000)]
    ['1 s', '42 s', '3 min', '1 h 7 min', '10 h']
    """
    if seconds < MINUTE - 0.5:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    hours, minutes = divmod(round(seconds / MINUTE), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
