"""What of a condition an event alone can decide."""

from __future__ import annotations

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
from kestrel_framework.predicate_traversal import walk
from kestrel_framework.rule import Condition, Program


def decided_by_event(condition: Condition) -> Predicate:
    """Return a predicate without what other events decide, that holds wherever `condition` may.

    A program is its prefilter. A leaf that reads an earlier step's event, or asks
    for lineage, counts as held, under a `Not` as not held.
    """
    if isinstance(condition, Program):
        return decided_by_event(condition.prefilter or ALWAYS)
    return _without_others(condition, ALWAYS) if needs_other_events(condition) else condition


def needs_other_events(predicate: Predicate) -> bool:
    """Say whether more than the event at hand decides."""
    return any(isinstance(node, (StepField, Lineage)) for node in walk(predicate))


def _without_others(predicate: Predicate, unknown: Constant) -> Predicate:
    match predicate:
        case And():
            return all_of(_without_others(term, unknown) for term in predicate.terms)
        case Or():
            return any_of(_without_others(term, unknown) for term in predicate.terms)
        case Not():
            opposite = NEVER if unknown is ALWAYS else ALWAYS
            return negation(_without_others(predicate.term, opposite))
        case AnyElement():
            return attrs.evolve(predicate, predicate=_without_others(predicate.predicate, unknown))
        case _:
            return unknown if needs_other_events(predicate) else predicate
