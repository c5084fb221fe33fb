"""The last step before the network: a request waits for its turn, and the pace of its endpoint learns what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_llmeval.cassettes.detours import refuse_skipped
from pytest_llmeval.cassettes.exchange import Exchange
from pytest_llmeval.pacing import paced


def check_wanted() -> None:
    """Refuse a request of a call that nobody waits for any more.

    Raises:
        AbandonedError: It is one.
    """
    call = paced.get()
    if call is not None:
        call.check()


def send(original: Callable[..., Any], transport: Any, request: Any, exchange: Exchange | None = None) -> Any:
    """Send a request when its endpoint takes another; return the answer."""
    refuse_skipped()
    call = paced.get()
    if call is None:
        return original(transport, request)
    call.send()
    if exchange is not None:
        exchange.restart()
    try:
        response = original(transport, request)
    except BaseException:
        call.leave()
        raise
    call.answered(response.status_code, response.headers)
    return response


async def asend(original: Callable[..., Any], transport: Any, request: Any, exchange: Exchange | None = None) -> Any:
    """Do what `send` does, for asynchronous clients."""
    refuse_skipped()
    call = paced.get()
    if call is None:
        return await original(transport, request)
    await call.asend()
    if exchange is not None:
        exchange.restart()
    try:
        response = await original(transport, request)
    except BaseException:
        call.leave()
        raise
    call.answered(response.status_code, response.headers)
    return response
