"""What of a clause reads several fields, or is dear: decided once all else of the clause holds.

What a residual asks of single fields is decided by their engines, field by field: each
answer makes the residual shorter. What is left then is tested on the event.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from kestrel_framework._clauses import IndexedFields, reads_too_much
from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.condition_table import Truth
from kestrel_framework._pipeline.rule_matcher.field_engine import (
    FieldEngine,
    FieldState,
)
from kestrel_framework._pipeline.rule_matcher.memo_budget import MemoBudget, freed
from kestrel_framework._pipeline.rule_matcher.predicate_code import PredicateCode, RowTest
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework._pipeline.rule_matcher.row_cells import CellTable
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Constant,
    Not,
    Or,
    Predicate,
    all_of,
    any_of,
    negation,
)

_ENTRY_SIZE: Final = 250

EventTest: TypeAlias = Callable[[ReadEvent], bool]
"""Whether a predicate holds for an event."""


class Residual:
    """A predicate of which parts are decided one by one. Two that are equal are the same object.

    Attributes:
        predicate: What it means.
        fields: The fields that it has conditions on; a mask.
        condition: For a condition on one field: what decides it; else None.
        kind: `And`, `Or` or `Not` where it has terms.
        terms: The terms of a conjunction, disjunction or negation.
    """

    __slots__ = ("condition", "fields", "kind", "predicate", "terms")

    def __init__(
        self,
        predicate: Predicate,
        fields: int = 0,
        condition: Truth | None = None,
        kind: type = Constant,
        terms: tuple[Residual, ...] = (),
    ) -> None:
        self.predicate = predicate
        self.fields = fields
        self.condition = condition
        self.kind = kind
        self.terms = terms


HELD: Final = Residual(ALWAYS)
REFUTED: Final = Residual(NEVER)


class Residuals:
    """Makes residuals, and shortens them.

    Args:
        engines: By path; they are not compiled yet.
        numbers: The numbers of these paths.
        fields: Knows these paths.
        raw_readers: What reads these paths from a view.
        budget: What memos count against.
    """

    def __init__(
        self,
        engines: Mapping[str, FieldEngine],
        numbers: Mapping[str, int],
        fields: IndexedFields,
        raw_readers: Mapping[str, RawReader],
        budget: MemoBudget,
    ) -> None:
        self._engines = engines
        self._numbers = numbers
        self._path_of = fields.path_of
        self._raw_readers = raw_readers
        self._budget = budget
        self._of_rules: dict[Predicate, Residual] = {ALWAYS: HELD, NEVER: REFUTED}
        self._shortened: dict[tuple[type, frozenset[Residual]], Residual] = {}
        self._decided: dict[tuple[Residual, FieldState], Residual] = {}
        self._tests: dict[Residual, EventTest] = {}
        budget.share(self._forget)

    def of(self, predicate: Predicate) -> Residual:
        """Return the residual of a rule, and tell the engines what it asks. Before they compile."""
        known = self._of_rules.get(predicate)
        if known is None:
            known = self._of_rules[predicate] = self._made(predicate)
        return known

    def decided(self, residual: Residual, field: int, state: FieldState) -> Residual:
        """Return what is left of a residual, given the state of a field."""
        if not residual.fields >> field & 1:
            return residual
        if residual.condition is not None:
            return HELD if residual.condition(state.leaves) else REFUTED
        key = residual, state
        known = self._decided.get(key)
        if known is None:
            terms = [self.decided(term, field, state) for term in residual.terms]
            known = self._joined(residual.kind, terms)
            self._budget.take(_ENTRY_SIZE)
            self._decided[key] = known
        return known

    def test(self, residual: Residual) -> EventTest:
        """Return the test of what is left when no condition on a single field is."""
        known = self._tests.get(residual)
        if known is None:
            known = self._tests[residual] = EventPredicate(residual.predicate, self._raw_readers)
        return known

    def _made(self, predicate: Predicate) -> Residual:
        path = self._path_of(predicate)
        if path is not None:
            truth = self._engines[path].truth(predicate)
            return Residual(predicate, 1 << self._numbers[path], truth)
        if reads_too_much(predicate):
            return Residual(predicate)
        match predicate:
            case And() | Or():
                terms = tuple([self.of(term) for term in predicate.terms])
            case Not():
                terms = (self.of(predicate.term),)
            case _:
                terms = ()
        return Residual(predicate, _fields_of(terms), None, type(predicate), terms)

    def _joined(self, kind: type, terms: list[Residual]) -> Residual:
        if kind is Not:
            (term,) = terms
            if term is HELD or term is REFUTED:
                return REFUTED if term is HELD else HELD
        else:
            neutral, decisive = (HELD, REFUTED) if kind is And else (REFUTED, HELD)
            if decisive in terms:
                return decisive
            terms = [term for term in dict.fromkeys(terms) if term is not neutral]
            if len(terms) < 2:
                return terms[0] if terms else neutral
        key = kind, frozenset(terms)
        known = self._shortened.get(key)
        if known is None:
            self._budget.take(_ENTRY_SIZE + 100 * len(terms))
            predicate = _JOIN[kind]([term.predicate for term in terms])
            known = Residual(predicate, _fields_of(terms), None, kind, tuple(terms))
            self._shortened[key] = known
        return known

    def _forget(self) -> Iterator[object]:
        shortened, decided, tests = self._shortened, self._decided, self._tests
        self._shortened, self._decided, self._tests = {}, {}, {}
        return itertools.chain(freed(shortened), freed(decided), freed(tests))


_JOIN: Final[Mapping[type, Callable[[list[Predicate]], Predicate]]] = {
    And: all_of,
    Or: any_of,
    Not: lambda terms: negation(terms[0]),
}


def _fields_of(terms: Iterable[Residual]) -> int:
    fields = 0
    for term in terms:
        fields |= term.fields
    return fields


class EventPredicate:
    """Tests a predicate with generated code, made when an event first needs it.

    Args:
        predicate: What to test.
        raw_readers: Reads from a view what is there at the paths that views hold.
    """

    __slots__ = ("_cell_count", "_raw_readers", "_test", "predicate")

    def __init__(self, predicate: Predicate, raw_readers: Mapping[str, RawReader]) -> None:
        self.predicate = predicate
        self._raw_readers = raw_readers
        self._cell_count = 0
        self._test: RowTest | None = None

    def __call__(self, event: ReadEvent) -> bool:
        test = self._test or self._compiled()
        return test([None] * self._cell_count, event)

    def _compiled(self) -> RowTest:
        cells = CellTable(self._raw_readers)
        code = PredicateCode(cells)
        name = code.add(self.predicate)
        self._test = code.compiled()[name]
        self._cell_count = len(cells)
        return self._test
