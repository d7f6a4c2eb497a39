"""How a matcher indexes rules, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.event_decoder import KeysOfObject
from kestrel_framework._pipeline.rule_matcher.inspection import (
    DearClause,
    Dearness,
    FieldOverview,
    InspectedClause,
    MatcherInspection,
)
from kestrel_framework.cli.target_names import TargetName, TargetNames
from kestrel_framework.predicate import ALWAYS
from kestrel_framework.predicate_text import predicate_text

_LONGEST_PREDICATE: Final = 160
_SHOWN_RULES: Final = 8
_ANY: Final = "any"
_ADVICE: Final[Mapping[Dearness, str]] = {
    Dearness.NOTHING: "ask for something that few of these events have",
    Dearness.RESIDUAL: "ask one field for a value or a pattern too, to rule out most events before",
    Dearness.EXCLUSIONS: "say what the event must have, not only what it must not",
}
_ADVICE_ON_TYPE: Final = "name the type of event instead of `any`"


@attrs.frozen
class _DearPart:
    """Clauses of one rule that are dear for the same reason and ask for the same."""

    names: tuple[TargetName, ...]
    dearness: Dearness
    clause: InspectedClause

    @property
    def conditions(self) -> list[str]:
        """What it asks of each field, by field."""
        conditions = self.clause.clause.conditions
        return [predicate_text(conditions[path]) for path in sorted(conditions)]

    @property
    def parts(self) -> list[str]:
        """Which parts of the rule it is; empty where the rule has but one."""
        return list(dict.fromkeys(name.part for name in self.names if name.part))

    @property
    def advice(self) -> str:
        """What the author can do."""
        advice = _ADVICE[self.dearness]
        return advice if self.names[0].event_types else f"{_ADVICE_ON_TYPE}, and {advice}"


class MatcherOverview:
    """What `kestrel debug matcher` says without an event.

    Args:
        inspection: Of the matcher.
        names: Of its conditions.
        rules: How many rules there are.
        keys: Which keys of events are read.
    """

    def __init__(
        self,
        inspection: MatcherInspection,
        names: TargetNames,
        rules: int,
        keys: KeysOfObject,
    ) -> None:
        self._rules = rules
        self._targets = len(names)
        self._keys = keys
        self._names = names
        self._clauses = inspection.clauses
        self._with_residual = sum(one.clause.residual != ALWAYS for one in inspection.clauses)
        self._fields = inspection.fields()
        self._bare_events = list(inspection.bare_events())
        self._dear = _dear_parts(inspection.dear_clauses(), names)
        self._residuals = inspection.residuals()

    def as_json(self) -> dict[str, object]:
        """Return everything as one object."""
        return {
            "rules": self._rules,
            "conditions": self._targets,
            "clauses": len(self._clauses),
            "clauses_with_residual": self._with_residual,
            "fields": [_field_object(field) for field in self._fields],
            "bare_events": [
                {
                    "event_type": event_type,
                    "clauses_left": len(path.looks[-1].after) if path.looks else 0,
                    "fields": [look.path for look in path.looks],
                }
                for event_type, path in self._bare_events
            ],
            "dear_clauses": [_dear_object(part) for part in self._dear],
            "residuals": [
                {"kind": kind.value, "clauses": len(clauses), "rule_ids": self._rule_ids(clauses)}
                for kind, clauses in self._residuals.items()
            ],
            "keys": _keys_object(self._keys),
        }

    def as_lines(self) -> Iterator[str]:
        """Yield the lines of a text; what rules and paths say in it is not yet escaped."""
        yield (
            f"{_count(self._rules, 'rule')}, {_count(self._targets, 'condition')}, "
            f"{_count(len(self._clauses), 'clause')}, {self._with_residual:,} with a residual"
        )
        if self._clauses:
            yield from self._field_lines()
            yield from self._bare_event_lines()
        if self._dear:
            yield from self._dear_lines()
        if self._residuals:
            yield from self._residual_lines()
        yield from ("", "Keys of events that are read; the others are passed over", "")
        yield from _table(["OBJECT", "KEYS"], [list(row) for row in _key_rows(self._keys)])

    def _field_lines(self) -> Iterator[str]:
        yield from ("", "Fields, those that rule out most first", "")
        rows = [
            [
                field.path,
                f"{field.clauses:,}",
                f"{field.selective:,}",
                ", ".join(f"{count:,} {kind.value}" for kind, count in field.kinds.items()),
            ]
            for field in self._fields
        ]
        yield from _table(["FIELD", "CLAUSES", "SELECTIVE", "ELEMENTARY CONDITIONS"], rows)

    def _bare_event_lines(self) -> Iterator[str]:
        if not self._bare_events:
            return
        yield from ("", "What is looked at in an event that has nothing but its type", "")
        rows = [
            [
                event_type,
                f"{len(path.looks[-1].after) if path.looks else 0:,}",
                ", ".join(look.path for look in path.looks),
            ]
            for event_type, path in self._bare_events
        ]
        yield from _table(["TYPE", "CLAUSES LEFT", "FIELDS"], rows)

    def _dear_lines(self) -> Iterator[str]:
        yield from ("", "Dear clauses: most events of their types go through all they ask for")
        for part in self._dear:
            first = part.names[0]
            types = " or ".join(first.event_types) or _ANY
            yield ""
            yield f"{', '.join([first.rule, *part.parts])}: {types} events"
            yield f"    {part.dearness.value}"
            conditions = part.clause.clause.conditions
            for path in sorted(conditions):
                yield f"    {predicate_text(conditions[path], _LONGEST_PREDICATE)}"
            residual = part.clause.clause.residual
            if residual != ALWAYS:
                yield f"    residual: {predicate_text(residual, _LONGEST_PREDICATE)}"
            yield f"    advice: {part.advice}"

    def _residual_lines(self) -> Iterator[str]:
        yield from ("", "Residuals: what no field decides alone; tested last", "")
        rows = []
        for kind, clauses in self._residuals.items():
            ids = self._rule_ids(clauses)
            left_out = len(ids) - _SHOWN_RULES
            shown = ", ".join(ids[:_SHOWN_RULES]) + (
                f" and {left_out} more" if left_out > 0 else ""
            )
            rows.append([kind.value, f"{len(clauses):,}", shown])
        yield from _table(["IT", "CLAUSES", "RULES"], rows)

    def _rule_ids(self, clauses: Iterable[InspectedClause]) -> list[str]:
        return sorted({self._names[one.target].rule_id for one in clauses})


def _dear_parts(clauses: Iterable[DearClause], names: TargetNames) -> list[_DearPart]:
    """Return dear clauses by rule; those that differ in the step alone are one."""
    grouped: dict[tuple[object, ...], list[DearClause]] = {}
    for dear in clauses:
        name, clause = names[dear.inspected.target], dear.inspected.clause
        asked = frozenset(clause.conditions.items()), clause.residual
        grouped.setdefault((name.rule_id, name.event_types, *asked), []).append(dear)
    parts = [
        _DearPart(
            tuple(names[dear.inspected.target] for dear in same),
            same[0].dearness,
            same[0].inspected,
        )
        for same in grouped.values()
    ]
    return sorted(parts, key=lambda part: (part.names[0].rule_id, part.clause.number))


def _dear_object(part: _DearPart) -> dict[str, object]:
    residual = part.clause.clause.residual
    return {
        "rule_id": part.names[0].rule_id,
        "rule_name": part.names[0].rule_name,
        "parts": part.parts,
        "event_types": list(part.names[0].event_types),
        "reason": part.dearness.value,
        "conditions": part.conditions,
        "residual": None if residual == ALWAYS else predicate_text(residual),
        "advice": part.advice,
    }


def _field_object(field: FieldOverview) -> dict[str, object]:
    return {
        "path": field.path,
        "clauses": field.clauses,
        "selective": field.selective,
        "elementary_conditions": {kind.value: count for kind, count in field.kinds.items()},
    }


def _keys_object(keys: KeysOfObject) -> dict[str, object]:
    return {
        "read": list(keys.read),
        "objects": {key: _keys_object(inner) for key, inner in keys.objects.items()},
        "passed_over": list(keys.passed_over),
    }


def _key_rows(keys: KeysOfObject, path: str = "") -> Iterator[tuple[str, str]]:
    if keys.read:
        yield path or "(the event)", ", ".join(keys.read)
    for key, inner in keys.objects.items():
        yield from _key_rows(inner, f"{path}.{key}" if path else key)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines with columns; numbers to the right, the last column as it is."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if _is_number(rows, column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        ]
        yield "  ".join([*cells, row[-1]]).rstrip()


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return bool(rows) and all(row[column].replace(",", "").isdigit() for row in rows)
