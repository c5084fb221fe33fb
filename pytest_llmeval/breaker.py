"""A circuit breaker: who keeps failing is left out for a while, then tried with one request.

M. Nygard, Release It! (2007), chapter 5: closed, open after failures in a row, half-open after a cool-down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Knows whether to ask an endpoint. Safe to use from several threads.

    Args:
        failures: Failures in a row after which it opens; 0 never opens it.
        cooldown: Seconds after which one request may try again.
        clock: Returns the time in seconds.

    >>> breaker = CircuitBreaker(failures=2, cooldown=30.0, clock=lambda: 0.0)
    >>> breaker.failed(), breaker.allows(), breaker.failed(), breaker.allows()
    (None, True, None, False)
    """

    def __init__(self, failures: int, cooldown: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._cooldown = cooldown
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._closed_from: float | None = None

    def allows(self) -> bool:
        """Whether to ask; after a cool-down True once, until that request has an outcome or another has passed."""
        with self._lock:
            if self._closed_from is None:
                return True
            now = self._clock()
            if now < self._closed_from:
                return False
            self._closed_from = now + self._cooldown
            return True

    def succeeded(self) -> None:
        """Note an answer: ask on."""
        with self._lock:
            self._failures, self._closed_from = 0, None

    def failed(self) -> None:
        """Note a failure."""
        with self._lock:
            self._failures += 1
            if self._most and self._failures >= self._most:
                self._closed_from = self._clock() + self._cooldown
