"""Three-valued logic (Kleene's) over the kernel's two-valued predicates.

A condition of EQL can be true, false, or null; each of them is a predicate of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


@attrs.frozen
class Truths:
    """When a condition is true (`holds`), false (`fails`), and null (`unknown`).

    For every event exactly one of the three holds.
    """

    holds: Predicate
    fails: Predicate
    unknown: Predicate

    @classmethod
    def leaf(cls, holds: Predicate, operands: Iterable[Value]) -> Truths:
        """Return a test that is null where one of its operands is."""
        unknown = any_of(null_test(operand) for operand in operands)
        return cls(holds, all_of((negation(holds), negation(unknown))), unknown)

    @classmethod
    def among(cls, holds: Predicate, candidates: Predicate) -> Truths:
        """Return a test that is null except where `candidates` holds."""
        fails = all_of((candidates, negation(holds)))
        return cls(holds, fails, negation(any_of((holds, fails))))

    @classmethod
    def certain(cls, holds: Predicate) -> Truths:
        """Return a test that is never null."""
        return cls(holds, negation(holds), NEVER)

    @property
    def negated(self) -> Truths:
        return Truths(self.fails, self.holds, self.unknown)

    @property
    def nullity(self) -> Truths:
        """Whether the condition is null: itself never null."""
        return Truths(self.unknown, any_of((self.holds, self.fails)), NEVER)

    def as_value(self) -> Truth:
        return Truth(self.holds, self.fails)


NOTHING: Truths = Truths(NEVER, NEVER, ALWAYS)
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
    return Truths(holds, fails, all_of((negation(holds), negation(fails))))
