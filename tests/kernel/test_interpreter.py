"""What each node of a predicate tree means."""

from __future__ import annotations

import time

import pytest
from hypothesis import given

from kestrel_framework.event import Document
from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds, values_of
from kestrel_framework.predicate import (
    ALWAYS,
    MAX_COMBINATIONS,
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
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Value,
    Wildcard,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.testing.strategies import documents, predicates, step_documents

EQUAL, LESS, GREATER = (
    ComparisonOperator.EQUAL,
    ComparisonOperator.LESS,
    ComparisonOperator.GREATER,
)
A = Field("a")


def equal(left: Value, right: object, *, fold: bool = False) -> Predicate:
    return Comparison(EQUAL, left, Literal(right), fold)  # type: ignore[arg-type]


class TestMissing:
    @pytest.mark.parametrize("document", [{}, {"a": None}, {"a": []}, {"a": [None, []]}, {"b": 1}])
    def test_a_leaf_over_a_missing_field_does_not_hold_and_not_of_it_does(
        self, document: Document
    ) -> None:
        leaves = [
            equal(A, 1),
            equal(A, None),
            Membership(A, (Literal(1),)),
            Wildcard(A, ("*",)),
            Regex(A, (".*",)),
            Cidr(A, ("0.0.0.0/0",)),
            TextTest(TextPart.PREFIX, A, Literal("")),
            Comparison(EQUAL, A, A),
            AnyElement(A, "x", ALWAYS),
        ]
        for leaf in leaves:
            assert not holds(leaf, document)
            assert holds(Not(leaf), document)
        assert holds(IsNull(A), document)

    def test_a_function_of_a_missing_field_is_null(self) -> None:
        length = Call(Function.LENGTH, (A,))
        assert holds(IsNull(length), {})
        assert not holds(equal(length, 0), {})

    def test_a_null_value_stands_for_an_explicit_null(self) -> None:
        field = Field("a", FieldType.KEYWORD, null_value="NULL")
        assert holds(equal(field, "NULL"), {"a": None})
        assert holds(equal(field, "NULL"), {"a": ["x", None]})
        assert not holds(equal(field, "NULL"), {})
        assert not holds(IsNull(field), {"a": None})

    def test_an_object_is_there_but_has_no_value(self) -> None:
        assert not holds(IsNull(A), {"a": {}})
        assert holds(IsNull(Field("a", FieldType.KEYWORD)), {"a": {}})
        assert values_of(A, {"a": {"b": 1}}) == []


class TestMultipleValues:
    def test_a_leaf_quantifies_over_the_values_and_negation_stays_outside(self) -> None:
        document = {"a": [3, 7]}
        assert holds(Comparison(LESS, A, Literal(5)), document)
        assert holds(Comparison(GREATER, A, Literal(5)), document)
        assert not holds(Not(Comparison(LESS, A, Literal(5))), document)

    def test_a_path_through_a_list_of_objects_has_the_values_of_all(self) -> None:
        assert values_of(Field("l.k"), {"l": [{"k": 1}, {"k": [2, 3]}, 4, {}]}) == [1, 2, 3]

    def test_functions_apply_to_every_combination(self) -> None:
        both = Call(Function.CONCAT, (A, Literal("-"), Field("b")))
        assert values_of(both, {"a": [1, 2], "b": ["x", "y"]}) == ["1-x", "1-y", "2-x", "2-y"]

    def test_a_whole_field_is_its_list(self) -> None:
        whole_a, whole_b = Field("a", whole=True), Field("b", whole=True)
        same = Comparison(EQUAL, whole_a, whole_b)
        assert holds(same, {"a": [1, 2], "b": [1.0, 2]})
        assert not holds(same, {"a": [1, 2], "b": [2, 1]})
        assert not holds(same, {"a": ["x"], "b": "x"})
        assert holds(same, {"a": "x", "b": "x"})
        assert not holds(same, {"a": [], "b": []})
        assert holds(equal(whole_a, "x"), {"a": "x"})
        assert not holds(equal(whole_a, "x"), {"a": ["x"]})
        assert holds(IsNull(whole_a), {"a": []})
        assert holds(Comparison(EQUAL, whole_a, whole_b, fold=True), {"a": ["X"], "b": ["x"]})


class TestLeaves:
    def test_kinds_are_told_apart(self) -> None:
        assert holds(equal(A, 1), {"a": 1.0})
        assert not holds(equal(A, 1), {"a": True})
        assert not holds(equal(A, "1"), {"a": 1})
        assert holds(Membership(A, (Literal("x"), Literal(True))), {"a": True})
        assert not holds(Membership(A, (Literal(1),)), {"a": True})

    def test_a_typed_field_brings_its_values_to_the_type(self) -> None:
        assert holds(equal(Field("a", FieldType.KEYWORD), "445"), {"a": 445})
        assert holds(equal(Field("a", FieldType.LONG), 445), {"a": "445"})
        version = Field("a", FieldType.VERSION)
        assert holds(Comparison(GREATER, version, Literal("1.5.0")), {"a": "1.11.3"})
        address = Field("a", FieldType.IP)
        assert holds(Comparison(GREATER, address, Literal("10.0.0.9")), {"a": "10.0.0.10"})

    def test_wildcards_match_whole_texts_of_any_kind(self) -> None:
        assert holds(Wildcard(A, ("*\\CMD.exe",)), {"a": "C:\\x\\cmd.EXE"})
        assert not holds(Wildcard(A, ("*CMD.exe",), fold=False), {"a": "cmd.exe"})
        assert holds(Wildcard(A, ("4?5",)), {"a": 445})
        assert holds(Wildcard(A, ("tr*",)), {"a": True})
        assert holds(Wildcard(A, ("a*c",)), {"a": "a\nb\nc"})
        assert not holds(Wildcard(A, ("b",)), {"a": "abc"})

    def test_folding_is_simple(self) -> None:
        assert holds(equal(A, "STRASSE", fold=True), {"a": "strasse"})
        assert not holds(equal(A, "STRASSE", fold=True), {"a": "straße"})
        assert holds(Wildcard(A, ("?",)), {"a": "İ"})

    def test_cidr_and_text_parts(self) -> None:
        assert holds(Cidr(A, ("10.0.0.0/8",)), {"a": ["x", "::ffff:10.1.1.1"]})
        assert holds(
            TextTest(TextPart.SUFFIX, A, Field("b")), {"a": "x.exe", "b": [".dll", ".exe"]}
        )
        assert not holds(TextTest(TextPart.PREFIX, A, Literal("1")), {"a": 12})
        assert holds(TextTest(TextPart.SUBSTRING, A, Literal("B"), fold=True), {"a": "abc"})

    def test_truth_keeps_the_third_value(self) -> None:
        value = Truth(equal(A, 1), equal(A, 2))
        assert values_of(value, {"a": 1}) == [True]
        assert values_of(value, {"a": 2}) == [False]
        assert values_of(value, {"a": 3}) == []

    def test_connectives_of_nothing(self) -> None:
        assert holds(And(()), {})
        assert not holds(Or(()), {})
        assert not holds(NEVER, {})


class TestQuantifier:
    STACK = {"stack": [{"m": "a", "n": 1}, {"m": "b", "n": 2}, "text", None]}

    def some(self, predicate: Predicate) -> bool:
        return holds(AnyElement(Field("stack"), "x", predicate), self.STACK)

    def test_one_element_satisfies_the_whole_predicate(self) -> None:
        m, n = Element("x", "m"), Element("x", "n")
        assert self.some(And((equal(m, "b"), equal(n, 2))))
        assert not self.some(And((equal(m, "a"), equal(n, 2))))
        assert self.some(equal(Element("x"), "text"))

    def test_what_is_no_list_is_a_list_of_one(self) -> None:
        one = AnyElement(A, "x", equal(Element("x", "k"), 1))
        assert holds(one, {"a": {"k": 1}})

    def test_quantifiers_nest_and_the_innermost_name_counts(self) -> None:
        document = {"l": [{"m": [{"k": 1}], "k": 2}]}
        inner = AnyElement(Element("x", "m"), "x", equal(Element("x", "k"), 1))
        assert holds(AnyElement(Field("l"), "x", inner), document)
        assert holds(
            AnyElement(Field("l"), "x", And((inner, equal(Element("x", "k"), 2)))), document
        )

    def test_an_unbound_element_has_no_values(self) -> None:
        assert holds(IsNull(Element("nobody", "k")), {})
        assert not holds(equal(Element("nobody"), 1), {})

    def test_variables_can_be_given(self) -> None:
        assert holds(equal(Element("x", "k"), 1), {}, variables={"x": {"k": 1}})


class TestSteps:
    def test_a_step_field_reads_the_event_of_its_step(self) -> None:
        same = Comparison(EQUAL, A, StepField(0, "a"))
        assert holds(same, {"a": 1}, [{"a": 1}])
        assert not holds(same, {"a": 1}, [{"a": 2}])

    @pytest.mark.parametrize("steps", [(), (None,), ({},)])
    def test_a_step_without_event_has_no_values(self, steps: tuple[Document | None, ...]) -> None:
        assert holds(IsNull(StepField(0, "a")), {"a": 1}, steps)


class TestCost:
    LONG = {"a": [f"text {n}" for n in range(60_000)], "b": [f"text {n}" for n in range(60_000)]}

    @pytest.mark.parametrize("operator", ComparisonOperator)
    def test_two_huge_lists_compare_in_linear_time(self, operator: ComparisonOperator) -> None:
        started = time.process_time()
        assert holds(Comparison(operator, A, Field("b")), self.LONG)
        assert time.process_time() - started < 20

    def test_combinations_are_bounded(self) -> None:
        started = time.process_time()
        both = Call(Function.CONCAT, (A, Field("b")))
        assert len(values_of(both, self.LONG)) == MAX_COMBINATIONS
        assert not holds(TextTest(TextPart.PREFIX, A, Field("c")), {**self.LONG, "c": ["x", "y"]})
        assert time.process_time() - started < 20

    def test_one_huge_list_is_looked_at_to_its_end(self) -> None:
        last = self.LONG["a"][-1]
        assert holds(TextTest(TextPart.SUFFIX, A, Literal(last)), self.LONG)
        assert holds(equal(Call(Function.CONCAT, (A, Literal("!"))), last + "!"), self.LONG)

    def test_the_deepest_trees_are_within_the_stack(self) -> None:
        predicate: Predicate = equal(A, 1)
        value: Value = A
        for _ in range(MAX_DEPTH - 2):
            predicate = Not(predicate)
            value = Arithmetic(ArithmeticOperator.ADD, value, Literal(1))
        assert holds(predicate, {"a": 1})
        assert holds(equal(value, MAX_DEPTH - 2), {"a": 0})


@given(predicates(steps=3), documents(), step_documents())
def test_any_predicate_has_a_verdict_about_any_document(
    predicate: Predicate,
    document: dict[str, object],
    steps: tuple[dict[str, object] | None, ...],
) -> None:
    verdict = holds(predicate, document, steps)
    assert isinstance(verdict, bool)
    assert holds(Not(predicate), document, steps) is not verdict
