"""Models to choose from: prices, contexts, typical latencies, published scores, strengths; each with its date."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from pytest_llmeval.catalog import Model
from pytest_llmeval.listing import ANSWER_TOKENS, BENCHMARKS
from pytest_llmeval.prices import PUBLISHED
from pytest_llmeval.reports.columns import NOT_APPLICABLE, UNKNOWN, Column, format_ms
from pytest_llmeval.reports.notes import Note
from pytest_llmeval.reports.terminal import Screen

#: Columns that go before a name is shortened.
OPTIONAL = 8
NAMES_OF_ONE = 4


def show_models(screen: Screen, models: Sequence[Model], choices: Mapping[str, str], *, by_name: bool) -> None:
    """Show models, a row each, and below them what is known of some.

    Args:
        screen: Where to.
        models: The models.
        choices: First choices by task.
        by_name: Whether rows are called by their names, as in a catalog, or by what `--llm-models` takes.
    """

    def label(model: Model) -> str:
        return model.name if by_name else model.id

    screen.line("Price and context (USD per 1M tokens)", "bold")
    screen.table([label(model) for model in models], _price_columns(models), head=True, name_head="model")
    timed = [model for model in models if model.ttft_ms is not None]
    if timed:
        screen.line()
        screen.line(f"Typical latency (median; {ANSWER_TOKENS} tokens take TTFT + {ANSWER_TOKENS} / rate)", "bold")
        screen.table([label(model) for model in timed], _latency_columns(timed), head=True, name_head="model")
    scored = _scored(models, label)
    if scored:
        screen.line()
        screen.line("Published benchmark scores: directional only, your own cases decide", "bold")
        screen.table(list(scored), _score_columns(list(scored.values())), head=True, name_head="model")
    if choices:
        screen.line()
        screen.line("Strengths by task", "bold")
        screen.notes(list(choices.items()), after_table=False)
    if by_name:
        screen.line()
        screen.line("Ids for --llm-models", "bold")
        screen.notes([(model.name, model.id) for model in models], after_table=False)
    screen.notes(list(_notes(models)))


def choices_of(models: Sequence[Model]) -> dict[str, str]:
    """Return the strengths of models by task, with the first choices for it.

    >>> from pytest_llmeval.catalog import reference_model
    >>> choices_of([reference_model("o3"), reference_model("GPT-4o")])["complex reasoning, math"]
    'openai:o3'
    """
    found: dict[str, list[str]] = {}
    for model in models:
        for task in model.strengths:
            found.setdefault(task, []).append(model.id)
    return {task: ", ".join(ids) for task, ids in found.items()}


def model_json(model: Model) -> dict[str, Any]:
    """Return a model as plain JSON types; amounts are decimal strings, and null is what nobody says.

    >>> from pytest_llmeval.catalog import reference_model
    >>> model_json(reference_model("GPT-4o mini"))["input"]
    '0.15'
    """
    return {
        "id": model.id,
        "name": model.name,
        "provider": model.provider,
        "hosting": model.hosting,
        "pinned": model.pinned,
        "context": model.context,
        "input": None if model.input is None else str(model.input),
        "output": None if model.output is None else str(model.output),
        "tiered": model.tiered,
        "own": model.own,
        "ttft_ms": model.ttft_ms,
        "tokens_per_second": model.tokens_per_second,
        f"seconds_{ANSWER_TOKENS}": model.seconds(ANSWER_TOKENS),
        "scores_directional_only": dict(model.scores),
        "strengths": list(model.strengths),
        "source": model.source,
        "as_of": None if model.as_of is None else model.as_of.isoformat(),
    }


def format_tokens(count: int | None) -> str:
    """Write the size of a context.

    >>> format_tokens(128_000), format_tokens(2_000_000), format_tokens(1_048_576), format_tokens(None)
    ('128K', '2M', '1M', '?')
    """
    if count is None:
        return UNKNOWN
    if count >= 1_000_000:
        return f"{count / 1_000_000:.3g}M" if count % 1_048_576 else f"{count // 1_048_576}M"
    return f"{count / 1000:.0f}K" if count % 1024 or count % 1000 == 0 else f"{count // 1024}K"


def _price(amount: Decimal | None, *, tiered: bool) -> str:
    if amount is None:
        return UNKNOWN
    plain = amount.normalize()
    decimals = max(2, -int(plain.as_tuple().exponent))
    return f"{plain:,.{decimals}f}{'+' * tiered}"


def _price_columns(models: Sequence[Model]) -> list[Column]:
    pinned = {True: "pinned", False: "alias", None: UNKNOWN}
    return [
        Column("input", 0, tuple(_price(model.input, tiered=model.tiered) for model in models)),
        Column("output", 0, tuple(_price(model.output, tiered=model.tiered) for model in models)),
        Column("context", OPTIONAL, tuple(format_tokens(model.context) for model in models)),
        Column("hosting", OPTIONAL + 3, tuple(model.hosting for model in models)),
        Column("version", OPTIONAL + 2, tuple(pinned[model.pinned] for model in models)),
    ]


def _latency_columns(models: Sequence[Model]) -> list[Column]:
    return [
        Column("time to first\ntoken", 0, tuple(_ttft(model) for model in models)),
        Column("tokens/s", 0, tuple(_rate(model.tokens_per_second) for model in models)),
        Column(f"{ANSWER_TOKENS} tokens", 0, tuple(answer_time(model) for model in models)),
    ]


def _rate(rate: float | None) -> str:
    return UNKNOWN if rate is None else f"{rate:g}"


def _ttft(model: Model) -> str:
    low, high = model.ttft_ms or (0, 0)
    return format_ms(low) if low == high else f"{low / 1000:g}-{high / 1000:g} s of thinking"


def answer_time(model: Model) -> str:
    """Write how long an answer takes: as the catalog says, else as its figures come to.

    >>> from pytest_llmeval.catalog import reference_model
    >>> answer_time(reference_model("GPT-4o")), answer_time(reference_model("o3"))
    ('6.5 s', '15-45 s')
    """
    seconds = model.answer_seconds or model.seconds(ANSWER_TOKENS)
    if seconds is None:
        return UNKNOWN
    low, high = (f"{each:.1f}".removesuffix(".0") for each in seconds)
    return f"{low} s" if low == high else f"{low}-{high} s"


def _scored(models: Sequence[Model], label: Callable[[Model], str]) -> dict[str, Mapping[str, float]]:
    """Return published scores by model; of one that is hosted in several places, once."""
    found: dict[str, Mapping[str, float]] = {}
    for model in models:
        name = label(model).partition(" (")[0].partition(", ")[0]
        if model.scores and found.get(name) is None:
            found[name] = model.scores
    return found


def _score_columns(scores: Sequence[Mapping[str, float]]) -> list[Column]:
    cells = {name: tuple(_score(row.get(name)) for row in scores) for name in BENCHMARKS}
    return [Column(name, 0, texts) for name, texts in cells.items()]


def _score(score: float | None) -> str:
    return NOT_APPLICABLE if score is None else f"{score:.1f}"


def _notes(models: Sequence[Model]) -> Iterator[Note]:
    days: dict[str, set[date]] = {}
    for model in models:
        if model.input is not None and model.as_of is not None:
            days.setdefault(model.source, set()).add(model.as_of)
    for source, found in sorted(days.items()):
        for day in sorted(found):
            named = [model.name for model in models if model.source == source and model.as_of == day]
            whose = f": {', '.join(named)}" if len(found) > 1 and len(named) <= NAMES_OF_ONE else ""
            yield "dates", f"prices of {source} as of {day}{whose}"
    if any(model.source not in days and model.input is not None for model in models):
        yield "dates", "prices of the settings have no date"
    if any(model.ttft_ms or model.scores or model.strengths for model in models):
        yield "dates", "latency, scores and strengths of the catalog reference as of 2025-06-01"
    for model in models:
        if model.answer_seconds and (text := _formula(model)):
            yield "latency", text
    if any(model.tiered for model in models):
        yield "prices", "+ is the price of short requests; longer ones cost more"
    if any(model.source == PUBLISHED for model in models):
        yield "ids", "those that only genai-prices has are its own; a provider may take longer, dated ones"
    if any(model.pinned is False for model in models):
        yield "version", "an alias may become another model without notice; ask for a dated id"


def _formula(model: Model) -> str | None:
    """Say where what the catalog says of an answer's time is more than a rounding away from its own formula."""
    said, computed = model.answer_seconds, model.seconds(ANSWER_TOKENS)
    if said is None or computed is None or all(abs(a - b) <= 0.1 for a, b in zip(said, computed, strict=True)):
        return None
    low, high = computed
    return f"{model.name}: {answer_time(model)} is as published; TTFT + {ANSWER_TOKENS} / rate gives {low:g}-{high:g} s"
