"""Texts, numbers and booleans: which of them a value can be, and tests of which it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, assert_never

from kestrel_eql.truths import null_test
from kestrel_framework import predicate as tree
from kestrel_framework.functions import Function
from kestrel_framework.predicate import ComparisonOperator, Predicate, TextPart, Value
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Kind, kind_of

KINDS: Final[frozenset[Kind]] = frozenset({"text", "number", "boolean"})

_WORDS: Final[dict[Kind, str]] = {"text": "a text", "number": "a number", "boolean": "a boolean"}
_OF_TYPES: Final[dict[FieldType, Kind]] = {
    FieldType.KEYWORD: "text",
    FieldType.IP: "text",
    FieldType.VERSION: "text",
    FieldType.LONG: "number",
    FieldType.DOUBLE: "number",
    FieldType.DATE: "number",
    FieldType.BOOLEAN: "boolean",
}
_NUMBERS: Final = (Function.LENGTH, Function.INDEX_OF, Function.NUMBER)


def kinds_of(value: Value) -> frozenset[Kind]:
    """Return the kinds that the values of a node can have; none for null."""
    match value:
        case tree.Literal(value=None):
            return frozenset()
        case tree.Literal(value=known):
            assert known is not None
            return frozenset({kind_of(known)})
        case tree.Field() | tree.StepField() | tree.Element():
            kind = None if value.type is None else _OF_TYPES.get(value.type)
            return KINDS if kind is None else frozenset({kind})
        case tree.Call():
            return frozenset({"number" if value.function in _NUMBERS else "text"})
        case tree.Arithmetic() | tree.ElementCount():
            return frozenset({"number"})
        case tree.Truth():
            return frozenset({"boolean"})
    assert_never(value)


def in_words(kinds: Iterable[Kind]) -> str:
    """Return kinds as a sentence names them: `a number or a text`."""
    return " or ".join(_WORDS[kind] for kind in sorted(kinds))


@lru_cache(maxsize=256)  # a list of fields asks for the same of its left side, again and again
def kind_test(value: Value, kind: Kind) -> Predicate:
    """Return whether a value is of a kind."""
    kinds = kinds_of(value)
    if kind not in kinds:
        return tree.NEVER
    if isinstance(value, tree.Literal):
        return tree.ALWAYS
    if len(kinds) == 1 and not _may_be_list(value):
        return tree.negation(null_test(value))
    match kind:
        case "text":
            return tree.TextTest(TextPart.PREFIX, value, tree.Literal(""))
        case "number":
            least = tree.Literal(float("-inf"))
            return tree.Comparison(ComparisonOperator.GREATER_OR_EQUAL, value, least)
        case "boolean":
            return tree.Membership(value, (tree.Literal(True), tree.Literal(False)))
    assert_never(kind)


def same_kind(left: Value, right: Value) -> Predicate:
    """Return whether two values are of one kind; lists are a kind of their own."""
    terms = [_both(left, right, kind) for kind in sorted(kinds_of(left) & kinds_of(right))]
    if _may_be_list(left) and _may_be_list(right):
        terms.append(tree.all_of((_list_test(left), _list_test(right))))
    return tree.any_of(terms)


def same_ordered_kind(left: Value, right: Value) -> Predicate:
    """Return whether two values are of one kind that has an order."""
    kinds = kinds_of(left) & kinds_of(right) - {"boolean"}
    return tree.any_of(_both(left, right, kind) for kind in sorted(kinds))


def _both(left: Value, right: Value, kind: Kind) -> Predicate:
    return tree.all_of((kind_test(left, kind), kind_test(right, kind)))


@lru_cache(maxsize=256)
def _list_test(value: Value) -> Predicate:
    known = (null_test(value), *(kind_test(value, kind) for kind in sorted(KINDS)))
    return tree.negation(tree.any_of(known))


def _may_be_list(value: Value) -> bool:
    return isinstance(value, tree.Field) and value.whole
