"""What conditions of the elastic dialect mean: expected trees, and what documents they hold for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
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
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    TextPart,
    TextTest,
    Truth,
    Wildcard,
)
from kestrel_framework.predicate_traversal import to_data

Condition: TypeAlias = Callable[..., Predicate]

EQUAL = ComparisonOperator.EQUAL
A, B = Field("a"), Field("b")
ONE = Literal(1)
A_IS_1 = Comparison(EQUAL, A, ONE)


# --- trees, elastic -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("true", ALWAYS),
        ("false", NEVER),
        ("null", NEVER),
        ("not false and true", ALWAYS),
        ("a == 1", A_IS_1),
        ("1 == a", Comparison(EQUAL, ONE, A)),
        ("a != 1", Not(A_IS_1)),
        ("not a == 1", Not(A_IS_1)),
        ("not not a == 1", A_IS_1),
        ("not a != 1", A_IS_1),
        ("a < 1", Comparison(ComparisonOperator.LESS, A, ONE)),
        ("not a < 1", Not(Comparison(ComparisonOperator.LESS, A, ONE))),
        ("a >= -1.5", Comparison(ComparisonOperator.GREATER_OR_EQUAL, A, Literal(-1.5))),
        ("a == b", Comparison(EQUAL, A, B)),
        ("a == null", IsNull(A)),
        ("null == a", IsNull(A)),
        ("a != null", Not(IsNull(A))),
        ("a", Comparison(EQUAL, A, Literal(True))),
        ("not ?a", Not(Comparison(EQUAL, A, Literal(True)))),
        ("a == 1 and b == 1 and a == 1", And((A_IS_1, Comparison(EQUAL, B, ONE)))),
        ("a == 1 or (a == b or false)", Or((A_IS_1, Comparison(EQUAL, A, B)))),
        ('a in ("x", 2)', Membership(A, (Literal("x"), Literal(2)))),
        ('a in~ ("x")', Membership(A, (Literal("x"),), fold=True)),
        ('a not in ("x")', Not(Membership(A, (Literal("x"),)))),
        ('a in (b, "x")', Or((Membership(A, (Literal("x"),)), Comparison(EQUAL, A, B)))),
        ('a : "x*"', Wildcard(A, ("x*",), fold=True)),
        ('a : ("x", "y?", "x")', Wildcard(A, ("x", "y?"), fold=True)),
        ("a : 5", Wildcard(A, ("5",), fold=True)),
        ('a like "x*"', Wildcard(A, ("x*",), fold=False)),
        ('a like~ "x*"', Wildcard(A, ("x*",), fold=True)),
        ('a regex "x.*"', Regex(A, ("x.*",), fold=False)),
        ('a regex~ ("x", "y")', Regex(A, ("x", "y"), fold=True)),
        ('startsWith(a, "x")', TextTest(TextPart.PREFIX, A, Literal("x"))),
        ('ENDSWITH~(a, "x")', TextTest(TextPart.SUFFIX, A, Literal("x"), fold=True)),
        ('stringcontains(a, "b")', TextTest(TextPart.SUBSTRING, A, Literal("b"))),
        ('cidrmatch(a, "10.1.2.3/8", "fe80::1/10")', Cidr(A, ("10.0.0.0/8", "fe80::/10"))),
        (
            "length(a) + 1 > b * 2",
            Comparison(
                ComparisonOperator.GREATER,
                Arithmetic(ArithmeticOperator.ADD, Call(Function.LENGTH, (A,)), ONE),
                Arithmetic(ArithmeticOperator.MULTIPLY, B, Literal(2)),
            ),
        ),
        (
            "-a == modulo(b, 1)",
            Comparison(
                EQUAL,
                Arithmetic(ArithmeticOperator.SUBTRACT, Literal(0), A),
                Arithmetic(ArithmeticOperator.MODULO, B, ONE),
            ),
        ),
        (
            'indexOf~(a, "x") == 1',
            Comparison(EQUAL, Call(Function.INDEX_OF, (A, Literal("x")), fold=True), ONE),
        ),
        (
            "_arraysearch(a, $x, $x.b == 1 or not $x)",
            AnyElement(
                A,
                "x",
                Or(
                    (
                        Comparison(EQUAL, Element("x", "b"), ONE),
                        Not(Comparison(EQUAL, Element("x"), Literal(True))),
                    )
                ),
            ),
        ),
        (
            "_arraysearch(a, $x, _arraysearch($x.b, $y, $y.c == $x.d))",
            AnyElement(
                A,
                "x",
                AnyElement(
                    Element("x", "b"),
                    "y",
                    Comparison(EQUAL, Element("y", "c"), Element("x", "d")),
                ),
            ),
        ),
    ],
)
def test_elastic(condition: Condition, text: str, tree: Predicate) -> None:
    assert to_data(condition(text)) == to_data(tree)


def test_a_condition_compared_with_true_or_false_is_a_condition(condition: Condition) -> None:
    plain = condition('cidrMatch(a, "10.0.0.0/8")')
    assert condition('cidrMatch(a, "10.0.0.0/8") == true') == plain
    assert condition('true == cidrMatch(a, "10.0.0.0/8")') == plain
    assert condition('cidrMatch(a, "10.0.0.0/8") == false') == Not(plain)
    assert condition('cidrMatch(a, "10.0.0.0/8") != true') == Not(plain)
    assert condition('false != cidrMatch(a, "10.0.0.0/8")') == plain
    assert condition('(not cidrMatch(a, "10.0.0.0/8")) == false') == plain


def test_a_condition_is_null_where_an_operand_is(condition: Condition) -> None:
    assert condition("null == (a > 1)") == IsNull(A)
    assert condition("(a > b) != null") == Not(Or((IsNull(A), IsNull(B))))


def test_a_condition_as_a_value_keeps_its_third_value(condition: Condition) -> None:
    found = condition('string(a > 1) == "true"')
    above = Comparison(ComparisonOperator.GREATER, A, ONE)
    truth = Truth(above, And((Not(above), Not(IsNull(A)))))
    assert found == Comparison(EQUAL, Call(Function.STRING, (truth,)), Literal("true"))


@pytest.mark.parametrize("option", ["insensitive", "sensitive"])
def test_case_is_an_option(condition: Condition, option: str) -> None:
    fold = option == "insensitive"
    assert condition('a == "X"', case=option) == Comparison(EQUAL, A, Literal("X"), fold)
    assert condition('startsWith(a, "X")', case=option) == TextTest(
        TextPart.PREFIX, A, Literal("X"), fold
    )
    assert condition('a like "X"', case=option) == Wildcard(A, ("X",), fold)


# --- what elastic's two-valued logic means ----------------------------------------


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ("not a == 1", {}, True),
        ("a != 1", {}, True),
        ("not (a > 1)", {}, True),
        ("not (not a == 1)", {}, False),
        ("a == null", {}, True),
        ("a == null", {"a": []}, True),
        ("a == 1", {"a": [3, 1]}, True),
        ("a != 1", {"a": [3, 1]}, False),
        ("a == 2 and a == 1", {"a": [2, 1]}, True),
        ("null == (a > 1)", {}, True),
        ("null == (a > 1)", {"a": 5}, False),
        ("(a > 1) == false", {}, True),
        ("(a > 1) != false", {}, False),
        ("a == false", {}, False),
        ("(a > 1) == false", {"a": 1}, True),
        ("(a > 1) == (b > 1)", {"a": 0, "b": 1}, True),
        ("(a > 1) == (b > 1)", {"a": 2}, False),
        ('a : "1*"', {"a": 12}, True),
        ('a : "X?Z"', {"a": "xyz"}, True),
        ('a like "X?Z"', {"a": "xyz"}, False),
        ('a == "x*"', {"a": "x*"}, True),
        ('a == "x*"', {"a": "xy"}, False),
        ("a / 2 == 41", {"a": 83}, True),
        ("a / 2.0 == 41", {"a": 83}, False),
        ("a % 0 == null", {"a": 1}, True),
        ("_arraysearch(a, $x, $x.b == 1 and $x.c == 1)", {"a": [{"b": 1}, {"c": 1}]}, False),
        ("_arraysearch(a, $x, $x.b == 1 and $x.c == 1)", {"a": {"b": 1, "c": 1}}, True),
        ("_arraysearch(a, $x, $x == 1)", {"a": 1}, True),
        ("_arraysearch(a, $x, $x == 1)", {"a": [[2], [3, 1]]}, True),
        ("_arraysearch(a, $x, true)", {"a": []}, False),
        ("not _arraysearch(a, $x, $x == 1)", {}, True),
        ("not _arraysearch(a, $x, $x.b == 1)", {"a": "text"}, True),
        ('number("0x1f", 16) == a', {"a": 31}, True),
        ("number(a, null) == 17", {"a": "17"}, True),
        ("number(a) == 17", {"a": " 17\t"}, True),
        ('concat(a, ":", b) == null', {"a": 1}, True),
        ('indexOf(a, "x", null) == null', {"a": "x"}, True),
        ('between(a, "x", "z", null) == null', {"a": "xyz"}, True),
        ('substring(a, 1, null) == "yz"', {"a": "xyz"}, True),
        ('cidrMatch(a, "10.0.0.0/8", null) == null', {"a": "10.0.0.1"}, True),
        ('stringContains(a, "")', {"a": "x"}, False),
        ("stringContains(a, b)", {"a": "x", "b": ""}, False),
        ("stringContains(a, b)", {"a": "xy", "b": ["", "y"]}, True),
        ("stringContains(a, b) == null", {"a": "x", "b": ""}, False),
        ("?a == ?b", {}, True),
        ("?a == ?b", {"a": 1}, False),
        ("?a == ?b", {"a": 1, "b": [2, 1]}, True),
        ("?a != ?b", {}, False),
        ("a == b", {}, False),
    ],
)
def test_elastic_logic(
    condition: Condition, text: str, document: dict[str, object], expected: bool
) -> None:
    assert holds(condition(text), document) is expected
