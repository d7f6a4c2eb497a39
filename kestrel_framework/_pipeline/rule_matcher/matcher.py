"""The matcher: for each row, the conditions of all rules that hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.flow import Candidate, Row, Target
from kestrel_framework._pipeline.over_approximation import decided_by_event
from kestrel_framework._pipeline.rule_matcher.field_index import Anchor, best_anchors
from kestrel_framework._pipeline.rule_matcher.predicate_code import PredicateCode, RowTest
from kestrel_framework._pipeline.rule_matcher.row_cells import Cells, CellTable
from kestrel_framework.event import Document
from kestrel_framework.predicate import NEVER, Predicate
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.values import Scalar

_MOST_SELECTIONS_KEPT: Final = 1024

_Tests: TypeAlias = tuple[tuple[int, RowTest], ...]
"""Target numbers, ascending, with the tests of their predicates."""


@attrs.frozen
class _Group:
    """The targets that look at the same event types.

    Attributes:
        event_types: Those types; empty is every event.
        indexes: For a cell, which tests are worth asking if it has a certain text.
        always: The tests to ask about every event of these types.
        code: The generated source, for people.
    """

    event_types: frozenset[str]
    indexes: tuple[tuple[int, Mapping[Scalar, _Tests]], ...]
    always: _Tests
    code: str


class RuleMatcher:
    """Tests all conditions of a rule set together.

    What it returns over-approximates in two cases: of a `Program` it decides only the
    prefilter, and a leaf that reads an earlier step's event, or asks for lineage, counts
    as held. Otherwise it is exact. Generated code, and so not picklable.

    Args:
        targets: The conditions; their places are their numbers.
        schema: The schema the rules were compiled with. Rows come with the
            ancestors of their event types, so that only its fields count here.
    """

    def __init__(self, targets: Sequence[Target], schema: SchemaRegistry) -> None:
        self._cells = CellTable()
        self._groups = self._compiled(targets)
        self._selections: dict[frozenset[str], tuple[_Group, ...]] = {}
        types = (group.event_types for group in self._groups)
        self._known_types = frozenset[str]().union(*types)

    def candidates(self, rows: Sequence[Row]) -> list[Candidate]:
        """Return the rows that satisfy a target, in order, with the targets they satisfy.

        Cost: a few microseconds for each group of targets that look at the row's event
        types, plus what those cost that the index cannot rule out.
        """
        found = []
        cell_count = len(self._cells)
        for row in rows:
            cells: Cells = [None] * cell_count
            targets: list[int] = []
            for group in self._groups_for(row.event_types):
                self._match(group, cells, row.document, targets)
            if targets:
                found.append(Candidate(row, sorted(set(targets))))
        return found

    def source(self) -> str:
        """Return the generated source with what its names stand for, for people."""
        cells = "\n".join(f"# {line}" for line in self._cells.legend())
        return "\n\n".join([cells, *(group.code for group in self._groups)])

    def _match(self, group: _Group, cells: Cells, document: Document, targets: list[int]) -> None:
        for number, index in group.indexes:
            values = cells[number]
            if values is None:
                values = self._cells.readers[number](cells, document)
            for value in values:
                for target, test in index.get(value, ()):
                    if test(cells, document):
                        targets.append(target)
        for target, test in group.always:
            if test(cells, document):
                targets.append(target)

    def _groups_for(self, event_types: frozenset[str]) -> tuple[_Group, ...]:
        known = event_types & self._known_types
        selection = self._selections.get(known)
        if selection is None:
            selection = tuple(
                group
                for group in self._groups
                if group.event_types == ANY_EVENT or group.event_types & known
            )
            if len(self._selections) < _MOST_SELECTIONS_KEPT:
                self._selections[known] = selection
        return selection

    def _compiled(self, targets: Sequence[Target]) -> tuple[_Group, ...]:
        groups: dict[frozenset[str], list[tuple[int, Predicate]]] = {}
        for number, target in enumerate(targets):
            predicate = decided_by_event(target.condition)
            if predicate != NEVER:
                groups.setdefault(target.event_types, []).append((number, predicate))
        return tuple(self._group(types, members) for types, members in groups.items())

    def _group(
        self, event_types: frozenset[str], members: Sequence[tuple[int, Predicate]]
    ) -> _Group:
        code = PredicateCode(self._cells)
        names = [code.add(predicate) for _, predicate in members]
        anchors = best_anchors([predicate for _, predicate in members])
        tests = code.compiled()
        always = []
        indexes: dict[int, dict[Scalar, list[tuple[int, RowTest]]]] = {}
        for (number, _), name, anchor in zip(members, names, anchors, strict=True):
            if anchor is None:
                always.append((number, tests[name]))
                continue
            index = indexes.setdefault(self._cells.number(anchor.field, anchor.form), {})
            for text in anchor.texts:
                index.setdefault(text, []).append((number, tests[name]))
        frozen = {
            cell: {text: tuple(some) for text, some in index.items()}
            for cell, index in indexes.items()
        }
        code_text = _described(event_types, members, names, anchors, code)
        return _Group(event_types, tuple(frozen.items()), tuple(always), code_text)


def _described(
    event_types: frozenset[str],
    members: Sequence[tuple[int, Predicate]],
    names: Sequence[str],
    anchors: Sequence[Anchor | None],
    code: PredicateCode,
) -> str:
    types = ", ".join(ascii(name) for name in sorted(event_types)) or "every event"
    lines = [f"# --- {types}"]
    for (number, _), name, anchor in zip(members, names, anchors, strict=True):
        where = f", if {anchor.field.path} is one of {len(anchor.texts)}" if anchor else ""
        lines.append(f"# target {number}: {name}(c, d){ascii(where)[1:-1]}")
    return "\n".join([*lines, "", code.source(), *(f"# {line}" for line in code.legend())])
