"""The decision graph: which fields to look at next, given the clauses that are still possible.

A node is a set of live clauses. It looks at the fields that promise to rule out most of them,
and what the event has there leads to the next node, until no live clause asks for another
field. Fields of few different values (type, action, system, all that is mostly absent) are
looked at together, and their values lead on at once: they are what partitions the events.
A field of many values is looked at alone, through its memo.

Nodes are made when an event first needs them, like the states of a lazily built automaton
(Cox, "Regular Expression Matching in the Wild", 2010).
"""

from __future__ import annotations

import itertools
import operator
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

import attrs

from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.field_engine import (
    FieldEngine,
    FieldMemo,
    FieldState,
    bits,
    is_safe_key,
    size_of,
)
from kestrel_framework._pipeline.rule_matcher.group_reader import GroupReader
from kestrel_framework._pipeline.rule_matcher.memo_budget import LONGEST_KEPT, MemoBudget, freed
from kestrel_framework._pipeline.rule_matcher.memo_readers import MOST_MEMOS, states_reader
from kestrel_framework._pipeline.rule_matcher.residuals import (
    HELD,
    REFUTED,
    EventTest,
    Residual,
    Residuals,
)

_LARGEST_GROUP: Final = 16
_MOST_EDGES: Final = 4096
"""How many combinations of values lead on from one node; with more, it looks at fewer fields."""
_MANY: Final = 64
"""From so many clauses on, asking every field for them is quicker than the reverse."""
_DECISIVE: Final = 0.8
"""The share of live clauses that a field rules out, to be looked at before all others."""
_NODE_SIZE: Final = 800
_EDGE_SIZE: Final = 150


@attrs.frozen
class IndexedClause:
    """A clause as the graph knows it.

    Attributes:
        target: The number of the target that holds where the clause does.
        fields: Which fields it has conditions on, by their numbers; a mask.
        residual: What remains to be decided when all these hold; `ALWAYS` if nothing.
    """

    target: int
    fields: int
    residual: Residual


@attrs.frozen
class Verdict:
    """What a path through the graph ends with.

    Attributes:
        targets: The targets that hold; ascending.
        residuals: Other targets, with what decides; a target may have several.
    """

    targets: tuple[int, ...] = ()
    residuals: tuple[tuple[int, EventTest], ...] = ()


NOTHING_HOLDS: Final = Verdict()


_KeyT = TypeVar("_KeyT")
_Pending: TypeAlias = tuple[tuple[int, Residual], ...]
"""What is left of the residuals of targets."""


class Node(dict[object, "Node"]):
    """A set of live clauses; where all their conditions hold, what is left of their residuals.

    Its items are the nodes that events go to: by the state of the field it looks at, by the
    states of several, or by what is read of a group. What is not known is found out.

    Attributes:
        read: Reads the fields to look at from a view; None at the end of a path.
        read_values: The same, without states.
        memo: The states of the one field's values; None where items are by what is read.
        group: What reads a group of fields.
        by_states: The nodes that events go to by the states of the fields of a group.
        present: The objects that were there, whose fields a group therefore reads one by one.
        follow: Finds out where to go on.
        verdict: At the end of a path: what holds.
        live: The clauses that are possible.
        examined: The fields that were looked at before; a mask.
        sure: Where all conditions hold: the targets that hold; ascending.
        pending: Where all conditions hold: what is left of residuals; else None.
        fields: The numbers of the fields to look at.
        step: What a scanner keeps here.
    """

    __slots__ = (
        "by_states",
        "examined",
        "fields",
        "follow",
        "group",
        "live",
        "memo",
        "pending",
        "present",
        "read",
        "read_values",
        "step",
        "sure",
        "verdict",
    )

    def __init__(self, live: int, examined: int) -> None:
        self.live = live
        self.examined = examined
        self.fields: tuple[int, ...] = ()
        self.read: RawReader | None = None
        self.read_values: RawReader
        self.memo: FieldMemo | None = None
        self.group: GroupReader
        self.by_states: dict[tuple[FieldState, ...], Node] = {}
        self.present: set[str] = set()
        self.follow: Callable[[Node, object], Node]
        self.sure: tuple[int, ...] = ()
        self.pending: _Pending | None = None
        self.verdict = NOTHING_HOLDS
        self.step: object = None

    def __missing__(self, key: object) -> Node:
        return self.follow(self, key)

    def forget(self) -> tuple[dict[object, Node], dict[tuple[FieldState, ...], Node]]:
        """Forget, and return, which nodes follow."""
        forgotten = dict(self), self.by_states
        self.clear()
        self.by_states = {}
        return forgotten


class DecisionGraph:
    """Chooses the order of the fields, and remembers where events went.

    Args:
        fields: The engines; their places are their numbers.
        names: The attribute path of each of these fields in a view.
        is_empty: Says of an object of a view whether it stands for an absent one.
        clauses: All clauses; their places are their numbers.
        residuals: Decides what these clauses leave.
        budget: What nodes count against.

    Attributes:
        root: Where every event begins.
        nodes_made: How many nodes were made, also those since forgotten.
    """

    def __init__(
        self,
        fields: Sequence[FieldEngine],
        names: Sequence[str],
        is_empty: Callable[[object], bool],
        clauses: Sequence[IndexedClause],
        residuals: Residuals,
        budget: MemoBudget,
    ) -> None:
        self.fields = fields
        self._names = names
        self._is_empty = is_empty
        self._clauses = clauses
        self._budget = budget
        self._residuals = residuals
        self._relevant: dict[int, int] = {}
        self._nodes: dict[tuple[int, int], Node] = {}
        self._residual_nodes: dict[tuple[int, tuple[int, ...], _Pending], Node] = {}
        self.nodes_made = 0
        self.root = self._node((1 << len(clauses)) - 1, 0)
        budget.share(self._forget)

    def followed(self, node: Node, raws: object) -> Node:
        """Return where an event goes from `node` that has `raws` there, whatever that is."""
        values = (raws,) if len(node.fields) == 1 else raws
        assert isinstance(values, tuple)
        return self._after(node, self._states_of(node.fields, values))

    def followed_by_states(
        self, node: Node, fields: tuple[int, ...], states: tuple[FieldState, ...]
    ) -> Node:
        """Return where an event goes from `node` whose fields have these states.

        Args:
            node: Where it is. Afterwards it may look at fewer fields.
            fields: The fields that were looked at: those of the node, or those it had once.
            states: What they have.
        """
        if fields != node.fields:
            return self._found_after(node, fields, states)
        after = self._after(node, states)
        if len(node.by_states) >= _MOST_EDGES and len(fields) > 1:
            self._look_at_less(node)
        return after

    def _states_of(
        self, fields: tuple[int, ...], values: Sequence[object]
    ) -> tuple[FieldState, ...]:
        return tuple(
            [self.fields[field].state_of(raw) for field, raw in zip(fields, values, strict=True)]
        )

    def _after(self, node: Node, states: tuple[FieldState, ...]) -> Node:
        """Return where an event goes from `node` whose fields have these states."""
        after = node.by_states.get(states)
        if after is None:
            after = self._found_after(node, node.fields, states)
            self._budget.take(_EDGE_SIZE)
            node.by_states[states] = after
        return after

    def _found_after(
        self, node: Node, fields: tuple[int, ...], states: tuple[FieldState, ...]
    ) -> Node:
        if node.pending is None:
            live, examined = node.live, node.examined
            for field, state in zip(fields, states, strict=True):
                live &= state.allowed
                examined |= 1 << field
            return self._node(live, examined)
        left: Sequence[tuple[int, Residual]] = node.pending
        decided = self._residuals.decided
        for field, state in zip(fields, states, strict=True):
            bit = 1 << field
            left = [
                (target, decided(residual, field, state)) if residual.fields & bit else part
                for part in left
                for target, residual in (part,)
            ]
        return self._settled(node.live, node.sure, left)

    def _follow_values(self, node: Node, key: object) -> Node:
        values, present = node.group.values(key)
        after = self._after(node, self._states_of(node.fields, values))
        if present:
            node.present.update(present)
            self._look_at(node, node.fields)
        elif all(map(is_safe_key, values)):
            size = sum(map(size_of, values))
            if size <= LONGEST_KEPT:
                if len(node) >= _MOST_EDGES:
                    self._look_at_less(node)
                else:
                    self._budget.take(size + _EDGE_SIZE)
                    node[key] = after
        elif not all(self.fields[field].is_categorical for field in node.fields):
            self._look_at_less(node)
        return after

    def _follow_state(self, node: Node, state: object) -> Node:
        assert isinstance(state, FieldState)
        after = self._found_after(node, node.fields, (state,))
        self._budget.take(_EDGE_SIZE)
        node[state] = after
        return after

    def _follow_states(self, node: Node, states: object) -> Node:
        assert isinstance(states, tuple)
        after = self._found_after(node, node.fields, states)
        if len(node) >= _MOST_EDGES:
            self._look_at_less(node)
        else:
            self._budget.take(_EDGE_SIZE)
            node[states] = after
        return after

    def _node(self, live: int, examined: int) -> Node:
        relevant = self._fields_with_conditions(live)
        key = live, examined & relevant
        node = self._nodes.get(key)
        if node is None:
            fields = self._next_fields(live, relevant & ~examined)
            if not fields:
                left = [(clause.target, clause.residual) for clause in self._of(live)]
                return self._settled(live, (), left)
            self._budget.take(_NODE_SIZE)
            self.nodes_made += 1
            node = self._nodes[key] = Node(live, examined)
            self._look_at(node, fields)
        return node

    def _fields_with_conditions(self, live: int) -> int:
        """Return the fields that some of these clauses have conditions on; a mask."""
        known = self._relevant.get(live)
        if known is not None:
            return known
        fields = 0
        if live.bit_count() < _MANY:
            for clause in self._of(live):
                fields |= clause.fields
        else:
            for number, field in enumerate(self.fields):
                if live & field.constrained:
                    fields |= 1 << number
        self._budget.take(sys.getsizeof(live) + _EDGE_SIZE)
        self._relevant[live] = fields
        return fields

    def _of(self, live: int) -> Iterator[IndexedClause]:
        return (self._clauses[number] for number in bits(live))

    def _settled(
        self, live: int, sure: tuple[int, ...], left: Sequence[tuple[int, Residual]]
    ) -> Node:
        """Return the node for targets that hold, and what is left of the residuals of others."""
        held = {*sure, *(target for target, residual in left if residual is HELD)}
        targets = tuple(sorted(held))
        pending = tuple(
            dict.fromkeys(
                (target, residual)
                for target, residual in left
                if residual is not REFUTED and target not in held
            )
        )
        key = live, targets, pending
        node = self._residual_nodes.get(key)
        if node is None:
            self._budget.take(_NODE_SIZE)
            self.nodes_made += 1
            node = self._residual_nodes[key] = Node(live, 0)
            node.sure, node.pending = targets, pending
            fields = self._fields_of(pending)
            if fields:
                self._look_at(node, fields)
            elif targets or pending:
                tests = [(target, self._residuals.test(residual)) for target, residual in pending]
                node.verdict = Verdict(targets, tuple(tests))
        return node

    def _fields_of(self, pending: _Pending) -> tuple[int, ...]:
        """Return the fields to look at next that residuals ask for, the most wanted first."""
        wanted = Counter(field for _, residual in pending for field in bits(residual.fields))
        ordered = sorted(wanted, key=lambda field: (-wanted[field], field))
        group = [field for field in ordered if self.fields[field].is_categorical]
        return tuple(group[:_LARGEST_GROUP] or ordered[:MOST_MEMOS])

    def _look_at(self, node: Node, fields: tuple[int, ...]) -> None:
        if not self.fields[fields[0]].is_categorical:
            fields = fields[:MOST_MEMOS]
        engines = [self.fields[field] for field in fields]
        for forgotten in node.forget():
            self._budget.free(forgotten)
        node.fields = fields
        node.memo = None
        node.read = node.read_values = operator.attrgetter(*(self._names[f] for f in fields))
        if engines[0].is_categorical:
            attributes = [self._names[field] for field in fields]
            node.group = GroupReader(attributes, node.present, self._is_empty)
            node.read = node.group.read
            node.follow = self._follow_values
        elif len(fields) == 1:
            node.memo = engines[0].memo
            node.follow = self._follow_state
        else:
            node.read = states_reader(node.read_values, [engine.memo for engine in engines])
            node.follow = self._follow_states

    def _look_at_less(self, node: Node) -> None:
        """Have a node look at fewer fields: together they have too many different values."""
        few = tuple(field for field in node.fields if self.fields[field].is_categorical)
        if len(few) in (0, len(node.fields)):
            few = node.fields[: max(1, len(node.fields) // 2)]
        self._look_at(node, few)

    def _next_fields(self, live: int, candidates: int) -> tuple[int, ...]:
        """Return the fields to look at next, those that promise to rule out most first.

        A group holds what an event is asked for that has nothing special in any of them.
        """
        scores: list[tuple[float, int]] = []
        for number in bits(candidates):
            field = self.fields[number]
            likely = (live & field.refuted_by_default).bit_count()
            constrained = (live & field.constrained).bit_count()
            scores.append((-(likely + (constrained - likely) / 16) / field.cost, number))
        scores.sort()
        group: list[int] = []
        others: list[int] = []
        rest = live
        for _, number in scores:
            field = self.fields[number]
            if not rest & field.constrained:
                continue
            if field.is_categorical:
                group.append(number)
            else:
                others.append(number)
                if len(others) == 1 and not group and _rules_out_most(field, live):
                    break
            rest &= field.default
        return tuple(group[:_LARGEST_GROUP] or others[:MOST_MEMOS])

    def _forget(self) -> Iterator[object]:
        nodes, residual_nodes, relevant = self._nodes, self._residual_nodes, self._relevant
        self._nodes, self._residual_nodes, self._relevant = {}, {}, {}
        edges, by_states = self.root.forget()
        return itertools.chain(
            _freed(nodes), _freed(residual_nodes), freed(relevant), freed(edges), freed(by_states)
        )


def _freed(nodes: dict[_KeyT, Node]) -> Iterator[None]:
    """Remove the nodes of a dictionary and what leads on from them, a little with each step."""
    while nodes:
        _, node = nodes.popitem()
        yield from freed(node)
        yield from freed(node.by_states)
        yield


def _rules_out_most(field: FieldEngine, live: int) -> bool:
    return (live & field.refuted_by_default).bit_count() >= _DECISIVE * live.bit_count()
