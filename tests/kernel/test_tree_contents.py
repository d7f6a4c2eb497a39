"""What a tree consists of: what walking through it finds, and found once."""

from __future__ import annotations

import copy
import pickle

from hypothesis import given

from kestrel_framework._tree_node import Contents
from kestrel_framework.predicate import (
    AnyElement,
    Call,
    Comparison,
    ComparisonOperator,
    Element,
    ElementCount,
    Field,
    IsNull,
    Lineage,
    Literal,
    Node,
    Not,
    Or,
    Predicate,
    StepField,
    Truth,
)
from kestrel_framework.predicate_traversal import contents_of, walk
from kestrel_framework.schema import FieldType
from kestrel_framework.testing.strategies import predicates

MORE_THAN_VALUES = (StepField, Lineage, AnyElement, ElementCount, Truth, Call)
LISTED = Field("listed", FieldType.LONG)


def walked(node: Node) -> Contents:
    """Return what a tree consists of, the slow way."""
    kinds: set[type] = set()
    paths: set[str] = set()
    structures: set[str] = set()
    for part in walk(node):
        if isinstance(part, MORE_THAN_VALUES):
            kinds.add(type(part))
        if isinstance(part, Field):
            paths.add(part.path)
            if part.whole:
                structures.add(part.path)
        if isinstance(part, (IsNull, AnyElement, ElementCount)):
            field = part.value if isinstance(part, IsNull) else part.array
            if isinstance(field, Field) and field.type in (None, FieldType.OBJECT):
                structures.add(field.path)
    return Contents(frozenset(kinds), frozenset(paths), frozenset(structures))


@given(predicates())
def test_contents_are_what_walking_finds(predicate: Predicate) -> None:
    assert contents_of(predicate) == walked(predicate)
    for part in walk(predicate):
        assert contents_of(part) == walked(part)


def test_each_kind_counts_where_it_stands() -> None:
    inner = Comparison(ComparisonOperator.EQUAL, Element("x"), StepField(0, "earlier"))
    tree = Or((IsNull(Field("a")), IsNull(LISTED), Not(AnyElement(LISTED, "x", inner))))
    assert contents_of(tree) == Contents(
        frozenset({AnyElement, StepField}), frozenset({"a", "listed"}), frozenset({"a"})
    )
    whole = Comparison(ComparisonOperator.EQUAL, Field("b", whole=True), Literal(1))
    assert contents_of(whole).structures == {"b"}


def test_what_reads_nothing_has_no_contents() -> None:
    assert contents_of(Literal(1)) == contents_of(Or(())) == walked(Or(()))


def test_what_is_known_of_a_node_is_no_part_of_it() -> None:
    asked, other = Not(IsNull(Field("a"))), Not(IsNull(Field("a")))
    contents_of(asked)
    assert asked == other
    assert hash(asked) == hash(other)
    assert repr(asked) == repr(other)
    for copied in (copy.copy(asked), copy.deepcopy(asked), pickle.loads(pickle.dumps(asked))):
        assert copied == other
        assert contents_of(copied) == walked(other)


def test_nodes_share_what_is_known_of_the_one_inside() -> None:
    field = Field("a")
    assert contents_of(Not(Comparison(ComparisonOperator.EQUAL, field, Literal(1)))) is (
        contents_of(field)
    )
