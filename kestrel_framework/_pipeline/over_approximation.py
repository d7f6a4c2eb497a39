"""What of a condition can be decided before everything it asks for is known."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Constant,
    Lineage,
    Not,
    Or,
    Predicate,
    StepField,
    all_of,
    any_of,
    negation,
)
from kestrel_framework.predicate_traversal import contents_of
from kestrel_framework.rule import Condition, Program

_Unknown: TypeAlias = frozenset[type[StepField] | type[Lineage]]

_LINEAGE: Final[_Unknown] = frozenset({Lineage})
_EARLIER_STEPS: Final[_Unknown] = frozenset({StepField})
_OTHER_EVENTS: Final = _LINEAGE | _EARLIER_STEPS


def expression_of(condition: Condition) -> Predicate:
    """Return what the kernel decides of a condition: of a program, its prefilter."""
    if isinstance(condition, Program):
        return condition.prefilter or ALWAYS
    return condition


def decided_by_event(condition: Condition) -> Predicate:
    """Return a predicate without what other events decide, that holds wherever `condition` may.

    A program is its prefilter. A leaf that reads an earlier step's event, or asks
    for lineage, counts as held, under a `Not` as not held.
    """
    return _without(expression_of(condition), _OTHER_EVENTS)


def decided_by_lineage(condition: Condition) -> Predicate:
    """Return what is left to decide once `decided_by_event` of it holds, and lineage is known.

    It holds wherever `condition` may; exactly there, if that reads no earlier steps.
    """
    predicate = _without(expression_of(condition), _EARLIER_STEPS)
    terms = predicate.terms if isinstance(predicate, And) else (predicate,)
    return all_of(term for term in terms if _asks(term, _LINEAGE))


def where_no_lineage_holds(condition: Condition) -> Predicate | None:
    """Return what `condition` means where no `Lineage` in it holds, or None if that is not simple.

    Not simple are conditions in which lineage is part of a value.
    """
    refuted = _refuted(expression_of(condition))
    return None if _asks(refuted, _LINEAGE) else refuted


def _refuted(predicate: Predicate) -> Predicate:
    match predicate:
        case And():
            return all_of(_refuted(term) for term in predicate.terms)
        case Or():
            return any_of(_refuted(term) for term in predicate.terms)
        case Not():
            return negation(_refuted(predicate.term))
        case AnyElement():
            return attrs.evolve(predicate, predicate=_refuted(predicate.predicate))
        case Lineage():
            return NEVER
        case _:
            return predicate


def _without(predicate: Predicate, unknown: _Unknown) -> Predicate:
    return _approximated(predicate, unknown, ALWAYS) if _asks(predicate, unknown) else predicate


def _asks(predicate: Predicate, unknown: _Unknown) -> bool:
    return not unknown.isdisjoint(contents_of(predicate).kinds)


def _approximated(predicate: Predicate, unknown: _Unknown, verdict: Constant) -> Predicate:
    match predicate:
        case And():
            return all_of(_approximated(term, unknown, verdict) for term in predicate.terms)
        case Or():
            return any_of(_approximated(term, unknown, verdict) for term in predicate.terms)
        case Not():
            opposite = NEVER if verdict is ALWAYS else ALWAYS
            return negation(_approximated(predicate.term, unknown, opposite))
        case AnyElement():
            inner = _approximated(predicate.predicate, unknown, verdict)
            return attrs.evolve(predicate, predicate=inner)
        case _:
            return verdict if _asks(predicate, unknown) else predicate
