"""What a sequence machine remembers, and in which roles its steps look at events."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.flow import ordinal
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework.event import Document, Event
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Lineage, Predicate
from kestrel_framework.predicate_traversal import steps_of
from kestrel_framework.rule import Program, Step

ENDED: Final = -1
"""The stage of a partial match that is no longer alive."""


class Partial:
    """The events of a sequence so far, under one key.

    It moves from stage to stage, and stays the same object until it ends. `stage` is
    the stage of its last event; the number of stages where it is complete and
    waits; or `ENDED`. `older` and `younger` belong to its `AgeOrder`.
    """

    __slots__ = ("events", "key", "older", "stage", "younger")

    def __init__(self, event: Event, key: Key) -> None:
        self.events: tuple[Event, ...] = (event,)
        self.key = key
        self.stage = 0
        self.older: Partial | None = None
        self.younger: Partial | None = None

    def copy(self) -> Partial:
        """Return another partial match with the same events, in no order of age yet."""
        copy = Partial(self.events[0], self.key)
        copy.events = self.events
        return copy


class WatchedPartial(Partial):
    """A partial match of a sequence with missing events.

    Attributes:
        contradicted: A forbidden event came in a gap it has passed. It still moves
            on, since it replaces others, but it will not be a finding.
        gap_hit: The time of the first forbidden event after its last one.
        leading_hit: The time of the last forbidden event before its first one.
    """

    __slots__ = ("contradicted", "gap_hit", "leading_hit")

    def __init__(self, event: Event, key: Key, leading_hit: int | None) -> None:
        super().__init__(event, key)
        self.contradicted = False
        self.gap_hit: int | None = None
        self.leading_hit = leading_hit

    def copy(self) -> WatchedPartial:
        """Return another partial match with the same events and the same forbidden ones."""
        copy = WatchedPartial(self.events[0], self.key, self.leading_hit)
        copy.events = self.events
        copy.contradicted = self.contradicted
        copy.gap_hit = self.gap_hit
        return copy


@attrs.frozen
class LeadingHits:
    """The times of the last two forbidden events before a sequence; they differ."""

    key: Key
    latest: int
    previous: int | None = None


@attrs.frozen
class SequenceState:
    """Everything one machine remembers, the oldest first."""

    partials: Sequence[Partial]
    leading_hits: Sequence[LeadingHits] = ()

    @property
    def entries(self) -> int:
        return len(self.partials) + len(self.leading_hits)


class Place(enum.Enum):
    """Where a step stands among the steps that wait for an event (the stages)."""

    STAGE = enum.auto()
    """It is one of them."""
    LEADING = enum.auto()
    """It forbids events before the first stage."""
    GAP = enum.auto()
    """It forbids events between two stages."""
    TRAILING = enum.auto()
    """It forbids events after the last stage."""
    UNTIL = enum.auto()
    """It is no step: it ends what has begun."""


@attrs.frozen
class Role:
    """What a step does with an event.

    Attributes:
        step: Its number in the rule.
        place: Where it stands.
        stage: The number of its stage; for a gap, of the stage before it.
        condition: What the event must satisfy beside the events so far, where the step refers to
            them; otherwise all there is to say was said before the tracker.
        fork: Whether it goes on with a copy of what it continues.
    """

    step: int
    place: Place
    stage: int
    condition: Predicate | None
    fork: bool = False

    @property
    def comes_first(self) -> bool:
        """Whether no event of the sequence comes before the step's."""
        return self.place is Place.LEADING or (self.place is Place.STAGE and self.stage == 0)

    def accepts_first(self, event: Event, lineage: Collection[Lineage]) -> bool:
        """Say whether the step's condition holds where no event has come before."""
        return self.condition is None or holds(self.condition, event.document, lineage=lineage)

    def accepts(
        self,
        event: Event,
        lineage: Collection[Lineage],
        partial: Partial,
        step_of_stage: Sequence[int],
    ) -> bool:
        """Say whether the step's condition holds beside the events of `partial`.

        `lineage` has the nodes that hold for `event`.
        """
        if self.condition is None:
            return True
        last_step = step_of_stage[len(partial.events) - 1]
        bound: list[Document | None] = [None] * (last_step + 1)
        for step, earlier in zip(step_of_stage, partial.events, strict=False):
            bound[step] = earlier.document
        return holds(self.condition, event.document, bound, lineage=lineage)


def roles_of(steps: Sequence[Step]) -> tuple[Role, ...]:
    """Return the role of each step of a sequence."""
    last = sum(not step.missing for step in steps) - 1
    roles = []
    stage = -1
    for number, step in enumerate(steps):
        if not step.missing:
            stage += 1
            place = Place.STAGE
        elif stage < 0:
            place = Place.LEADING
        else:
            place = Place.GAP if stage < last else Place.TRAILING
        roles.append(Role(number, place, stage, referring_condition(step), step.fork))
    return tuple(roles)


def referring_condition(step: Step) -> Predicate | None:
    """Return the condition of a step if it refers to the events of earlier steps."""
    condition = step.predicate
    return None if isinstance(condition, Program) or not steps_of(condition) else condition


def precedes(first: Event, second: Event) -> bool:
    """Say whether `first` comes before `second` in the order of events."""
    if first.timestamp != second.timestamp:
        return first.timestamp < second.timestamp
    return ordinal(first) < ordinal(second)
