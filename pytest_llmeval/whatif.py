"""What mixes of a run's candidates would have done, from its records alone: cascades, and routes to one of two.

Pure functions over values, for notebooks too. Nothing is asked: each case is served with the answer that the chosen
candidate gave to it in the run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from statistics import fmean
from typing import Literal

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.prices import TotalCost, total_cost
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.samples import LEFT_OUT, VERDICTS, case_key, case_nodeid, mean_score
from pytest_llmeval.stats import Interval, percentile
from pytest_llmeval.stats.pareto import Merits, unbeaten

Kind = Literal["alone", "cascade", "route", "bound"]
#: A case, and which of its samples.
Key = tuple[str, int]

#: What an answer says when the limit on its length cut it off, in the words of the providers.
CUT_OFF = ("length", "max_tokens", "max_output_tokens")
#: Lengths of the input from which on a route takes the other candidate, as percentiles of the cases.
LENGTHS = (25, 50, 75)
MOST_TAGS = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a candidate, or a mix of two, did with one sample of a case.

    Attributes:
        score: Its score, 0-1; None where nothing was answered.
        cost: Of all its calls.
        ms: Milliseconds of all its answers; None where one is not known.
        answered: Whether each call got an answer.
        json_checked, json_valid: Answers that were checked for JSON, and that were valid.
        cut_off: Whether the limit on its length ended an answer.
        tokens_in: Tokens that it read; None if nobody counted.
        longest: Tokens in and out of its longest call; None if nobody counted.
        replayed: Whether its answers are from recordings, which keep no calls that failed for a time.
        calls: How many calls its test made.
        scores: Scores by name.
        weight: Weight of the case.
        tags: Tags of the case.
    """

    score: float | None
    cost: TotalCost
    ms: float | None
    answered: bool = True
    json_checked: int = 0
    json_valid: int = 0
    cut_off: bool = False
    tokens_in: int | None = None
    longest: int | None = None
    replayed: bool = False
    calls: int = 1
    scores: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    tags: tuple[str, ...] = ()

    @property
    def fails(self) -> bool:
        """Whether it fails what can be checked without knowing the right answer: answered, whole, valid JSON."""
        return not self.answered or self.cut_off or self.json_valid < self.json_checked


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Samples of cases that say nothing about mixes.

    Attributes:
        incomplete: Of which some candidate has no result.
        without_calls: Of tests that asked nobody anything.
    """

    incomplete: tuple[Key, ...] = ()
    without_calls: tuple[Key, ...] = ()


Outcomes = Mapping[Key, Mapping[str, Outcome]]
Rule = Callable[[Outcome], bool]


@dataclass(frozen=True)
class Mix:
    """One way to serve every case.

    Attributes:
        name: What reports call it.
        kind: ``alone``; ``cascade``: the second is asked where the first fails a check; ``route``: one of two is
            asked; ``bound``: whoever scored better is asked, which nobody knows before.
        candidates: Who is asked first, and the other.
        outcomes: What it did, by case and sample.
        second: Share of the cases for which the other one was asked.
    """

    name: str
    kind: Kind
    candidates: tuple[str, ...]
    outcomes: Mapping[Key, Outcome]
    second: float = 0.0

    @cached_property
    def quality(self) -> Interval | None:
        """Mean score of the cases by their weights, samples averaged first, with its 95% interval.

        What got no answer has no score and does not count, as in the summary of a run: `availability` tells of it.
        """
        return mean_score((fmean(scores) if scores else None, weight) for scores, weight in self._scores().values())

    @cached_property
    def cost(self) -> TotalCost:
        """Cost of all samples; each counts once, however many calls it took, unless nothing of it was billed."""
        costs = [outcome.cost for outcome in self.outcomes.values()]
        return TotalCost(
            amount=sum((cost.amount for cost in costs), Decimal(0)),
            unpriced=sum(cost.unpriced > 0 for cost in costs),
            free=sum(cost.is_free for cost in costs),
            priced=sum(_is_known(cost) and not cost.is_free for cost in costs),
        )

    @cached_property
    def unanswered(self) -> list[Key]:
        """Samples of cases that got no answer, or not to each call."""
        return [key for key, outcome in self.outcomes.items() if not outcome.answered]

    @property
    def availability(self) -> float | None:
        """Share of the samples that got an answer, 0-1; None without any."""
        return 1 - len(self.unanswered) / len(self.outcomes) if self.outcomes else None

    @cached_property
    def p95_ms(self) -> float | None:
        """95th percentile of the time of a sample in milliseconds."""
        return percentile([outcome.ms for outcome in self.outcomes.values() if outcome.ms is not None], 95)

    def costs(self) -> list[list[float]]:
        """Return USD of the samples of each case, for intervals; those not billed or of unknown cost are left out."""
        return self._by_case(lambda outcome: float(outcome.cost.amount) if _is_known(outcome.cost) else None)

    def times(self) -> list[list[float]]:
        """Return milliseconds of the samples of each case, for intervals; those of unknown time are left out."""
        return self._by_case(lambda outcome: outcome.ms)

    def _by_case(self, of: Callable[[Outcome], float | None]) -> list[list[float]]:
        values: dict[str, list[float]] = {}
        for (case, _), outcome in self.outcomes.items():
            value = of(outcome)
            if value is not None:
                values.setdefault(case, []).append(value)
        return list(values.values())

    def _scores(self) -> dict[str, tuple[list[float], float]]:
        found: dict[str, tuple[list[float], float]] = {}
        for (case, _), outcome in self.outcomes.items():
            scores, _ = found.setdefault(case, ([], outcome.weight))
            if outcome.score is not None:
                scores.append(outcome.score)
        return found


def outcomes_of(run: Run, candidates: Sequence[str]) -> tuple[dict[Key, dict[str, Outcome]], int]:
    """Return what candidates did with the cases that each of them has a result of, and how many others there are.

    >>> from pytest_llmeval.records import Call
    >>> run = Run(tests=[TestRecord("test_x[a]", "a", score=1.0, calls=[Call("a")]),
    ...                  TestRecord("test_x[b]", "b", score=0.5, calls=[Call("b")])])
    >>> found, left_out = outcomes_of(run, ["a", "b"])
    >>> [{name: outcome.score for name, outcome in by_name.items()} for by_name in found.values()], left_out
    ([{'a': 1.0, 'b': 0.5}], 0)
    """
    found, left_out = pair_up(run, candidates)
    return found, len(left_out.incomplete)


def pair_up(run: Run, candidates: Sequence[str]) -> tuple[dict[Key, dict[str, Outcome]], LeftOut]:
    """Return what candidates did with the cases that each of them has a result of, and what is left out."""
    found: dict[Key, dict[str, Outcome]] = {}
    asked: dict[Key, bool] = {}
    for name in candidates:
        for test in run.by_candidate().get(name, ()):
            key = case_key(case_nodeid(test.nodeid, test.sample), name), test.sample or 0
            # Of a test that did not come to an end, nobody knows whether it would have asked.
            asked[key] = asked.get(key, False) or bool(test.calls) or test.outcome not in VERDICTS
            outcome = _outcome(test)
            if outcome is not None:
                found.setdefault(key, {})[name] = outcome
    whole = {key: by_name for key, by_name in found.items() if len(by_name) == len(candidates)}
    return whole, LeftOut(
        incomplete=tuple(key for key, any_call in asked.items() if any_call and key not in whole),
        without_calls=tuple(key for key, any_call in asked.items() if not any_call),
    )


def _outcome(test: TestRecord) -> Outcome | None:
    failed = any(call.error is not None for call in test.calls)
    broken = test.outcome in LEFT_OUT or (test.outcome == "error" and not failed)
    if broken or not test.calls or test.known_failing is not None:
        return None
    answers = [call for call in test.calls if call.error is None]
    times = [call.latency_ms for call in answers]
    read = [call.input_tokens for call in answers]
    counted = [call.input_tokens + (call.output_tokens or 0) for call in answers if call.input_tokens is not None]
    return Outcome(
        score=test.score,
        cost=total_cost(test.calls),
        ms=_sum(times) if times and not failed else None,
        answered=not failed,
        json_checked=test.json_checked,
        json_valid=test.json_valid,
        cut_off=any(call.finish_reason in CUT_OFF for call in answers),
        tokens_in=None if (total := _sum(read)) is None else int(total),
        longest=max(counted, default=None),
        replayed=any(call.replayed for call in answers),
        calls=len(test.calls),
        scores=test.scores,
        weight=test.weight,
        tags=tuple(test.tags),
    )


def _is_known(cost: TotalCost) -> bool:
    return cost.known > 0 and not cost.unpriced


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def alone(found: Outcomes, name: str) -> Mix:
    """Return one candidate for every case."""
    return Mix(name, "alone", (name,), {key: by_name[name] for key, by_name in found.items()})


def cascade(found: Outcomes, first: str, second: str, escalates: Rule, name: str | None = None) -> Mix:
    """Return a cascade: the second is asked too where an answer of the first is not good enough.

    Its cost and time are those of both then.

    >>> cheap = {"a": Outcome(0.0, TotalCost(Decimal("0.01"), priced=1), 100.0, json_checked=1)}
    >>> dear = {"b": Outcome(1.0, TotalCost(Decimal("0.05"), priced=1), 300.0)}
    >>> mix = cascade({("case", 0): cheap | dear}, "a", "b", lambda outcome: outcome.fails)
    >>> mix.name, mix.quality.mean, str(mix.cost), mix.p95_ms, mix.second
    ('a, then b', 1.0, '$0.06', 400.0, 1.0)
    """
    outcomes, escalated = {}, 0
    for key, by_name in found.items():
        one, other = by_name[first], by_name[second]
        outcomes[key] = one
        if escalates(one):
            escalated += 1
            ms = None if one.ms is None or other.ms is None else one.ms + other.ms
            # As it is where a cascade runs: if the other gives no answer, the one there is serves.
            served = one if one.answered and not other.answered else other
            outcomes[key] = replace(served, cost=one.cost + other.cost, ms=ms)
    return Mix(name or f"{first}, then {second}", "cascade", (first, second), outcomes, escalated / max(1, len(found)))


def route(
    found: Outcomes,
    usual: str,
    other: str,
    rule: Rule,
    name: str,
    *,
    cost: Decimal = Decimal(0),
    ms: float = 0.0,
) -> Mix:
    """Return a route: the other one is asked, instead of the usual one, where a rule says so.

    Args:
        found: What each did.
        usual: Who is asked where the rule says nothing.
        other: Who is asked where it holds.
        rule: Decides by what is known of the case before anybody is asked: its tags, its length.
        name: What reports call it.
        cost: USD that deciding adds to each request.
        ms: Milliseconds that it adds.
    """
    outcomes, routed = {}, 0
    for key, by_name in found.items():
        takes_other = rule(by_name[usual])
        routed += takes_other
        served = by_name[other if takes_other else usual]
        if cost or ms:
            deciding = TotalCost(cost, priced=1) if cost else TotalCost(Decimal(0))
            served = replace(served, cost=served.cost + deciding, ms=None if served.ms is None else served.ms + ms)
        outcomes[key] = served
    return Mix(name, "route", (usual, other), outcomes, routed / max(1, len(found)))


def perfect(found: Outcomes, usual: str, other: str) -> Mix:
    """Return what no route of the two can exceed: whoever scored better is asked, and the usual one where none did."""
    outcomes, routed = {}, 0
    for key, by_name in found.items():
        one, better = by_name[usual], by_name[other]
        takes_other = (-1.0 if better.score is None else better.score) > (-1.0 if one.score is None else one.score)
        routed += takes_other
        outcomes[key] = better if takes_other else one
    return Mix(f"{usual}, or {other} where better", "bound", (usual, other), outcomes, routed / max(1, len(found)))


def all_mixes(
    found: Outcomes,
    candidates: Sequence[str],
    *,
    checks: Mapping[str, Rule] | None = None,
    routing_cost: Decimal = Decimal(0),
    routing_ms: float = 0.0,
) -> list[Mix]:
    """Return each candidate alone, and every cascade and route of two that asks both of them.

    Args:
        found: What each candidate did.
        candidates: Their names.
        checks: More checks of a cascade, by what reports call them.
        routing_cost: USD that deciding a route adds to each request.
        routing_ms: Milliseconds that it adds.
    """
    mixes = [alone(found, name) for name in candidates]
    pairs = [(one, other) for one in candidates for other in candidates if one != other]
    for one, other in pairs:
        mixes.append(cascade(found, one, other, lambda outcome: outcome.fails))
        for text, check in (checks or {}).items():
            mixes.append(cascade(found, one, other, _fails_or(check), f"{one}, then {other} if {text}"))
        for text, rule in _rules(found, one):
            name = f"{other} if {text}, else {one}"
            mixes.append(route(found, one, other, rule, name, cost=routing_cost, ms=routing_ms))
        mixes.append(perfect(found, one, other))
    return [mix for mix in mixes if mix.kind == "alone" or 0 < mix.second < 1]


def _fails_or(check: Rule) -> Rule:
    return lambda outcome: outcome.fails or check(outcome)


def _rules(found: Outcomes, usual: str) -> Iterator[tuple[str, Rule]]:
    """Yield what can be known of a case before anybody is asked: its tags, and how long it is."""
    tags = Counter(tag for by_name in found.values() for tag in dict.fromkeys(by_name[usual].tags))
    for tag, _ in tags.most_common(MOST_TAGS):
        yield tag, _tagged(tag)
    read = [tokens for by_name in found.values() if (tokens := by_name[usual].tokens_in) is not None]
    for limit in dict.fromkeys(int(percentile(read, q) or 0) for q in LENGTHS) if read else ():
        yield f"over {limit:,} tokens in", _longer(limit)


def _tagged(tag: str) -> Rule:
    return lambda outcome: tag in outcome.tags


def _longer(limit: int) -> Rule:
    return lambda outcome: outcome.tokens_in is not None and outcome.tokens_in > limit


def parse_check(text: str) -> tuple[str, Rule]:
    """Return a check of a cascade on a score by name: ``confidence<0.7``.

    An answer without such a score fails it.

    Raises:
        ConfigError: It cannot be used.

    >>> name, check = parse_check("confidence < 0.7")
    >>> name, check(Outcome(1.0, TotalCost(Decimal(0)), 5.0, scores={"confidence": 0.9}))
    ('confidence<0.7', False)
    """
    match = re.fullmatch(r"\s*([^<>=]+?)\s*<\s*(\d*\.?\d+)\s*", text)
    if match is None:
        raise ConfigError(f"--escalate={text}: write the name of a score and a limit: 'confidence<0.7'.")
    name, limit = match[1], float(match[2])
    return f"{name}<{match[2]}", lambda outcome: outcome.scores.get(name, 0.0) < limit


def pareto(mixes: Sequence[Mix]) -> list[Mix]:
    """Return the mixes that no other one beats in quality, cost, p95 and availability, as `unbeaten` has it."""
    return [mixes[place] for place in unbeaten([_merits(mix) for mix in mixes])]


def _merits(mix: Mix) -> Merits:
    quality, p95, cost = mix.quality, mix.p95_ms, mix.cost
    return (
        # Sums of the same scores in another order differ in the last digits.
        None if quality is None else round(quality.mean, 9),
        None if cost.unpriced or cost.per_request is None else -float(cost.per_request),
        None if p95 is None else -p95,
        mix.availability,
    )
