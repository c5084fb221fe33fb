"""Refuse what a test asks from another process: its answers would be lost there, or it would reach the network."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.patches import replace
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.errors import CassetteError

# For as long as the process lives: a context manager that nobody holds would end at once.
_installed: list[ExitStack] = []


def refuse_elsewhere(cassette: Cassette, host: str) -> None:
    """Fail a request that comes from a process which the test has started.

    Raises:
        CassetteError: It does. Not pytest's own failure, which cannot be sent to the process that waits for an answer.
    """
    if running_cassette.is_elsewhere and (cassette.mode != "live" or cassette.engine.budget is not None):
        _refuse(
            f"{host} was asked from process {os.getpid()}, which a test has started ({cassette.command}): what other "
            "processes ask is neither recorded nor replayed, nor counted in a budget. Ask from threads, or name the "
            "host in llm_passthrough."
        )


def _refuse(message: str) -> NoReturn:
    raise CassetteError(message)


@dataclass(frozen=True)
class _Test:
    """What a new process must know of the test that starts it; it is told as soon as it is unpickled."""

    path: str
    mode: str
    command: str
    passthrough: tuple[str, ...]
    process: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, (self.path, self.mode, self.command, self.passthrough, self.process)


def patch_spawn(module: ModuleType) -> Callable[[], None]:
    """Tell a process that `multiprocessing` starts anew, and that inherits nothing, which test it belongs to."""
    original = module.get_preparation_data

    @functools.wraps(original)
    def get_preparation_data(*args: Any, **kwargs: Any) -> dict[str, Any]:
        data: dict[str, Any] = original(*args, **kwargs)
        cassette = running_cassette.get()
        if cassette is not None:
            passthrough = tuple(sorted(cassette.engine.passthrough))
            # Mode live lets other processes ask, where no budget would miss that.
            mode = cassette.mode if cassette.engine.budget is None else "none"
            data["llmeval_test"] = _Test(str(cassette.path), mode, cassette.command, passthrough, os.getpid())
        return data

    return replace(module, "get_preparation_data", get_preparation_data)


def _arrive(path: str, mode: str, command: str, passthrough: tuple[str, ...], process: int) -> None:
    from pytest_llmeval.cassettes import transport, triggers

    engine = Engine(fail=_refuse, scanner=SecretScanner({}), passthrough=frozenset(passthrough))
    running_cassette.enter(Cassette(Path(path), mode, engine, lambda: command), process)
    stack = ExitStack()
    stack.enter_context(transport.installed())
    stack.enter_context(triggers.installed())
    _installed.append(stack)
