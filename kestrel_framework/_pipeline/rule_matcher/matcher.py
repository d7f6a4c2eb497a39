"""The matcher: for each event, the conditions of all rules that hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from kestrel_framework._clauses import (
    Clause,
    ClauseBuilder,
    IndexedFields,
)
from kestrel_framework._pipeline.event_decoder import View, ViewTypes
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.over_approximation import decided_by_event
from kestrel_framework._pipeline.rule_matcher.condition_table import Condition
from kestrel_framework._pipeline.rule_matcher.decision_graph import DecisionGraph
from kestrel_framework._pipeline.rule_matcher.disjunctions import Disjunctions
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework._pipeline.rule_matcher.graph_node import (
    IndexedClause,
    Pending,
    Verdict,
)
from kestrel_framework._pipeline.rule_matcher.memo_budget import MatcherLimits, MemoBudget
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework._pipeline.rule_matcher.residuals import Residuals
from kestrel_framework._pipeline.rule_matcher.value_tests import OfEventType
from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.predicate import ALWAYS
from kestrel_framework.predicate_traversal import contents_of
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import SchemaRegistry


@attrs.frozen
class MatcherStatistics:
    """What a matcher has done. Only ever grows.

    Attributes:
        values_looked_up: Values of fields that were not remembered.
        nodes_made: Nodes of the decision graph.
        residuals_tested: Residuals of clauses whose other conditions held.
        times_emptied: How often something remembered was forgotten, at a limit.
    """

    values_looked_up: int
    nodes_made: int
    residuals_tested: int
    times_emptied: int


def paths_read(targets: Iterable[Target], category_field: str) -> dict[str, bool]:
    """Return the paths that a matcher reads, and whether it asks about objects there."""
    paths = {category_field: False}
    for target in targets:
        read = contents_of(decided_by_event(target.condition))
        for path in read.paths:
            # A dotted key below a value makes a whole field another one, as it does an object.
            paths[path] = paths.get(path, False) or path in read.structures
    return paths


def clauses_of_target(target: Target, builder: ClauseBuilder) -> Sequence[Clause]:
    """Return the clauses of a target, in the order in which they are numbered.

    Args:
        target: A condition; its event types are no part of the clauses.
        builder: Knows which fields have conditions of their own.
    """
    return builder.clauses_of(decided_by_event(target.condition))


class RuleMatcher:
    """Tests all conditions of a rule set together.

    What it returns over-approximates in two cases: of a `Program` it decides only the
    prefilter, and a leaf that reads an earlier step's event, or asks for lineage, counts
    as held. Otherwise it is exact.

    Cost: for each event a dictionary access or two for each field that live clauses still ask
    for, some five to ten; a value or a combination that was not seen before costs more. Memory
    is bounded by `limits`.

    Args:
        targets: The conditions; their places are their numbers.
        category_field: What the event types of targets are compared with.
        schema: The schema the rules were compiled with; says which event types are also others.
        views: What the events are decoded to.
        patterns: Finds the patterns that match a text.
        limits: What to remember of events.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        category_field: str,
        schema: SchemaRegistry,
        views: ViewTypes,
        patterns: PatternEngine,
        limits: MatcherLimits | None = None,
    ) -> None:
        self._budget = MemoBudget(limits or MatcherLimits())
        self._residuals_tested = 0
        builder = _IndexBuilder(category_field, schema, views, self._budget)
        for number, target in enumerate(targets):
            builder.add(number, target)
        self._engines = builder.engines
        self._graph = builder.graph(patterns)

    @property
    def graph(self) -> DecisionGraph:
        """What `verdict` walks, for those who want to see it."""
        return self._graph

    @property
    def statistics(self) -> MatcherStatistics:
        """What was done so far."""
        return MatcherStatistics(
            sum(engine.misses for engine in self._engines.values()),
            self._graph.nodes_made,
            self._residuals_tested,
            self._budget.times_emptied,
        )

    def verdict(self, view: View) -> Verdict:
        """Return what the fields of an event decide, and which residuals remain."""
        node = self._graph.root
        try:
            while (read := node.read) is not None:
                found = read(view)
                memo = node.memo
                node = node[found if memo is None else memo[found]]
        except TypeError:  # an object, or a list of lists: nothing a memo can have
            return self._slow_verdict(view)
        return node.verdict

    def targets(self, verdict: Verdict, event: ReadEvent) -> tuple[int, ...]:
        """Return the targets that hold for an event, ascending."""
        found = set(verdict.targets)
        for target, test in verdict.residuals:
            if target not in found:
                self._residuals_tested += 1
                if test(event):
                    found.add(target)
        return tuple(sorted(found))

    def dismantle(self) -> None:
        """Let go of everything, part by part; nothing can be asked any more.

        Its parts know each other: left alone, they would stay until Python looks for cycles
        among all objects, which takes most of a second with a thousand rules. Other threads can go
        on between the parts.
        """
        vars(self._budget).clear()
        self._graph.dismantle()
        engines = self._engines
        while engines:
            vars(engines.popitem()[1]).clear()

    def _slow_verdict(self, view: View) -> Verdict:
        node = self._graph.root
        while node.read is not None:
            node = self._graph.followed(node, node.read_values(view))
        return node.verdict


class _IndexBuilder:
    """Collects the clauses of targets, field by field."""

    def __init__(
        self,
        category_field: str,
        schema: SchemaRegistry,
        views: ViewTypes,
        budget: MemoBudget,
    ) -> None:
        self._category_field = category_field
        self._budget = budget
        fields = IndexedFields(views.paths.__contains__)
        self._builder = ClauseBuilder(fields)
        paths = sorted(views.paths)
        self.engines = {path: FieldEngine(path, schema.with_ancestors, budget) for path in paths}
        self._attributes = [views.attribute(path) for path in paths]
        self._is_empty = views.is_empty
        self._numbers = {path: number for number, path in enumerate(paths)}
        readers = {path: views.reader(path) for path in paths}
        self._residuals = Residuals(self.engines, self._numbers, fields, readers, budget)
        self._disjunctions = Disjunctions(self.engines, fields)
        self._clauses: list[IndexedClause] = []

    def add(self, number: int, target: Target) -> None:
        """Add the clauses of a target."""
        for clause in clauses_of_target(target, self._builder):
            self._add_clause(number, target.event_types, clause)

    def _add_clause(self, target: int, event_types: frozenset[str], clause: Clause) -> None:
        bit = 1 << len(self._clauses)
        fields = 0
        conditions: dict[str, tuple[Condition, ...]] = {
            path: (condition,) for path, condition in clause.conditions.items()
        }
        if event_types != ANY_EVENT:
            category = self._category_field
            conditions[category] = (*conditions.get(category, ()), OfEventType(event_types))
        for path, required in conditions.items():
            self.engines[path].add(required, bit)
            fields |= 1 << self._numbers[path]
        needs, rest = 0, clause.residual
        if rest is not ALWAYS:
            needs, rest = self._disjunctions.taken_from(rest)
        pending = Pending(target, needs, self._residuals.of(rest))
        self._clauses.append(IndexedClause(fields, pending))

    def graph(self, patterns: PatternEngine) -> DecisionGraph:
        """Compile the engines, and return the graph over all clauses."""
        every_clause = (1 << len(self._clauses)) - 1
        for engine in self.engines.values():
            engine.compile(patterns, every_clause)
        return DecisionGraph(
            tuple(self.engines.values()),
            tuple(self._attributes),
            self._is_empty,
            self._clauses,
            self._residuals,
            self._budget,
        )
