"""What a run says of its budget: what was spent, and which tests it did not reach for."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from pytest_llmeval.prices import format_usd
from pytest_llmeval.records import Run
from pytest_llmeval.runheader import Spending


def spent(spending: Spending) -> str:
    """Say how a run stands with its budget.

    >>> spent(Spending("5.00", "4.97"))
    '$5.00: spent $4.97'
    >>> spent(Spending("5", "1.25", "0.5", assumed_calls=2))
    '$5.00: spent $1.25, and up to $0.50 for 2 calls of which nobody knows what they cost'
    """
    text = f"{format_usd(Decimal(spending.limit))}: spent {_amount(spending)}"
    if spending.assumed_calls:
        calls = f"{spending.assumed_calls:,} call{'s' * (spending.assumed_calls > 1)}"
        most = format_usd(Decimal(spending.assumed))
        text += f", and up to {most} for {calls} of which nobody knows what {_they(spending.assumed_calls)} cost"
    return text


def _they(count: int) -> str:
    return "it" if count == 1 else "they"


def _amount(spending: Spending) -> str:
    amount = format_usd(Decimal(spending.spent))
    if not spending.unpriced:
        return amount
    return f"≥ {amount} ({spending.unpriced:,} call{'s' * (spending.unpriced > 1)} unpriced)"


def budget_note(run: Run) -> str | None:
    """Return the note on a run's budget; None if it had none."""
    if run.budget is None:
        return None
    counts = Counter(test.candidate or "no candidate" for test in run.tests if test.outcome == "not_run")
    if not counts:
        return spent(run.budget)
    tests = f"{counts.total():,} test{'s' * (counts.total() > 1)}"
    return f"{spent(run.budget)}; {tests} not run ({', '.join(f'{name}: {n:,}' for name, n in counts.items())})"


def not_run_line(tests: int, spending: Spending, *, keeps: bool) -> str:
    """Say that tests were not run, and what to do.

    >>> print(not_run_line(1, Spending("5", "4.97"), keeps=True))
    1 test was not run: the budget does not reach (--llm-max-cost=5). Run again to go on: answers so far are recorded.
    """
    were = "test was" if tests == 1 else "tests were"
    more = " Run again to go on: answers so far are recorded." if keeps else ""
    return f"{tests:,} {were} not run: the budget does not reach (--llm-max-cost={spending.limit}).{more}"
