"""Puts a session together at the first test that has to do with LLMs, and registers what watches such tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_llmeval.collected import wide_fixtures
from pytest_llmeval.farworkers import Sender, is_far
from pytest_llmeval.fetching import Fetching
from pytest_llmeval.lifecycle import Lifecycle
from pytest_llmeval.masking import Masking
from pytest_llmeval.plugin import asks
from pytest_llmeval.session import EvalSession, Hooks
from pytest_llmeval.settings import load_settings
from pytest_llmeval.widefixtures import WideFixtures

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options


def assemble(
    config: pytest.Config, options: Options, items: Sequence[Any], fail: Callable[[str], NoReturn]
) -> tuple[EvalSession, Lifecycle]:
    """Return the session of a run, and what its tests go through.

    Args:
        config: pytest's.
        options: What was asked for.
        items: The tests that were collected so far.
        fail: Raises pytest's own failure, which no SDK swallows or retries.

    Raises:
        ConfigError: Settings that cannot be used.
    """
    plugins = config.pluginmanager
    budgeting = plugins.get_plugin("llmeval_budget")
    budget = budgeting.budget if budgeting is not None else None
    session = EvalSession(options, load_settings(config.rootpath), Hooks.of(config), fail, budget)
    fetching = Fetching(config, session)
    lifecycle = Lifecycle(session, fetching.ahead)
    plugins.register(fetching, "llmeval_fetching")
    plugins.register(lifecycle, "llmeval_lifecycle")
    if is_far(config):
        plugins.register(Sender(session.options, lifecycle.cassettes_of), "llmeval_sender")
    plugins.register(WideFixtures(session), "llmeval_wide_fixtures")
    # The last, so that it masks what the others wrote into a report.
    plugins.register(Masking(session.engine.scanner, asks), "llmeval_masking")
    whole = not config.getoption("lf", False) and not any("::" in arg for arg in config.args)
    session.recordings.collect(items, whole=whole, fixtures=partial(wide_fixtures, config))
    return session, lifecycle
