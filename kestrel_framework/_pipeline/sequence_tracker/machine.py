"""One sequence rule: the state machine, for all its keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence

from kestrel_framework._pipeline.flow import UNTIL, Completion
from kestrel_framework._pipeline.sequence_tracker.age_order import AgeOrder
from kestrel_framework._pipeline.sequence_tracker.keys import Key, KeyReader
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.partials import (
    ENDED,
    LeadingHits,
    Partial,
    Place,
    Role,
    SequenceState,
    WatchedPartial,
    precedes,
    referring_condition,
    roles_of,
)
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.waiting_room import WaitingRoom
from kestrel_framework.errors import StateError
from kestrel_framework.event import Event
from kestrel_framework.predicate import Lineage
from kestrel_framework.rule import SequenceRule


class SequenceMachine:
    """The partial matches of one sequence.

    There is at most one for each key and stage, where a stage is a step that waits for an
    event. Events come in their order; for one event, stages come from the last to
    the first, and `until` after or before them all, as the rule says.

    Cost of an event: two dictionary accesses for each stage it satisfies, and each key.

    Args:
        rule: The number of the rule in its set.
        body: The sequence.
        limits: How much to remember.
        statistics: Where to count; shared.
        waiting_room: Where complete matches wait; shared.
    """

    def __init__(
        self,
        rule: int,
        body: SequenceRule,
        limits: TrackerLimits,
        statistics: TrackerStatistics,
        waiting_room: WaitingRoom,
    ) -> None:
        self.rule = rule
        self.live = 0
        self._limits = limits
        self._statistics = statistics
        self._waiting_room = waiting_room
        self._maxspan = body.maxspan
        self._key_length = len(body.steps[0].keys)
        self._roles = roles_of(body.steps)
        self._step_of_stage = tuple(role.step for role in self._roles if role.place is Place.STAGE)
        self._last_stage = len(self._step_of_stage) - 1
        first_stage = body.steps[self._step_of_stage[0]]
        self._first_reader = KeyReader(first_stage.keys, limits.keys_per_event)
        self._watched = any(step.missing for step in body.steps)
        self._has_leading = self._roles[0].place is Place.LEADING
        self._has_trailing = self._roles[-1].place is Place.TRAILING
        until = referring_condition(body.until) if body.until else None
        self._until = Role(UNTIL, Place.UNTIL, UNTIL, until)
        self._pending: tuple[dict[Key, Partial], ...] = tuple({} for _ in range(self._last_stage))
        self._waiting: dict[Key, list[Partial]] = {}
        self._by_age = AgeOrder()
        self._leading_hits: OrderedDict[Key, LeadingHits] = OrderedDict()

    # --- events -----------------------------------------------------------------

    def observe(
        self,
        step: int,
        event: Event,
        lineage: Collection[Lineage],
        keys: Sequence[Key],
        done: list[Completion],
    ) -> None:
        """Take an event that satisfies a step, or `UNTIL`; findings are added to `done`.

        `lineage` has the nodes that hold for the event.
        """
        role = self._until if step == UNTIL else self._roles[step]
        if role.comes_first and not role.accepts_first(event, lineage):
            return
        for key in keys:
            match role.place:
                case Place.STAGE if role.stage == 0:
                    self._start(event, key, done)
                case Place.STAGE:
                    self._continue(role, event, lineage, key, done)
                case Place.UNTIL:
                    self._interrupt(event, lineage, key)
                case Place.LEADING:
                    self._remember_leading(event, key)
                case Place.GAP:
                    self._mark_gap(role, event, lineage, key)
                case Place.TRAILING:
                    self._contradict_waiting(role, event, lineage, key)

    def _start(self, event: Event, key: Key, done: list[Completion]) -> None:
        self.expire(event.timestamp)
        if self._watched:
            leading_hit = self._leading_hit_before(event, key)
            partial: Partial = WatchedPartial(event, key, leading_hit)
        else:
            partial = Partial(event, key)
        self._begin(partial)
        if self._last_stage == 0:
            self._complete(partial, done)
        else:
            self._place(partial, 0)
        self._obey_limit()

    def _continue(
        self,
        role: Role,
        event: Event,
        lineage: Collection[Lineage],
        key: Key,
        done: list[Completion],
    ) -> None:
        before = self._pending[role.stage - 1]
        partial = before.get(key)
        if partial is None or not precedes(partial.events[-1], event):
            return
        if not role.accepts(event, lineage, partial, self._step_of_stage):
            return
        if (
            self._maxspan is not None
            and event.timestamp - partial.events[0].timestamp > self._maxspan
        ):
            self._remove(partial, EndReason.EXPIRED)
            return
        if role.fork:
            partial = self._copy_of(partial)
        else:
            del before[key]
        if isinstance(partial, WatchedPartial):
            if partial.gap_hit is not None and partial.gap_hit < event.timestamp:
                partial.contradicted = True
            partial.gap_hit = None
        partial.events += (event,)
        if role.stage == self._last_stage:
            self._complete(partial, done)
        else:
            self._place(partial, role.stage)
        if role.fork:
            self._obey_limit()

    def _copy_of(self, partial: Partial) -> Partial:
        copy = partial.copy()
        self._begin(copy, partial)
        return copy

    def _place(self, partial: Partial, stage: int) -> None:
        """Let `partial` wait at `stage`, instead of what waited there."""
        pending = self._pending[stage]
        replaced = pending.get(partial.key)
        if replaced is not None:
            self._end(replaced, EndReason.REPLACED)
        partial.stage = stage
        pending[partial.key] = partial

    def _interrupt(self, event: Event, lineage: Collection[Lineage], key: Key) -> None:
        """End what an `until` event follows or has just moved on; not what it has begun."""
        for pending in self._pending:
            partial = pending.get(key)
            if (
                partial is not None
                and (precedes(partial.events[-1], event) or _was_moved_on(partial, event))
                and self._until.accepts(event, lineage, partial, self._step_of_stage)
            ):
                del pending[key]
                self._end(partial, EndReason.UNTIL)

    # --- missing events -------------------------------------------------------------

    def _mark_gap(self, role: Role, event: Event, lineage: Collection[Lineage], key: Key) -> None:
        partial = self._pending[role.stage].get(key)
        if (
            isinstance(partial, WatchedPartial)
            and partial.gap_hit is None
            and partial.events[-1].timestamp < event.timestamp
            and role.accepts(event, lineage, partial, self._step_of_stage)
        ):
            partial.gap_hit = event.timestamp

    def _remember_leading(self, event: Event, key: Key) -> None:
        self.expire(event.timestamp)
        known = self._leading_hits.pop(key, None)
        if known is None:
            self.live += 1
            self._statistics.begin()
            known = LeadingHits(key, event.timestamp)
        elif event.timestamp > known.latest:
            known = LeadingHits(key, event.timestamp, known.latest)
        self._leading_hits[key] = known
        self._obey_limit()

    def _leading_hit_before(self, event: Event, key: Key) -> int | None:
        known = self._leading_hits.get(key)
        if known is None:
            return None
        return known.latest if known.latest < event.timestamp else known.previous

    def _contradict_waiting(
        self, role: Role, event: Event, lineage: Collection[Lineage], key: Key
    ) -> None:
        for partial in tuple(self._waiting.get(key, ())):
            if partial.events[-1].timestamp < event.timestamp and role.accepts(
                event, lineage, partial, self._step_of_stage
            ):
                self._leave_waiting(partial)
                self._end(partial, EndReason.CONTRADICTED)

    # --- completion --------------------------------------------------------------------

    def _complete(self, partial: Partial, done: list[Completion]) -> None:
        if isinstance(partial, WatchedPartial):
            if partial.contradicted or self._is_led(partial):
                self._end(partial, EndReason.CONTRADICTED)
                return
            due = self._due(partial)
            if due is not None and due > partial.events[-1].timestamp:
                self._wait(partial, due)
                return
        self._emit(partial, done)

    def _is_led(self, partial: WatchedPartial) -> bool:
        """Say whether a leading forbidden event alone decides, and came too close."""
        return (
            not self._has_trailing
            and partial.leading_hit is not None
            and self._maxspan is not None
            and partial.events[-1].timestamp - partial.leading_hit <= self._maxspan
        )

    def _due(self, partial: WatchedPartial) -> int | None:
        """Return the last time at which a trailing forbidden event counts, or None."""
        if not self._has_trailing or self._maxspan is None:
            return None
        if not self._has_leading:
            return partial.events[0].timestamp + self._maxspan
        return None if partial.leading_hit is None else partial.leading_hit + self._maxspan

    def _wait(self, partial: WatchedPartial, due: int) -> None:
        partial.stage = self._last_stage + 1
        waiting = self._waiting.setdefault(partial.key, [])
        waiting.append(partial)
        self._waiting_room.enter(due, self.rule, partial, self.release)
        if len(waiting) > self._limits.per_key:
            self._remove(waiting[0], EndReason.EVICTED)

    def release(self, partial: Partial, done: list[Completion]) -> None:
        """Make a finding of a match that has waited long enough."""
        self._leave_waiting(partial)
        self._emit(partial, done)

    def _leave_waiting(self, partial: Partial) -> None:
        waiting = self._waiting[partial.key]
        waiting.remove(partial)
        if not waiting:
            del self._waiting[partial.key]

    def _emit(self, partial: Partial, done: list[Completion]) -> None:
        events: list[Event | None] = [None] * len(self._roles)
        for step, event in zip(self._step_of_stage, partial.events, strict=True):
            events[step] = event
        key = self._first_reader.shown(partial.key, partial.events[0].document)
        done.append(Completion(self.rule, key, tuple(events)))
        self._end(partial, EndReason.COMPLETED)

    # --- age and limits -------------------------------------------------------------------

    def expire(self, watermark: int) -> None:
        """Forget what no event at `watermark` or later can continue."""
        if self._maxspan is None:
            return
        earliest = watermark - self._maxspan
        while (partial := self._by_age.oldest) is not None:
            if partial.events[0].timestamp >= earliest:
                break
            self._remove(partial, EndReason.EXPIRED)
        while self._leading_hits:
            hits = next(iter(self._leading_hits.values()))
            if hits.latest >= earliest:
                break
            self._forget_leading(EndReason.EXPIRED)

    def oldest(self) -> int | None:
        """Return the time of the first event of the oldest entry, or None."""
        times = []
        partial = self._by_age.oldest
        if partial is not None:
            times.append(partial.events[0].timestamp)
        if self._leading_hits:
            times.append(next(iter(self._leading_hits.values())).latest)
        return min(times, default=None)

    def evict_oldest(self) -> None:
        """Let go of the oldest entry."""
        partial = self._by_age.oldest
        hits = next(iter(self._leading_hits.values()), None)
        if partial is None or (hits and hits.latest < partial.events[0].timestamp):
            self._forget_leading(EndReason.EVICTED)
        else:
            self._remove(partial, EndReason.EVICTED)

    def _obey_limit(self) -> None:
        while self.live > self._limits.per_rule:
            self.evict_oldest()

    def _remove(self, partial: Partial, reason: EndReason) -> None:
        if partial.stage > self._last_stage:
            self._leave_waiting(partial)
        else:
            del self._pending[partial.stage][partial.key]
        self._end(partial, reason)

    def _begin(self, partial: Partial, original: Partial | None = None) -> None:
        """Count a partial match that is new, or the copy of another."""
        if original is None:
            self._by_age.add(partial)
        else:
            self._by_age.add_copy(partial, original)
        self.live += 1
        self._statistics.begin()

    def _end(self, partial: Partial, reason: EndReason) -> None:
        self._by_age.remove(partial)
        partial.stage = ENDED
        partial.events = ()
        self.live -= 1
        self._statistics.end(reason)

    def _forget_leading(self, reason: EndReason) -> None:
        self._leading_hits.popitem(last=False)
        self.live -= 1
        self._statistics.end(reason)

    # --- state -------------------------------------------------------------------------------

    def dump(self) -> SequenceState:
        """Return everything remembered, the oldest first."""
        return SequenceState(tuple(self._by_age), tuple(self._leading_hits.values()))

    def clear(self) -> None:
        """Forget everything, as if it had never been."""
        for pending in self._pending:
            pending.clear()
        self._waiting.clear()
        self._by_age.clear()
        self._leading_hits.clear()
        self._statistics.live -= self.live
        self.live = 0

    def check(self, state: object) -> None:
        """See that `state` can be this rule's.

        Raises:
            StateError: it cannot.
        """
        if not isinstance(state, SequenceState):
            raise StateError("a sequence is something else in the snapshot")
        taken = set()
        for partial in state.partials:
            place = (partial.stage, partial.key)
            if not self._fits(partial) or place in taken:
                raise StateError("a partial match in the snapshot does not fit its rule")
            if partial.stage < self._last_stage:
                taken.add(place)
        if (
            any(len(hits.key) != self._key_length for hits in state.leading_hits)
            or len({hits.key for hits in state.leading_hits}) != len(state.leading_hits)
            or (state.leading_hits and not self._has_leading)
        ):
            raise StateError("a forbidden event in the snapshot does not fit its rule")

    def _fits(self, partial: Partial) -> bool:
        if len(partial.key) != self._key_length:
            return False
        if isinstance(partial, WatchedPartial) is not self._watched:
            return False
        if partial.stage < self._last_stage:
            return len(partial.events) == partial.stage + 1
        return (
            partial.stage == self._last_stage + 1 == len(partial.events)
            and isinstance(partial, WatchedPartial)
            and self._due(partial) is not None
        )

    def load(self, state: object) -> None:
        """Go on with what another machine of an equal rule remembered."""
        assert isinstance(state, SequenceState)
        for partial in state.partials:
            self._begin(partial)
            if partial.stage <= self._last_stage:
                self._pending[partial.stage][partial.key] = partial
            elif isinstance(partial, WatchedPartial):
                self._waiting.setdefault(partial.key, []).append(partial)
                due = self._due(partial)
                assert due is not None
                self._waiting_room.enter(due, self.rule, partial, self.release)
        for hits in state.leading_hits:
            self._leading_hits[hits.key] = hits
            self.live += 1
            self._statistics.begin()


def _was_moved_on(partial: Partial, event: Event) -> bool:
    return len(partial.events) > 1 and partial.events[-1].identity == event.identity
