"""What the stages of the pipeline hand to each other.

Private: the form may change with every measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, cast

import attrs
import msgspec

from kestrel_framework.event import Document, Event, EventIdentity
from kestrel_framework.predicate import NEVER, Lineage
from kestrel_framework.rule import Condition, EventRule, Rule, RuleSet, SequenceRule
from kestrel_framework.values import Scalar

UNTIL: Final = -1
"""The step number of an `until`."""

QUERY: Final = -2
"""The step number of a query inside a `Lineage`."""


class Row(msgspec.Struct, eq=False, gc=False):
    """One event that something matched, or that is followed otherwise.

    It can be in no reference cycle: the garbage collector does not look at it.

    Attributes:
        decode: Returns the document of what was given; None once it has.
        given: The event as it came; then its document.
        timestamp: Event time in nanoseconds since 1970.
        stream: The name of the numbering.
        offset: The number in it.
        tiebreaker: What orders events of one timestamp.
    """

    decode: Callable[[bytes | Document], Document] | None
    given: bytes | Document
    timestamp: int
    stream: str
    offset: int
    tiebreaker: int | float | str | None = None

    @property
    def document(self) -> Document:
        """The whole event; decoded when first asked for."""
        if self.decode is not None:
            self.given = self.decode(self.given)
            self.decode = None
        return cast("Document", self.given)

    def event(self) -> Event:
        """Return the public view, for a row that matched."""
        identity = EventIdentity(self.stream, self.offset)
        return Event(identity, self.timestamp, self.document, self.tiebreaker)


class Match(msgspec.Struct, frozen=True, gc=False):
    """An event that satisfies targets.

    Attributes:
        index: Which of the events of a `MatchedBatch`, from 0.
        targets: The numbers of the targets, ascending.
    """

    index: int
    targets: tuple[int, ...]


@attrs.define
class MatchedBatch:
    """What a batch says by itself, before anything that depends on the batches before.

    Attributes:
        places: Where in the batch each event stands that can be read; ascending.
        times: Event time of each in nanoseconds since 1970, or None where it says none.
        tiebreakers: What orders each among the events of its time; empty where no field does.
        problems: What was odd about the input, in order.
        processes: What each event has at the paths that were asked for; empty if none was.
        matches: The events that satisfy targets; ascending.
    """

    places: list[int] = attrs.field(factory=list)
    times: list[int | None] = attrs.field(factory=list)
    tiebreakers: list[int | float | str | None] = attrs.field(factory=list)
    problems: list[Problem] = attrs.field(factory=list)
    processes: list[tuple[object, ...]] = attrs.field(factory=list)
    matches: list[Match] = attrs.field(factory=list)


Targets: TypeAlias = tuple[int, ...] | frozenset[int]
"""The numbers of some targets, each once."""

Ordinal: TypeAlias = tuple[int, int, int | float | str, str, int]
"""What orders events; two different events never have the same."""


def ordinal(event: Event) -> Ordinal:
    """Return the place of an event in the order of events."""
    identity = event.identity
    return ordinal_of(event.timestamp, event.tiebreaker, identity.stream, identity.offset)


def ordinal_of(
    timestamp: int, tiebreaker: int | float | str | None, stream: str, offset: int
) -> Ordinal:
    """Return the place of an event in the order of events.

    By timestamp, then tiebreaker (numbers before texts, absent last), then stream and offset.
    """
    if tiebreaker is None or tiebreaker != tiebreaker:
        return timestamp, 2, 0, stream, offset
    rank = 1 if isinstance(tiebreaker, str) else 0
    return timestamp, rank, tiebreaker, stream, offset


@attrs.frozen
class Target:
    """One condition to match: an event rule, a step, a filter, an `until` or a query.

    `rule` counts in the rule set, `step` in the rule, except for `UNTIL` and `QUERY`. All
    targets of a rule set are numbered, and compiled, together. `prevents` marks
    what ends or rules out a sequence: an `until` or a missing step. `begins` says that it may
    begin a sample or join; of other rules it means nothing.
    """

    rule: int
    step: int
    event_types: frozenset[str]
    condition: Condition
    prevents: bool = False
    begins: bool = True


def targets_of(rules: RuleSet) -> tuple[Target, ...]:
    """Return every condition of a rule set; the place in the tuple is the target's number.

    What stages add for themselves, such as the queries inside them, comes after these.
    Of a rule that drains, no event satisfies what would begin something. Only step matches that
    have waited since before can have these targets; its filters have others that only go on.
    """
    targets: list[Target] = []
    for index, rule in enumerate(rules):
        steps = [
            Target(index, number, step.event_types, step.predicate, step.missing)
            for number, step in enumerate(rule.steps)
        ]
        targets += _draining(rule, steps) if rule.rollout.draining else steps
        until = rule.until
        if until is not None:
            targets.append(Target(index, UNTIL, until.event_types, until.predicate, prevents=True))
    return tuple(targets)


def _draining(rule: Rule, steps: list[Target]) -> list[Target]:
    """Return the targets of a rule that begins nothing any more."""
    if isinstance(rule.body, SequenceRule):
        first = next((number for number, step in enumerate(steps) if not step.prevents), 0)
        return [*map(_unsatisfied, steps[: first + 1]), *steps[first + 1 :]]
    going_on = [] if isinstance(rule.body, EventRule) else steps
    return [
        *map(_unsatisfied, steps),
        *(attrs.evolve(target, begins=False) for target in going_on),
    ]


def _unsatisfied(target: Target) -> Target:
    return attrs.evolve(target, condition=NEVER)


class Candidate(msgspec.Struct, eq=False, gc=False):
    """A row and the numbers of the targets it satisfies, ascending.

    `lineage` has the `Lineage` nodes that hold for it, of those that these targets ask for;
    `index` says which of the events of its batch it is.
    """

    row: Row
    targets: tuple[int, ...]
    lineage: frozenset[Lineage] = frozenset()
    index: int = 0


@attrs.frozen
class Completion:
    """A finding: an event that a rule looks for, or what is complete of another rule.

    Attributes:
        rule: Which rule, counted in the rule set.
        key: The values of the join keys that the events share, as the first of them has them.
        events: One for each step or filter; `None` where a step holds because no event came.
    """

    rule: int
    key: tuple[Scalar | None, ...]
    events: tuple[Event | None, ...]


@attrs.frozen
class Problem:
    """Something of the input that could not be taken as it is.

    Attributes:
        cause: A short constant name to count by, such as `malformed_json`.
        message: The sentence for people.
        origin: The input it stands in, such as a file name.
        line: Its line there, from 1, or None where there are no lines.
        skipped: Whether the event is left out.
    """

    cause: str
    message: str
    origin: str = ""
    line: int | None = None
    skipped: bool = True

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.origin, self.line) if part not in ("", None))
        return f"{place}: {self.message}" if place else self.message
