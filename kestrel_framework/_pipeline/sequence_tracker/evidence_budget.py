"""Bounds the bytes of the events that a tracker holds.

Weighing each event as it goes would cost every step match. So only what comes is added up. When
that, with what was held the last time, could be too much, all that is held is weighed: at most
once for an eighth of the limit, by which it can therefore be passed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from kestrel_framework._pipeline.flow import Candidate
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent

_OBJECTS_PER_BYTE: Final = 6
"""A document takes about so many times the memory of its JSON."""
_EVENT_SIZE: Final = 200
"""What holding an event takes beside its content."""
_FREED: Final = 8
"""Which part of a limit is free after it was passed."""


class Holder(Protocol):
    """What remembers events for one rule."""

    rule: int

    @property
    def live(self) -> int:
        """How many entries it has."""

    def held(self) -> Iterator[Sequence[StepEvent]]:
        """Yield the events of each entry, the oldest first."""

    def oldest(self) -> int | None:
        """Return the time of the first event of the oldest entry, or None."""

    def evict_oldest(self) -> None:
        """Let go of the oldest entry; there must be one."""


class EvidenceBudget:
    """Has machines let go of their oldest entries where events take too many bytes.

    An event counts once, however many entries hold it.

    Args:
        limits: How many bytes are too many.
    """

    def __init__(self, limits: TrackerLimits) -> None:
        self._of_rule = limits.rule_bytes
        self._of_all = limits.total_bytes
        self._seldom = min(self._of_rule, self._of_all) // _FREED
        self._heaviest = self._all = 0
        self._came = 0

    def come(self, candidates: Iterable[Candidate]) -> bool:
        """Take note of events that came, and say whether it is time to `obey`."""
        for candidate in candidates:
            self._came += weight_of(candidate.row)
        came = self._came
        if came <= self._seldom:
            return False
        return self._heaviest + came > self._of_rule or self._all + came > self._of_all

    def restore(self, snapshot_size: int) -> None:
        """Hear that what is held came from a snapshot of so many bytes."""
        self._heaviest = self._all = 0
        self._came = _OBJECTS_PER_BYTE * snapshot_size

    def obey(self, holders: Sequence[Holder]) -> None:
        """Weigh what is held, and have the oldest entries go until there is room.

        First in each rule that has too much for itself, then in all. What has expired should
        be gone already. Cost: grows with what is held.
        """
        self._heaviest = max(
            (self._obeyed([holder], self._of_rule) for holder in holders), default=0
        )
        self._all = self._obeyed(holders, self._of_all)
        self._came = 0

    def _obeyed(self, holders: Sequence[Holder], most: int) -> int:
        """Have some machines together hold no more than they may; return what they hold then."""
        while (weight := self._weight(holders)) > most and any(holder.live for holder in holders):
            self._shrink(holders, weight - (most - most // _FREED))
        return weight

    def _weight(self, holders: Iterable[Holder]) -> int:
        seen: set[int] = set()
        weight = 0
        for holder in holders:
            for events in holder.held():
                for event in events:
                    if id(event) not in seen:
                        seen.add(id(event))
                        weight += weight_of(event)
        return weight

    def _shrink(self, holders: Sequence[Holder], wanted: int) -> None:
        """Let go of the oldest entries of some machines, of at least one: of so many bytes."""
        ages = [
            (oldest, holder.rule, holder)
            for holder in holders
            if (oldest := holder.oldest()) is not None
        ]
        heapq.heapify(ages)
        seen: set[int] = set()
        while ages and wanted > 0:
            _, rule, holder = heapq.heappop(ages)
            for event in next(holder.held(), ()):
                if id(event) not in seen:
                    seen.add(id(event))
                    wanted -= weight_of(event)
            holder.evict_oldest()
            oldest = holder.oldest()
            if oldest is not None:
                heapq.heappush(ages, (oldest, rule, holder))


def weight_of(event: StepEvent) -> int:
    """Return the bytes that holding an event takes, roughly."""
    given = event.given
    if isinstance(given, bytes):
        return _EVENT_SIZE + len(given)
    try:
        size = len(msgspec.json.encode(given))
    except (TypeError, UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        size = len(repr(given))
    return _EVENT_SIZE + _OBJECTS_PER_BYTE * size
