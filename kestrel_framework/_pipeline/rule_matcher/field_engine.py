"""One engine for each field, for the whole rule set: from what an event has to a set of clauses."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from kestrel_framework._pipeline.event_decoder import MAX_NESTING
from kestrel_framework._pipeline.rule_matcher.memo_budget import (
    LONGEST_KEPT,
    Memo,
    MemoBudget,
    freed,
)
from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf, OfEventType, ValueTests
from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import And, Not, Or, Predicate

Condition: TypeAlias = Predicate | OfEventType
Truth: TypeAlias = Callable[[int], int]
"""Whether a condition holds, given the leaves that do: 0 where it does not."""

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
    """

    __slots__ = ("allowed", "leaves")

    def __init__(self, leaves: int, allowed: int) -> None:
        self.leaves = leaves
        self.allowed = allowed


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
        self.cost = 1.0
        self.is_categorical = True
        self._different_values = 0
        self._tests = ValueTests(path, ancestors)
        self._levels = MAX_NESTING - len(split_path(path))
        self._required: dict[tuple[Condition, ...], list[int]] = {}
        self._conditions: list[tuple[tuple[Condition, ...], int]] = []
        self._truths: list[Truth] = []
        self._concerned: list[list[int]] = []
        self._budget = budget
        self._every_clause = 0
        self.default = 0
        self._states: dict[int, FieldState] = {}
        self._elements: Memo[object, int] = Memo(budget)
        self._numbers: Memo[tuple[type, object], FieldState] = Memo(budget)
        budget.share(self._forget)

    def add(self, conditions: tuple[Condition, ...], clauses: int) -> None:
        """Have clauses (a mask) require all these conditions, which read this field alone.

        No clause comes twice. Before `compile`.
        """
        self._required.setdefault(conditions, []).append(clauses)

    def compile(self, patterns: PatternEngine, every_clause: int) -> None:
        """Make ready for `memo` and `state_of`; no condition comes after that."""
        by_leaf: dict[int, list[int]] = {}
        self.default = every_clause
        self._conditions = [
            (conditions, functools.reduce(operator.or_, masks))
            for conditions, masks in self._required.items()
        ]
        self._required.clear()
        for number, (conditions, clauses) in enumerate(self._conditions):
            self.constrained |= clauses
            truth = _every([self.truth(condition) for condition in conditions])
            self._truths.append(truth)
            for condition in conditions:
                for leaf in leaves_of(condition):
                    by_leaf.setdefault(self._tests.number(leaf), []).append(number)
            if not truth(0):
                self.default &= ~clauses
        self._concerned = [by_leaf.get(n, []) for n in range(len(self._tests.leaves))]
        self.refuted_by_default = self.constrained & ~self.default
        self._tests.compile(patterns)
        self.cost = 1 + min(self._tests.scanned, 200) / 100
        self.is_categorical = self._tests.scanned <= _FEW_PATTERNS

    @property
    def conditions(self) -> Sequence[tuple[tuple[Condition, ...], int]]:
        """What clauses require of the field, and which clauses (a mask) do."""
        return self._conditions

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
            allowed = self._allowed(leaves)
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

    def _allowed(self, leaves: int) -> int:
        allowed = self.default
        concerned: set[int] = set()
        for leaf in bits(leaves):
            concerned.update(self._concerned[leaf])
        for number in concerned:
            _, clauses = self._conditions[number]
            if self._truths[number](leaves):
                allowed |= clauses
            else:
                allowed &= ~clauses
        return allowed

    def truth(self, condition: Condition) -> Truth:
        """Return what says whether a condition on this field alone holds. Before `compile`."""
        match condition:
            case Not():
                term = self.truth(condition.term)
                return lambda leaves: not term(leaves)
            case And():
                return _every([self.truth(term) for term in condition.terms])
            case Or():
                terms = [self.truth(term) for term in condition.terms]
                return lambda leaves: any(term(leaves) for term in terms)
            case _:
                return (1 << self._tests.number(condition)).__and__

    def _forget(self) -> Iterator[object]:
        states, self._states = self._states, {}
        return self._freed(states)

    def _freed(self, states: dict[int, FieldState]) -> Iterator[object]:
        for memo in (self.memo, self._numbers, self.memo, self._numbers):  # both generations
            self._budget.begin_generation(memo)
            yield None
        yield from freed(states)


def _every(truths: Sequence[Truth]) -> Truth:
    if len(truths) == 1:
        return truths[0]
    return lambda leaves: all(truth(leaves) for truth in truths)


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits of a mask, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield the elementary conditions that a condition is made of, in order."""
    match condition:
        case Not():
            yield from leaves_of(condition.term)
        case And() | Or():
            for term in condition.terms:
                yield from leaves_of(term)
        case _:
            yield condition


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
