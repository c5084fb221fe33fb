"""Models that genai-prices knows, as rows of a catalog, with their prices at a date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pytest_llmeval.candidates import Candidate, is_unpinned
from pytest_llmeval.catalog import Model
from pytest_llmeval.prices import PUBLISHED, published_model
from pytest_llmeval.providers.endpoints import ANTHROPIC, OPENAI_COMPATIBLE, Endpoint

#: Of what a provider bills, what its endpoint takes: Google sells other people's models elsewhere.
SERVED = {"gemini": re.compile(r"gemini|gemma")}


def published_models(on: date) -> Iterator[Model]:
    """Yield the models that genai-prices knows of the providers that come with the package.

    Its ids are its own: a provider may take a longer, dated one.
    """
    from genai_prices.data_snapshot import get_snapshot

    endpoints = {endpoint.billing: endpoint for endpoint in (*OPENAI_COMPATIBLE, ANTHROPIC) if endpoint.billing}
    for provider in get_snapshot().providers:
        endpoint = endpoints.get(provider.id)
        for info in provider.models if endpoint else ():
            if endpoint and SERVED.get(endpoint.name, re.compile("")).match(info.id) and not info.deprecated:
                yield _model(endpoint, info, on)


def priced(model: Model, billing: str | None, asked: str, on: date) -> Model:
    """Return a model with the published price of that day, if there is one; else as it is.

    >>> from pytest_llmeval.catalog import reference_model
    >>> str(priced(reference_model("o3"), "openai", "o3", date(2025, 7, 1)).output)
    '8'
    """
    info = published_model(billing, asked) if billing else None
    return model if info is None else _with_prices(model, info, on)


def _model(endpoint: Endpoint, info: Any, on: date) -> Model:
    name = f"{endpoint.name}:{info.id}"
    pinned = not is_unpinned(Candidate(name, endpoint.name, info.id))
    return _with_prices(Model(info.name or info.id, name, hosting=endpoint.hosting, pinned=pinned), info, on)


def _with_prices(model: Model, info: Any, on: date) -> Model:
    prices = vars(info.get_prices(datetime.combine(on, time(12), UTC)))
    found = [prices.get(key) for key in ("input_mtok", "output_mtok")]
    amounts = [price if price is None or isinstance(price, Decimal) else price.base for price in found]
    return replace(
        model,
        input=amounts[0],
        output=amounts[1],
        context=model.context or info.context_window,
        tiered=any(price is not None and not isinstance(price, Decimal) for price in found),
        source=PUBLISHED,
        as_of=on,
    )
