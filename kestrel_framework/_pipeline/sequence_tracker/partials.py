"""What a sequence machine remembers, and in which roles its steps look at events."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence

import attrs
import msgspec

from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.step_events import GONE, StepEvent
from kestrel_framework.event import Document
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Lineage, Predicate
from kestrel_framework.predicate_traversal import steps_of
from kestrel_framework.rule import Program, Step


class Partial(msgspec.Struct, eq=False, gc=False):
    """The events of a sequence so far, under one key.

    It moves from stage to stage, and stays the same object until it ends. Then its events
    are `GONE`, since its `AgeOrder` may still know it. It can be in no reference cycle:
    the garbage collector does not look at it.

    Attributes:
        key: What its events share.
        first: The event of the first stage.
        last: That of the stage it has come to; the same one at the first stage.
        between: Those of the stages between.
    """

    key: Key
    first: StepEvent
    last: StepEvent
    between: tuple[StepEvent, ...] = ()

    @property
    def stage(self) -> int:
        """The stage of its last event."""
        return 0 if self.last is self.first else len(self.between) + 1

    @property
    def events(self) -> tuple[StepEvent, ...]:
        """Its events, in order."""
        if self.last is self.first:
            return (self.first,)
        return (self.first, *self.between, self.last)

    def add(self, event: StepEvent) -> None:
        """Move on to the next stage."""
        if self.last is not self.first:
            self.between += (self.last,)
        self.last = event

    def clear(self) -> None:
        """Forget the events."""
        self.first = self.last = GONE
        self.between = ()


class WatchedPartial(Partial, eq=False, gc=False):
    """A partial match of a sequence with missing events.

    Attributes:
        leading_hit: The time of the last forbidden event before its first one.
        gap_hit: The time of the first forbidden event after its last one.
        contradicted: A forbidden event came in a gap it has passed. It still moves
            on, since it replaces others, but it will not be a finding.
    """

    leading_hit: int | None = None
    gap_hit: int | None = None
    contradicted: bool = False

    def add(self, event: StepEvent) -> None:
        """Move on to the next stage, with what the gap before it says."""
        super().add(event)
        if self.gap_hit is not None and self.gap_hit < event.timestamp:
            self.contradicted = True
        self.gap_hit = None


class LeadingHits(msgspec.Struct, frozen=True, gc=False):
    """The times of the last two forbidden events before a sequence; they differ."""

    key: Key
    latest: int
    previous: int | None = None


@attrs.frozen
class SequenceState:
    """Everything one machine remembers, the oldest first.

    Attributes:
        partials: With their stages; that of a complete one that waits is the number of stages.
        leading_hits: The forbidden events before sequences.
    """

    partials: Sequence[tuple[int, Partial]]
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

    def accepts_first(self, event: StepEvent, lineage: Collection[Lineage]) -> bool:
        """Say whether the step's condition holds where no event has come before."""
        return self.condition is None or holds(self.condition, event.document, lineage=lineage)

    def accepts(
        self,
        event: StepEvent,
        lineage: Collection[Lineage],
        partial: Partial,
        step_of_stage: Sequence[int],
    ) -> bool:
        """Say whether the step's condition holds beside the events of `partial`.

        `lineage` has the nodes that hold for `event`.
        """
        if self.condition is None:
            return True
        events = partial.events
        last_step = step_of_stage[len(events) - 1]
        bound: list[Document | None] = [None] * (last_step + 1)
        for step, earlier in zip(step_of_stage, events, strict=False):
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
