"""What tells processes apart: ids of bounded size, whatever an event says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics
from kestrel_framework.interpreter import entries, split_path
from kestrel_framework.predicate import Field
from kestrel_framework.schema import FieldType
from kestrel_framework.values import LARGEST_INTEGER, SMALLEST_INTEGER

ProcessId: TypeAlias = str | int | float
"""A number; an ASCII text of at most `LONGEST_TEXT` characters; or the digest of any other text."""

IdReader: TypeAlias = Callable[[object, int], ProcessId | None]
"""Returns the id that a raw value of an event gives; the number says which event it is."""

LONGEST_TEXT: Final = 128
_DIGEST: Final = "§"  # not ASCII, so that no text is taken for a digest


def process_id_reader(
    field: Field, report: Callable[[str, str, int], None], statistics: LineageStatistics
) -> IdReader:
    """Return what reads the id that a field of an event gives.

    An id is one text, not empty, or one number. Anything else that stands there is reported,
    and taken as no id. The usual shapes of events are read quickly.

    Args:
        field: Where the id stands.
        report: Told the cause and the sentence of what is no id, and which event has it.
        statistics: Where long ids are counted.
    """
    parts = split_path(field.path)
    null_is_missing = field.null_value is None
    takes_texts = texts_are_ids(field)
    takes_integers = field.type in (None, FieldType.LONG)

    def read(value: object, event: int) -> ProcessId | None:
        if type(value) is str:
            if takes_texts and 0 < len(value) <= LONGEST_TEXT and value.isascii():
                return value
        elif type(value) is int:
            if takes_integers and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
                return value
        elif value is msgspec.UNSET or (value is None and null_is_missing):
            return None
        return read_any(value, event)

    def read_any(value: object, event: int) -> ProcessId | None:
        document: object = value
        for part in reversed(parts):
            document = {part: document}
        found = entries(field, document)
        if not found:
            return None
        first = found[0]
        if isinstance(first, (bool, Mapping)) or any(other != first for other in found):
            problem = f"`{field.path}` names no process: it is neither one text nor one number"
            report("odd_process_id", problem, event)
            return None
        if not isinstance(first, str):
            return first
        if len(first) > LONGEST_TEXT:
            statistics.long_ids += 1
        return _bounded(first)

    return read


def texts_are_ids(field: Field) -> bool:
    """Say whether a short ASCII text that stands in a field is its id as it is."""
    return field.type in (None, FieldType.KEYWORD)


def _bounded(text: str) -> ProcessId | None:
    """Return a text as an id: itself, its digest if it is long or not ASCII, or None if empty."""
    if len(text) <= LONGEST_TEXT and text.isascii():
        return text or None
    return _DIGEST + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
