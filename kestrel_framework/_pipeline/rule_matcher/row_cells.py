"""The fields of a row as generated code reads them: each once, when first needed.

The cells of a row are a list, `None` where a field is not read yet. A cell holds the
values of one field in one form, as a tuple.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
import msgspec

from kestrel_framework._pipeline.event_decoder import RawReader
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent
from kestrel_framework.interpreter import field_values, split_path
from kestrel_framework.predicate import Field
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Scalar, fold_case, text_of

Values: TypeAlias = Sequence[Scalar]
Cells: TypeAlias = list[Values | None]
CellReader: TypeAlias = Callable[[Cells, ReadEvent], Values]

_TEXT_TYPES = (FieldType.KEYWORD, FieldType.IP, FieldType.VERSION)
_OWN_TYPES = (None, FieldType.OBJECT)


class CellForm(enum.Enum):
    """What a cell holds: values, values as texts, or either with case folded."""

    VALUES = "values"
    TEXTS = "texts"
    FOLDED = "folded"
    FOLDED_TEXTS = "folded texts"


@attrs.frozen
class Cell:
    """One field in one form."""

    field: Field
    form: CellForm


class CellTable:
    """Numbers the cells that some predicates use.

    Args:
        raw_readers: Reads from a view what is there at the paths that views hold.
    """

    def __init__(self, raw_readers: Mapping[str, RawReader]) -> None:
        self._raw_readers = raw_readers
        self._numbers: dict[Cell, int] = {}
        self.readers: list[CellReader] = []

    def __len__(self) -> int:
        return len(self.readers)

    def number(self, field: Field, form: CellForm) -> int:
        """Return the number of a cell, which is new or known."""
        cell = Cell(attrs.evolve(field, whole=False), simplest_form(field, form))
        known = self._numbers.get(cell)
        if known is not None:
            return known
        if cell.form is CellForm.VALUES:
            read_raw = self._raw_readers.get(field.path)
            if read_raw is None:
                return self._added(cell, lambda number: _document_reader(number, cell.field))
            return self._added(cell, lambda number: _view_reader(number, cell.field, read_raw))
        source = self.number(field, CellForm.VALUES)
        convert = FORMS[cell.form]
        return self._added(
            cell,
            lambda number: _converting_reader(number, source, self.readers[source], convert),
        )

    def _added(self, cell: Cell, make_reader: Callable[[int], CellReader]) -> int:
        number = len(self.readers)
        self._numbers[cell] = number
        self.readers.append(make_reader(number))
        return number


def simplest_form(field: Field, form: CellForm) -> CellForm:
    """Return the form with the same content that costs least: a keyword is its text."""
    if field.type in _TEXT_TYPES:
        same = {CellForm.TEXTS: CellForm.VALUES, CellForm.FOLDED_TEXTS: CellForm.FOLDED}
        return same.get(form, form)
    if field.type not in _OWN_TYPES and form is CellForm.FOLDED:
        return CellForm.VALUES
    return form


def texts(values: Values) -> Values:
    """Return values as texts."""
    return tuple([text_of(value) for value in values])


def folded(values: Values) -> Values:
    """Return values with case folded in those that are texts."""
    return tuple([fold_case(value) if isinstance(value, str) else value for value in values])


def folded_texts(values: Values) -> Values:
    """Return values as texts with case folded."""
    return tuple([fold_case(text_of(value)) for value in values])


FORMS: dict[CellForm, Callable[[Values], Values]] = {
    CellForm.TEXTS: texts,
    CellForm.FOLDED: folded,
    CellForm.FOLDED_TEXTS: folded_texts,
}


def _view_reader(number: int, field: Field, read_raw: RawReader) -> CellReader:
    plain_text = field.type in (None, FieldType.OBJECT, FieldType.KEYWORD, FieldType.VERSION)
    way = split_path(field.path)

    def read(cells: Cells, event: ReadEvent) -> Values:
        raw = read_raw(event.view)
        if plain_text and type(raw) is str:
            cells[number] = result = (raw,)
            return result
        if raw is msgspec.UNSET:
            cells[number] = nothing = ()
            return nothing
        document: object = raw
        for part in reversed(way):
            document = {part: document}
        cells[number] = values = tuple(field_values(field, document))
        return values

    return read


def _document_reader(number: int, field: Field) -> CellReader:
    def read(cells: Cells, event: ReadEvent) -> Values:
        cells[number] = values = tuple(field_values(field, event.read_document()))
        return values

    return read


def _converting_reader(
    number: int, source: int, read_source: CellReader, convert: Callable[[Values], Values]
) -> CellReader:
    def read(cells: Cells, event: ReadEvent) -> Values:
        values = cells[source]
        if values is None:
            values = read_source(cells, event)
        cells[number] = converted = convert(values)
        return converted

    return read
