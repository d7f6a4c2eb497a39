"""Where complete matches wait whether a forbidden event still comes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kestrel_framework._pipeline.flow import Completion, Ordinal
from kestrel_framework._pipeline.sequence_tracker.keys import key_order, key_values
from kestrel_framework._pipeline.sequence_tracker.partials import WatchedPartial
from kestrel_framework._pipeline.sequence_tracker.step_events import GONE, place_in_order

END_OF_TIME: Final = 1 << 100
"""A watermark after every timestamp."""

Release: TypeAlias = Callable[[WatchedPartial, list[Completion]], None]

_Turn: TypeAlias = tuple[int, Ordinal, int, object, int, WatchedPartial, Release]


class WaitingRoom:
    """The matches of all rules that wait, in the order in which they leave.

    That is the order of the times up to which they wait, then of their last events,
    rules and keys: it depends on nothing but the events.

    Attributes:
        turns: The heap of all who wait. Stays the same object.
    """

    def __init__(self) -> None:
        self.turns: list[_Turn] = []
        self._serial = itertools.count()

    def enter(self, due: int, rule: int, partial: WatchedPartial, release: Release) -> None:
        """Let `partial` wait for events up to and including the time `due`."""
        last = place_in_order(partial.last)
        key = key_order(key_values(partial.key))
        heapq.heappush(self.turns, (due, last, rule, key, next(self._serial), partial, release))

    def release(self, watermark: int, done: list[Completion]) -> None:
        """Release those that waited for nothing later than before `watermark`."""
        while self.turns and self.turns[0][0] < watermark:
            *_, partial, release = heapq.heappop(self.turns)
            if partial.first is not GONE:
                release(partial, done)

    def renumber(self, rules: Mapping[int, int]) -> None:
        """Give rules other numbers; whoever waits for one without a number is forgotten."""
        self.turns[:] = [
            (due, last, rules[rule], key, serial, partial, release)
            for due, last, rule, key, serial, partial, release in self.turns
            if rule in rules
        ]
        heapq.heapify(self.turns)

    def clear(self) -> None:
        """Forget everybody who waits."""
        self.turns.clear()
