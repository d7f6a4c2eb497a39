"""How the clauses of conditions are written beside the rules that are kept, and read again.

The matcher takes every condition of a rule apart into clauses, which is a sixth of all of
starting. What a clause requires are predicates, most of them parts of the condition; they stand
in a table of their own, and a clause is their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import msgspec

from kestrel_framework._clauses import (
    OTHER_EVENTS,
    Clause,
    ClauseBuilder,
    IndexedFields,
    clauses_kept_with,
    keep_clauses_with,
)
from kestrel_framework._tree_node import Contents
from kestrel_framework.predicate import Predicate
from kestrel_framework.predicate_traversal import contents_of
from kestrel_framework.rule import Condition, Program

_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class ClauseRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A clause; what it requires are numbers in the table."""

    conditions: tuple[_Number, ...]
    residual: _Number


ConditionRecord: TypeAlias = tuple[ClauseRecord, ...] | None
"""The clauses of a condition; none for a program, or where other events decide."""


def _all_fields() -> IndexedFields:
    return IndexedFields(lambda path: True)


class ClauseWriter:
    """Numbers what the clauses of many conditions require."""

    def __init__(self) -> None:
        self._builder = ClauseBuilder(_all_fields())
        self._numbers: dict[Predicate, int] = {}

    @property
    def predicates(self) -> Sequence[Predicate]:
        """The table."""
        return tuple(self._numbers)

    def record(self, condition: Condition) -> ConditionRecord:
        """Return what is written for a condition, whose clauses stay with it."""
        predicate = _taken_apart(condition)
        if predicate is None:
            return None
        clauses = tuple(self._builder.clauses_of(predicate))
        keep_clauses_with(predicate, clauses)
        return tuple([self._clause(clause) for clause in clauses])

    def _clause(self, clause: Clause) -> ClauseRecord:
        conditions = tuple(map(self._number, clause.conditions.values()))
        return ClauseRecord(conditions, self._number(clause.residual))

    def _number(self, predicate: Predicate) -> int:
        return self._numbers.setdefault(predicate, len(self._numbers))


class ClauseReader:
    """Gives conditions the clauses that were written, if they can be theirs.

    Args:
        predicates: The table.
    """

    def __init__(self, predicates: Sequence[Predicate]) -> None:
        self._predicates = predicates
        path_of = _all_fields().path_of
        self._contents = [contents_of(predicate) for predicate in predicates]
        self._paths = [
            path_of(predicate) if OTHER_EVENTS.isdisjoint(contents.kinds) else None
            for predicate, contents in zip(predicates, self._contents, strict=True)
        ]

    def read(self, condition: Condition, record: ConditionRecord) -> None:
        """Give a condition its clauses.

        Raises:
            ValueError: they cannot be its clauses.
            LookupError: they are not in the table.
        """
        if record is None:
            return
        predicate = _taken_apart(condition)
        if predicate is None:
            raise ValueError("what other events decide has no clauses")
        if clauses_kept_with(predicate) is None:
            contents = contents_of(predicate)
            clauses = tuple([self._clause(clause, contents) for clause in record])
            keep_clauses_with(predicate, clauses)

    def _clause(self, record: ClauseRecord, whole: Contents) -> Clause:
        conditions: dict[str, Predicate] = {}
        for number in record.conditions:
            path = self._paths[number]
            if path not in whole.paths or path in conditions:
                raise ValueError("a condition of a clause is not on a field of its own")
            conditions[path] = self._predicates[number]
        rest = self._contents[record.residual]
        if not (rest.paths <= whole.paths and rest.kinds <= whole.kinds):
            raise ValueError("a residual asks for more than the whole condition")
        return Clause(conditions, self._predicates[record.residual])


def _taken_apart(condition: Condition) -> Predicate | None:
    """Return the predicate whose clauses are kept for a condition, if any are."""
    if isinstance(condition, Program) or not OTHER_EVENTS.isdisjoint(contents_of(condition).kinds):
        return None
    return condition
