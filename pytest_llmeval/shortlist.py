"""Requirements to a shortlist: a decision tree that says at each step what it decided and why.

The tree only shortlists, by published figures. The verdict comes from the user's own tests. A pure function over
values, for notebooks too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_llmeval.catalog import Model, cost_per_request, monthly_cost
from pytest_llmeval.listing import ANSWER_TOKENS
from pytest_llmeval.prices import format_usd
from pytest_llmeval.verdicts import PRIVATE

if TYPE_CHECKING:
    from pytest_llmeval.settings import Requirements

#: What a task is for the catalog's strengths; of the rest the tree asks only whether it is `instructions`.
TASKS = {
    "code": "code generation",
    "documents": "long documents",
    "extraction": "extraction, classification",
    "instructions": "",
    "multilingual": "multilingual",
    "reasoning": "complex reasoning, math",
    "writing": "creative writing",
}
LONG_CONTEXT = 200_000
CRITICAL_MS = 2_000
CHEAP = Decimal("0.005")
FEWEST_CANDIDATES, MOST_CANDIDATES = 2, 3
#: What no published figure tells.
TESTED = ("min_quality_score", "output_format", "availability")


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the tree.

    Attributes:
        question: What is asked.
        answer: ``yes``, ``no``, or ``-`` where an earlier step had decided.
        why: The figure that decided.
        models: Names of the models that a yes leads to.
        otherwise: Name of the model that a no leads to, at the last one.
    """

    question: str
    answer: str
    why: str
    models: tuple[str, ...]
    otherwise: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the models that its answer leads to."""
        return self.models if self.answer == "yes" else self.otherwise if self.answer == "no" else ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate of the shortlist.

    Attributes:
        model: The model.
        why: What brought it in.
        cost: USD for a request; None if its price is unknown.
        monthly: USD a month at the volume that is asked for; None if nobody asks or knows.
        doubts: Requirements that its published figures do not meet.
    """

    model: Model
    why: str
    cost: Decimal | None
    monthly: Decimal | None
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The steps of the tree, the candidates, and who was left out and why."""

    steps: tuple[Step, ...]
    choices: tuple[Choice, ...]
    left_out: tuple[Choice, ...] = ()

    @property
    def option(self) -> str:
        """The candidates as an option of pytest."""
        return shlex.quote(f"--llm-models={','.join(choice.model.id for choice in self.choices)}")


def shortlist(
    requirements: Requirements,
    models: Sequence[Model],
    *,
    task: str | None = None,
    tokens_in: int = 1500,
    tokens_out: int = 500,
) -> Shortlist:
    """Walk down the tree, take the models of the first step that says yes, and fill up with others that fit.

    Args:
        requirements: What is asked for.
        models: Models with their figures; those of the tree are looked up by name.
        task: One of `TASKS`, or None.
        tokens_in: Tokens that a request reads, for its cost.
        tokens_out: Tokens that it writes, for its cost and its time.

    >>> from pytest_llmeval.catalog import load_catalog
    >>> from pytest_llmeval.settings import Requirements
    >>> found = shortlist(Requirements(data_privacy="strict"), load_catalog())
    >>> found.steps[0].answer, [choice.model.name for choice in found.choices][1]
    ('yes', 'Mistral Large, self-hosted')
    """
    by_name = {model.id if model.own else model.name: model for model in reversed(models)}
    steps = _answered(_tree(requirements, task))
    at, chosen = next((number, step) for number, step in enumerate(steps, 1) if step.chosen)

    def judged(name: str, why: str) -> Choice:
        model = by_name[name]
        cost = cost_per_request(model, tokens_in, tokens_out)
        volume = requirements.requests_per_month
        monthly = None if volume is None else monthly_cost(model, volume, tokens_in, tokens_out)
        return Choice(model, why, cost, monthly, tuple(_doubts(model, cost, requirements, tokens_out)))

    first = [judged(name, f"step {at}") for name in chosen.chosen if name in by_name]
    # "Budget allowing": the one that leads the tree's answer goes where it is too dear, not the others.
    left_out = [each for each in first if each.model.name == "o3" and any("request >" in text for text in each.doubts)]
    first = [each for each in first if each not in left_out]
    others = _others(steps, at, by_name, task)
    # Whoever is fine with an API is not sent to buy machines.
    hostings = {each.model.hosting for each in first}
    taken = {name for each in (*first, *left_out) for name in (each.model.name, each.model.id)}
    rest = [
        each
        for each in (judged(name, why) for name, why in others.items())
        if (each.model.own or each.model.hosting in hostings) and taken.isdisjoint({each.model.name, each.model.id})
    ]
    choices = [*first, *(each for each in rest if not each.doubts)][:MOST_CANDIDATES]
    # One alone is nothing to compare: rather one of which there are doubts, which are told.
    choices += [each for each in rest if each.doubts][: max(0, FEWEST_CANDIDATES - len(choices))]
    return Shortlist(tuple(steps), tuple(choices), tuple(left_out))


def _answered(tree: Iterable[tuple[Step, bool]]) -> list[Step]:
    """Ask one question after the other until one has an answer that leads to models."""
    steps: list[Step] = []
    for step, holds in tree:
        decided = any(earlier.chosen for earlier in steps)
        steps.append(replace(step, answer="-" if decided else "yes" if holds else "no"))
    return steps


def _tree(requirements: Requirements, task: str | None) -> Iterable[tuple[Step, bool]]:
    """Yield each question, and whether it is so."""
    privacy, context = requirements.data_privacy, requirements.context_needed
    latency, cost = requirements.max_latency_ms, requirements.max_cost_per_request
    named = "nothing was said of the task" if task is None else f"the task is {task}"
    own = Step(
        "Must data stay on your own infrastructure?",
        "",
        _said("data_privacy", privacy),
        ("Llama 3.1 70B, self-hosted, one A100", "Mistral Large, self-hosted"),
    )
    yield own, privacy in ("strict", "air-gapped")
    why = _said("context_needed", None if context is None else f"{context:,}")
    long = context is not None and context > LONG_CONTEXT
    yield Step("More than 200K tokens of context?", "", why, ("Gemini 1.5 Pro",)), long
    yield Step("Complex reasoning, math or logic?", "", named, ("o3", "Claude Opus")), task == "reasoning"
    why = _said("max_latency_ms", None if latency is None else f"{latency:,.0f}")
    fast = ("GPT-4o mini", "Gemini 2.0 Flash", "Claude Haiku")
    yield Step("Latency critical (under 2 s)?", "", why, fast), latency is not None and latency <= CRITICAL_MS
    why = _said("max_cost_per_request", None if cost is None else format_usd(cost))
    cheap = ("GPT-4o mini", "Mistral Small", "Llama 3.1 8B, self-hosted")
    yield Step("Cost first (under $0.005 a request)?", "", why, cheap), cost is not None and cost <= CHEAP
    if requirements.output_format == "code":
        named = "output_format is code"
    code = Step("Code-heavy or instruction-following?", "", named, ("Claude Sonnet",), ("GPT-4o",))
    yield code, task in ("code", "instructions") or requirements.output_format == "code"


def _said(key: str, value: str | None) -> str:
    return f"{key} is not asked for" if value is None else f"{key} is {value}"


def _others(steps: Sequence[Step], at: int, models: Mapping[str, Model], task: str | None) -> dict[str, str]:
    """Return models to fill up with and why: for the task, the user's own, of the steps around, then by price."""
    strength = TASKS.get(task or "")
    own = [name for name, model in models.items() if model.own]
    near = [name for step in (*steps[at - 1 :], *reversed(steps[: at - 1])) for name in (*step.models, *step.otherwise)]
    rest = sorted(models, key=lambda name: (models[name].blended is None, models[name].blended or 0))
    found = {name: f"strong in {strength}" for name in models if strength and strength in models[name].strengths}
    for names, why in ((own, "one of your settings"), (near, "fits as well"), (rest, "fits as well")):
        for name in names:
            if name in models:
                found.setdefault(name, why)
    return found


def _doubts(model: Model, cost: Decimal | None, requirements: Requirements, tokens_out: int) -> Iterable[str]:
    """Yield the requirements that the published figures of a model do not meet."""
    privacy, context = requirements.data_privacy, requirements.context_needed
    if privacy is not None and privacy in PRIVATE and model.hosting not in PRIVATE[privacy] and model.hosting == "api":
        yield f"hosting {model.hosting} is not {privacy}"
    if context is not None and model.context is not None and model.context < context:
        yield f"context {model.context:,} < {context:,} tokens"
    limit = requirements.max_cost_per_request
    if limit is not None and cost is None:
        yield "nobody knows its price"
    elif limit is not None and cost is not None and cost > limit:
        yield f"{format_usd(cost)} a request > {format_usd(limit)}"
    # As `llmeval models` has it: where the catalog says a time itself, that one.
    said = model.answer_seconds if tokens_out == ANSWER_TOKENS else None
    seconds, most = said or model.seconds(tokens_out), requirements.max_latency_ms
    if seconds is not None and most is not None and seconds[1] * 1000 > most:
        yield f"typically {seconds[1]:.1f} s for {tokens_out:,} tokens > {most / 1000:.1f} s"
