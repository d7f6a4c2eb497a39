"""When events were lost, so that an alert can say what may be missing from it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

import attrs

_KEPT: Final = 1024


@attrs.frozen
class Loss:
    """So many events of one cause, lost between two event times (nanoseconds, inclusive).

    `until` is None while no event has come after the loss.
    """

    cause: str
    events: int
    since: int | None
    until: int | None


class LossLedger:
    """Remembers the latest losses; older ones are still counted, elsewhere."""

    def __init__(self) -> None:
        self._losses: deque[Loss] = deque(maxlen=_KEPT)

    def record(self, lost: Mapping[str, int], since: int | None) -> None:
        """Note events lost after the event time `since`, or since ever."""
        for cause, events in sorted(lost.items()):
            self._losses.append(Loss(cause, events, since, None))

    def close(self, until: int) -> None:
        """Note the time of the first event after what was lost."""
        if not self._losses:
            return
        while_open = []
        while self._losses and self._losses[-1].until is None:
            while_open.append(attrs.evolve(self._losses.pop(), until=until))
        self._losses.extend(reversed(while_open))

    def between(self, first: int, last: int) -> Mapping[str, int]:
        """Return how many events were lost in a span of event time, by cause."""
        found: Counter[str] = Counter()
        for loss in self._losses:
            begins_before_end = loss.since is None or loss.since <= last
            ends_after_begin = loss.until is None or loss.until >= first
            if begins_before_end and ends_after_begin:
                found[loss.cause] += loss.events
        return dict(found)

    def snapshot(self) -> list[tuple[str, int, int | None, int | None]]:
        """Return the ledger as plain data."""
        return [(loss.cause, loss.events, loss.since, loss.until) for loss in self._losses]

    def restore(self, data: list[tuple[str, int, int | None, int | None]]) -> None:
        """Take over what `snapshot` returned."""
        self._losses = deque((Loss(*entry) for entry in data), maxlen=_KEPT)
