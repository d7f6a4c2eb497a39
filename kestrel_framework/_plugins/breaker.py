"""A breaker: stops calls to what keeps failing, and tries again later, once at a time."""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs


class BreakerState(enum.Enum):
    """Closed: calls pass. Open: none do. Half-open: one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@attrs.frozen
class BreakerSettings:
    """When a breaker opens, and for how long.

    Attributes:
        failures: How many failures within `window` open it.
        window: Seconds that a failure counts.
        cooldown: Seconds from the opening, or a failed probe, to the next probe.
    """

    failures: int = attrs.field(default=5, validator=attrs.validators.ge(1))
    window: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    cooldown: float = attrs.field(default=30.0, validator=attrs.validators.gt(0))


@attrs.frozen(eq=False)
class Permit:
    """Leave to make one call; give it back with how the call went."""

    probe: bool


UNCOUNTED: Final = Permit(probe=False)
"""For a call that is made whatever the breaker says; its result counts for nothing."""


class Breaker:
    """Counts the failures of one plugin instance in a sliding window. Safe between threads.

    Every `admit` that gives a permit is followed by exactly one of `succeeded`,
    `failed` and `abandoned` with that permit. Only the probe's own result moves a
    half-open breaker: a slow call from before the opening neither closes nor reopens it.

    Args:
        settings: When to open, and for how long.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: BreakerSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or BreakerSettings()
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: deque[float] = deque(maxlen=self._settings.failures)
        self._opened_at: float | None = None
        self._probe: Permit | None = None

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker stays open until somebody asks for the probe."""
        with self._lock:
            if self._opened_at is None:
                return BreakerState.CLOSED
            return BreakerState.OPEN if self._probe is None else BreakerState.HALF_OPEN

    def admit(self) -> Permit | None:
        """Return a permit for one call, or None where the call must not be made."""
        with self._lock:
            if self._opened_at is None:
                return Permit(probe=False)
            if self._probe is not None or self._remaining() > 0:
                return None
            self._probe = Permit(probe=True)
            return self._probe

    def succeeded(self, permit: Permit) -> None:
        """Hear that the call went well. A probe closes the breaker and forgets the failures."""
        with self._lock:
            if permit is self._probe:
                self._probe = None
                self._opened_at = None
                self._failures.clear()

    def failed(self, permit: Permit) -> bool:
        """Hear that the call failed, and say whether that opened the breaker (again)."""
        with self._lock:
            now = self._clock()
            if permit is self._probe:
                self._probe = None
                self._opened_at = now
                return True
            if self._opened_at is not None or permit.probe or permit is UNCOUNTED:
                return False
            self._failures.append(now)
            full = len(self._failures) == self._settings.failures
            if full and now - self._failures[0] <= self._settings.window:
                self._opened_at = now
            return self._opened_at is not None

    def abandoned(self, permit: Permit) -> None:
        """Hear that the call says nothing about the plugin. The next caller may probe."""
        with self._lock:
            if permit is self._probe:
                self._probe = None

    def seconds_until_probe(self) -> float:
        """Return how long calls are refused from now; 0 where one would be admitted."""
        with self._lock:
            return 0.0 if self._opened_at is None else self._remaining()

    def _remaining(self) -> float:
        assert self._opened_at is not None
        return max(0.0, self._opened_at + self._settings.cooldown - self._clock())
