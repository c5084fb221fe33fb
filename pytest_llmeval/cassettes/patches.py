"""Replace an attribute of somebody else's class, and put it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def replace(owner: Any, name: str, value: Any) -> Callable[[], None]:
    """Replace an attribute; return what puts the one before back.

    >>> class Server:
    ...     port = 80
    >>> undo = replace(Server, "port", 8080)
    >>> undo()
    >>> Server.port
    80
    """
    before = getattr(owner, name)
    setattr(owner, name, value)

    def undo() -> None:
        # Leave it to whoever replaced it after us.
        if getattr(owner, name) is value:
            setattr(owner, name, before)

    return undo
