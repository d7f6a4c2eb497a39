"""What of a condition an event alone can decide."""

from __future__ import annotations

import attrs

from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Constant,
    Not,
    Or,
    Predicate,
    all_of,
    any_of,
    negation,
)
from kestrel_framework.predicate_traversal import steps_of
from kestrel_framework.rule import Condition, Program


def decided_by_event(condition: Condition) -> Predicate:
    """Return a predicate without programs and earlier steps that holds wherever `condition` may.

    A program is its prefilter. A leaf that reads an earlier step's event counts as
    held, under a `Not` as not held.
    """
    if isinstance(condition, Program):
        return decided_by_event(condition.prefilter or ALWAYS)
    return _without_steps(condition, ALWAYS) if steps_of(condition) else condition


def _without_steps(predicate: Predicate, unknown: Constant) -> Predicate:
    match predicate:
        case And():
            return all_of(_without_steps(term, unknown) for term in predicate.terms)
        case Or():
            return any_of(_without_steps(term, unknown) for term in predicate.terms)
        case Not():
            opposite = NEVER if unknown is ALWAYS else ALWAYS
            return negation(_without_steps(predicate.term, opposite))
        case AnyElement():
            return attrs.evolve(predicate, predicate=_without_steps(predicate.predicate, unknown))
        case _:
            return unknown if steps_of(predicate) else predicate
