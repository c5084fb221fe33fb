"""What the controller of pytest-xdist and its workers tell each other while tests run.

xdist gives both ends no more than reports and what is said at a worker's end. A channel of execnet, on which xdist
itself stands, reaches every worker, also on another machine. What is sent are plain JSON types.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

hookimpl = pluggy.HookimplMarker("pytest")

NAME = "llmeval_workers"
KEY = "llmeval_channel"
#: Seconds that a worker waits for the controller, which answers at once: it must have died.
PATIENCE = 60.0

Handler = Callable[[str, Any], Any]


class Workers:
    """The controller's end.

    A handler runs in a thread of its own for each worker, and must be quick. Example::

        workers_of(config).on("progress", lambda worker, state: states.update({worker: state}))
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def on(self, kind: str, handler: Handler) -> None:
        """Have a handler called with the worker's name and what it sends; it returns what `Link.ask` is to return."""
        self._handlers[kind] = handler

    @hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker its channel."""
        worker, channel = node.gateway.id, node.gateway.newchannel()

        def take(message: Any) -> None:
            kind, data, wants_answer = message
            handler = self._handlers.get(kind)
            answer = handler(worker, data) if handler is not None else None
            if wants_answer:
                channel.send(answer)

        channel.setcallback(take)
        node.workerinput[KEY] = channel


class Link:
    """A worker's end; safe to use from several threads.

    Example::

        link_of(config).tell("progress", {"asked": 12, "in_flight": 3})
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def ask(self, kind: str, data: Any) -> Any:
        """Send something, and return what the controller's handler does."""
        with self._lock:
            self._channel.send((kind, data, True))
            return self._channel.receive(PATIENCE)

    def tell(self, kind: str, data: Any) -> None:
        """Send something; what is sent by one thread arrives in its order."""
        with self._lock:
            self._channel.send((kind, data, False))


def workers_of(config: pytest.Config) -> Workers:
    """Return the controller's end. To be asked for in `pytest_configure`: later, workers have begun without it."""
    workers: Workers | None = config.pluginmanager.get_plugin(NAME)
    if workers is None:
        workers = Workers()
        config.pluginmanager.register(workers, NAME)
    return workers


def link_of(config: pytest.Config) -> Link | None:
    """Return this worker's end; None where this is no worker, or the controller has nobody to talk to."""
    # One for all who use it: answers would go to whoever waits first.
    given: dict[str, Any] = getattr(config, "workerinput", {})
    channel = given.get(KEY)
    if channel is not None and not isinstance(channel, Link):
        channel = given[KEY] = Link(channel)
    return channel
