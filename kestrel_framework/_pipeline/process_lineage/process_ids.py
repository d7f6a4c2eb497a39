"""What tells processes apart: ids of bounded size, whatever an event says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from kestrel_framework._pipeline.flow import Problem, Row
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics
from kestrel_framework.interpreter import entries, split_path
from kestrel_framework.predicate import Field
from kestrel_framework.schema import FieldType
from kestrel_framework.values import LARGEST_INTEGER, SMALLEST_INTEGER

ProcessId: TypeAlias = str | int | float
"""A number; an ASCII text of at most `LONGEST_TEXT` characters; or the digest of any other text."""

LONGEST_TEXT: Final = 128
_DIGEST: Final = "§"  # not ASCII, so that no text is taken for a digest


class ProcessIdReader:
    """Reads the id that a field of an event gives.

    An id is one text, not empty, or one number. Anything else that stands there is reported,
    and taken as no id.

    Args:
        field: Where the id stands.
        report: Told what is no id.
        statistics: Where long ids are counted; shared.
    """

    def __init__(
        self, field: Field, report: Callable[[Problem], None], statistics: LineageStatistics
    ) -> None:
        self._field = field
        self._report = report
        self._statistics = statistics
        self._path = split_path(field.path)
        self._null_is_missing = field.null_value is None
        self._takes_texts = field.type in (None, FieldType.KEYWORD)
        self._takes_integers = field.type in (None, FieldType.LONG)

    @property
    def path(self) -> str:
        """The path of the field."""
        return self._field.path

    def read(self, row: Row) -> ProcessId | None:
        """Return the id in an event, or None. The usual shapes of events are read quickly."""
        value: object = row.document
        for part in self._path:
            if type(value) is not dict:
                break
            value = value.get(part)
        else:
            if type(value) is str:
                if self._takes_texts and 0 < len(value) <= LONGEST_TEXT and value.isascii():
                    return value
            elif (
                type(value) is int
                and self._takes_integers
                and SMALLEST_INTEGER <= value <= LARGEST_INTEGER
            ):
                return value
        if value is None and self._null_is_missing:
            return None
        return self._read_any(row)

    def _read_any(self, row: Row) -> ProcessId | None:
        found = entries(self._field, row.document)
        if not found:
            return None
        first = found[0]
        if isinstance(first, (bool, Mapping)) or any(other != first for other in found):
            problem = f"`{self.path}` names no process: it is neither one text nor one number"
            place = f"{row.stream}#{row.offset}"
            self._report(Problem("odd_process_id", problem, place, skipped=False))
            return None
        return self._of_text(first) if isinstance(first, str) else first

    def _of_text(self, text: str) -> ProcessId | None:
        if len(text) <= LONGEST_TEXT and text.isascii():
            return text or None
        if len(text) > LONGEST_TEXT:
            self._statistics.long_ids += 1
        return _DIGEST + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
