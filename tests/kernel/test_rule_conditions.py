"""Conditions on one field, and disjunctions across fields, decided by masks."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._clauses import MOST_FIELDS, IndexedFields
from kestrel_framework._pipeline.rule_matcher import MatcherLimits
from kestrel_framework._pipeline.rule_matcher.condition_table import (
    ConditionTable,
    bits,
    truth_of,
)
from kestrel_framework._pipeline.rule_matcher.disjunctions import MOST_DISJUNCTIONS, Disjunctions
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework._pipeline.rule_matcher.memo_budget import MemoBudget
from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    And,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Not,
    Or,
    Predicate,
    all_of,
    any_of,
)

FIELDS = "abc"


def equals(path: str, value: int) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field(path), Literal(value))


def formulas(leaves: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, min_size=2, max_size=4).map(all_of)
            | st.lists(inner, min_size=2, max_size=4).map(any_of)
            | inner.map(Not)
        ),
        max_leaves=12,
    )


ON_ONE_FIELD = formulas(st.builds(equals, st.just("a"), st.integers(0, 5)))
ON_THREE_FIELDS = formulas(st.builds(equals, st.sampled_from(FIELDS), st.integers(0, 2)))
LEAVES = [equals("a", value) for value in range(6)]


def number(leaf: Leaf) -> int:
    assert leaf in LEAVES
    return LEAVES.index(leaf)


class TestConditionTable:
    @settings(max_examples=500)
    @given(
        st.lists(st.lists(ON_ONE_FIELD, min_size=1, max_size=3).map(tuple), max_size=8),
        st.lists(st.integers(0, 63), min_size=1, max_size=5),
    )
    def test_each_bit_is_set_where_its_conditions_hold(
        self, required: list[tuple[Predicate, ...]], values: list[int]
    ) -> None:
        table = ConditionTable(number)
        for place, conditions in enumerate(required):
            table.add(conditions, 1 << place)
        table.compile()
        assert table.bits == (1 << len(required)) - 1
        for leaves in (0, *values):
            document = {"a": list(bits(leaves))}
            expected = {
                place
                for place, conditions in enumerate(required)
                if all(holds(condition, document) for condition in conditions)
            }
            assert set(bits(table.holding(leaves))) == expected
        assert table.by_default == table.holding(0)

    @settings(max_examples=500)
    @given(ON_ONE_FIELD, st.integers(0, 63))
    def test_truth_is_what_the_interpreter_says(self, condition: Predicate, leaves: int) -> None:
        truth = truth_of(condition, number)
        assert bool(truth(leaves)) == holds(condition, {"a": list(bits(leaves))})

    def test_bits_of_equal_conditions_come_together(self) -> None:
        table = ConditionTable(number)
        for place in range(3):
            table.add((equals("a", 1),), 1 << place)
        table.compile()
        assert table.conditions == [((equals("a", 1),), 0b111)]


def engines() -> dict[str, FieldEngine]:
    budget = MemoBudget(MatcherLimits())
    return {path: FieldEngine(path, lambda name: frozenset({name}), budget) for path in FIELDS}


def disjunctions_of(by_path: dict[str, FieldEngine]) -> Disjunctions:
    return Disjunctions(by_path, IndexedFields(by_path.__contains__))


def compiled(by_path: dict[str, FieldEngine]) -> None:
    for engine in by_path.values():
        engine.compile(NativePatternEngine(), 0)


class TestDisjunctions:
    @settings(max_examples=500)
    @given(
        st.lists(ON_THREE_FIELDS, min_size=1, max_size=5),
        st.lists(st.integers(0, 2), min_size=3, max_size=3),
    )
    def test_a_residual_holds_where_all_it_needs_is_satisfied(
        self, residuals: list[Predicate], values: list[int]
    ) -> None:
        by_path = engines()
        disjunctions = disjunctions_of(by_path)
        taken = [disjunctions.taken_from(residual) for residual in residuals]
        compiled(by_path)
        document: dict[str, object] = dict(zip(FIELDS, values, strict=True))
        satisfied = 0
        for path, engine in by_path.items():
            satisfied |= engine.satisfied_by(engine.state_of(document[path]))
        for residual, (needs, rest) in zip(residuals, taken, strict=True):
            found = not needs & ~satisfied and holds(rest, document)
            assert found == holds(residual, document)

    def test_exceptions_need_no_residual(self) -> None:
        exceptions = [Not(And((equals("a", value), equals("b", value)))) for value in range(9)]
        pushed = [Or((Not(equals("a", value)), Not(equals("b", value)))) for value in range(9)]
        needs, rest = disjunctions_of(engines()).taken_from(all_of(pushed))
        assert (needs.bit_count(), rest) == (9, ALWAYS)
        needs, rest = disjunctions_of(engines()).taken_from(all_of(exceptions))
        assert (needs, rest) == (0, all_of(exceptions))  # only of normal forms

    def test_a_term_that_would_become_too_many_is_left(self) -> None:
        pairs = [And((equals("a", value), equals("b", value))) for value in range(8)]
        for count in range(2, 8):
            needs, rest = disjunctions_of(engines()).taken_from(any_of(pairs[:count]))
            if 2**count <= MOST_DISJUNCTIONS:
                assert (needs.bit_count(), rest) == (2**count, ALWAYS)
            else:
                assert (needs, rest) == (0, any_of(pairs[:count]))
        assert math.log2(MOST_DISJUNCTIONS) < 7

    def test_what_compares_fields_is_left(self) -> None:
        compared = Comparison(ComparisonOperator.LESS, Field("a"), Field("b"))
        left = [Or((Not(equals("b", 1)), compared)), Or((equals("a", 1), compared))]
        taken = Or((equals("a", 1), equals("c", 1)))
        needs, rest = disjunctions_of(engines()).taken_from(all_of([left[0], taken, left[1]]))
        assert (needs.bit_count(), rest) == (1, all_of(left))

    def test_what_reads_too_many_fields_is_left(self) -> None:
        budget = MemoBudget(MatcherLimits())
        paths = [f"a{number}" for number in range(MOST_FIELDS + 1)]
        many = {path: FieldEngine(path, lambda name: frozenset({name}), budget) for path in paths}
        for count, taken in ((MOST_FIELDS, True), (MOST_FIELDS + 1, False)):
            term = Or(tuple(equals(path, 1) for path in paths[:count]))
            needs, rest = disjunctions_of(many).taken_from(term)
            assert (needs, rest) == ((1, ALWAYS) if taken else (0, term))

    def test_equal_ones_are_one(self) -> None:
        disjunctions = disjunctions_of(engines())
        term = Or((equals("a", 1), equals("b", 1)))
        first, _ = disjunctions.taken_from(term)
        again, _ = disjunctions.taken_from(And((term, Or((equals("a", 2), equals("c", 1))))))
        assert first & again == first
        assert again.bit_count() == 2
