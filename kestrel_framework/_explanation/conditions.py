"""Which parts of a condition hold for an event, and what the event has at their fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from kestrel_framework.event import Document, read_path
from kestrel_framework.interpreter import holds, split_path
from kestrel_framework.predicate import And, Field, Lineage, Not, Or, Predicate
from kestrel_framework.predicate_text import predicate_text
from kestrel_framework.predicate_traversal import walk


@attrs.frozen
class ConditionReport:
    """A condition, and whether it holds for an event.

    Attributes:
        text: What it says, on one line; of one with terms only how they are joined.
        holds: Whether it does.
        values: What the event has at the fields it reads, by path; nothing for one with terms.
        terms: Its parts.
    """

    text: str
    holds: bool
    values: Mapping[str, tuple[object, ...]] = attrs.field(factory=dict)
    terms: Sequence[ConditionReport] = ()

    @property
    def failing(self) -> int:
        """How many elementary conditions would have to change, at least, for it to hold."""
        if self.holds:
            return 0
        if not self.terms:
            return 1
        missing = [term.failing for term in self.terms]
        if self.text == _ALL:
            return sum(missing)
        return min(missing) if self.text == _ANY else 1


_ALL = "all of"
_ANY = "any of"
_NONE = "none of"


def explained(
    condition: Predicate, document: Document, lineage: Collection[Lineage] = ()
) -> ConditionReport:
    """Return which parts of a condition hold.

    Args:
        condition: Without references to earlier steps; those have no events here.
        document: The event.
        lineage: The `Lineage` nodes that hold for it.
    """
    verdict = holds(condition, document, lineage=lineage)
    match condition:
        case And():
            terms = [explained(term, document, lineage) for term in condition.terms]
            return ConditionReport(_ALL, verdict, terms=terms)
        case Or():
            terms = [explained(term, document, lineage) for term in condition.terms]
            return ConditionReport(_ANY, verdict, terms=terms)
        case Not(And() | Or()):
            terms = [explained(condition.term, document, lineage)]
            return ConditionReport(_NONE, verdict, terms=terms)
    paths = sorted({node.path for node in walk(condition) if isinstance(node, Field)})
    values = {path: tuple(read_path(document, split_path(path), nulls=True)) for path in paths}
    return ConditionReport(predicate_text(condition), verdict, values)
