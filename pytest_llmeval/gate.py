"""Conditions under which a run fails, such as ``score<-0.02, p95>20%``: parsed, and held against what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_llmeval.errors import ConfigError, nearest
from pytest_llmeval.stats.differences import Estimate

Scale = Literal["value", "change", "relative"]

#: What a condition can be about, and whether it is a share (0-1), of which a percentage is a part of the whole.
FIGURES: Mapping[str, bool] = {
    "score": True,
    "pass": True,
    "json": True,
    "availability": True,
    "p50": False,
    "p95": False,
    "ttft": False,
    "cost": False,
}
MEANINGS = {
    "score": "mean score, 0-1",
    "pass": "share of tests that passed",
    "json": "share of checked answers that were valid JSON",
    "availability": "share of calls that got an answer",
    "p50": "median latency",
    "p95": "95th percentile of the latency",
    "ttft": "median time to the first token",
    "cost": "USD a request",
}
UNITS = {"ms": 1.0, "s": 1000.0}
TIMES = ("p50", "p95", "ttft")
CONDITION = re.compile(
    r"(?P<figure>[a-z0-9_]+)\s*(?P<operator><=|>=|<|>)\s*(?P<sign>[+-]?)\$?(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|ms|s)?"
)
EXAMPLE = "Write for example 'score<-0.02, p95>20%, pass<0.9'."


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition.

    Attributes:
        text: As it was written.
        figure: One of `FIGURES`.
        operator: ``<``, ``<=``, ``>`` or ``>=``: the run fails where this holds.
        limit: In the figure's own unit (0-1, milliseconds, USD); for ``relative``, a fraction of the baseline's figure.
        scale: What the limit is on: the ``value``, its ``change`` from the baseline, or that as a fraction.
    """

    text: str
    figure: str
    operator: str
    limit: float
    scale: Scale

    @property
    def needs_baseline(self) -> bool:
        """Whether there must be something to compare with."""
        return self.scale != "value"

    def holds(self, value: float) -> bool:
        """Whether a value lies on the failing side of the limit.

        >>> condition = parse_conditions("score<-0.02")[0]
        >>> condition.holds(-0.03), condition.holds(-0.02)
        (True, False)
        """
        if self.operator.startswith("<"):
            return value < self.limit or (self.operator == "<=" and value == self.limit)
        return value > self.limit or (self.operator == ">=" and value == self.limit)


def parse_conditions(text: str, source: str = "--llm-fail-on") -> list[Condition]:
    """Parse conditions, comma-separated.

    A number with a sign is a change from the baseline, and so is a percentage of a time or a cost; any other number is
    a limit on the value itself. A percentage of a share counts in points: ``json<-1%`` is one point less.

    Raises:
        ConfigError: All faults at once: what was written, and what is known.

    >>> [(each.figure, each.scale, each.limit) for each in parse_conditions("score<-0.02, p95>20%, pass<90%, p50>2s")]
    [('score', 'change', -0.02), ('p95', 'relative', 0.2), ('pass', 'value', 0.9), ('p50', 'value', 2000.0)]
    """
    conditions, faults = [], []
    for part in text.split(","):
        found = _condition(part.strip())
        if isinstance(found, str):
            faults.append(found)
        else:
            conditions.append(found)
    if faults:
        raise ConfigError("\n  ".join([f"{source}={text!r} cannot be used:", *faults]))
    return conditions


def _condition(text: str) -> Condition | str:
    match = CONDITION.fullmatch(text)
    if match is None:
        return f"{text!r}: a condition is a figure, one of < <= > >=, and a number. {EXAMPLE}"
    figure, sign, unit = match["figure"], match["sign"], match["unit"]
    if figure not in FIGURES:
        return f"{text!r}: unknown figure {figure!r}.{nearest(figure, FIGURES)} Known: {', '.join(FIGURES)}."
    if unit in UNITS and figure not in TIMES:
        return f"{text!r}: {figure} is no time: {MEANINGS[figure]}."
    number = float(match["number"]) * (-1 if sign == "-" else 1)
    share = FIGURES[figure]
    if unit == "%":
        number /= 100
    scale: Scale = "relative" if unit == "%" and not share else "change" if sign else "value"
    if share and scale == "value" and number > 1:
        return f"{text!r}: {figure} is a share between 0 and 1, or a percentage."
    return Condition(text, figure, match["operator"], number * UNITS.get(unit or "", 1.0), scale)


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one candidate; None for what nobody knows.

    Attributes:
        value: Now.
        change: The difference to the baseline.
        relative: The same as a fraction of the baseline's figure; infinite where that was 0.
        separated: Whether there is any difference to the baseline, with all candidates allowed for.
        p: The p value of that.
        why: Why one of them is unknown, if there is more to say.
    """

    value: Estimate | None = None
    change: Estimate | None = None
    relative: Estimate | None = None
    separated: bool = True
    p: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one condition for one candidate.

    Attributes:
        fails: Whether the run fails for it.
        text: Candidate, figure and limit, for a person.
    """

    candidate: str
    condition: Condition
    fails: bool
    text: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The conditions of a run, and what became of them.

    Attributes:
        conditions: All of them.
        strict: Whether a figure on the failing side is enough.
        candidates: Who was held against them.
        outcomes: Those that hold for a candidate, or of which nobody can tell.
        left_out: Conditions of the configuration that were not looked at, since there is nothing to compare with.
    """

    conditions: tuple[Condition, ...]
    strict: bool = False
    candidates: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    left_out: tuple[Condition, ...] = ()

    @property
    def failing(self) -> list[Outcome]:
        """Those that fail the run."""
        return [outcome for outcome in self.outcomes if outcome.fails]

    @property
    def unsure(self) -> list[Outcome]:
        """Those that the data cannot establish, or that nobody knows."""
        return [outcome for outcome in self.outcomes if not outcome.fails]


def hold(
    conditions: Sequence[Condition], measured: Mapping[str, Mapping[str, Measured]], *, strict: bool = False
) -> list[Outcome]:
    """Hold conditions against what each candidate measured, and return those that hold or that nobody can tell.

    Args:
        conditions: From `parse_conditions`.
        measured: By candidate and figure.
        strict: Whether a figure on the failing side is enough; else the whole 95% interval must lie there. A figure
            that nobody knows fails a strict run: unknown is not good. A limit on the cost fails either way where
            nobody knows the cost.

    >>> conditions = parse_conditions("score<-0.02")
    >>> noise = {"a": {"score": Measured(change=Estimate(-0.05, -0.12, 0.02))}}
    >>> hold(conditions, noise)[0].fails, hold(conditions, noise, strict=True)[0].fails
    (False, True)
    """
    return [
        outcome
        for condition in conditions
        for candidate, figures in measured.items()
        for outcome in _held(candidate, condition, figures.get(condition.figure, Measured()), strict=strict)
    ]


def _held(candidate: str, condition: Condition, measured: Measured, *, strict: bool) -> Iterable[Outcome]:
    estimate: Estimate | None = getattr(measured, condition.scale)
    if estimate is None:
        why = f" ({measured.why})" if measured.why else ""
        text = f"{candidate}: {condition.figure} is unknown{why}, limit {condition.text}"
        dear = condition.figure == "cost" and not condition.needs_baseline
        yield Outcome(candidate, condition, strict or dear, text)
    elif condition.holds(estimate.value):
        # The end of the interval that is nearest to the limit.
        nearest_end = estimate.high if condition.operator.startswith("<") else estimate.low
        established = nearest_end is not None and condition.holds(nearest_end)
        unsure = "" if established else ", which may be noise"
        if established and condition.needs_baseline and not condition.holds(0) and not measured.separated:
            # Of many candidates, one looks worse by chance: what the comparison cannot tell, the gate cannot either.
            told = "" if measured.p is None else f" (p = {measured.p:.2g})"
            established, unsure = False, f", not established among all candidates{told}"
        text = f"{candidate}: {condition.figure} {_shown(estimate, condition)}, limit {condition.text}{unsure}"
        yield Outcome(candidate, condition, established or strict, text)


def _shown(estimate: Estimate, condition: Condition) -> str:
    value = _figure(estimate.value, condition)
    if math.isinf(estimate.value):
        return value
    if estimate.low is None or estimate.high is None:
        return f"{value} (too few cases for an interval)"
    return f"{value} (95% {_figure(estimate.low, condition)} to {_figure(estimate.high, condition)})"


def _figure(value: float, condition: Condition) -> str:
    sign = "+" if condition.needs_baseline else ""
    if condition.scale == "relative":
        return "up from 0" if math.isinf(value) else f"{value:{sign}.1%}"
    if condition.figure in TIMES:
        return f"{value:{sign},.0f} ms"
    return f"{value:{sign}.6g} USD" if condition.figure == "cost" else f"{value:{sign}.3f}"
