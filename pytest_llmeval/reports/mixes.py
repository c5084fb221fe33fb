"""What became of the calls of candidates that are made of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_llmeval.records import Run
from pytest_llmeval.reports.columns import one_line
from pytest_llmeval.reports.summary import CandidateSummary

MOST_REASONS = 5
LABELS = ("simple", "complex")


@dataclass(frozen=True, slots=True)
class Confusion:
    """How a router took cases that are labelled (`complexity`).

    Attributes:
        name: The router.
        counts: Answers by label and by route.
    """

    name: str
    counts: Counter[tuple[str, str]]

    @property
    def rows(self) -> list[tuple[str, list[int]]]:
        """For each label, how often each route was taken."""
        return [(label, [self.counts[label, route] for route in LABELS]) for label in LABELS]

    def __str__(self) -> str:
        right, total = sum(self.counts[label, label] for label in LABELS), self.counts.total()
        return f"{one_line(self.name)}: {right:,} of {total:,} routed as labelled ({share(right, total)})"


def confusions(run: Run) -> list[Confusion]:
    """Return how each router took the cases that are labelled; none for a router that saw no such case."""
    found = []
    for name, tests in run.by_candidate().items():
        pairs = [
            (test.complexity, call.route)
            for test in tests
            for call in test.calls
            if test.complexity is not None and call.route is not None
        ]
        if pairs:
            found.append(Confusion(name, Counter(pairs)))
    return found


def served_notes(rows: Sequence[CandidateSummary]) -> Iterator[tuple[str, str]]:
    """Yield who has answered for each mix, and who was passed over why."""
    for row in rows:
        if row.served:
            total = row.served.total()
            shares = [f"{share(count, total)} {one_line(name)}" for name, count in row.served.most_common()]
            over = _passed_over(row)
            yield "served", f"{one_line(row.name)}: {', '.join(shares)}" + (f"; passed over: {over}" if over else "")


def _passed_over(row: CandidateSummary) -> str:
    by_name: dict[str, Counter[str]] = {}
    for (name, why), count in row.passed_over.items():
        by_name.setdefault(name, Counter())[why] += count
    return "; ".join(
        f"{one_line(name)} {', '.join(f'{count:,} {why}' for why, count in counts.most_common(MOST_REASONS))}"
        for name, counts in by_name.items()
    )


def share(count: int, total: int) -> str:
    """Return a share in percent; what is not all of it is never told as if it were.

    >>> share(92, 100), share(999, 1000), share(1, 3000)
    ('92%', '99.9%', '0.03%')
    """
    if count == total:
        return "100%"
    percent = 100 * count / total
    digits = next((each for each in range(5) if 0 < round(percent, each) < 100), 5)
    return f"{percent:.{digits}f}%"
