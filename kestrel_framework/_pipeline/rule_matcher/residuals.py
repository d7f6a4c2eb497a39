"""What of a clause reads several fields, or is dear: tested once all else of the clause holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from kestrel_framework._pipeline.event_decoder import RawReader, View
from kestrel_framework._pipeline.rule_matcher.clauses import path_of
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework._pipeline.rule_matcher.predicate_code import PredicateCode, RowTest
from kestrel_framework._pipeline.rule_matcher.row_cells import CellTable
from kestrel_framework.event import Document
from kestrel_framework.predicate import And, Constant, Not, Or, Predicate


class ReadEvent:
    """An event as residuals read it: the view, and the document if they ask for it.

    Args:
        view: The fields.
        decode: Returns the document.
    """

    __slots__ = ("_decode", "_document", "view")

    def __init__(self, view: View, decode: Callable[[], Document]) -> None:
        self.view = view
        self._decode = decode
        self._document: Document | None = None

    def read_document(self) -> Document:
        """Return the whole event; decoded once, when first asked for."""
        if self._document is None:
            self._document = self._decode()
        return self._document


EventTest: TypeAlias = Callable[[ReadEvent], bool]
"""Whether a predicate holds for an event."""


class ResidualTests:
    """Makes the tests of residuals, which share what the engines of the fields know.

    Args:
        engines: By path; they are not compiled yet.
        readers: What reads these paths from a view.
    """

    def __init__(
        self, engines: Mapping[str, FieldEngine], readers: Mapping[str, RawReader]
    ) -> None:
        self._engines = engines
        self._readers = readers
        self._known: dict[Predicate, EventTest] = {}

    def test(self, predicate: Predicate) -> EventTest:
        """Return the test of a predicate, which is new or known."""
        known = self._known.get(predicate)
        if known is None:
            known = self._known[predicate] = self._made(predicate)
        return known

    def _made(self, predicate: Predicate) -> EventTest:
        path = path_of(predicate, self._engines.__contains__)
        if path is not None:
            return self._field_test(path, predicate)
        match predicate:
            case Constant():
                return lambda event: predicate.holds
            case Not():
                return _negated(self.test(predicate.term))
            case And():
                return _every([self.test(term) for term in predicate.terms])
            case Or():
                return _some([self.test(term) for term in predicate.terms])
            case _:
                return _DocumentTest(predicate)

    def _field_test(self, path: str, condition: Predicate) -> EventTest:
        engine, read = self._engines[path], self._readers[path]
        state_of, truth = engine.state_of, engine.truth(condition)
        return lambda event: truth(state_of(read(event.view)).leaves)


def _negated(test: EventTest) -> EventTest:
    return lambda event: not test(event)


def _every(tests: list[EventTest]) -> EventTest:
    return lambda event: all(test(event) for test in tests)


def _some(tests: list[EventTest]) -> EventTest:
    return lambda event: any(test(event) for test in tests)


class _DocumentTest:
    """Tests a leaf with generated code, made when an event first needs it."""

    __slots__ = ("_cell_count", "_predicate", "_test")

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate
        self._cell_count = 0
        self._test: RowTest | None = None

    def __call__(self, event: ReadEvent) -> bool:
        test = self._test or self._compiled()
        return test([None] * self._cell_count, event.read_document())

    def _compiled(self) -> RowTest:
        cells = CellTable()
        code = PredicateCode(cells)
        name = code.add(self._predicate)
        self._test = code.compiled()[name]
        self._cell_count = len(cells)
        return self._test
