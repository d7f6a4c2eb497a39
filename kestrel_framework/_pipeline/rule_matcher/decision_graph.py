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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from kestrel_framework._pipeline.rule_matcher.condition_table import bits
from kestrel_framework._pipeline.rule_matcher.field_engine import (
    FieldEngine,
    FieldState,
    is_safe_key,
    size_of,
)
from kestrel_framework._pipeline.rule_matcher.graph_node import (
    IndexedClause,
    Node,
    Pending,
    Verdict,
)
from kestrel_framework._pipeline.rule_matcher.group_reader import GroupReader
from kestrel_framework._pipeline.rule_matcher.memo_budget import LONGEST_KEPT, MemoBudget, freed
from kestrel_framework._pipeline.rule_matcher.memo_readers import MOST_MEMOS, states_reader
from kestrel_framework._pipeline.rule_matcher.residuals import (
    HELD,
    REFUTED,
    Residual,
    Residuals,
)

_LARGEST_GROUP: Final = 16
_MOST_EDGES: Final = 4096
"""How many combinations of values lead on from one node; with more, it looks at fewer fields."""
_DECISIVE: Final = 0.8
"""The share of live clauses that a field rules out, to be looked at before all others."""
_NODE_SIZE: Final = 800
_PENDING_SIZE: Final = 120
_EDGE_SIZE: Final = 150

_KeyT = TypeVar("_KeyT")


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
        self._nodes: dict[tuple[int, int], Node] = {}
        self._settled_nodes: dict[tuple[int, tuple[int, ...], tuple[Pending, ...], int], Node] = {}
        self._with_parts = [
            (number, field) for number, field in enumerate(fields) if field.has_part_of
        ]
        self.nodes_made = 0
        self.root = self._node((1 << len(clauses)) - 1, (1 << len(fields)) - 1)
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
        looked_at = _mask(fields)
        if node.pending is None:
            live = node.live
            for state in states:
                live &= state.allowed
            return self._node(live, node.wanted & ~looked_at)
        satisfied = 0
        for field, state in zip(fields, states, strict=True):
            satisfied |= self.fields[field].satisfied_by(state)
        left = []
        for part in node.pending:
            target, needs, residual = part
            if residual.fields:
                part = Pending(
                    target, needs & ~satisfied, self._shortened(residual, fields, states)
                )
            elif needs & satisfied:
                part = Pending(target, needs & ~satisfied, residual)
            left.append(part)
        return self._settled(node.live, node.examined | looked_at, node.sure, left)

    def _shortened(
        self, residual: Residual, fields: tuple[int, ...], states: tuple[FieldState, ...]
    ) -> Residual:
        for field, state in zip(fields, states, strict=True):
            residual = self._residuals.decided(residual, field, state)
        return residual

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

    def _node(self, live: int, unexamined: int) -> Node:
        wanted = self._asked_by(live, unexamined)
        key = live, wanted
        node = self._nodes.get(key)
        if node is None:
            fields = self._next_fields(live, wanted)
            if not fields:
                return self._settled(live, 0, (), [clause.pending for clause in self._of(live)])
            self._budget.take(_NODE_SIZE)
            self.nodes_made += 1
            node = self._nodes[key] = Node(live, wanted=wanted)
            self._look_at(node, fields)
        return node

    def _asked_by(self, live: int, fields: int) -> int:
        """Return those of some fields that these clauses have conditions on; masks."""
        asked = 0
        if live.bit_count() < fields.bit_count():
            for clause in self._of(live):
                asked |= clause.fields
            return asked & fields
        for number in bits(fields):
            if live & self.fields[number].constrained:
                asked |= 1 << number
        return asked

    def _of(self, live: int) -> Iterator[IndexedClause]:
        return (self._clauses[number] for number in bits(live))

    def _settled(
        self, live: int, examined: int, sure: tuple[int, ...], left: Sequence[Pending]
    ) -> Node:
        """Return the node for targets that hold, and what is left of the clauses of others.

        Args:
            live: The clauses.
            examined: The fields that were looked at for what is left; a mask.
            sure: The targets that were known to hold before.
            left: What may be decided by now.
        """
        unmet = _needs_of(left)
        possible = 0
        for number, engine in self._with_parts:
            if engine.has_part_of & unmet and not examined >> number & 1:
                possible |= engine.has_part_of
        failed = unmet & ~possible
        held = set(sure)
        undecided: dict[Pending, None] = {}
        for part in left:
            target, needs, residual = part
            if residual is HELD and not needs:
                held.add(target)
            elif residual is not REFUTED and not needs & failed:
                undecided[part] = None
        pending = tuple([part for part in undecided if part[0] not in held])
        wanted = self._wanted(pending)
        targets = tuple(sorted(held))
        key = live, targets, pending, examined & _mask(wanted)
        node = self._settled_nodes.get(key)
        if node is None:
            self._budget.take(_NODE_SIZE + _PENDING_SIZE * len(pending))
            self.nodes_made += 1
            node = self._settled_nodes[key] = Node(live, examined=examined)
            node.sure, node.pending = targets, pending
            fields = self._most_wanted(wanted, examined)
            if fields:
                self._look_at(node, fields)
            elif targets or pending:
                tests = [(part.target, self._residuals.test(part.residual)) for part in pending]
                node.verdict = Verdict(targets, tuple(tests))
        return node

    def _wanted(self, pending: Iterable[Pending]) -> Counter[int]:
        """Return how many disjunctions and residuals each field may decide a part of."""
        unmet = _needs_of(pending)
        residuals = [part.residual for part in pending if part.residual.fields]
        wanted = Counter(field for residual in residuals for field in bits(residual.fields))
        for number, engine in self._with_parts:
            parts = engine.has_part_of & unmet
            if parts:
                wanted[number] += parts.bit_count()
        return wanted

    def _most_wanted(self, wanted: Counter[int], examined: int) -> tuple[int, ...]:
        """Return the fields to look at next for what is left, the most wanted first."""
        ordered = sorted(
            (field for field in wanted if not examined >> field & 1),
            key=lambda field: (-wanted[field], field),
        )
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

    def dismantle(self) -> None:
        """Let go of everything, so that no cycle is left; nothing can be asked any more."""
        for node in (*self._nodes.values(), *self._settled_nodes.values()):
            node.forget()
            node.step = None
        vars(self).clear()

    def _forget(self) -> Iterator[object]:
        nodes, settled_nodes = self._nodes, self._settled_nodes
        self._nodes, self._settled_nodes = {}, {}
        edges, by_states = self.root.forget()
        return itertools.chain(_freed(nodes), _freed(settled_nodes), freed(edges), freed(by_states))


def _needs_of(left: Iterable[Pending]) -> int:
    needs = 0
    for _, needed, _ in left:
        needs |= needed
    return needs


def _mask(fields: Iterable[int]) -> int:
    mask = 0
    for field in fields:
        mask |= 1 << field
    return mask


def _freed(nodes: dict[_KeyT, Node]) -> Iterator[None]:
    """Remove the nodes of a dictionary and what leads on from them, a little with each step."""
    while nodes:
        _, node = nodes.popitem()
        yield from freed(node)
        yield from freed(node.by_states)
        yield


def _rules_out_most(field: FieldEngine, live: int) -> bool:
    return (live & field.refuted_by_default).bit_count() >= _DECISIVE * live.bit_count()
