"""A run as Markdown, fit for a comment on a pull request: the table, the notes, and failures that unfold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import accumulate
from urllib.parse import quote

from pytest_llmeval.gate import Gate
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports.columns import columns, one_line
from pytest_llmeval.reports.fields import (
    MOST_FIELDS,
    MOST_TABLES,
    FieldTable,
    field_tables,
    mean_text,
    missed_notes,
    worst_text,
)
from pytest_llmeval.reports.gate import gate_lines, gate_note
from pytest_llmeval.reports.mixes import LABELS, Confusion, confusions
from pytest_llmeval.reports.notes import notes
from pytest_llmeval.reports.provenance import origin
from pytest_llmeval.reports.summary import summarize
from pytest_llmeval.reports.verdicts import conclusions, heading, verdict_text
from pytest_llmeval.runlines import key_of
from pytest_llmeval.verdicts import Recommendation

#: GitHub refuses a comment of more than 65,536 characters.
MOST_CHARACTERS = 60_000
MOST_FAILURES = 50
LONGEST_MESSAGE = 1_500

# What has a meaning in Markdown, as GitHub reads it, wherever it stands in a line.
MARKS = re.compile(r"[\\`*_{}\[\]#!|~$]|:(?=//|\w+:)")
# What GitHub makes links and notifications of, even from entities: a blank of no width parts it.
LINKED = re.compile(r"(@|www(?=\.)|GH(?=-)|&#35;|&#58;(?=//))")
APART = "&#8203;"
# In the block of a failure lines stay, and nothing else that moves a cursor.
NOT_SHOWN = re.compile(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")

FAILED = {"failed": "Failed", "error": "Errors", "not_run": "Not run"}


def render(run: Run, base: str = "") -> str:
    """Return Markdown of at most 60,000 characters. What models wrote is shown as text, whatever it holds.

    Args:
        run: The records.
        base: Address of the project's folder, which links to recordings begin with; without it, they are relative.
    """
    rows = summarize(run)
    parts = ["## LLM evaluation\n"]
    parts.append("\n".join(f"> ⚠️ {text(remark)}\n" for remark in run.remarks))
    if rows:
        built = columns(rows)
        heads = ["candidate", *(one_line(column.head) for column in built)]
        table = ["| " + " | ".join(heads) + " |", "|---" + "|--:" * len(built) + "|"]
        for index, row in enumerate(rows):
            cells = [_cell(text(column.cells[index]), best=index in column.best) for column in built]
            table.append("| " + " | ".join([text(row.name), *cells]) + " |")
        parts += ["\n".join(table) + "\n", *_notes(run)]
    else:
        parts.append("No test asked a model.\n")
    parts += _fields(field_tables(run), base)
    parts += _routing(confusions(run))
    for recommendation in run.recommendations:
        parts += _requirements(recommendation)
    if run.gate is not None:
        parts.append(_gate(run.gate))
    foot = f"<sub>{text(origin(run))}</sub>\n"
    parts, room = within([part for part in parts if part], MOST_CHARACTERS - len(foot) - 500)
    parts += _failures(sorted(run.tests, key=key_of), room)
    return "\n".join([*parts, foot])


def within(parts: Iterable[str], room: int) -> tuple[list[str], int]:
    r"""Cut parts, of lines that stand by themselves, to what there is room for; return them, and the room that is left.

    >>> within(["# a\n", "- one\n- two\n- three\n"], 50)
    (['# a\n', '- one\n- two\n- three\n'], 24)
    >>> within(["# a\n", "- one\n- two and a half\n- three and more\n"], 45)[0]
    ['# a\n', '- one\n\n... and 2 more lines\n']
    """
    found = []
    for part in parts:
        lines = part.splitlines(keepends=True)
        if len(part) + 1 > room:
            told = len(f"\n... and {len(lines):,} more lines\n")
            kept = sum(end + told <= room for end in accumulate(map(len, lines)))
            part = f"{''.join(lines[:kept])}\n... and {len(lines) - kept:,} more lines\n" if room > told else ""
        if part:
            found.append(part)
            room -= len(part) + 1
    return found, max(room, 0)


def text(value: str) -> str:
    """Return a text on one line, as text: nothing in it is markup, a link, a mention or HTML.

    >>> print(text("<b>*gpt* | @you"))
    &lt;b&gt;&#42;gpt&#42; &#124; @&#8203;you
    """
    value = escape(one_line(value), quote=False)
    # An entity's own # and ; are no marks of the text.
    parts = re.split(r"(&(?:lt|gt|amp);)", value)
    marked = "".join(
        part if index % 2 else MARKS.sub(lambda found: f"&#{ord(found[0])};", part) for index, part in enumerate(parts)
    )
    return LINKED.sub(rf"\1{APART}", marked)


def block(value: str) -> str:
    r"""Return a text of several lines for within `<pre>`, where Markdown has no say and HTML is escaped.

    >>> block("a\x1b[31m</pre>\n*b*")
    'a�[31m&lt;/pre&gt;\n*b*'
    """
    return escape(NOT_SHOWN.sub("\ufffd", value), quote=False)


def _cell(cell: str, *, best: bool) -> str:
    return f"**{cell}**" if best else cell


def _notes(run: Run) -> Iterator[str]:
    lines = [f"- **{text(label)}**: {text(said)}" for label, said in notes(run, summarize(run))]
    if lines:
        yield "\n".join(lines) + "\n"


def _fields(tables: Sequence[FieldTable], base: str) -> Iterator[str]:
    if tables:
        yield "### Fields\n"
    for table in tables[:MOST_TABLES]:
        heads = [text(table.test) if len(tables) > 1 else "field", *map(text, table.candidates)]
        rows = [f"| {' | '.join(heads)} |", "|---" + "|--:" * len(table.candidates) + "|"]
        for name, means in table.fields[:MOST_FIELDS]:
            rows.append(f"| {' | '.join([text(name), *map(mean_text, means)])} |")
        yield "\n".join(rows) + "\n"
        notes = [f"- **{label}**: {text(said)}" for label, said in missed_notes(table)]
        notes += [f"- **worst**: {text(worst_text(case))}{_link(case.cassette, base)}" for case in table.worst]
        yield "\n".join(notes) + "\n"


def _link(cassette: str | None, base: str) -> str:
    return "" if cassette is None else f": [{text(cassette)}]({base}{quote(cassette)})"


def _routing(routed: Sequence[Confusion]) -> Iterator[str]:
    for confusion in routed:
        rows = [
            f"| labelled | {' | '.join(f'routed {label}' for label in LABELS)} |",
            "|---" + "|--:" * len(LABELS) + "|",
        ]
        rows += [f"| {label} | {' | '.join(f'{count:,}' for count in counts)} |" for label, counts in confusion.rows]
        yield f"### Routing\n\n{text(str(confusion))}\n\n" + "\n".join(rows) + "\n"


def _requirements(recommendation: Recommendation) -> Iterator[str]:
    what = "" if recommendation.task is None else f": {text(recommendation.task)}"
    yield f"### Requirements{what}\n"
    rows = ["| candidate | requirement | verdict | |", "|---|---|---|---|"]
    for candidate in recommendation.candidates:
        for verdict in candidate.verdicts:
            cells = candidate.name, verdict.key, verdict_text(verdict), verdict.text
            rows.append(f"| {' | '.join(map(text, cells))} |")
    yield "\n".join(rows) + "\n"
    yield "\n".join([
        *(f"- {text(heading(candidate, recommendation))}" for candidate in recommendation.candidates),
        *(f"- **{text(label)}**: {text(said)}" for label, said in conclusions(recommendation)),
    ]) + "\n"  # fmt: skip


def _gate(gate: Gate) -> str:
    failing, unsure = gate_lines(gate)
    sign = "❌" if failing else "✅"
    lines = [f"- {text(line)}" for line in (*failing[1:], *unsure[1:])]
    return "\n".join([f"{sign} **gate** {text(gate_note(gate))}\n", *lines, ""])


def _failures(tests: Sequence[TestRecord], room: int) -> Iterator[str]:
    """Yield a part that unfolds for each outcome that is none to be glad of; no more than there is room for."""
    for outcome, head in FAILED.items():
        found = [test for test in tests if test.outcome == outcome]
        if not found:
            continue
        shown: list[str] = []
        for test in found[:MOST_FAILURES]:
            entry = _failure(test)
            if len(entry) > room:
                break
            room -= len(entry)
            shown.append(entry)
        left = len(found) - len(shown)
        more = f"... and {left:,} more\n\n" if left else ""
        yield f"<details><summary>{head}: {len(found):,}</summary>\n\n{''.join(shown)}{more}</details>\n"


def _failure(test: TestRecord) -> str:
    message = test.message or ""
    if len(message) > LONGEST_MESSAGE:
        message = f"{message[:LONGEST_MESSAGE]}…"
    score = "" if test.score is None else f", score {test.score:.2f}"
    told = f"<pre>{block(message)}</pre>\n\n" if message else ""
    return f"<code>{text(test.nodeid)}</code>{score}\n\n{told}"
