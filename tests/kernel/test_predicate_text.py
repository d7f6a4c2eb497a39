"""Predicates as one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    ALWAYS,
    MAX_DEPTH,
    NEVER,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Element,
    ElementCount,
    Field,
    IsNull,
    Lineage,
    LineageRelation,
    Literal,
    Membership,
    Node,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Wildcard,
)
from kestrel_framework.predicate_text import predicate_text
from kestrel_framework.predicate_traversal import fields_of
from kestrel_framework.testing.strategies import predicates

A, B = Field("a"), Field("b.c")
EQUAL = ComparisonOperator.EQUAL
A_IS_1 = Comparison(EQUAL, A, Literal(1))
B_IS_NULL = IsNull(B)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (ALWAYS, "true"),
        (NEVER, "false"),
        (A_IS_1, "a == 1"),
        (Comparison(ComparisonOperator.LESS_OR_EQUAL, A, B), "a <= b.c"),
        (Comparison(EQUAL, A, Literal("X"), fold=True), 'a ==~ "X"'),
        (Comparison(EQUAL, A, StepField(0, "a")), "a == step(1).a"),
        (Membership(A, (Literal("x"), Literal(True), Literal(None))), 'a in ("x", true, null)'),
        (Wildcard(A, ("*.exe",)), 'a like~ ("*.exe")'),
        (Wildcard(A, ("?",), fold=False), 'a like ("?")'),
        (Regex(A, (r"\d+",)), r'a regex ("\\d+")'),
        (Cidr(A, ("10.0.0.0/8",)), 'a in networks ("10.0.0.0/8")'),
        (TextTest(TextPart.PREFIX, A, Literal("x")), 'a starts with "x"'),
        (TextTest(TextPart.SUFFIX, A, B, fold=True), "a ends with~ b.c"),
        (TextTest(TextPart.SUBSTRING, A, Literal('"')), 'a contains "\\""'),
        (B_IS_NULL, "b.c is null"),
        (Not(A_IS_1), "not a == 1"),
        (And((A_IS_1, Or((A_IS_1, B_IS_NULL)))), "a == 1 and (a == 1 or b.c is null)"),
        (Not(And((A_IS_1, B_IS_NULL))), "not (a == 1 and b.c is null)"),
        (
            Comparison(
                EQUAL,
                Arithmetic(ArithmeticOperator.FLOOR_DIVIDE, A, Literal(2)),
                Call(Function.LENGTH, (Field("l", whole=True),)),
            ),
            "(a floor / 2) == length(l[*])",
        ),
        (
            Comparison(EQUAL, Call(Function.INDEX_OF, (A, Literal("x")), fold=True), Literal(0)),
            'index_of~(a, "x") == 0',
        ),
        (
            AnyElement(A, "x", And((IsNull(Element("x", "k")), IsNull(Element("x"))))),
            "some $x of a where ($x.k is null and $x is null)",
        ),
        (
            Comparison(EQUAL, ElementCount(A, "x", IsNull(Element("x"))), Literal(2)),
            "(count $x of a where $x is null) == 2",
        ),
        (
            Comparison(EQUAL, Truth(A_IS_1, B_IS_NULL), Literal(False)),
            "truth(a == 1; false if b.c is null) == false",
        ),
        (
            Lineage(LineageRelation.CHILD, frozenset({"process", "file"}), A_IS_1, A, B),
            "child of [file or process where a == 1]",
        ),
        (
            Not(Lineage(LineageRelation.DESCENDANT, frozenset(), A_IS_1, A, B)),
            "not descendant of [any where a == 1]",
        ),
    ],
)
def test_each_node_has_its_notation(node: Node, text: str) -> None:
    assert predicate_text(node) == text
    assert predicate_text(node, len(text)) == text


def test_what_is_too_long_is_shortened_from_the_inside() -> None:
    many = Membership(A, tuple(Literal(number) for number in range(40)))
    assert predicate_text(many, 80) == "a in (0, 1, 2, 3, ...36 more)"
    long = Comparison(EQUAL, A, Literal("x" * 1000))
    assert predicate_text(long, 80) == f'a == "{"x" * 60}..."'
    assert predicate_text(And((long, B_IS_NULL)), 90).endswith(" and b.c is null")
    assert predicate_text(And((A_IS_1, B_IS_NULL)), 10) == "a == 1 ..."
    assert predicate_text(long).count("x") == 1000


@given(predicates(), st.integers(4, 200))
def test_any_predicate_fits_and_names_its_fields(predicate: Predicate, longest: int) -> None:
    text = predicate_text(predicate)
    assert all(path in text for path in fields_of(predicate))
    assert "\n" not in text
    short = predicate_text(predicate, longest)
    assert len(short) <= longest
    assert len(short) <= len(text) + len("...36 more")


def test_the_deepest_tree_is_written() -> None:
    tree: Predicate = A_IS_1
    for number in range(MAX_DEPTH // 2 - 1):
        tree = And((Not(tree), B_IS_NULL)) if number % 2 else Or((B_IS_NULL, Not(tree)))
    assert predicate_text(tree).count("b.c is null") == MAX_DEPTH // 2 - 1
    assert len(predicate_text(tree, 50)) == 50


def test_control_characters_of_texts_are_escaped() -> None:
    assert predicate_text(Comparison(EQUAL, A, Literal("\n\x1b[0m"))) == r'a == "\n\u001b[0m"'
