"""Disjunctions across fields: what remains of a clause that no single field decides.

Rules name exceptions by several fields: not this program with that parent. What is left of it is
a disjunction, of which one field alone may satisfy a part. As a clause needs all of its
conditions, a disjunction needs one: each field says which of all disjunctions it satisfies.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final

from kestrel_framework._clauses import IndexedFields, reads_too_much
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework.predicate import And, Or, Predicate, all_of, any_of

MOST_DISJUNCTIONS: Final = 16
"""How many disjunctions one term of a residual may be brought to."""


class Disjunctions:
    """Numbers the disjunctions of all clauses, and tells the engines of their parts.

    Args:
        engines: By path; they are not compiled yet.
        fields: Those that have engines.
    """

    def __init__(self, engines: Mapping[str, FieldEngine], fields: IndexedFields) -> None:
        self._engines = engines
        self._path_of = fields.path_of
        self._numbers: dict[Predicate, int] = {}
        self._needed: dict[Predicate, int | None] = {}

    def taken_from(self, residual: Predicate) -> tuple[int, Predicate]:
        """Return the disjunctions that a residual needs, a mask, and what it needs besides.

        What is taken reads, in the end, one field at a time.
        """
        terms = residual.terms if isinstance(residual, And) else (residual,)
        needs = 0
        rest: list[Predicate] = []
        for term in terms:
            if term not in self._needed:
                self._needed[term] = self._needs_of(term)
            needed = self._needed[term]
            if needed is None:
                rest.append(term)
            else:
                needs |= needed
        return needs, all_of(rest)

    def _needs_of(self, term: Predicate) -> int | None:
        disjunctions = None if reads_too_much(term) else self._normal_form(term)
        if disjunctions is None:
            return None
        needs = 0
        for parts in disjunctions:
            needs |= 1 << self._number(parts)
        return needs

    def _normal_form(self, predicate: Predicate) -> list[tuple[Predicate, ...]] | None:
        """Return the conjunctive normal form: disjunctions of parts that read a field each.

        None if there are too many, or some part reads several fields.
        """
        if self._path_of(predicate) is not None:
            return [(predicate,)]
        if not isinstance(predicate, And | Or):
            return None
        found: list[tuple[Predicate, ...]] = [] if isinstance(predicate, And) else [()]
        for term in predicate.terms:
            normal = self._normal_form(term)
            if normal is None:
                return None
            if isinstance(predicate, And):
                found += normal
            else:
                found = [first + other for first, other in itertools.product(found, normal)]
            if len(found) > MOST_DISJUNCTIONS:
                return None
        return found

    def _number(self, parts: tuple[Predicate, ...]) -> int:
        disjunction = any_of(parts)
        known = self._numbers.get(disjunction)
        if known is not None:
            return known
        by_path: dict[str, list[Predicate]] = {}
        for part in parts:
            path = self._path_of(part)
            assert path is not None
            by_path.setdefault(path, []).append(part)
        number = self._numbers[disjunction] = len(self._numbers)
        for path, alike in by_path.items():
            self._engines[path].add_part(any_of(alike), 1 << number)
        return number
