"""A comparison as text for a terminal, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_llmeval.comparison import CandidateChange, CaseChange, Change, Comparison, Standings
from pytest_llmeval.records import Run
from pytest_llmeval.reports import changes
from pytest_llmeval.reports.markdown import MOST_CHARACTERS, text, within
from pytest_llmeval.reports.provenance import origin
from pytest_llmeval.runlines import safe_json
from pytest_llmeval.stats.differences import Estimate

#: How a verdict looks where there are colours.
STYLES = {r"(?<=: )worse\b": "red", r"(?<=: )better\b": "green"}
NARROWEST = 20
#: All pairs of six candidates.
MOST_PAIRS = 15


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs that are compared.

    Attributes:
        name: What the user calls it.
        origin: Where it came from.
        id: Of the run, if it has one.
        remarks: What is to be said of the files that it was read from.
    """

    name: str
    origin: str = ""
    id: str | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, run: Run) -> Side:
        """Describe a run."""
        return cls(name, origin(run), run.header.id if run.header else None, tuple(run.remarks))


@dataclass(frozen=True, slots=True)
class Compared:
    """All that a report shows: two runs, the candidates of the later one, or both.

    Attributes:
        after: The later run, or the only one.
        before: The earlier run.
        comparison: Of the two.
        standings: Of the candidates of the later run, if it has several.
    """

    after: Side
    before: Side | None = None
    comparison: Comparison | None = None
    standings: Standings | None = None


def render_comparison(compared: Compared, *, width: int, color: bool, encoding: str = "utf-8") -> str:
    """Return text for a terminal that ends with a newline."""
    from pytest_llmeval.reports.terminal import Screen

    screen = Screen(max(width, NARROWEST), color, encoding)
    screen.notes(list(_heads(compared)), after_table=False)
    notes = [(changes.pair_name(candidate), line) for candidate in _candidates(compared) for line in _lines(candidate)]
    notes += [("candidates", line) for line in _apart(compared)]
    screen.notes(notes, STYLES)
    if compared.standings is not None:
        screen.notes(list(_standing_lines(compared.standings)), STYLES)
    return screen.text()


def _heads(compared: Compared) -> Iterator[tuple[str, str]]:
    for label, side in (("before", compared.before), ("after" if compared.before else "run", compared.after)):
        if side is not None:
            yield label, ": ".join(filter(None, (side.name, side.origin)))
    for remark in _remarks(compared):
        yield "note", remark


def _remarks(compared: Compared) -> Iterator[str]:
    own = [] if compared.comparison is None else compared.comparison.remarks
    sides = [side for side in (compared.before, compared.after) if side is not None]
    yield from dict.fromkeys([remark for side in sides for remark in side.remarks] + [*own])


def _candidates(compared: Compared) -> Sequence[CandidateChange]:
    return () if compared.comparison is None else compared.comparison.candidates


def _apart(compared: Compared) -> Iterator[str]:
    if compared.comparison is not None:
        yield from changes.candidates_apart(compared.comparison)
        if not compared.comparison.candidates:
            yield "the runs have none in common, so that nothing is compared"


def _lines(candidate: CandidateChange) -> Iterator[str]:
    yield changes.headline(candidate)
    yield from changes.losses(candidate)
    yield from changes.figures(candidate)
    yield from changes.uncompared(candidate)


def _standing_lines(standings: Standings) -> Iterator[tuple[str, str]]:
    yield from changes.ranking(standings)
    # Those that differ say most; of the others, it says enough that they share a rank.
    pairs = sorted(standings.pairs, key=lambda pair: pair.verdict not in ("better", "worse"))
    for pair in pairs[:MOST_PAIRS]:
        yield changes.pair_name(pair), changes.headline(pair)
        for figure in changes.established(pair):
            yield changes.pair_name(pair), figure
    if len(pairs) > MOST_PAIRS:
        yield "pairs", f"{len(pairs) - MOST_PAIRS:,} more, which --format=json has"


def render_markdown(compared: Compared) -> str:
    """Return Markdown of at most 60,000 characters. What models and servers wrote is shown as text."""
    head = "## LLM comparison\n"
    parts = [head, *(f"> ⚠️ {text(remark)}\n" for remark in _remarks(compared))]
    bullets = []
    for each in _candidates(compared):
        bullets.append(f"- **{text(changes.pair_name(each))}** {text(changes.headline(each))}")
        bullets += [f"  - {text(line)}" for line in changes.losses(each)]
        bullets += [f"  - {text(line)}" for line in changes.figures(each)]
    bullets += [f"- candidates {text(line)}" for line in _apart(compared)]
    if compared.standings is not None:
        bullets += [f"- {text(label)}: {text(said)}" for label, said in _standing_lines(compared.standings)]
    parts.append("\n".join(bullets) + "\n")
    foot = " · ".join(f"{label} {text(said)}" for label, said in _heads(compared) if label != "note")
    parts, room = within(parts, MOST_CHARACTERS - len(foot) - 500)
    for candidate in _candidates(compared):
        details = "\n".join(_details(candidate))
        if len(details) <= room:
            room -= len(details)
            parts.append(details)
    parts.append(f"<sub>{foot}</sub>\n")
    return "\n".join(parts)


def _details(candidate: CandidateChange) -> Iterator[str]:
    yield f"<details><summary>{text(changes.pair_name(candidate))}: figures and cases</summary>\n"
    yield "| figure | before | after | change | interval | |\n|---|--:|--:|--:|--:|---|"
    for change in candidate.changes.values():
        if change.change is not None:
            yield f"| {' | '.join(map(text, _row(change)))} |"
    yield ""
    for label, found in (("lost", candidate.lost), ("won", candidate.won)):
        for case in found[:MOST_CASES]:
            why = f" ({text(case.cause.what)})" if case.cause is not None else ""
            became = f"{case.before:.2f} → {case.after:.2f}"
            if case.flipped:
                became = f"{case.after:.2f}, {'passed → failed' if label == 'lost' else 'failed → passed'}"
            yield f"- {label}: <code>{text(case.name)}</code> {became}{why}"
        if len(found) > MOST_CASES:
            yield f"- ... and {len(found) - MOST_CASES:,} more {label}"
    yield from (f"- {text(line)}" for line in changes.uncompared(candidate))
    yield "\n</details>\n"


MOST_CASES = 20


def _row(change: Change) -> tuple[str, ...]:
    before, _, after = changes.arrow(change).partition(" → ")
    shown = changes.difference(change).partition(",")[0]
    interval = changes.estimate_text(change, change.shown)
    return changes.figure_name(change.figure), before, after, shown, interval, change.verdict


def render_json(compared: Compared) -> str:
    """Return one JSON document; null is what nobody knows."""
    return safe_json(comparison_data(compared), indent=2) + "\n"


def comparison_data(compared: Compared) -> dict[str, Any]:
    """Return what `render_json` writes."""
    return {
        "kind": "comparison",
        "before": None if compared.before is None else asdict(compared.before),
        "after": asdict(compared.after),
        "remarks": list(_remarks(compared)),
        "candidates": [_candidate(each) for each in _candidates(compared)],
        "only_before": list(compared.comparison.only_before) if compared.comparison else [],
        "only_after": list(compared.comparison.only_after) if compared.comparison else [],
        "standings": _standings(compared.standings),
    }


def _candidate(candidate: CandidateChange) -> dict[str, Any]:
    score = candidate.score
    return {
        "candidate": candidate.name,
        "before": candidate.before_name,
        "verdict": candidate.verdict,
        "test": None if score is None else score.test,
        "figures": {name: _figure(change) for name, change in candidate.changes.items()},
        "lost": [_case(case) for case in candidate.lost],
        "won": [_case(case) for case in candidate.won],
        "causes": [
            {"kind": cause.kind, "what": cause.what, "diff": cause.diff, "also": list(cause.also), "cases": list(named)}
            for cause, named in candidate.causes
        ],
        "prices": list(candidate.prices),
        "uncompared": [asdict(case) for case in candidate.uncompared],
        "resolution": None if candidate.resolution is None else _rounded(asdict(candidate.resolution)),
    }


def _case(case: CaseChange) -> dict[str, Any]:
    cause = None if case.cause is None else {"kind": case.cause.kind, "what": case.cause.what}
    told = {"name": case.name, "key": case.key, "before": case.before, "after": case.after}
    return _rounded({**told, "flipped": case.flipped, "cause": cause})


def _figure(change: Change) -> dict[str, Any]:
    return _rounded(
        {
            "verdict": change.verdict,
            "before": change.before,
            "after": change.after,
            "change": _estimate(change.change),
            "relative": _estimate(change.relative),
            "p": change.p,
            "n": change.n,
            "why": change.why or None,
        }
    )


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else _rounded(asdict(found))


def _standings(standings: Standings | None) -> dict[str, Any] | None:
    if standings is None:
        return None
    return {
        "ranks": dict(standings.ranks),
        "unranked": list(standings.unranked),
        "pairs": [_candidate(pair) for pair in standings.pairs],
    }


def _rounded(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in data.items()}
