"""Stand-ins for keys that are not set: clients can be built without keys, since replay needs none.

The interception of HTTP refuses to send one, with a message that names the variable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

MISSING_KEY = "llmeval-no-key"


class StandIns:
    """Sets variables of keys while something runs that may build clients.

    Args:
        names: Per provider, the variables that may hold its key, first choice first.
    """

    def __init__(self, names: Iterable[tuple[str, ...]]) -> None:
        self._names = [group for group in names if group]
        self._set: list[str] = []

    @property
    def variables(self) -> list[str]:
        """All names."""
        return [name for group in self._names for name in group]

    def put(self) -> None:
        """Set the first variable of each provider of which none is set."""
        if self._set:
            return
        for group in self._names:
            if not any(os.environ.get(name) for name in group):
                os.environ[group[0]] = f"{MISSING_KEY}-{group[0]}"
                self._set.append(group[0])

    def take_away(self) -> None:
        """Leave the environment as it was."""
        for name in self._set:
            if os.environ.get(name, "").startswith(MISSING_KEY):
                del os.environ[name]
        self._set.clear()
