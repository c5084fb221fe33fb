"""Figures to text: one column a figure, one row a candidate.

``?`` stands for what nobody knows, ``-`` for what does not apply. Neither is ever written as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pytest_llmeval.prices import decimals_of, format_usd
from pytest_llmeval.reports.summary import CandidateSummary, Tokens

UNKNOWN = "?"
NOT_APPLICABLE = "-"

Rows = Sequence[CandidateSummary]

#: Columns that rank after this one go before a candidate's name is shortened.
LAST_ESSENTIAL = 7

#: A request to the smallest of models costs a few millionths of a dollar.
MOST_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of every candidate, as text.

    Attributes:
        head: Column heading, in lines.
        rank: 0 is always shown; of the others, the highest goes first where there is no room.
        cells: Text by row.
        best: Rows that are best in a column where that means something; empty where all are alike.
        wrong: Rows whose figure tells of something that went wrong.
        brief: Template of a cell in a table without headings; None leaves the column out of it.
    """

    head: str
    rank: int
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()
    wrong: frozenset[int] = frozenset()
    brief: str | None = None

    @property
    def optional(self) -> bool:
        """Whether a whole name is worth more than this column."""
        return self.rank > LAST_ESSENTIAL


def columns(rows: Rows) -> list[Column]:
    """Return the columns that say anything in this run, in reading order."""
    built = [
        _score(rows),
        Column("95%\ninterval", 5, tuple(_interval(row) for row in rows)),
        Column("passed", 1, tuple(f"{row.passed}/{row.tests}" for row in rows), brief="{} passed"),
        _errors(rows),
        _valid_json(rows),
        _time("latency\np50", 4, rows, lambda row: row.latency.p50_ms, lambda row: row.answers, "p50 {}"),
        _time("latency\np95", 7, rows, lambda row: row.latency.p95_ms, lambda row: row.answers),
        _time("TTFT\np50", 9, rows, lambda row: row.latency.ttft_ms, lambda row: row.streamed),
        _speed(rows),
        Column("total\ntokens in", 12, tuple(_tokens(row, row.input_tokens) for row in rows)),
        Column("total\ntokens out", 11, tuple(_tokens(row, row.output_tokens) for row in rows)),
        _cost_per_request(rows),
        _total_cost(rows),
    ]
    return [column for column in built if column.rank == 0 or set(column.cells) - {NOT_APPLICABLE}]


def one_line(text: str) -> str:
    r"""Return text without anything that could steer a terminal or break a line.

    >>> one_line("gpt\x1b[31m-4o\n")
    'gpt [31m-4o'
    """
    if text.isprintable() and "  " not in text and text == text.strip():
        return text
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def format_ms(ms: float) -> str:
    """Write a time: milliseconds under a second, seconds above.

    >>> format_ms(0.4), format_ms(849.6), format_ms(999.6), format_ms(12345)
    ('<1 ms', '850 ms', '1.00 s', '12.35 s')
    """
    if ms < 1:
        return "<1 ms"
    return f"{ms:.0f} ms" if round(ms) < 1000 else f"{ms / 1000:.2f} s"


def format_count(count: int) -> str:
    """Write a number of tokens.

    >>> format_count(9999), format_count(12345), format_count(999_999), format_count(2_500_000_000)
    ('9,999', '12.3k', '1.0M', '2.5G')
    """
    if count < 10_000:
        return f"{count:,}"
    for size, unit in ((1_000, "k"), (1_000_000, "M")):
        if round(count / size, 1) < 1000:
            return f"{count / size:.1f}{unit}"
    return f"{count / 1_000_000_000:,.1f}G"


def format_share(part: float | Decimal, whole: float | Decimal) -> str:
    """Write a share in percent; 0% and 100% are kept for none and all.

    >>> format_share(40, 40), format_share(1999, 2000), format_share(1, 2000), format_share(2, 3)
    ('100%', '>99%', '<1%', '67%')
    """
    percent = 100 * float(part) / float(whole)
    if part and percent < 1:
        return "<1%"
    if part < whole and percent > 99:
        return ">99%"
    return f"{percent:.0f}%"


def _best(cells: Sequence[str], merits: Sequence[float | None]) -> frozenset[int]:
    known = [merit for merit in merits if merit is not None]
    if len(known) < 2:
        return frozenset()
    # By text: two figures that read the same must not be told apart.
    top = cells[merits.index(max(known))]
    rows = frozenset(i for i, cell in enumerate(cells) if cell == top)
    return rows if len(rows) < len(known) else frozenset()


def _negative(value: float | Decimal | None) -> float | None:
    return None if value is None else -float(value)


def _score(rows: Rows) -> Column:
    means = [None if row.score is None else row.score.mean for row in rows]
    cells = tuple(NOT_APPLICABLE if mean is None else f"{mean:.2f}" for mean in means)
    return Column("score", 0, cells, _best(cells, means), brief="{}")


def _interval(row: CandidateSummary) -> str:
    return NOT_APPLICABLE if row.score is None else f"{row.score.low:.2f}-{row.score.high:.2f}"


def _errors(rows: Rows) -> Column:
    counts = [row.errors for row in rows]
    if not any(counts):
        return Column("errors", 2, (NOT_APPLICABLE,) * len(rows))
    wrong = frozenset(i for i, count in enumerate(counts) if count)
    return Column("errors", 2, tuple(f"{count:,}" for count in counts), wrong=wrong, brief="errors {}")


def _valid_json(rows: Rows) -> Column:
    cells = tuple(
        format_share(row.json_valid, row.json_checked) if row.json_checked else NOT_APPLICABLE for row in rows
    )
    merits = [row.json_valid / row.json_checked if row.json_checked else None for row in rows]
    return Column("valid\nJSON", 6, cells, _best(cells, merits))


def _time(
    head: str,
    rank: int,
    rows: Rows,
    figure: Callable[[CandidateSummary], float | None],
    measured: Callable[[CandidateSummary], int],
    brief: str | None = None,
) -> Column:
    values = [figure(row) for row in rows]
    cells = tuple(
        format_ms(value) if value is not None else UNKNOWN if measured(row) else NOT_APPLICABLE
        for row, value in zip(rows, values, strict=True)
    )
    return Column(head, rank, cells, _best(cells, [_negative(value) for value in values]), brief=brief)


def _speed(rows: Rows) -> Column:
    values = [row.latency.tokens_per_second for row in rows]
    decimals = 1 if any(value is not None and value < 10 for value in values) else 0
    cells = tuple(
        f"{value:,.{decimals}f}" if value is not None else UNKNOWN if row.streamed else NOT_APPLICABLE
        for row, value in zip(rows, values, strict=True)
    )
    return Column("tok/s\np50", 10, cells, _best(cells, values))


def _tokens(row: CandidateSummary, tokens: Tokens) -> str:
    if tokens.total is None:
        return UNKNOWN if row.answers else NOT_APPLICABLE
    return f"{'≥' * (tokens.unknown > 0)}{format_count(tokens.total)}"


def _usd(amounts: Sequence[Decimal | None]) -> list[str]:
    """Write amounts with the decimals that the smallest needs, but no more than `MOST_DECIMALS`; None is left blank."""
    decimals = min(MOST_DECIMALS, max((decimals_of(amount) for amount in amounts if amount), default=2))
    smallest = Decimal(1).scaleb(-decimals)
    return [
        ""
        if amount is None
        else f"<{format_usd(smallest, decimals)}"
        if 0 < amount < smallest / 2
        else format_usd(amount, decimals)
        for amount in amounts
    ]


def _cost_per_request(rows: Rows) -> Column:
    amounts = [None if row.cost.is_free else row.cost.per_request for row in rows]
    if not any(amount is not None for amount in amounts):
        # Nothing but "free" and "?", which the total says as well.
        return Column("cost per\nrequest", 3, (NOT_APPLICABLE,) * len(rows))
    cells = tuple(_cost_cell(row, text) for row, text in zip(rows, _usd(amounts), strict=True))
    merits = [None if row.cost.unpriced else _negative(row.cost.per_request) for row in rows]
    return Column("cost per\nrequest", 3, cells, _best(cells, merits), brief="{}/request")


def _total_cost(rows: Rows) -> Column:
    texts = _usd([None if row.cost.is_free else row.cost.amount for row in rows])
    cells = tuple(
        f"≥{cell}" if row.cost.unpriced and cell != UNKNOWN else cell
        for row, cell in ((row, _cost_cell(row, text)) for row, text in zip(rows, texts, strict=True))
    )
    return Column("total\ncost", 8, cells, brief="total {}")


def _cost_cell(row: CandidateSummary, text: str) -> str:
    if row.cost.unpriced and not (row.cost.amount and text):
        return UNKNOWN
    if not row.cost.known and not row.cost.unpriced:
        return NOT_APPLICABLE
    return "free" if row.cost.is_free else text
