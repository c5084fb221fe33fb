"""What runs now: a context variable, with a fallback for threads that did not inherit the context."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Generic, TypeVar

T = TypeVar("T")


class Running(Generic[T]):
    """Hold the `T` of the running test.

    A plain thread starts with an empty context, and an event loop that outlives a test keeps the context of the test
    that started it. Both see the fallback: what `entered` was called with last and has not left yet.

    >>> running = Running[str]("doctest")
    >>> with running.entered("a test"):
    ...     running.get()
    'a test'
    >>> running.get() is None
    True
    """

    def __init__(self, name: str) -> None:
        self._var: ContextVar[T | None] = ContextVar(name, default=None)
        self._fallback: T | None = None
        self._process = os.getpid()

    def get(self) -> T | None:
        """Return the value of this context, else of the test that runs, else None."""
        value = self._var.get()
        return value if value is not None else self._fallback

    @property
    def is_bound(self) -> bool:
        """Whether this context has a value of its own."""
        return self._var.get() is not None

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is another process than that of the test: a child that was forked inherits all the rest."""
        return os.getpid() != self._process

    def enter(self, value: T | None, process: int | None = None) -> T | None:
        """Make `value` the fallback: what code without a context of its own sees. Return what was it before.

        Args:
            value: What runs.
            process: Id of the process in which it does; this one by default.
        """
        self._process = os.getpid() if process is None else process
        before, self._fallback = self._fallback, value
        return before

    @contextmanager
    def entered(self, value: T) -> Iterator[None]:
        """Make `value` the fallback until the `with` block ends."""
        before = self.enter(value)
        try:
            yield
        finally:
            self.enter(before)

    def bound(self, value: T) -> Bound[T]:
        """Bind `value` to this context; tasks and context-copying threads started inside keep it."""
        return Bound(self._var, value)


class Bound(Generic[T]):
    """Binds a value to its context until the `with` block ends. A generator would take five times as long."""

    __slots__ = ("_token", "_value", "_var")

    def __init__(self, var: ContextVar[T | None], value: T) -> None:
        self._var = var
        self._value = value

    def __enter__(self) -> None:
        self._token: Token[T | None] = self._var.set(self._value)

    def __exit__(self, *_: object) -> None:
        self._var.reset(self._token)
