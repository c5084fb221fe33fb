"""Log records without secrets: HTTP libraries and SDKs log headers, URLs and bodies at level DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def masked_logs(mask: Callable[[str], str], wanted: Callable[[], bool]) -> Iterator[None]:
    """Mask what log records show, as long as the `with` block runs.

    A record is masked when a handler asks for its text, so that arguments stay as lazy as they were, and whoever reads
    them gets the objects that were logged.

    Args:
        mask: Returns a text without its secrets.
        wanted: Whether records that are made now are to be masked.
    """
    before = logging.getLogRecordFactory()
    kinds: dict[type[logging.LogRecord], type[logging.LogRecord]] = {}
    active = True

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        if active and wanted():
            kind = type(record)
            if kind not in kinds:
                kinds[kind] = _masked_kind(kind, mask)
            record.__class__ = kinds[kind]
        return record

    logging.setLogRecordFactory(factory)
    try:
        yield
    finally:
        active = False
        # Leave it to whoever set another one after us.
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(before)


def _masked_kind(kind: type[logging.LogRecord], mask: Callable[[str], str]) -> type[logging.LogRecord]:
    """Return a class of log records whose texts are masked; nothing is added to what a record holds."""

    def getter(name: str) -> property:
        # Formatters put the text of a traceback here, and take it from here.
        def get(self: Any) -> Any:
            text = vars(self).get(name)
            return mask(text) if isinstance(text, str) else text

        def put(self: Any, value: Any) -> None:
            vars(self)[name] = mask(value) if isinstance(value, str) else value

        return property(get, put)

    class Masked(kind):  # type: ignore[misc, valid-type]  # the class is only known now
        exc_text = getter("exc_text")
        stack_info = getter("stack_info")

        def getMessage(self) -> str:  # noqa: N802 - the base class's name
            return mask(super().getMessage())

        def __copy__(self) -> logging.LogRecord:
            twin: logging.LogRecord = kind.__new__(type(self))
            vars(twin).update(vars(self))
            return twin

        def __reduce__(self) -> Any:
            # Another process has no class like this one.
            return logging.makeLogRecord, ({**vars(self), "msg": self.getMessage(), "args": None},)

    Masked.__name__, Masked.__qualname__ = kind.__name__, kind.__qualname__
    return Masked
