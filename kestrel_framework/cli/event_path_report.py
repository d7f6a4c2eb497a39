"""The way of one event through the matcher, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from kestrel_framework._pipeline.rule_matcher.inspection import Look, MatcherInspection
from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf, OfEventType
from kestrel_framework.cli.target_names import TargetName, TargetNames
from kestrel_framework.cli.traced_events import DecodingWay, TracedEvent
from kestrel_framework.predicate_text import predicate_text, text_of_literal

_LONGEST_VALUE: Final = 100
_LONGEST_PREDICATE: Final = 120
_LONGEST_IN_JSON: Final = 1000
_SHOWN: Final = 5
_DEEPEST: Final = 20
_IMMENSE: Final = 10**400
_CUT: Final = "..."
_HEAD: Final = ("NODE", "CLAUSES", "RULES OUT", "FIELD, AND WHICH CONDITIONS IT SATISFIES")


class EventPathReport:
    """Says what became of events.

    Args:
        inspection: Of the matcher.
        names: Of its conditions.
    """

    def __init__(self, inspection: MatcherInspection, names: TargetNames) -> None:
        self._target_of = [one.target for one in inspection.clauses]
        self._names = names

    def as_json(self, traced: TracedEvent) -> dict[str, object]:
        """Return everything as one object."""
        names = self._names
        return {
            "origin": traced.origin,
            "line": traced.line,
            "decoding": traced.way.value,
            "why_slow": traced.why_slow or None,
            "keys_learned": list(traced.learned),
            "clauses": len(self._target_of),
            "looks": [
                {
                    "node": look.node,
                    "field": look.path,
                    "value": _value_or_none(look.value),
                    "satisfied": [leaf_text(leaf) for leaf in look.satisfied],
                    "clauses_before": len(look.before),
                    "clauses_after": len(look.after),
                    "rules_ruled_out": self._ruled_out(look),
                    "for_residuals": look.for_residuals,
                }
                for look in traced.path.looks
            ],
            "residuals": [
                {
                    **_name_object(names[clause.target]),
                    "predicate": predicate_text(clause.clause.residual),
                    "holds": holds,
                    "tested_for_each_event": clause.target in traced.path.tested,
                }
                for clause, holds in traced.path.residuals
            ],
            "holds": [
                {
                    **_name_object(names[target]),
                    "decided_later_by": names[target].decided_later or None,
                }
                for target in traced.path.targets
            ],
        }

    def as_lines(self, traced: TracedEvent) -> Iterator[str]:
        """Yield the lines of a text; what events and rules say in it is not yet escaped."""
        yield f"{traced.origin}:{traced.line}"
        yield f"  {_decoding_text(traced)}"
        yield ""
        yield from self._look_lines(traced.path.looks)
        for clause, holds in traced.path.residuals:
            verdict = "holds" if holds else "does not hold"
            tested = ", tested for each event anew" if clause.target in traced.path.tested else ""
            yield f"  residual of {self._names[clause.target]} {verdict}{tested}"
            yield f"      {predicate_text(clause.clause.residual, _LONGEST_PREDICATE)}"
        if not traced.path.targets:
            yield "  nothing holds"
        for target in traced.path.targets:
            name = self._names[target]
            if name.decided_later:
                yield f"  may hold: {name}; {name.decided_later} will decide"
            else:
                yield f"  holds: {name}"

    def _look_lines(self, looks: Sequence[Look]) -> Iterator[str]:
        if not looks:
            return
        rows = [
            (
                f"{look.node}",
                f"{len(look.before):,} -> {len(look.after):,}",
                f"{self._ruled_out(look):,}",
            )
            for look in looks
        ]
        widths = [max(map(len, column)) for column in zip(_HEAD[:3], *rows, strict=True)]
        yield _row(_HEAD[:3], widths, _HEAD[3])
        for look, row in zip(looks, rows, strict=True):
            seen = f"{look.path} = {value_text(look.value, _LONGEST_VALUE)}"
            yield _row(row, widths, f"{seen}, for residuals" if look.for_residuals else seen)
            indent = " " * (sum(widths) + 12)
            for leaf in look.satisfied[:_SHOWN]:
                yield f"{indent}{leaf_text(leaf, _LONGEST_PREDICATE)}"
            left_out = len(look.satisfied) - _SHOWN
            if left_out > 0:
                yield f"{indent}and {left_out:,} more conditions"

    def _ruled_out(self, look: Look) -> int:
        before, after = (
            self._names.rules_of(self._target_of[clause] for clause in clauses)
            for clauses in (look.before, look.after)
        )
        return len(before - after)


def _row(cells: Sequence[str], widths: Sequence[int], last: str) -> str:
    (node, clauses, rules), (first, second, third) = cells, widths
    return f"  {node:>{first}}  {clauses:<{second}}  {rules:>{third}}  {last}"


def _name_object(name: TargetName) -> dict[str, object]:
    return {"rule_id": name.rule_id, "rule_name": name.rule_name, "part": name.part or None}


def leaf_text(leaf: Leaf, longest: int | None = None) -> str:
    """Return an elementary condition as one line of at most `longest` characters."""
    if isinstance(leaf, OfEventType):
        return f"type of event: {' or '.join(sorted(leaf.event_types))}"
    return predicate_text(leaf, longest)


def value_text(raw: object, longest: int) -> str:
    """Return what an event has at a path, as JSON is written, at most `longest` characters.

    Cost: linear in what is returned, however large the value is.
    """
    if raw is msgspec.UNSET:
        return "(absent)"
    pieces = []
    room = longest
    for piece in _value_pieces(raw, longest, _DEEPEST):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            return "".join(pieces)[: longest - len(_CUT)] + _CUT
    return "".join(pieces)


def _value_or_none(raw: object) -> str | None:
    return None if raw is msgspec.UNSET else value_text(raw, _LONGEST_IN_JSON)


def _value_pieces(raw: object, longest: int, levels: int) -> Iterator[str]:
    if levels == 0:
        yield _CUT
        return
    match raw:
        case str():
            yield text_of_literal(raw, longest)
        case list() | tuple():
            yield "["
            for number, item in enumerate(raw):
                yield ", " if number else ""
                yield from _value_pieces(item, longest, levels - 1)
            yield "]"
        case Mapping():
            yield "{"
            for number, (key, item) in enumerate(raw.items()):
                yield f"{', ' if number else ''}{text_of_literal(str(key), longest)}: "
                yield from _value_pieces(item, longest, levels - 1)
            yield "}"
        case int() if abs(raw) >= _IMMENSE:
            yield "(an immense number)"
        case _:
            yield json.dumps(raw, default=str)


def _decoding_text(traced: TracedEvent) -> str:
    match traced.way:
        case DecodingWay.QUICK:
            return "decoded the quick way"
        case DecodingWay.LEARNING if not traced.learned:
            return "decoded the slow way once, to learn its shape"
        case DecodingWay.LEARNING:
            shown = ", ".join(traced.learned[:_SHOWN])
            left_out = len(traced.learned) - _SHOWN
            more = f" and {left_out:,} more" if left_out > 0 else ""
            return f"decoded the slow way once, to learn keys that no rule reads: {shown}{more}"
        case DecodingWay.SLOW:
            return f"decoded the slow way each time: {traced.why_slow}"
