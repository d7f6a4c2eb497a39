"""Lineage, and positions in lists: the trees, and what is visible where."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.errors import RuleError
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Comparison,
    ComparisonOperator,
    Element,
    ElementCount,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Or,
    Predicate,
    StepField,
)
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import ANY_EVENT, JoinRule, Rule, SampleRule, SequenceRule
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]
Condition: TypeAlias = Callable[..., Predicate]
Refused: TypeAlias = Callable[..., list[RuleError]]

EQUAL = ComparisonOperator.EQUAL
PROCESS, PARENT = Field("process.entity_id"), Field("process.parent.entity_id")
A_IS_1 = Comparison(EQUAL, Field("a"), Literal(1))
CHILD_OF_A = Lineage(LineageRelation.CHILD, frozenset({"process"}), A_IS_1, PROCESS, PARENT)
LISTS = SchemaRegistry().extended(
    [
        FieldDefinition("process.args", FieldType.KEYWORD),
        FieldDefinition("arguments", alias_of="process.args"),
        FieldDefinition("ports", FieldType.LONG),
        FieldDefinition("list.a", FieldType.KEYWORD),
        FieldDefinition("short.a", alias_of="list.a"),
    ]
)


# --- lineage ------------------------------------------------------------------


@pytest.mark.parametrize("relation", ["event", "child", "descendant"])
def test_a_relation_to_another_event(condition: Condition, relation: str) -> None:
    assert condition(f"{relation} of [any where a == 1]") == Lineage(
        LineageRelation(relation), ANY_EVENT, A_IS_1, PROCESS, PARENT
    )


def test_endgame_tells_processes_apart_by_its_own_fields(condition: Condition) -> None:
    found = condition("child of [process where true]", dialect="endgame")
    assert found == Lineage(
        LineageRelation.CHILD,
        frozenset({"process"}),
        Not(Comparison(ComparisonOperator.EQUAL, Field("pid"), Literal(0))),
        Field("unique_pid"),
        Field("unique_ppid"),
    )


def test_the_fields_of_lineage_follow_aliases(condition: Condition) -> None:
    schema = SchemaRegistry().extended(
        [
            FieldDefinition("process.entity_id", alias_of="id"),
            FieldDefinition("id", FieldType.KEYWORD),
        ]
    )
    found = condition("event of [process where true]", schema=schema)
    assert isinstance(found, Lineage)
    assert found.process == Field("id", FieldType.KEYWORD)


def test_lineage_is_never_null(condition: Condition) -> None:
    for dialect in ("elastic", "endgame"):
        found = condition("not child of [process where true]", dialect=dialect)
        assert isinstance(found, Not)
        assert holds(found, {})


def test_lineage_stands_where_conditions_do(condition: Condition) -> None:
    child = "child of [process where a == 1]"
    assert condition(child) == CHILD_OF_A
    assert condition(f"{child} or b == 1") == Or(
        (CHILD_OF_A, Comparison(EQUAL, Field("b"), Literal(1)))
    )
    assert condition(f"{child} == false") == Not(CHILD_OF_A)


def test_lineage_nests(condition: Condition) -> None:
    found = condition("descendant of [file where child of [process where a == 1] and b]")
    assert isinstance(found, Lineage)
    assert isinstance(found.predicate, And)
    assert lineages_of(found) == (CHILD_OF_A, found)


def test_lineage_in_every_kind_of_rule(compiled: Compiled) -> None:
    step = "[process where child of [process where a == 1]]"
    sequence = compiled(f"sequence with maxspan=1s {step} {step} until {step}").body
    assert isinstance(sequence, SequenceRule)
    assert {step.predicate for step in sequence.steps} == {CHILD_OF_A}
    assert sequence.until is not None
    assert sequence.until.predicate == CHILD_OF_A
    sample = compiled(f"sample by x {step} {step}").body
    assert isinstance(sample, SampleRule)
    assert sample.filters[0].predicate == CHILD_OF_A
    join = compiled(f"join by x {step} {step}", dialect="endgame").body
    assert isinstance(join, JoinRule)
    assert isinstance(join.filters[0].predicate, Lineage)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (
            "sequence [a where true] as e1 [b where child of [c where x == e1.y]]",
            "`e1` is not visible inside `child of [...]`",
        ),
        (
            "any where _arraysearch(l, $x, event of [c where $x.y == 1])",
            "`$x` is not visible inside `event of [...]`",
        ),
        (
            "any where _arraysearch(l, $x, event of [c where child of [d where $x.y == 1]])",
            "`$x` is not visible inside `child of [...]`",
        ),
    ],
)
def test_names_from_outside_are_not_visible_inside(refused: Refused, text: str, name: str) -> None:
    (error,) = refused(text)
    assert name in error.problem
    assert "move the condition out of the brackets" in error.problem


def test_names_of_endgame_are_not_visible_inside_either(refused: Refused) -> None:
    text = "any where arraySearch(l, x, event of [c where x.y == 1])"
    (error,) = refused(text, dialect="endgame")
    assert "`x` is not visible inside `event of [...]`" in error.problem


def test_names_inside_are_its_own(condition: Condition, compiled: Compiled) -> None:
    found = condition("child of [a where _arraysearch(l, $x, $x == 1)]")
    assert isinstance(found, Lineage)
    assert isinstance(found.predicate, AnyElement)
    body = compiled(
        "sequence [a where true] as e1 [b where child of [c where true] and x == e1.y]"
    ).body
    assert isinstance(body, SequenceRule)
    assert isinstance(body.steps[1].predicate, And)
    assert body.steps[1].predicate.terms[1] == Comparison(EQUAL, Field("x"), StepField(0, "y"))


def test_lineage_cannot_stand_in_a_pipe(refused: Refused) -> None:
    text = "any where true | filter child of [process where true]"
    (error,) = refused(text, dialect="endgame")
    assert error.problem == "`child of` cannot stand in a pipe: put it before the `|`"


def test_another_relation_is_refused_with_those_there_are(refused: Refused) -> None:
    errors = refused("any where parent of [process where true]")
    assert "there is `descendant of`, `child of` and `event of`" in errors[0].problem


def test_an_unknown_category_inside_is_a_warning(compiled: Compiled) -> None:
    rule = compiled("any where child of [proces where true]", schema=SchemaRegistry.ecs())
    assert [w.problem for w in rule.warnings] == [
        "unknown event category `proces`; did you mean `process`?"
    ]


# --- positions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ('a[0] == "x"', {"a": ["x", "y"]}, True),
        ('a[1] == "x"', {"a": ["x", "y"]}, False),
        ('a[5] == "x"', {"a": ["x", "y"]}, False),
        ('a[0] == "x"', {"a": "x"}, False),
        ("a[0] == null", {"a": []}, True),
        ("a[1].b[0].c == 1", {"a": [{}, {"b": [{"c": 1}, {"c": 2}]}]}, True),
        ("a[0][1] == 4", {"a": [[3, 4]]}, True),
    ],
)
@pytest.mark.parametrize("dialect", ["elastic", "endgame"])
def test_positions(
    condition: Condition, dialect: str, text: str, document: dict[str, object], expected: bool
) -> None:
    assert holds(condition(text, dialect=dialect), document) is expected


def test_a_position_in_an_element_and_in_an_earlier_event(
    condition: Condition, compiled: Compiled
) -> None:
    assert condition("_arraysearch(a, $x, $x.b[0] == 1)") == AnyElement(
        Field("a"), "x", Comparison(EQUAL, Element("x", "b[0]"), Literal(1))
    )
    assert condition("_arraysearch(a, $x, $x[0] == 1)") == AnyElement(
        Field("a"), "x", Comparison(EQUAL, Element("x", "[0]"), Literal(1))
    )
    body = compiled("sequence [a where true] as e1 [b where e1.x[2] == 1]").body
    assert isinstance(body, SequenceRule)
    assert body.steps[1].predicate == Comparison(EQUAL, StepField(0, "x[2]"), Literal(1))


def test_a_position_has_the_type_of_its_field(condition: Condition) -> None:
    assert condition('ports[0] == "80"', schema=LISTS) == Comparison(
        EQUAL, Field("ports[0]", FieldType.LONG), Literal(80)
    )


def test_aliases_are_followed_to_positions_at_the_end(
    condition: Condition, refused: Refused
) -> None:
    assert condition('arguments[1] == "x"', schema=LISTS) == Comparison(
        EQUAL, Field("process.args[1]", FieldType.KEYWORD), Literal("x")
    )
    (error,) = refused('any where short[0].a == "x"', schema=LISTS)
    assert "`short.a` is another name for `list.a`: write that one" in error.problem


def test_a_name_that_looks_like_a_position_is_refused(refused: Refused) -> None:
    (error,) = refused("any where `a[0]` == 1")
    assert "a name with `[0]` in it cannot be read" in error.problem


def test_an_array_count_is_a_number(condition: Condition) -> None:
    found = condition("arrayCount(a, x, x.b == 1) > 1", dialect="endgame", case="sensitive")
    one = Comparison(EQUAL, Element("x", "b"), Literal(1))
    assert found == Comparison(
        ComparisonOperator.GREATER, ElementCount(Field("a"), "x", one), Literal(1)
    )
    assert holds(found, {"a": [{"b": 1}, {"b": 2}, {"b": 1}]})
    assert not holds(found, {"a": [{"b": 1}]})
    assert not holds(found, {})
    none = condition("arrayCount(a, x, x.b == 1) == 0", dialect="endgame")
    assert holds(none, {"a": {"b": 1}})
