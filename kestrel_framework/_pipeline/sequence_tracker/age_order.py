"""Partial matches in the order of their first events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from kestrel_framework._pipeline.sequence_tracker.partials import Partial
from kestrel_framework._pipeline.sequence_tracker.step_events import GONE

_FEWEST_TO_TIDY: Final = 64


class AgeOrder:
    """The partial matches of a sequence, the oldest first; a copy stands behind its original.

    What has ended stays inside until it comes to the front, or until there is too much of it.
    So the cost of each operation does not depend on how many there are, on average.

    Attributes:
        queue: All but the copies whose originals are inside. Stays the same object.
        most: How long the queue may be before it is tidied: twice as long as at the last time.
    """

    __slots__ = ("_copied", "_copies", "most", "queue")

    def __init__(self) -> None:
        self.queue: deque[Partial] = deque()
        self.most = _FEWEST_TO_TIDY
        self._copies: dict[Partial, list[Partial]] = {}
        self._copied = 0

    def __iter__(self) -> Iterator[Partial]:
        """Yield the live ones."""
        if not self._copies:
            yield from (partial for partial in self.queue if partial.first is not GONE)
            return
        for original in self.queue:
            family = [original]
            while family:
                partial = family.pop()
                if partial.first is not GONE:
                    yield partial
                family.extend(self._copies.get(partial, ()))

    def add(self, partial: Partial) -> None:
        """Put in the youngest."""
        self.queue.append(partial)
        if len(self.queue) > self.most:
            self.tidy()

    def add_copy(self, copy: Partial, partial: Partial) -> None:
        """Put in one whose first event is that of `partial`, which is inside."""
        self._copies.setdefault(partial, []).append(copy)
        self._copied += 1
        if self._copied > self.most:
            self.tidy()

    def oldest(self) -> Partial | None:
        """Return the oldest that is live, or None."""
        while self.queue:
            if self.queue[0].first is not GONE:
                return self.queue[0]
            self.leave()
        return None

    def leave(self) -> None:
        """Take out the first of the queue; its copies are the first then, the last one first."""
        partial = self.queue.popleft()
        if self._copies:
            copies = self._copies.pop(partial, ())
            self._copied -= len(copies)
            self.queue.extendleft(copies)

    def tidy(self) -> None:
        """Take out all that have ended."""
        live = list(self)
        self.clear()
        self.queue.extend(live)
        self.most = _FEWEST_TO_TIDY + 2 * len(live)

    def clear(self) -> None:
        """Take out all."""
        self.queue.clear()
        self._copies.clear()
        self._copied = 0
        self.most = _FEWEST_TO_TIDY
