"""The predicate tree: constructors, walks, and plain data."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Constant,
    Element,
    Field,
    IsNull,
    Literal,
    Membership,
    Node,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    all_of,
    any_of,
    comparison,
    element,
    field,
    membership,
    negation,
    step_field,
)
from kestrel_framework.predicate_traversal import (
    children,
    depth,
    fields_of,
    steps_of,
    to_data,
    walk,
    with_fields,
)
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates

EQUAL = ComparisonOperator.EQUAL
SCHEMA = SchemaRegistry().extended(
    [
        FieldDefinition("port", FieldType.LONG),
        FieldDefinition("day", FieldType.DATE, formats=("dd-MM-yyyy",)),
        FieldDefinition("name", FieldType.KEYWORD, null_value="NULL"),
        FieldDefinition("exe", alias_of="name"),
        FieldDefinition("stack.module", FieldType.KEYWORD),
    ]
)


class TestFields:
    def test_a_field_has_what_the_schema_says(self) -> None:
        assert field("day", SCHEMA) == Field("day", FieldType.DATE, formats=("dd-MM-yyyy",))
        assert field("exe", SCHEMA) == Field("name", FieldType.KEYWORD, null_value="NULL")
        assert field("unknown", SCHEMA, whole=True) == Field("unknown", whole=True)

    def test_a_step_field_likewise(self) -> None:
        assert step_field(1, "exe", SCHEMA) == StepField(
            1, "name", FieldType.KEYWORD, null_value="NULL"
        )

    def test_an_element_has_the_type_of_its_full_path(self) -> None:
        assert element("x", "module", "stack", SCHEMA) == Element("x", "module", FieldType.KEYWORD)
        assert element("x", "", "name", SCHEMA).type is FieldType.KEYWORD
        assert element("x", "other", "stack", SCHEMA) == Element("x", "other")


class TestConstructors:
    def test_a_literal_takes_the_type_of_the_field_beside_it(self) -> None:
        port = field("port", SCHEMA)
        assert comparison(EQUAL, port, Literal("445")) == Comparison(EQUAL, port, Literal(445))
        assert comparison(EQUAL, Literal("445"), port) == Comparison(EQUAL, Literal(445), port)
        day = comparison(EQUAL, field("day", SCHEMA), Literal("02-01-1970"))
        assert day.right == Literal(86_400 * 10**9)

    def test_a_literal_that_cannot_is_refused(self) -> None:
        with pytest.raises(ValueError, match='"http" is not a long value'):
            comparison(EQUAL, field("port", SCHEMA), Literal("http"))
        with pytest.raises(ValueError, match="is not a long value"):
            membership(field("port", SCHEMA), [Literal(1), Literal("x")])

    def test_membership_leaves_nulls_and_repetitions_out(self) -> None:
        port = field("port", SCHEMA)
        made = membership(port, [Literal("1"), Literal(1), Literal(None)])
        assert made == Membership(port, (Literal(1),))
        assert membership(port, [Literal(None)]) == NEVER

    def test_literals_of_different_kinds_are_different(self) -> None:
        assert len({Literal(1), Literal(1.0), Literal(True), Literal("1"), Literal(1)}) == 4

    def test_bad_patterns_and_networks_are_refused(self) -> None:
        with pytest.raises(ValueError, match="bad regular expression"):
            Regex(Field("a"), ("(",))
        with pytest.raises(ValueError, match="host bits"):
            Cidr(Field("a"), ("10.0.0.1/8",))

    def test_small_trees_stay_small(self) -> None:
        a, b = IsNull(Field("a")), IsNull(Field("b"))
        assert all_of([]) == ALWAYS
        assert any_of([]) == NEVER
        assert all_of([a, ALWAYS, And((a, b))]) == And((a, b))
        assert all_of([a, NEVER]) == NEVER
        assert any_of([a, ALWAYS]) == ALWAYS
        assert any_of([NEVER, a]) == a
        assert any_of([a, Or((b, a))]) == Or((a, b))
        assert negation(negation(a)) == a
        assert negation(ALWAYS) == NEVER

    @given(st.lists(predicates(max_leaves=3), max_size=3), documents())
    def test_constructors_keep_the_meaning(
        self, terms: list[Predicate], document: dict[str, object]
    ) -> None:
        held = [holds(term, document) for term in terms]
        assert holds(all_of(terms), document) == all(held)
        assert holds(any_of(terms), document) == any(held)
        for term in terms:
            assert holds(negation(term), document) != holds(term, document)


class TestLooking:
    TREE = And(
        (
            Not(Comparison(EQUAL, Field("a"), StepField(2, "b"))),
            AnyElement(Field("l"), "x", IsNull(Call(Function.LENGTH, (Element("x", "k"),)))),
        )
    )

    def test_fields_and_steps(self) -> None:
        assert fields_of(self.TREE) == {"a", "l"}
        assert steps_of(self.TREE) == {2}
        assert depth(self.TREE) == 5

    def test_replacing_fields(self) -> None:
        renamed = with_fields(self.TREE, lambda old: attrs.evolve(old, path=f"x.{old.path}"))
        assert fields_of(renamed) == {"x.a", "x.l"}
        assert steps_of(renamed) == {2}
        assert with_fields(self.TREE, lambda old: old) == self.TREE

    def test_a_deep_tree_is_walked_without_recursion(self) -> None:
        tree: Predicate = IsNull(Field("a"))
        for _ in range(50_000):
            tree = Not(tree)
        assert depth(tree) == 50_002
        assert fields_of(tree) == {"a"}

    @given(predicates(steps=2))
    def test_a_walk_sees_every_node_that_the_data_has(self, tree: Predicate) -> None:
        text = json.dumps(to_data(tree), allow_nan=False)
        assert text.count('"node": ') == sum(1 for _ in walk(tree))

    @given(predicates(), predicates())
    def test_different_trees_have_different_data(self, one: Predicate, other: Predicate) -> None:
        assert (one == other) == (json.dumps(to_data(one)) == json.dumps(to_data(other)))

    @given(predicates(steps=2))
    def test_replacing_nothing_changes_nothing(self, tree: Predicate) -> None:
        assert with_fields(tree, lambda old: old) == tree

    def test_every_kind_of_node_is_known(self) -> None:
        leaf: Node = Constant(True)
        assert children(leaf) == ()
