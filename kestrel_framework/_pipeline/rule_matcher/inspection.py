"""A matcher, for people to look at: how it indexes conditions, and which way an event takes.

Slow next to matching, and asked for by nobody but `kestrel debug matcher`.
"""

from __future__ import annotations

import enum
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._clauses import (
    Clause,
    ClauseBuilder,
    IndexedFields,
)
from kestrel_framework._pipeline.event_decoder import ViewTypes
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.rule_matcher.condition_table import bits, leaves_of
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework._pipeline.rule_matcher.matcher import RuleMatcher, clauses_of_target
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework._pipeline.rule_matcher.residual_kinds import ResidualKind, residual_kinds
from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf, OfEventType
from kestrel_framework.event import Document
from kestrel_framework.interpreter import holds, split_path
from kestrel_framework.predicate import (
    ALWAYS,
    Cidr,
    Comparison,
    ComparisonOperator,
    IsNull,
    Membership,
    Not,
    Predicate,
)

_KINDS_OF_EVENTS: Final = frozenset(
    {
        "data_stream.dataset",
        "event.category",
        "event.dataset",
        "event.kind",
        "event.module",
        "event.outcome",
        "event.provider",
        "event.type",
        "host.os.family",
        "host.os.platform",
        "host.os.type",
    }
)
"""Fields that say what kind of event it is: a condition on them alone leaves most events."""

_ACTION: Final = "event.action"
_FREQUENT_ACTIONS: Final = (
    "connection_accepted",
    "connection_attempted",
    "creation",
    "deletion",
    "disconnect_received",
    "end",
    "exec",
    "fork",
    "load",
    "lookup_requested",
    "lookup_result",
    "modification",
    "open",
    "overwrite",
    "rename",
    "start",
)
"""What endpoint sensors report all the time: asking for one of these is asking for the kind."""


class ConditionKind(enum.Enum):
    """How an elementary condition on a field is decided."""

    EVENT_TYPE = "event type"
    EXACT = "exact"
    PATTERN = "pattern"
    ORDER = "order"
    NETWORK = "network"
    NULL = "null"
    INTERPRETED = "interpreted"


class Dearness(enum.Enum):
    """Why most events of its type go through all of a clause."""

    NOTHING = "it asks for nothing but the kind of event"
    RESIDUAL = "all it asks for is a residual"
    EXCLUSIONS = "what it asks of each field is true of most events"


@attrs.frozen
class InspectedClause:
    """A clause with the target it belongs to, and its number."""

    number: int
    target: int
    clause: Clause


@attrs.frozen
class DearClause:
    """A clause that rules out hardly any event of its type before the end."""

    inspected: InspectedClause
    dearness: Dearness


@attrs.frozen
class FieldOverview:
    """What conditions ask of a field.

    Attributes:
        path: The field.
        clauses: How many clauses have a condition on it.
        selective: How many of these it rules out for most events.
        kinds: How many elementary conditions of each kind there are.
    """

    path: str
    clauses: int
    selective: int
    kinds: Mapping[ConditionKind, int]


@attrs.frozen
class Look:
    """One field that a node of the decision graph looks at, as an event came by.

    Attributes:
        node: Which of the nodes on the way, from 1; a node may look at several fields at once.
        path: The field that was looked at.
        value: What the event has there.
        satisfied: The elementary conditions that it satisfies, of those that live clauses ask for.
        before: The clauses that were possible, by their numbers.
        after: Those that still are.
        for_residuals: Whether it was looked at for the residuals of the clauses that are left.
    """

    node: int
    path: str
    value: object
    satisfied: tuple[Leaf, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    for_residuals: bool


@attrs.frozen
class EventPath:
    """The way of an event through the decision graph.

    Attributes:
        looks: Its nodes.
        residuals: The clauses that were left and have a residual, and whether it holds.
        tested: The targets whose residuals are not decided by single fields: they are tested
            for each event anew.
        targets: The targets that hold; ascending.
    """

    looks: tuple[Look, ...]
    residuals: tuple[tuple[InspectedClause, bool], ...]
    tested: frozenset[int]
    targets: tuple[int, ...]


class MatcherInspection:
    """Looks at a matcher. Walking events adds to what it remembers, as matching them does.

    Args:
        matcher: What to look at.
        targets: Its conditions.
        views: What it reads events with.
        category_field: The field that has the types of an event.

    Attributes:
        clauses: All clauses; their places are their numbers.
    """

    def __init__(
        self,
        matcher: RuleMatcher,
        targets: Sequence[Target],
        views: ViewTypes,
        category_field: str,
    ) -> None:
        self._matcher = matcher
        self._graph = matcher.graph
        self._targets = targets
        self._views = views
        self._category_field = category_field
        self._is_indexed: Callable[[str], bool] = views.paths.__contains__
        builder = ClauseBuilder(IndexedFields(self._is_indexed))
        found = (
            (number, clause)
            for number, target in enumerate(targets)
            for clause in clauses_of_target(target, builder)
        )
        self.clauses = tuple(
            InspectedClause(number, target, clause) for number, (target, clause) in enumerate(found)
        )

    def fields(self) -> list[FieldOverview]:
        """Return the fields that clauses have conditions on, those that rule out most first."""
        overviews = [_overview(field) for field in self._graph.fields if field.constrained]
        return sorted(overviews, key=lambda one: (-one.selective, -one.clauses, one.path))

    def dear_clauses(self) -> list[DearClause]:
        """Return the clauses that no condition on a field rules out for most events."""
        selective = 0
        for field in self._graph.fields:
            if field.path == _ACTION:
                frequent = 0
                for action in _FREQUENT_ACTIONS:
                    frequent |= field.state_of(action).allowed
                selective |= field.refuted_by_default & ~frequent
            elif not self._says_kind(field.path):
                selective |= field.refuted_by_default
        return [
            DearClause(inspected, self._dearness(inspected.clause))
            for inspected in self.clauses
            if not selective >> inspected.number & 1
        ]

    def residuals(self) -> dict[ResidualKind, list[InspectedClause]]:
        """Return the clauses that have residuals of each kind; a clause can have several."""
        found: dict[ResidualKind, list[InspectedClause]] = {}
        for inspected in self.clauses:
            if inspected.clause.residual != ALWAYS:
                for kind in residual_kinds(inspected.clause.residual, self._is_indexed):
                    found.setdefault(kind, []).append(inspected)
        return {kind: found[kind] for kind in ResidualKind if kind in found}

    def bare_events(self) -> Iterator[tuple[str, EventPath]]:
        """Yield each event type that targets name, and the way of an event that has only that."""
        if self._category_field not in self._views.paths:
            return
        for event_type in sorted({name for one in self._targets for name in one.event_types}):
            document = _nested(self._category_field, event_type)
            event = ReadEvent(self._views.view_of(document), functools.partial(_same, document))
            yield event_type, self.path(event)

    def path(self, event: ReadEvent) -> EventPath:
        """Return the way of an event."""
        looks: list[Look] = []
        number = 0
        node = self._graph.root
        while node.read is not None:
            number += 1
            found = node.read_values(event.view)
            values = found if len(node.fields) > 1 else (found,)
            assert isinstance(values, tuple)
            live = node.live
            for field_number, raw in zip(node.fields, values, strict=True):
                field = self._graph.fields[field_number]
                looks.append(self._look(number, field, raw, live, node.pending is not None))
                live &= field.state_of(raw).allowed
            node = self._graph.followed(node, found)
        residuals = [
            (clause, holds(clause.clause.residual, event.read_document()))
            for clause in map(self.clauses.__getitem__, bits(node.live))
            if clause.clause.residual != ALWAYS
        ]
        verdict = self._matcher.verdict(event.view)
        tested = frozenset(target for target, _ in verdict.residuals)
        targets = self._matcher.targets(verdict, event)
        return EventPath(tuple(looks), tuple(residuals), tested, tuple(targets))

    def _look(
        self, node: int, field: FieldEngine, raw: object, live: int, for_residuals: bool
    ) -> Look:
        state = field.state_of(raw)
        after = live if for_residuals else live & state.allowed
        asked = self._asked_by_residuals(live) if for_residuals else _asked_of(field, live)
        satisfied = tuple(
            leaf
            for number, leaf in enumerate(field.leaves)
            if state.leaves >> number & 1 and leaf in asked
        )
        before_and_after = tuple(bits(live)), tuple(bits(after))
        return Look(node, field.path, raw, satisfied, *before_and_after, for_residuals)

    def _asked_by_residuals(self, live: int) -> set[Leaf]:
        residuals = [self.clauses[number].clause.residual for number in bits(live)]
        return {leaf for residual in residuals for leaf in leaves_of(residual)}

    def _says_kind(self, path: str) -> bool:
        return path in _KINDS_OF_EVENTS or path == self._category_field

    def _dearness(self, clause: Clause) -> Dearness:
        others = [
            condition
            for path, condition in clause.conditions.items()
            if path != _ACTION and not self._says_kind(path)
        ]
        if clause.residual != ALWAYS and all(map(_asks_for_presence, others)):
            return Dearness.RESIDUAL
        return Dearness.EXCLUSIONS if others else Dearness.NOTHING


def _asks_for_presence(condition: Predicate) -> bool:
    return isinstance(condition, Not) and isinstance(condition.term, IsNull)


def _nested(path: str, value: object) -> Document:
    document: Document = {}
    for part in reversed(split_path(path)):
        document = {str(part): value}
        value = document
    return document


def _same(document: Document) -> Document:
    return document


def _asked_of(field: FieldEngine, live: int) -> set[Leaf]:
    required = [conditions for conditions, clauses in field.conditions if clauses & live]
    return {leaf for conditions in required for one in conditions for leaf in leaves_of(one)}


def _overview(field: FieldEngine) -> FieldOverview:
    interpreted = frozenset(field.interpreted)
    kinds = Counter(
        ConditionKind.INTERPRETED if leaf in interpreted else _kind(leaf) for leaf in field.leaves
    )
    return FieldOverview(
        field.path,
        field.constrained.bit_count(),
        field.refuted_by_default.bit_count(),
        {kind: kinds[kind] for kind in ConditionKind if kind in kinds},
    )


def _kind(leaf: Leaf) -> ConditionKind:
    match leaf:
        case OfEventType():
            return ConditionKind.EVENT_TYPE
        case IsNull():
            return ConditionKind.NULL
        case Cidr():
            return ConditionKind.NETWORK
        case Membership() | Comparison(ComparisonOperator.EQUAL):
            return ConditionKind.EXACT
        case Comparison():
            return ConditionKind.ORDER
        case _:
            return ConditionKind.PATTERN
