"""What a recorded answer says: which model was asked, which one answered, how many tokens, and what it would cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import json_body
from pytest_llmeval.cassettes.sse import json_events
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.providers.usage import anthropic_usage, openai_usage
from pytest_llmeval.response import UNKNOWN_COST, Cost, Usage
from pytest_llmeval.tariffs import Tariff, tariff_of


@dataclass(frozen=True, slots=True)
class Answer:
    """What one interaction says of itself; None for what it does not say.

    Attributes:
        asked: The model that was asked for.
        answered: The model that the server says answered.
        usage: Tokens.
        charged: USD that the provider says it charged.
    """

    asked: str | None
    answered: str | None
    usage: Usage = field(default_factory=Usage)
    charged: Decimal | None = None


def answer_of(interaction: Interaction) -> Answer:
    """Read an interaction of either chat protocol, plain or streamed; of any other, next to nothing is known.

    >>> body, answer = b'{"model": "m"}', b'{"model": "m-2024", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'
    >>> answer_of(Interaction("POST", "https://x", body, {}, 200, "OK", {}, answer)).answered
    'm-2024'
    """
    request = json_body(interaction.body)
    asked = _text(request.get("model")) if isinstance(request, dict) else None
    answered: str | None = None
    usage: dict[str, Any] = {}
    anthropic = False
    for part in _parts(interaction):
        # Events carry the model and the counts themselves, or in the message that they begin or complete.
        inner = next((part[key] for key in ("message", "response") if isinstance(part.get(key), dict)), part)
        anthropic = anthropic or str(part.get("type", "")).startswith("message")
        answered = answered or _text(inner.get("model"))
        for holder in (inner, part):
            if isinstance(holder.get("usage"), dict):
                usage |= {name: value for name, value in holder["usage"].items() if value is not None}
    counted = anthropic_usage(usage) if anthropic else openai_usage(usage)
    if counted.output_tokens is None and urlsplit(interaction.uri).path.rstrip("/").endswith("/embeddings"):
        # Nothing is written there, and so nothing is said of it.
        counted = replace(counted, output_tokens=0)
    return Answer(asked, answered, counted, _amount(usage.get("cost")))


def _parts(interaction: Interaction) -> Iterator[Mapping[str, Any]]:
    if interaction.streamed:
        yield from json_events(interaction.content)
        return
    try:
        data = json.loads(interaction.content)
    except (ValueError, RecursionError):
        return
    if isinstance(data, dict):
        yield data


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _amount(value: Any) -> Decimal | None:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def cost_of_answer(interaction: Interaction, candidate: Candidate | None, when: datetime | None = None) -> Cost:
    """Return what an interaction cost, or would cost at another time.

    Args:
        interaction: The recording.
        candidate: Who was asked, with the user's own prices; None takes the provider of the URL.
        when: Date whose prices count; by default that of the recording, and now for one without a date.
    """
    answer = answer_of(interaction)
    tariff = tariff_of(interaction.uri, candidate, answer.asked)
    if tariff is None:
        return UNKNOWN_COST
    return cost_by(tariff, interaction, answer, when or interaction.recorded_at or datetime.now(UTC))


def cost_by(tariff: Tariff, interaction: Interaction, answer: Answer, when: datetime) -> Cost:
    """Return what an interaction costs by a tariff."""
    latency = interaction.meta.get("latency_ms")
    return tariff.cost(
        answer.usage,
        model=answer.answered,
        when=when,
        latency_ms=latency if isinstance(latency, int | float) else None,
        charged=answer.charged,
    )


def total_of(costs: Iterable[Cost]) -> TotalCost:
    """Add up costs.

    >>> str(total_of([Cost(Decimal("0.01"), "priced"), Cost(None, "unknown")]))
    '≥ $0.01 (1 call unpriced)'
    """
    total = TotalCost(Decimal(0))
    for cost in costs:
        if cost.amount is None:
            total += TotalCost(Decimal(0), unpriced=1)
        else:
            estimated, free, priced = (int(cost.status == name) for name in ("estimated", "free", "priced"))
            total += TotalCost(cost.amount, 0, estimated, free, priced)
    return total
