"""The decision graph: which field to look at next, given the clauses that are still possible.

A node is a set of live clauses. It looks at the one field that promises to rule out most of
them, and what the event has there leads to the next node, until no live clause asks for
another field. Nodes are made when an event first needs them, like the states of a lazily
built automaton (Cox, "Regular Expression Matching in the Wild", 2010): the graph holds what real
events need of the partitions by type, action, system and shape, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.field_engine import (
    FieldEngine,
    FieldMemo,
    FieldState,
    bits,
)
from kestrel_framework._pipeline.rule_matcher.memo_budget import MemoBudget
from kestrel_framework._pipeline.rule_matcher.residuals import EventTest

_FEW: Final = 24
"""Up to so many live clauses, each is asked for its fields; more are counted by field."""

_NODE_SIZE: Final = 800
_EDGE_SIZE: Final = 150


@attrs.frozen
class IndexedClause:
    """A clause as the graph knows it.

    Attributes:
        target: The number of the target that holds where the clause does.
        fields: Which fields it has conditions on, by their numbers; a mask.
        residual: What remains to be tested when all these hold, or None.
    """

    target: int
    fields: int
    residual: EventTest | None


@attrs.frozen
class Verdict:
    """What a path through the graph ends with.

    Attributes:
        targets: The targets that hold; ascending.
        residuals: Other targets, with what decides; a target may have several.
    """

    targets: tuple[int, ...] = ()
    residuals: tuple[tuple[int, EventTest], ...] = ()


class _Edges(dict[FieldState, "Node"]):
    """The next node for each state of the field; those not needed yet are made when asked for."""

    def __init__(self, graph: DecisionGraph, node: Node) -> None:
        self._graph = graph
        self._node = node

    def __missing__(self, state: FieldState) -> Node:
        return self._graph.followed(self, self._node, state)


class Node:
    """A set of live clauses.

    Attributes:
        read: Reads the field to look at from a view; None at the end of a path.
        memo: The states of that field's values.
        next: The node for each state.
        verdict: At the end of a path: what holds.
        live: The clauses that are possible.
        examined: The fields that were looked at; a mask.
        field: The number of the field to look at, or -1.
    """

    __slots__ = ("examined", "field", "live", "memo", "next", "read", "verdict")

    def __init__(self, live: int, examined: int) -> None:
        self.live = live
        self.examined = examined
        self.field = -1
        self.read: RawReader | None = None
        self.memo: FieldMemo
        self.next: dict[FieldState, Node] = {}
        self.verdict = Verdict()


class DecisionGraph:
    """Chooses the order of the fields, and remembers where events went.

    Args:
        fields: The engines; their places are their numbers.
        readers: What reads each of these fields.
        clauses: All clauses; their places are their numbers.
        budget: What nodes count against.

    Attributes:
        root: Where every event begins.
        nodes_made: How many nodes were made, also those since forgotten.
    """

    def __init__(
        self,
        fields: Sequence[FieldEngine],
        readers: Sequence[RawReader],
        clauses: Sequence[IndexedClause],
        budget: MemoBudget,
    ) -> None:
        self.fields = fields
        self._readers = readers
        self._clauses = clauses
        self._budget = budget
        self._nodes: dict[tuple[int, int], Node] = {}
        self.nodes_made = 0
        self.root = self._node((1 << len(clauses)) - 1, 0)
        budget.share(self._forget)

    @property
    def clauses(self) -> Sequence[IndexedClause]:
        """All clauses; their places are their numbers."""
        return self._clauses

    def scores(self, node: Node) -> Mapping[int, float]:
        """Return, by its number, what each field promises to rule out where `node` stands."""
        return self._scores_of_many(node.live, node.examined)

    def followed(self, edges: _Edges, node: Node, state: FieldState) -> Node:
        """Return where an event goes from `node` that has `state`, and remember it."""
        after = self._node(node.live & state.allowed, node.examined | 1 << node.field)
        self._budget.take(_EDGE_SIZE)
        edges[state] = after
        return after

    def _node(self, live: int, examined: int) -> Node:
        relevant = self._fields_of(live)
        key = live, examined if relevant is None else examined & relevant
        node = self._nodes.get(key)
        if node is None:
            self._budget.take(_NODE_SIZE)
            self.nodes_made += 1
            node = self._nodes[key] = Node(live, examined)
            node.field = self._next_field(live, examined, relevant)
            if node.field < 0:
                node.verdict = self._verdict(live)
            else:
                node.read = self._readers[node.field]
                node.memo = self.fields[node.field].memo
                node.next = _Edges(self, node)
        return node

    def _fields_of(self, live: int) -> int | None:
        """Return the fields that a few clauses have conditions on, or None of many clauses."""
        if live.bit_count() > _FEW:
            return None
        fields = 0
        for number in bits(live):
            fields |= self._clauses[number].fields
        return fields

    def _next_field(self, live: int, examined: int, relevant: int | None) -> int:
        """Return the field that promises to rule out most clauses, or -1."""
        if relevant is None:
            scores = self._scores_of_many(live, examined)
        elif relevant & ~examined:
            scores = self._scores_of_few(live, examined)
        else:
            return -1
        return max(scores, key=lambda field: (scores[field], -field), default=-1)

    def _scores_of_many(self, live: int, examined: int) -> Mapping[int, float]:
        scores = {}
        for number, field in enumerate(self.fields):
            if not examined >> number & 1:
                constrained = (live & field.constrained).bit_count()
                if constrained:
                    likely = (live & field.refuted_by_default).bit_count()
                    scores[number] = _score(likely, constrained - likely, field)
        return scores

    def _scores_of_few(self, live: int, examined: int) -> Mapping[int, float]:
        likely: Counter[int] = Counter()
        unlikely: Counter[int] = Counter()
        for number in bits(live):
            for field in bits(self._clauses[number].fields & ~examined):
                if self.fields[field].refuted_by_default >> number & 1:
                    likely[field] += 1
                else:
                    unlikely[field] += 1
        return {
            field: _score(likely[field], unlikely[field], self.fields[field])
            for field in likely.keys() | unlikely.keys()
        }

    def _verdict(self, live: int) -> Verdict:
        clauses = [self._clauses[number] for number in bits(live)]
        sure = {clause.target for clause in clauses if clause.residual is None}
        residuals = [
            (clause.target, clause.residual)
            for clause in clauses
            if clause.residual is not None and clause.target not in sure
        ]
        return Verdict(tuple(sorted(sure)), tuple(residuals))

    def _forget(self) -> None:
        self._nodes.clear()
        self.root.next.clear()


def _score(likely: int, unlikely: int, field: FieldEngine) -> float:
    return (likely + unlikely / 16) / field.cost
