"""What keeps a residual from being conditions on fields, for people."""

from __future__ import annotations

import enum
from collections.abc import Callable

from kestrel_framework._clauses import path_of
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Call,
    ElementCount,
    Field,
    Not,
    Or,
    Predicate,
    Truth,
)
from kestrel_framework.predicate_traversal import fields_of, walk


class ResidualKind(enum.Enum):
    """Why something is a residual instead of a condition on a field."""

    SEVERAL_FIELDS = "compares fields with each other"
    ELEMENTS = "asks about the elements of a list one by one"
    THREE_VALUED = "takes a condition as a value"
    LENGTH = "asks for the length of a whole list"
    POSITION = "reads one position of a list"
    OBJECT = "reads an object whose keys are fields too"
    ALTERNATIVES = "has alternatives on different fields"
    NO_FIELD = "reads no field"


def residual_kinds(
    predicate: Predicate, is_indexed: Callable[[str], bool]
) -> frozenset[ResidualKind]:
    """Return what keeps a residual from being conditions on fields.

    Args:
        predicate: The residual of a clause.
        is_indexed: Whether conditions on a path are separate where they can be.
    """
    terms = predicate.terms if isinstance(predicate, And) else (predicate,)
    found: set[ResidualKind] = set()
    for term in terms:
        found |= _leaf_kinds(term, is_indexed) or {ResidualKind.ALTERNATIVES}
    return frozenset(found)


def _leaf_kinds(predicate: Predicate, is_indexed: Callable[[str], bool]) -> set[ResidualKind]:
    match predicate:
        case And() | Or():
            kinds = (_leaf_kinds(term, is_indexed) for term in predicate.terms)
            return set().union(*kinds)
        case Not():
            return _leaf_kinds(predicate.term, is_indexed)
        case _:
            return (
                set() if path_of(predicate, is_indexed) else _kinds_of_leaf(predicate, is_indexed)
            )


def _kinds_of_leaf(leaf: Predicate, is_indexed: Callable[[str], bool]) -> set[ResidualKind]:
    found = set()
    paths = fields_of(leaf)
    for node in walk(leaf):
        match node:
            case AnyElement() | ElementCount():
                found.add(ResidualKind.ELEMENTS)
            case Truth():
                found.add(ResidualKind.THREE_VALUED)
            case Call() if any(isinstance(item, Field) and item.whole for item in node.arguments):
                found.add(ResidualKind.LENGTH)
            case Field() if not is_indexed(node.path):
                has_position = any(isinstance(part, int) for part in split_path(node.path))
                found.add(ResidualKind.POSITION if has_position else ResidualKind.OBJECT)
    if len(paths) > 1:
        found.add(ResidualKind.SEVERAL_FIELDS)
    return found if paths else found | {ResidualKind.NO_FIELD}
