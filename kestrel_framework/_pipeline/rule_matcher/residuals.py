"""What of a clause reads several fields, or is dear: decided once all else of the clause holds.

What a residual asks of single fields is decided by their engines, field by field: each
answer makes the residual shorter. What is left then is tested on the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.clauses import path_of
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine, Truth
from kestrel_framework._pipeline.rule_matcher.predicate_code import PredicateCode, RowTest
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework._pipeline.rule_matcher.row_cells import CellTable
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Not,
    Or,
    Predicate,
    all_of,
    any_of,
    negation,
)

EventTest: TypeAlias = Callable[[ReadEvent], bool]
"""Whether a predicate holds for an event."""


class Residuals:
    """Knows which parts of residuals the engines of fields decide.

    Args:
        engines: By path; they are not compiled yet.
        numbers: The numbers of these paths.
        raw_readers: What reads these paths from a view.
    """

    def __init__(
        self,
        engines: Mapping[str, FieldEngine],
        numbers: Mapping[str, int],
        raw_readers: Mapping[str, RawReader],
    ) -> None:
        self._engines = engines
        self._raw_readers = raw_readers
        self._numbers = numbers
        self._conditions: dict[Predicate, tuple[int, Truth]] = {}
        self._tests: dict[Predicate, EventTest] = {}

    def add(self, predicate: Predicate) -> None:
        """Tell the engines what a residual asks of single fields. Before they are compiled."""
        if predicate in self._conditions:
            return
        path = path_of(predicate, self._engines.__contains__)
        if path is not None:
            truth = self._engines[path].truth(predicate)
            self._conditions[predicate] = (self._numbers[path], truth)
        else:
            for term in _terms(predicate):
                self.add(term)

    def fields_of(self, predicate: Predicate) -> Iterator[int]:
        """Yield the number of the field of each condition on a single field, as often as it is."""
        condition = self._conditions.get(predicate)
        if condition is not None:
            yield condition[0]
        else:
            for term in _terms(predicate):
                yield from self.fields_of(term)

    def decided(self, predicate: Predicate, field: int, leaves: int) -> Predicate:
        """Return what is left of a residual, given the leaves that hold of a field."""
        condition = self._conditions.get(predicate)
        if condition is not None:
            number, truth = condition
            if number != field:
                return predicate
            return ALWAYS if truth(leaves) else NEVER
        match predicate:
            case And():
                return all_of(self.decided(term, field, leaves) for term in predicate.terms)
            case Or():
                return any_of(self.decided(term, field, leaves) for term in predicate.terms)
            case Not():
                return negation(self.decided(predicate.term, field, leaves))
            case _:
                return predicate

    def test(self, predicate: Predicate) -> EventTest:
        """Return the test of what is left of a residual, which is new or known."""
        known = self._tests.get(predicate)
        if known is None:
            known = self._tests[predicate] = EventPredicate(predicate, self._raw_readers)
        return known


def _terms(predicate: Predicate) -> tuple[Predicate, ...]:
    match predicate:
        case And() | Or():
            return predicate.terms
        case Not():
            return (predicate.term,)
        case _:
            return ()


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
