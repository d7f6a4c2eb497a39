"""What conditions of the endgame dialect mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.errors import RuleError
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Predicate
from kestrel_framework.query import search
from kestrel_framework.rule import Rule
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

Condition: TypeAlias = Callable[..., Predicate]
Refused: TypeAlias = Callable[..., list[RuleError]]

TRUE, FALSE, NULL = "true", "false", "null"

NULLS_AND_KINDS: list[tuple[str, dict[str, object], str]] = [
    # comparisons: of different kinds, null
    ("a == 1", {"a": 1}, TRUE),
    ("a == 1", {"a": 2}, FALSE),
    ("a == 1", {"a": "1"}, NULL),
    ("a == 1", {"a": True}, NULL),
    ("a == 1", {"a": [1]}, NULL),
    ("a == 1", {"a": {"b": 1}}, NULL),
    ("a == 1", {}, NULL),
    ("a != 1", {"a": 2}, TRUE),
    ("a != 1", {"a": "1"}, NULL),
    ("a == true", {"a": False}, FALSE),
    ("a == true", {"a": "x"}, NULL),
    ('a == "X"', {"a": "x"}, TRUE),
    ('a == "X"', {"a": "y"}, FALSE),
    ('a == "X"', {"a": 1}, NULL),
    ("a == b", {"a": "X", "b": "x"}, TRUE),
    ("a == b", {"a": "x", "b": "y"}, FALSE),
    ("a == b", {"a": "1", "b": 1}, NULL),
    ("a == b", {"a": True, "b": False}, FALSE),
    ("a == b", {"a": [1, 2], "b": [1, 2]}, TRUE),
    ("a == b", {"a": [1, 2], "b": [2, 1]}, FALSE),
    ("a == b", {"a": [1], "b": 1}, NULL),
    ("a == b", {"a": 1}, NULL),
    ("a < 5", {"a": 4.5}, TRUE),
    ("a < 5", {"a": 6}, FALSE),
    ("a < 5", {"a": "4"}, NULL),
    ("a < b", {"a": True, "b": True}, NULL),
    ('a < "b"', {"a": "A"}, TRUE),
    ("a == null", {"a": [1]}, FALSE),
    ("a == null", {"a": {"b": 1}}, FALSE),
    ("a == null", {}, TRUE),
    ("(a == 1) == null", {"a": "x"}, TRUE),
    # patterns look at texts alone, and `?` stands for itself
    ('a == "x*"', {"a": "XY"}, TRUE),
    ('a == "x*"', {"a": "y"}, FALSE),
    ('a == "5*"', {"a": 55}, NULL),
    ('a != "5*"', {"a": 55}, NULL),
    ('a == "*"', {"a": ["x"]}, NULL),
    ('wildcard(a, "x?", "y*")', {"a": "x?"}, TRUE),
    ('wildcard(a, "x?", "y*")', {"a": "xz"}, FALSE),
    ('wildcard(a, "x?", "y*")', {"a": "yz"}, TRUE),
    ('wildcard(a, "5*")', {"a": 55}, NULL),
    ('wildcard(a, "5*")', {}, NULL),
    # `match` looks at the beginning only
    ('match(a, ?"ab")', {"a": "ABC"}, TRUE),
    ('match(a, ?"bc")', {"a": "abc"}, FALSE),
    ('match(a, ?"ab$")', {"a": "abc"}, FALSE),
    ('match(a, ?"x|a")', {"a": "abc"}, TRUE),
    ('match(a, ?"a.c", ?"y")', {"a": "a\ncd"}, TRUE),
    ('match(a, ?"5")', {"a": 55}, NULL),
    ('match(?"ab", a)', {"a": "abc"}, TRUE),
    ('matchLite(a, ?"ab")', {}, NULL),
    # lists of choices: only null is null
    ('a in ("X", 2)', {"a": "x"}, TRUE),
    ('a in ("X", 2)', {"a": 3}, FALSE),
    ('a in ("X", 2)', {"a": True}, FALSE),
    ('a in ("X", 2)', {}, NULL),
    ('a in ("X", b)', {"a": "y", "b": "y"}, TRUE),
    ('a in ("X", b)', {"a": "y", "b": "z"}, FALSE),
    ('a in ("X", b)', {"a": "y"}, NULL),
    ('a in ("X", b)', {"a": "y", "b": 1}, NULL),
    # text functions
    ('startsWith(a, "X")', {"a": "xy"}, TRUE),
    ('startsWith(a, "X")', {"a": "y"}, FALSE),
    ('startsWith(a, "X")', {"a": 1}, NULL),
    ('endsWith(a, "X")', {}, NULL),
    ("endsWith(a, b)", {"a": "x", "b": 1}, NULL),
    ('stringContains(a, "X")', {"a": "yxy"}, TRUE),
    ('stringContains(a, "")', {"a": "x"}, TRUE),
    ('stringContains(a, "X")', {"a": 1}, FALSE),
    ('stringContains(a, "X")', {}, FALSE),
    ('cidrMatch(a, "10.0.0.0/8")', {"a": "10.1.2.3"}, TRUE),
    ('cidrMatch(a, "10.0.0.0/8")', {"a": "nowhere"}, FALSE),
    ('cidrMatch(a, "10.0.0.0/8")', {"a": 5}, FALSE),
    ('cidrMatch(a, "10.0.0.0/8")', {}, FALSE),
    ('between(a, "X", "z") == "y"', {"a": "xyz"}, TRUE),
    ('between(a, "x", "q") == null', {"a": "xyz"}, TRUE),
    ('between(a, "x", "q") == ""', {"a": "xyz"}, NULL),
    ('between(a, "x", "y") == ""', {"a": "xy"}, TRUE),
    ('between(a, "x", "z", null) == "y"', {"a": "xyz"}, TRUE),
    ('indexOf(a, "Y") == 1', {"a": "xyz"}, TRUE),
    ('indexOf(a, "y", null) == 1', {"a": "xyz"}, TRUE),
    ('indexOf(a, "q") == null', {"a": "xyz"}, TRUE),
    ('substring(a, null, 2) == "xy"', {"a": "xyz"}, TRUE),
    ('substring(a, 1, null) == "yz"', {"a": "xyz"}, TRUE),
    ('substring(a, -2) == "YZ"', {"a": "xyz"}, TRUE),
    ("substring(a, 1) == null", {"a": 12}, TRUE),
    ("length(a) == 3", {"a": "xyz"}, TRUE),
    ("length(a) == 3", {"a": [1, "x", 3]}, TRUE),
    ("length(a) == null", {}, TRUE),
    ("length(a) == null", {"a": 5}, TRUE),
    ('concat(a, 1, true) == "x1true"', {"a": "x"}, TRUE),
    ("concat(a, b) == null", {"a": "x"}, TRUE),
    ("concat(a, null) == null", {"a": "x"}, TRUE),
    ("string(a) == null", {}, TRUE),
    ("number(a) == 17", {"a": "17"}, TRUE),
    ("number(a) == null", {}, TRUE),
    ('number("ff", 16) == a', {"a": 255}, TRUE),
    # arithmetic: integers stay integers and go down; of a text, null
    ("a / 2 == 41", {"a": 83}, TRUE),
    ("a / 2 == -42", {"a": -83}, TRUE),
    ("a / 2.0 == -41.5", {"a": -83}, TRUE),
    ("divide(a, 2) == -42", {"a": -83}, TRUE),
    ("a % 3 == 1", {"a": -83}, TRUE),
    ("modulo(a, -3) == -2", {"a": 7}, TRUE),
    ("a % 0 == null", {"a": 7}, TRUE),
    ("a + 1 == null", {"a": "1"}, TRUE),
    ("-a == 1", {"a": -1}, TRUE),
    # lists
    ("arrayContains(a, 1, 2)", {"a": [2, 3]}, TRUE),
    ('arrayContains(a, "X")', {"a": ["x"]}, TRUE),
    ("arrayContains(a, 1)", {"a": [2]}, FALSE),
    ("arrayContains(a, 1)", {"a": 1}, FALSE),
    ("arrayContains(a, 1)", {}, NULL),
    ("arraySearch(a, x, x.b == 1)", {"a": [{"b": 2}, {"b": 1}]}, TRUE),
    ("arraySearch(a, x, x.b == 1)", {"a": [{"b": 2}]}, FALSE),
    ("arraySearch(a, x, x.b == 1)", {"a": {"b": 1}}, FALSE),
    ("arraySearch(a, x, x.b == 1)", {}, FALSE),
    ("arraySearch(a, x, arraySearch(x.b, y, y == x.d))", {"a": [{"b": [2, 1], "d": 1}]}, TRUE),
    ("arrayCount(a, x, x == 1) == 2", {"a": [1, 2, 1]}, TRUE),
    ("arrayCount(a, x, x == 1) == 0", {}, TRUE),
    # what is a condition
    ("a", {"a": "text"}, TRUE),
    ("a", {"a": ["x"]}, TRUE),
    ("a", {"a": {"b": 1}}, TRUE),
    ("a", {"a": ""}, FALSE),
    ("a", {"a": 0}, FALSE),
    ("a", {"a": False}, FALSE),
    ("a", {}, NULL),
    ("a.create", {"a": "create"}, TRUE),
    ("a.create", {"a": "Create"}, FALSE),
    ("a.create", {"a": {"create": True}}, TRUE),
    ("a.create", {"a": {"create": False}}, FALSE),
    ("a.create", {"a": 1}, NULL),
    ("a.create", {}, NULL),
    ("a.b.create", {"a": {"b": "create"}}, TRUE),
    ("a.b.create", {"a": "create"}, NULL),
    ("arraySearch(a, x, x.create)", {"a": ["other", "create"]}, TRUE),
    ("safe(a / b) == 2", {"a": 4, "b": 2}, TRUE),
    ("safe(a > b)", {"a": 4}, NULL),
    # logic
    ("a > 1 or b > 1", {"b": 2}, TRUE),
    ("a > 1 or b > 1", {"b": 0}, NULL),
    ("a > 1 and b > 1", {"b": 0}, FALSE),
    ("a > 1 and b > 1", {"b": 2}, NULL),
    ("a = 1", {"a": 1}, TRUE),
]


@pytest.mark.parametrize(("text", "document", "expected"), NULLS_AND_KINDS)
def test_a_condition_is_true_false_or_null(
    condition: Condition, text: str, document: dict[str, object], expected: str
) -> None:
    found = {
        name: holds(condition(written, dialect="endgame"), document)
        for name, written in (
            (TRUE, text),
            (FALSE, f"not ({text})"),
            (NULL, f"({text}) == null" if " " in text or "(" in text else ""),
        )
        if written
    }
    assert found.get(TRUE) is (expected == TRUE)
    assert found.get(FALSE) is (expected == FALSE)
    assert found.get(NULL, expected == NULL) is (expected == NULL)


def test_searches_agree(compiled: Callable[..., Rule]) -> None:
    for text, document, expected in NULLS_AND_KINDS:
        for written, wanted in ((text, TRUE), (f"not ({text})", FALSE)):
            rule = compiled(f"any where {written}", dialect="endgame")
            results = search(rule, [{"@timestamp": 1, **document}], schema=SchemaRegistry())
            assert (text, written, bool(results)) == (text, written, expected == wanted)


def test_an_expression_that_only_brackets_would_complete_is_wrong(refused: Refused) -> None:
    (error,) = refused('any where match(a, ?"a)(b")', dialect="endgame")
    assert "bad regular expression" in error.problem


def test_the_schema_decides_what_a_dotted_name_is(condition: Condition) -> None:
    schema = SchemaRegistry().extended(
        [FieldDefinition("a.create", FieldType.BOOLEAN), FieldDefinition("n", FieldType.LONG)]
    )
    known = condition("a.create", dialect="endgame", schema=schema)
    assert not holds(known, {"a": "create"})
    number = condition("n.create", dialect="endgame", schema=schema)
    assert not holds(number, {"n": "create"})


def test_a_choice_of_a_known_text_field_is_no_unknown_field(
    compiled: Callable[..., Rule],
) -> None:
    schema = SchemaRegistry().extended([FieldDefinition("subtype", FieldType.KEYWORD)])
    rule = compiled("any where subtype.create", dialect="endgame", schema=schema)
    assert rule.warnings == ()
