"""Event time across batches: what an event takes that says no time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast


class EventClock:
    """Knows the greatest event time seen.

    An event without a usable timestamp is not thrown away, which would be a way to hide: it
    takes the greatest time seen so far.

    Attributes:
        greatest: In nanoseconds since 1970; None before the first event that says a time.
    """

    def __init__(self) -> None:
        self.greatest: int | None = None

    def times(self, said: Sequence[int | None]) -> Sequence[int]:
        """Return the times of events in order, given what each says."""
        if None not in said:
            times = cast("Sequence[int]", said)
            if times:
                latest = max(times)
                if self.greatest is None or latest > self.greatest:
                    self.greatest = latest
            return times
        filled = []
        for time in said:
            if time is None:
                filled.append(self.greatest or 0)
                continue
            if self.greatest is None or time > self.greatest:
                self.greatest = time
            filled.append(time)
        return filled
