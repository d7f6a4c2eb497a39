"""Three-valued logic (Kleene's) over the kernel's two-valued predicates.

A condition of EQL can be true, false, or null; each of them is a predicate of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import attrs

from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    IsNull,
    Literal,
    Predicate,
    Truth,
    Value,
    all_of,
    any_of,
    negation,
)


@attrs.frozen(slots=False)
class Truths:
    """When a condition is true (`holds`), false (`fails`), and null (`unknown`).

    For every event exactly one of the three holds. The other two are made when somebody asks:
    where conditions have two truths, nobody does.
    """

    holds: Predicate
    _others: Callable[[], tuple[Predicate, Predicate]]

    @property
    def fails(self) -> Predicate:
        return self._fails_and_unknown[0]

    @property
    def unknown(self) -> Predicate:
        return self._fails_and_unknown[1]

    @cached_property
    def _fails_and_unknown(self) -> tuple[Predicate, Predicate]:
        return self._others()

    @classmethod
    def of(cls, holds: Predicate, fails: Predicate, unknown: Predicate) -> Truths:
        """Return what is true, false and null then."""
        return cls(holds, lambda: (fails, unknown))

    @classmethod
    def leaf(cls, holds: Predicate, operands: Sequence[Value]) -> Truths:
        """Return a test that is null where one of its operands is."""

        def others() -> tuple[Predicate, Predicate]:
            unknown = any_of(null_test(operand) for operand in operands)
            return all_of((negation(holds), negation(unknown))), unknown

        return cls(holds, others)

    @classmethod
    def among(cls, holds: Predicate, candidates: Predicate) -> Truths:
        """Return a test that is null except where `candidates` holds."""
        fails = all_of((candidates, negation(holds)))
        return cls.of(holds, fails, negation(any_of((holds, fails))))

    @classmethod
    def certain(cls, holds: Predicate) -> Truths:
        """Return a test that is never null."""
        return cls.of(holds, negation(holds), NEVER)

    @property
    def negated(self) -> Truths:
        return Truths.of(self.fails, self.holds, self.unknown)

    @property
    def nullity(self) -> Truths:
        """Whether the condition is null: itself never null."""
        return Truths.of(self.unknown, any_of((self.holds, self.fails)), NEVER)

    def as_value(self) -> Truth:
        return Truth(self.holds, self.fails)


NOTHING: Truths = Truths.of(NEVER, NEVER, ALWAYS)
"""Null, whatever the event."""


def conjunction(terms: Sequence[Truths]) -> Truths:
    """Return `and`: false if any term is, true if all are, else null."""
    return _joined(all_of(t.holds for t in terms), any_of(t.fails for t in terms))


def disjunction(terms: Sequence[Truths]) -> Truths:
    """Return `or`: true if any term is, false if all are, else null."""
    return _joined(any_of(t.holds for t in terms), all_of(t.fails for t in terms))


def null_test(value: Value) -> Predicate:
    """Return whether a value is null; of a constant, that is known."""
    if isinstance(value, Literal):
        return ALWAYS if value.value is None else NEVER
    if isinstance(value, Truth):
        return all_of((negation(value.holds), negation(value.fails)))
    return IsNull(value)


def _joined(holds: Predicate, fails: Predicate) -> Truths:
    return Truths.of(holds, fails, all_of((negation(holds), negation(fails))))
