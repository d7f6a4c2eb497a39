"""The kernel's clocks, and how its timestamps become times of day."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

_STEP_NS: Final = 1_000_000
_ATTEMPTS: Final = 5
_NS_PER_SECOND: Final = 1_000_000_000

# POSIX-only names, absent from `time` and `os` on other systems.
_REALTIME: Final = getattr(time, "CLOCK_REALTIME", 0)
_MONOTONIC: Final = getattr(time, "CLOCK_MONOTONIC", 1)
_BOOTTIME: Final = getattr(time, "CLOCK_BOOTTIME", 7)


class KernelClock:
    """Converts CLOCK_MONOTONIC, by which the process connector stamps its events.

    The distance to the time of day changes only where somebody sets the clock, or
    the host sleeps (adjusting the rate moves both clocks alike). `synchronise` follows
    changes of a millisecond or more, so that measuring never disturbs the order of events.
    """

    def __init__(self, read: Callable[[int], int] | None = None) -> None:
        """Measure the clocks. `read` returns the nanoseconds of a clock, by its number."""
        self._read = read or time.clock_gettime_ns
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")
        self._to_realtime = self._distance(_REALTIME)
        self._to_boottime = self._distance(_BOOTTIME)

    def synchronise(self) -> bool:
        """Measure again, and say whether the time of day was set. Cost: 8 µs."""
        to_realtime = self._distance(_REALTIME)
        to_boottime = self._distance(_BOOTTIME)
        if abs(to_boottime - self._to_boottime) >= _STEP_NS:
            self._to_boottime = to_boottime
        stepped = abs(to_realtime - self._to_realtime) >= _STEP_NS
        if stepped:
            self._to_realtime = to_realtime
        return stepped

    def now(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds."""
        return self._read(_MONOTONIC)

    def time_of_day(self, monotonic_ns: int) -> int:
        """Return nanoseconds since 1970."""
        return monotonic_ns + self._to_realtime

    def ticks(self, monotonic_ns: int) -> int:
        """Return the moment as /proc tells the start of processes: in ticks since boot."""
        return (monotonic_ns + self._to_boottime) * self._ticks_per_second // _NS_PER_SECOND

    def monotonic(self, ticks: int) -> int:
        """Return the beginning of a tick in nanoseconds of CLOCK_MONOTONIC."""
        return ticks * _NS_PER_SECOND // self._ticks_per_second - self._to_boottime

    def _distance(self, clock: int) -> int:
        """Return `clock` minus CLOCK_MONOTONIC, from the attempt least disturbed."""
        best: tuple[int, int] | None = None
        for _ in range(_ATTEMPTS):
            before = self._read(_MONOTONIC)
            other = self._read(clock)
            after = self._read(_MONOTONIC)
            attempt = (after - before, other - (before + after) // 2)
            best = min(best or attempt, attempt)
        assert best is not None
        return best[1]
