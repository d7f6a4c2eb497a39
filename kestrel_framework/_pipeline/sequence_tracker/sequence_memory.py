"""What one sequence remembers: where its partial matches are, how old, and how many."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from kestrel_framework._pipeline.sequence_tracker.age_order import AgeOrder
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.partials import (
    LeadingHits,
    Partial,
    SequenceState,
    WatchedPartial,
)
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import GONE, StepEvent

NO_MAXSPAN: Final = 1 << 101
"""Longer than the time from any event to the end of time."""


class SequenceMemory:
    """The partial matches and leading forbidden events of one sequence, within limits.

    Args:
        last_stage: The number of the last step that waits for an event, counted among those.
        maxspan: The longest time from the first to the last event, or None.
        limits: How much to remember.
        statistics: Where to count; shared.

    Attributes:
        live: The entries held.
        most: How many there may be.
        maxspan: `NO_MAXSPAN` stands for None.
        last_stage: As given.
        pending: For each stage but the last, the partial match that has come to it, by key.
        waiting: The complete ones that wait whether a forbidden event comes.
        ages: All partial matches.
        leading_hits: The leading forbidden events, in the order of their latest ones.
        statistics: As given.

    These collections stay the same objects.
    """

    __slots__ = (
        "ages",
        "last_stage",
        "leading_hits",
        "live",
        "maxspan",
        "most",
        "most_waiting",
        "pending",
        "statistics",
        "waiting",
    )

    def __init__(
        self,
        last_stage: int,
        maxspan: int | None,
        limits: TrackerLimits,
        statistics: TrackerStatistics,
    ) -> None:
        self.live = 0
        self.most = limits.per_rule
        self.most_waiting = limits.per_key
        self.maxspan = NO_MAXSPAN if maxspan is None else maxspan
        self.last_stage = last_stage
        self.pending: tuple[dict[Key, Partial], ...] = tuple({} for _ in range(last_stage))
        self.waiting: dict[Key, list[WatchedPartial]] = {}
        self.ages = AgeOrder()
        self.leading_hits: OrderedDict[Key, LeadingHits] = OrderedDict()
        self.statistics = statistics

    # --- partial matches --------------------------------------------------------------

    def begin(self, partial: Partial) -> None:
        """Count a partial match that is new."""
        self.ages.add(partial)
        self._count_one()

    def begin_copy(self, copy: Partial, partial: Partial) -> None:
        """Count the copy of another."""
        self.ages.add_copy(copy, partial)
        self._count_one()

    def place(self, partial: Partial) -> None:
        """Let a partial match wait at its stage, instead of what waited there."""
        pending = self.pending[partial.stage]
        replaced = pending.get(partial.key)
        if replaced is not None:
            self.end(replaced, EndReason.REPLACED)
        pending[partial.key] = partial

    def wait(self, partial: WatchedPartial) -> None:
        """Let a complete match wait, within the limit of its key."""
        waiting = self.waiting.setdefault(partial.key, [])
        waiting.append(partial)
        if len(waiting) > self.most_waiting:
            self.remove(waiting[0], EndReason.EVICTED)

    def leave_waiting(self, partial: WatchedPartial) -> None:
        """Let a complete match wait no longer."""
        waiting = self.waiting[partial.key]
        waiting.remove(partial)
        if not waiting:
            del self.waiting[partial.key]

    def end(self, partial: Partial, reason: EndReason) -> None:
        """Count the end of a partial match that waits nowhere any more."""
        partial.clear()
        self.live -= 1
        self.statistics.end(reason)

    def remove(self, partial: Partial, reason: EndReason) -> None:
        """Let go of a partial match, wherever it waits."""
        self._take_out(partial)
        self.end(partial, reason)

    # --- leading forbidden events --------------------------------------------------------

    def remember_leading(self, key: Key, timestamp: int) -> None:
        """Note the time of a forbidden event; times come in their order."""
        known = self.leading_hits.pop(key, None)
        if known is None:
            self._count_one()
            known = LeadingHits(key, timestamp)
        elif timestamp > known.latest:
            known = LeadingHits(key, timestamp, known.latest)
        self.leading_hits[key] = known

    def leading_hit_before(self, key: Key, timestamp: int) -> int | None:
        """Return the time of the latest forbidden event before another time."""
        known = self.leading_hits.get(key)
        if known is None:
            return None
        return known.latest if known.latest < timestamp else known.previous

    def held(self) -> Iterator[tuple[StepEvent, ...]]:
        """Yield the events of each partial match, the oldest first."""
        return (partial.events for partial in self.ages)

    # --- age and limits -------------------------------------------------------------------

    def expire(self, watermark: int) -> None:
        """Forget what no event at `watermark` or later can continue."""
        earliest = watermark - self.maxspan
        ages = self.ages
        queue = ages.queue
        expired = 0
        while queue:
            partial = queue[0]
            first = partial.first
            if first.timestamp >= earliest:
                break
            ages.leave()
            if first is not GONE:
                self._take_out(partial)
                partial.clear()
                expired += 1
        while self.leading_hits:
            key, hits = next(iter(self.leading_hits.items()))
            if hits.latest >= earliest:
                break
            del self.leading_hits[key]
            expired += 1
        if expired:
            self.live -= expired
            self.statistics.end(EndReason.EXPIRED, expired)

    def oldest(self) -> int | None:
        """Return the time of the first event of the oldest entry, or None."""
        times = []
        partial = self.ages.oldest()
        if partial is not None:
            times.append(partial.first.timestamp)
        if self.leading_hits:
            times.append(next(iter(self.leading_hits.values())).latest)
        return min(times, default=None)

    def evict_oldest(self) -> None:
        """Let go of the oldest entry; there must be one."""
        partial = self.ages.oldest()
        hits = next(iter(self.leading_hits.values()), None)
        if partial is None or (hits and hits.latest < partial.first.timestamp):
            self.leading_hits.popitem(last=False)
            self.live -= 1
            self.statistics.end(EndReason.EVICTED)
        else:
            self.remove(partial, EndReason.EVICTED)

    def obey_limit(self) -> None:
        """Let go of the oldest entries where there are too many."""
        while self.live > self.most:
            self.evict_oldest()

    def _count_one(self) -> None:
        self.live += 1
        self.statistics.begin()

    def _take_out(self, partial: Partial) -> None:
        stage = partial.stage
        if stage < self.last_stage:
            del self.pending[stage][partial.key]
        else:
            assert isinstance(partial, WatchedPartial)
            self.leave_waiting(partial)

    # --- state -------------------------------------------------------------------------------

    def dump(self) -> SequenceState:
        """Return everything remembered, the oldest first."""
        return SequenceState(
            tuple((self._stage_in_state(partial), partial) for partial in self.ages),
            tuple(self.leading_hits.values()),
        )

    def load(self, state: SequenceState) -> None:
        """Add what another memory of an equal rule had."""
        for _, partial in state.partials:
            self.begin(partial)
            if partial.stage < self.last_stage:
                self.pending[partial.stage][partial.key] = partial
            else:
                assert isinstance(partial, WatchedPartial)
                self.waiting.setdefault(partial.key, []).append(partial)
        for hits in state.leading_hits:
            self.leading_hits[hits.key] = hits
            self._count_one()

    def end_leading(self, reason: EndReason) -> None:
        """Let go of the leading forbidden events."""
        if self.leading_hits:
            self.live -= len(self.leading_hits)
            self.statistics.end(reason, len(self.leading_hits))
            self.leading_hits.clear()

    def end_all(self, reason: EndReason) -> None:
        """Let go of everything."""
        self.end_leading(reason)
        for _, partial in self.dump().partials:
            self.remove(partial, reason)

    def clear(self) -> None:
        """Forget everything, as if it had never been."""
        for pending in self.pending:
            pending.clear()
        self.waiting.clear()
        self.ages.clear()
        self.leading_hits.clear()
        self.statistics.live -= self.live
        self.live = 0

    def _stage_in_state(self, partial: Partial) -> int:
        return partial.stage + (partial.stage == self.last_stage)
