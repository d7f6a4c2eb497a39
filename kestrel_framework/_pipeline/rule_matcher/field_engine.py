"""One engine for each field, for the whole rule set: from what an event has to a set of clauses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from kestrel_framework._pipeline.event_decoder import MAX_NESTING
from kestrel_framework._pipeline.rule_matcher.condition_table import (
    Condition,
    ConditionTable,
    Truth,
    truth_of,
)
from kestrel_framework._pipeline.rule_matcher.memo_budget import (
    LONGEST_KEPT,
    Memo,
    MemoBudget,
    freed,
)
from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf, ValueTests
from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import Predicate

_LARGEST_KEY: Final = 1 << 60
_FEW_VALUES: Final = 256
_FEW_PATTERNS: Final = 64
_ENTRY_SIZE: Final = 200
"""Bytes that an entry of a memo takes beside the texts it holds, roughly."""


class FieldState:
    """What an event's field means for all clauses; one object for each set of leaves.

    Attributes:
        allowed: The clauses that the field does not rule out.
        leaves: The leaves that hold.
        satisfied: The disjunctions that the field satisfies; None until somebody asked.
    """

    __slots__ = ("allowed", "leaves", "satisfied")

    def __init__(self, leaves: int, allowed: int) -> None:
        self.leaves = leaves
        self.allowed = allowed
        self.satisfied: int | None = None


class FieldMemo(Memo[object, FieldState]):
    """The state of each value seen lately.

    Only what cannot be taken for something else is a key: texts, tuples of texts, None and
    `UNSET`. Asking for what cannot be a key raises TypeError, as of any dictionary.
    """

    __slots__ = ("_compute",)

    def __init__(self, budget: MemoBudget, compute: Callable[[object], FieldState]) -> None:
        super().__init__(budget)
        self._compute = compute

    def __missing__(self, raw: object) -> FieldState:
        return self._compute(raw)


class FieldEngine:
    """Says of every value of a field which clauses remain.

    Args:
        path: The field.
        ancestors: Returns the event types of a category.
        budget: What memos may hold.

    Attributes:
        path: The field.
        memo: For values as a view has them.
        misses: How many values were looked at.
        constrained: The clauses with a condition on the field.
        default: The clauses that remain for a value that satisfies no leaf.
        refuted_by_default: Those whose condition fails for a value that satisfies no leaf.
        has_part_of: The disjunctions that the field may satisfy.
        cost: What looking at a value not seen before costs, next to other fields.
        is_categorical: Whether events have few different values there, as far as is known.
    """

    def __init__(
        self, path: str, ancestors: Callable[[str], frozenset[str]], budget: MemoBudget
    ) -> None:
        self.path = path
        self.memo = FieldMemo(budget, self._looked_up)
        self.misses = 0
        self.constrained = 0
        self.refuted_by_default = 0
        self.has_part_of = 0
        self.cost = 1.0
        self.is_categorical = True
        self._different_values = 0
        self._tests = ValueTests(path, ancestors)
        self._levels = MAX_NESTING - len(split_path(path))
        self._clauses = ConditionTable(self._tests.number)
        self._parts = ConditionTable(self._tests.number)
        self._unconstrained = 0
        self._budget = budget
        self.default = 0
        self._states: dict[int, FieldState] = {}
        self._elements: Memo[object, int] = Memo(budget)
        self._numbers: Memo[tuple[type, object], FieldState] = Memo(budget)
        budget.share(self._forget)

    def add(self, conditions: tuple[Condition, ...], clauses: int) -> None:
        """Have clauses (a mask) require all these conditions, which read this field alone.

        No clause comes twice. Before `compile`.
        """
        self._clauses.add(conditions, clauses)

    def add_part(self, condition: Predicate, disjunctions: int) -> None:
        """Have a condition, which reads this field alone, satisfy disjunctions (a mask).

        No disjunction comes twice. Before `compile`.
        """
        self._parts.add((condition,), disjunctions)

    def compile(self, patterns: PatternEngine, every_clause: int) -> None:
        """Make ready for `memo` and `state_of`; no condition comes after that."""
        self._clauses.compile()
        self._parts.compile()
        self.constrained = self._clauses.bits
        self.has_part_of = self._parts.bits
        self._unconstrained = every_clause & ~self.constrained
        self.default = self._unconstrained | self._clauses.by_default
        self.refuted_by_default = self.constrained & ~self.default
        self._tests.compile(patterns)
        self.cost = 1 + min(self._tests.scanned, 200) / 100
        self.is_categorical = self._tests.scanned <= _FEW_PATTERNS

    @property
    def conditions(self) -> Sequence[tuple[tuple[Condition, ...], int]]:
        """What clauses require of the field, and which clauses (a mask) do."""
        return self._clauses.conditions

    @property
    def interpreted(self) -> Sequence[Leaf]:
        """The elementary conditions that take longest to decide: the interpreter does."""
        return self._tests.interpreted

    @property
    def leaves(self) -> Sequence[Leaf]:
        """All elementary conditions on the field; their places are their numbers."""
        return self._tests.leaves

    @property
    def absent(self) -> FieldState:
        """What it means that an event has nothing there."""
        return self._state_of_leaves(self._tests.of_all(msgspec.UNSET, ()))

    def satisfied_by(self, state: FieldState) -> int:
        """Return the disjunctions that the field satisfies in this state; a mask."""
        satisfied = state.satisfied
        if satisfied is None:
            satisfied = state.satisfied = self._parts.holding(state.leaves)
        return satisfied

    def truth(self, condition: Condition) -> Truth:
        """Return what says whether a condition on this field alone holds. Before `compile`."""
        return truth_of(condition, self._tests.number)

    def state_of(self, raw: object) -> FieldState:
        """Return what `raw` means, remembered or not; for whatever a view may have."""
        if type(raw) is list:
            raw = tuple(raw)
        try:
            return self.memo[raw]
        except TypeError:
            return self._computed(raw)

    def _looked_up(self, raw: object) -> FieldState:
        kind = type(raw)
        if kind is bool or (kind is int and is_small(raw)):
            return self._state_of_number(kind, raw)
        if not is_safe_key(raw):
            return self._computed(raw)
        state = self.memo.recalled(raw) or self._computed(raw)
        size = size_of(raw)
        if size <= LONGEST_KEPT:
            self.memo.keep(raw, state, size + _ENTRY_SIZE)
            self._different_values += 1
            if self._different_values > _FEW_VALUES:
                self.is_categorical = False
        return state

    def _state_of_number(self, kind: type, raw: object) -> FieldState:
        key = kind, raw
        state = self._numbers.get(key)
        if state is None:
            self.is_categorical = False
            state = self._numbers.recalled(key) or self._computed(raw)
            self._numbers.keep(key, state, _ENTRY_SIZE)
        return state

    def _computed(self, raw: object) -> FieldState:
        self.misses += 1
        if type(raw) is str:
            leaves = self._tests.of_all(raw, (raw,)) | self._tests.of_scalar(raw)
        else:
            if type(raw) is tuple or type(raw) is list:
                raw = _cut(raw, self._levels)
            values = _flattened(raw)
            leaves = self._tests.of_all(raw, values)
            for value in values:
                leaves |= self._leaves_of_element(value)
        return self._state_of_leaves(leaves)

    def _state_of_leaves(self, leaves: int) -> FieldState:
        state = self._states.get(leaves)
        if state is None:
            allowed = self._unconstrained | self._clauses.holding(leaves)
            self._budget.take(sys.getsizeof(allowed) + _ENTRY_SIZE)
            state = self._states[leaves] = FieldState(leaves, allowed)
        return state

    def _leaves_of_element(self, value: object) -> int:
        if type(value) is not str:
            return self._tests.of_scalar(value)
        known = self._elements.get(value)
        if known is None:
            known = self._elements.recalled(value)
            if known is None:
                known = self._tests.of_scalar(value)
            size = sys.getsizeof(value)
            if size <= LONGEST_KEPT:
                self._elements.keep(value, known, size + _ENTRY_SIZE)
        return known

    def _forget(self) -> Iterator[object]:
        states, self._states = self._states, {}
        return self._freed(states)

    def _freed(self, states: dict[int, FieldState]) -> Iterator[object]:
        for memo in (self.memo, self._numbers, self.memo, self._numbers):  # both generations
            self._budget.begin_generation(memo)
            yield None
        yield from freed(states)


def is_small(value: object) -> bool:
    """Say whether an integer is its own hash, so that different ones do not collide."""
    return isinstance(value, int) and -_LARGEST_KEY < value < _LARGEST_KEY


def _cut(raw: object, levels: int) -> object:
    """Return a value without the lists and objects that nest deeper than so many levels."""
    if type(raw) is tuple or type(raw) is list:
        if not any(isinstance(inner, (list, tuple, dict)) for inner in raw):
            return raw if levels > 0 else None
        return [_cut(inner, levels - 1) for inner in raw] if levels > 0 else None
    return None if levels <= 0 and isinstance(raw, dict) else raw


def _flattened(raw: object) -> list[object]:
    """Return all values of lists in lists, in no particular order."""
    found = []
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        if type(value) is tuple or type(value) is list:
            waiting.extend(value)
        elif value is not msgspec.UNSET:
            found.append(value)
    return found


def is_safe_key(raw: object) -> bool:
    """Say whether a raw value equals no other one that means something else."""
    if type(raw) is tuple:
        return all(type(inner) is str for inner in raw)
    return type(raw) is str or raw is None or raw is msgspec.UNSET


def size_of(raw: object) -> int:
    """Return the bytes a raw value takes that is a safe key."""
    if isinstance(raw, tuple):
        return sum(map(sys.getsizeof, raw)) + 8 * len(raw)
    return sys.getsizeof(raw)
