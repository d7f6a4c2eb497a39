"""One sequence rule: the state machine, for all its keys."""

from __future__ import annotations

import copy
import functools
from collections.abc import Collection

from kestrel_framework._pipeline.flow import UNTIL, Completion
from kestrel_framework._pipeline.sequence_tracker.keys import Key, KeyReader, key_values
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.partials import (
    Partial,
    Place,
    Role,
    SequenceState,
    WatchedPartial,
    referring_condition,
    roles_of,
)
from kestrel_framework._pipeline.sequence_tracker.sequence_memory import SequenceMemory
from kestrel_framework._pipeline.sequence_tracker.sequence_steps import plain_start, plain_step
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent, precedes
from kestrel_framework._pipeline.sequence_tracker.takers import (
    TakeEvent,
    Takers,
    for_each_key,
)
from kestrel_framework._pipeline.sequence_tracker.under_way import UnderWay
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

    Attributes:
        rule: As given.
        memory: What it remembers. Stays the same object.
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
        self._waiting_room = waiting_room
        self._maxspan = body.maxspan
        self._key_length = len(body.steps[0].keys)
        self._roles = roles_of(body.steps)
        self._step_of_stage = tuple(role.step for role in self._roles if role.place is Place.STAGE)
        self._last_stage = len(self._step_of_stage) - 1
        first_stage = body.steps[self._step_of_stage[0]]
        self._first_reader = KeyReader(first_stage.keys, limits.keys_per_event, statistics)
        self._watched = any(step.missing for step in body.steps)
        self._has_leading = self._roles[0].place is Place.LEADING
        self._has_trailing = self._roles[-1].place is Place.TRAILING
        until = referring_condition(body.until) if body.until else None
        self._until = Role(UNTIL, Place.UNTIL, UNTIL, until)
        self.memory = SequenceMemory(self._last_stage, body.maxspan, limits, statistics)
        self.expire = self.memory.expire
        self.oldest = self.memory.oldest
        self.evict_oldest = self.memory.evict_oldest
        self.held = self.memory.held
        self.dump = self.memory.dump
        self.clear = self.memory.clear
        self.end_all = self.memory.end_all

    @property
    def live(self) -> int:
        """The entries held."""
        return self.memory.live

    # --- events -----------------------------------------------------------------

    def is_later(self, step: int) -> bool:
        """Say whether a step, or `UNTIL`, only goes on with what another one began."""
        role = self._until if step == UNTIL else self._roles[step]
        return not role.comes_first

    @property
    def has_trailing(self) -> bool:
        """Whether sequences end with an event that does not come."""
        return self._has_trailing

    def takers(self, step: int, *, begins: bool = True) -> Takers:
        """Return what takes the events that satisfy a step, or `UNTIL`.

        What no event satisfies any more needs no taker that begins nothing.
        """
        del begins
        return for_each_key(self._taker(self._until if step == UNTIL else self._roles[step]))

    def _taker(self, role: Role) -> TakeEvent:
        if not self._watched and role.condition is None and role.place is Place.STAGE:
            if role.stage == 0 and self._last_stage > 0:
                return plain_start(self.memory)
            if role.stage > 0 and not role.fork:
                return plain_step(self.memory, role.stage, self._complete)

        return functools.partial(self._take, role)

    def _take(
        self,
        role: Role,
        event: StepEvent,
        key: Key,
        lineage: Collection[Lineage],
        done: list[Completion],
    ) -> None:
        if role.comes_first and not role.accepts_first(event, lineage):
            return
        match role.place:
            case Place.STAGE if role.stage == 0:
                self._start(event, key, done)
            case Place.STAGE:
                self._continue(role, event, lineage, key, done)
            case Place.UNTIL:
                self._interrupt(event, lineage, key)
            case Place.LEADING:
                self.memory.expire(event.timestamp)
                self.memory.remember_leading(key, event.timestamp)
                self.memory.obey_limit()
            case Place.GAP:
                self._mark_gap(role, event, lineage, key)
            case Place.TRAILING:
                self._contradict_waiting(role, event, lineage, key)

    def _start(self, event: StepEvent, key: Key, done: list[Completion]) -> None:
        memory = self.memory
        memory.expire(event.timestamp)
        partial = Partial(key, event, event)
        if self._watched:
            leading_hit = memory.leading_hit_before(key, event.timestamp)
            partial = WatchedPartial(key, event, event, (), leading_hit)
        memory.begin(partial)
        if self._last_stage == 0:
            self._complete(partial, done)
        else:
            memory.place(partial)
        memory.obey_limit()

    def _continue(
        self,
        role: Role,
        event: StepEvent,
        lineage: Collection[Lineage],
        key: Key,
        done: list[Completion],
    ) -> None:
        memory = self.memory
        before = memory.pending[role.stage - 1]
        partial = before.get(key)
        if partial is None or not precedes(partial.last, event):
            return
        if not role.accepts(event, lineage, partial, self._step_of_stage):
            return
        if event.timestamp - partial.first.timestamp > memory.maxspan:
            memory.remove(partial, EndReason.EXPIRED)
            return
        if role.fork:
            original, partial = partial, copy.copy(partial)
            memory.begin_copy(partial, original)
        else:
            del before[key]
        partial.add(event)
        if role.stage == self._last_stage:
            self._complete(partial, done)
        else:
            memory.place(partial)
        if role.fork:
            memory.obey_limit()

    def _interrupt(self, event: StepEvent, lineage: Collection[Lineage], key: Key) -> None:
        """End what an `until` event follows or has just moved on; not what it has begun."""
        for pending in self.memory.pending:
            partial = pending.get(key)
            if (
                partial is not None
                and (precedes(partial.last, event) or _was_moved_on(partial, event))
                and self._until.accepts(event, lineage, partial, self._step_of_stage)
            ):
                del pending[key]
                self.memory.end(partial, EndReason.UNTIL)

    # --- missing events -------------------------------------------------------------

    def _mark_gap(
        self, role: Role, event: StepEvent, lineage: Collection[Lineage], key: Key
    ) -> None:
        partial = self.memory.pending[role.stage].get(key)
        if (
            isinstance(partial, WatchedPartial)
            and partial.gap_hit is None
            and partial.last.timestamp < event.timestamp
            and role.accepts(event, lineage, partial, self._step_of_stage)
        ):
            partial.gap_hit = event.timestamp

    def _contradict_waiting(
        self, role: Role, event: StepEvent, lineage: Collection[Lineage], key: Key
    ) -> None:
        for partial in tuple(self.memory.waiting.get(key, ())):
            if partial.last.timestamp < event.timestamp and role.accepts(
                event, lineage, partial, self._step_of_stage
            ):
                self.memory.remove(partial, EndReason.CONTRADICTED)

    # --- completion --------------------------------------------------------------------

    def _complete(self, partial: Partial, done: list[Completion]) -> None:
        if isinstance(partial, WatchedPartial):
            if partial.contradicted or self._is_led(partial):
                self.memory.end(partial, EndReason.CONTRADICTED)
                return
            due = self._due(partial)
            if due is not None and due > partial.last.timestamp:
                self._waiting_room.enter(due, self.rule, partial, self.release)
                self.memory.wait(partial)
                return
        self._emit(partial, done)

    def _is_led(self, partial: WatchedPartial) -> bool:
        """Say whether a leading forbidden event alone decides, and came too close."""
        return (
            not self._has_trailing
            and partial.leading_hit is not None
            and self._maxspan is not None
            and partial.last.timestamp - partial.leading_hit <= self._maxspan
        )

    def _due(self, partial: WatchedPartial) -> int | None:
        """Return the last time at which a trailing forbidden event counts, or None."""
        if not self._has_trailing or self._maxspan is None:
            return None
        if not self._has_leading:
            return partial.first.timestamp + self._maxspan
        return None if partial.leading_hit is None else partial.leading_hit + self._maxspan

    def release(self, partial: WatchedPartial, done: list[Completion]) -> None:
        """Make a finding of a match that has waited long enough."""
        self.memory.leave_waiting(partial)
        self._emit(partial, done)

    def _emit(self, partial: Partial, done: list[Completion]) -> None:
        events: list[Event | None] = [None] * len(self._roles)
        for step, event in zip(self._step_of_stage, partial.events, strict=True):
            events[step] = event.event()
        key = self._first_reader.shown(partial.key, partial.first)
        done.append(Completion(self.rule, key, tuple(events)))
        self.memory.end(partial, EndReason.COMPLETED)

    def under_way(self) -> list[UnderWay]:
        """Return the partial matches, the oldest first."""
        return [self._shown(partial) for _, partial in self.dump().partials]

    def _shown(self, partial: Partial) -> UnderWay:
        events: list[StepEvent | None] = [None] * len(self._roles)
        for step, event in zip(self._step_of_stage, partial.events, strict=False):
            events[step] = event
        key = self._first_reader.shown(partial.key, partial.first)
        return UnderWay(partial, key, tuple(events))

    # --- state -------------------------------------------------------------------------------

    def check(self, state: object) -> None:
        """See that `state` can be this rule's.

        Raises:
            StateError: it cannot.
        """
        if not isinstance(state, SequenceState):
            raise StateError("a sequence is something else in the snapshot")
        taken = set()
        for stage, partial in state.partials:
            place = (stage, partial.key)
            if not self._fits(stage, partial) or place in taken:
                raise StateError("a partial match in the snapshot does not fit its rule")
            if stage < self._last_stage:
                taken.add(place)
        if (
            any(len(key_values(hits.key)) != self._key_length for hits in state.leading_hits)
            or len({hits.key for hits in state.leading_hits}) != len(state.leading_hits)
            or (state.leading_hits and not self._has_leading)
        ):
            raise StateError("a forbidden event in the snapshot does not fit its rule")

    def _fits(self, stage: int, partial: Partial) -> bool:
        if len(key_values(partial.key)) != self._key_length:
            return False
        if isinstance(partial, WatchedPartial) is not self._watched:
            return False
        if stage < self._last_stage:
            return stage == partial.stage
        return (
            stage == self._last_stage + 1 == len(partial.events)
            and isinstance(partial, WatchedPartial)
            and self._due(partial) is not None
        )

    def load(self, state: object) -> None:
        """Go on with what another machine of an equal rule remembered."""
        assert isinstance(state, SequenceState)
        self.memory.load(state)
        for stage, partial in state.partials:
            if stage > self._last_stage:
                assert isinstance(partial, WatchedPartial)
                due = self._due(partial)
                assert due is not None
                self._waiting_room.enter(due, self.rule, partial, self.release)


def _was_moved_on(partial: Partial, event: StepEvent) -> bool:
    last = partial.last
    return last is not partial.first and (last.stream, last.offset) == (event.stream, event.offset)
