"""The matcher: whatever it generates means what the interpreter says."""

from __future__ import annotations

import ast
import time
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.over_approximation import (
    decided_by_lineage,
    where_no_lineage_holds,
)
from kestrel_framework._pipeline.rule_matcher.predicate_code import PredicateCode
from kestrel_framework._pipeline.rule_matcher.row_cells import CellTable
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    MAX_DEPTH,
    NEVER,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Comparison,
    ComparisonOperator,
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
    TextPart,
    TextTest,
    Value,
    Wildcard,
)
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import ANY_EVENT, Condition, Program
from kestrel_framework.schema import FieldType, SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates, step_documents, texts

EQUAL = ComparisonOperator.EQUAL
SCHEMA = SchemaRegistry()
NAME = Field("a", FieldType.KEYWORD)


def matcher_of(
    conditions: Sequence[Condition], event_types: Sequence[frozenset[str]] = ()
) -> EventMatcher:
    types = event_types or [ANY_EVENT] * len(conditions)
    targets = [
        Target(number, 0, kinds, condition)
        for number, (condition, kinds) in enumerate(zip(conditions, types, strict=True))
    ]
    return EventMatcher(targets, SCHEMA, EventSettings(), NativePatternEngine())


def matched(
    conditions: Sequence[Condition],
    document: Document,
    *,
    event_types: Sequence[frozenset[str]] = (),
) -> list[int]:
    """Return the numbers of the conditions that the matcher proposes for a document."""
    found = matcher_of(conditions, event_types).match(EventBatch(documents=[document]))
    return list(found.matches[0].targets) if found.matches else []


class TestEqualsTheInterpreter:
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.builds(
                Membership,
                st.builds(Field, st.sampled_from("ab"), st.sampled_from([None, FieldType.KEYWORD])),
                st.lists(st.builds(Literal, texts()), min_size=1, max_size=3).map(tuple),
                st.booleans(),
            )
            | st.builds(
                Wildcard,
                st.builds(Field, st.sampled_from("ab"), st.sampled_from([None, FieldType.LONG])),
                st.lists(texts(), min_size=1, max_size=3).map(tuple),
                st.booleans(),
            ),
            min_size=2,
            max_size=12,
        ),
        st.lists(st.booleans(), min_size=12, max_size=12),
        st.fixed_dictionaries({"a": texts() | st.lists(texts()), "b": texts() | st.integers(0, 9)}),
    )
    def test_on_what_the_index_is_for(
        self, leaves: list[Predicate], pairs: list[bool], document: dict[str, object]
    ) -> None:
        conditions = [
            And((left, right)) if both else Or((left, right))
            for left, right, both in zip(leaves, leaves[1:], pairs, strict=False)
        ]
        expected = [n for n, one in enumerate(conditions) if holds(one, document)]
        assert matched(conditions, document) == expected

    def test_on_the_deepest_trees(self) -> None:
        deep: Predicate = Comparison(EQUAL, Field("a"), Literal(1))
        value: Value = Field("a")
        nested: Predicate = Comparison(EQUAL, Element("x"), Literal(1))
        for level in range(MAX_DEPTH - 2):
            deep = And((deep, ALWAYS)) if level % 2 else Not(Not(deep).term)
            value = Arithmetic(ArithmeticOperator.ADD, value, Literal(1))
            nested = AnyElement(Element("x"), "x", nested)
        conditions = [
            deep,
            Comparison(EQUAL, value, Literal(MAX_DEPTH - 1)),
            AnyElement(Field("a"), "x", nested),
        ]
        expected = [n for n, one in enumerate(conditions) if holds(one, {"a": 1})]
        assert matched(conditions, {"a": 1}) == expected
        assert 1 in expected


class TestEventTypes:
    CONDITIONS = [ALWAYS, ALWAYS, ALWAYS]
    TYPES = [frozenset({"process", "file"}), frozenset({"network"}), ANY_EVENT]

    @pytest.mark.parametrize(
        ("of", "expected"),
        [
            ({"process"}, [0, 2]),
            ({"process", "file"}, [0, 2]),
            ({"dns", "network"}, [1, 2]),
            ({"network", "file"}, [0, 1, 2]),
            (set(), [2]),
            ({"unknown"}, [2]),
        ],
    )
    def test_a_target_sees_the_events_of_its_types(self, of: set[str], expected: list[int]) -> None:
        document = {"event": {"category": sorted(of)}}
        assert matched(self.CONDITIONS, document, event_types=self.TYPES) == expected

    def test_odd_categories_do_no_harm(self) -> None:
        matcher = matcher_of([ALWAYS], [frozenset({"process"})])
        odd: list[object] = [f"odd {number}" for number in range(5000)]
        odd += [5, None, {"process": 1}, [[["process"]]], True, "PROCESS", ["process"] * 1000]
        documents = [{"event": {"category": one}} for one in odd]
        found = matcher.match(EventBatch(documents=documents))
        assert [documents[match.index]["event"]["category"] for match in found.matches] == [
            [[["process"]]],
            ["process"] * 1000,
        ]


class TestOverApproximation:
    def test_a_program_is_its_prefilter(self) -> None:
        prefilter = Comparison(EQUAL, NAME, Literal("x"))
        fields = {"a": FieldType.KEYWORD}
        conditions: list[Condition] = [
            Program("lua", b"", fields, prefilter),
            Program("lua", b"", fields),
        ]
        assert matched(conditions, {"a": "x"}) == [0, 1]
        assert matched(conditions, {"a": "y"}) == [1]

    def test_a_leaf_on_an_earlier_step_counts_as_held(self) -> None:
        same = Comparison(EQUAL, NAME, StepField(0, "a"))
        other = Comparison(EQUAL, NAME, Literal("x"))
        conditions: list[Condition] = [
            And((same, other)),
            And((Not(same), other)),
            Or((same, other)),
            same,
        ]
        assert matched(conditions, {"a": "y"}) == [2, 3]
        assert matched(conditions, {"a": "x"}) == [0, 1, 2, 3]

    @settings(max_examples=400, deadline=None)
    @given(predicates(steps=3, lineage=2), documents(), step_documents(), st.randoms())
    def test_nothing_that_may_hold_is_lost(
        self,
        condition: Predicate,
        document: dict[str, object],
        steps: tuple[dict[str, object] | None, ...],
        random: Random,
    ) -> None:
        lineage = [node for node in lineages_of(condition) if random.random() < 0.5]
        if holds(condition, document, steps, lineage=lineage):
            assert matched([condition], document) == [0]
            left = decided_by_lineage(condition)
            assert holds(left, document, lineage=lineage)

    @settings(max_examples=400, deadline=None)
    @given(predicates(lineage=2), documents(), st.randoms())
    def test_with_what_is_left_for_lineage_to_decide_it_is_exact(
        self, condition: Predicate, document: dict[str, object], random: Random
    ) -> None:
        lineage = [node for node in lineages_of(condition) if random.random() < 0.5]
        proposed = bool(matched([condition], document))
        left = holds(decided_by_lineage(condition), document, lineage=lineage)
        assert (proposed and left) == holds(condition, document, lineage=lineage)
        otherwise = where_no_lineage_holds(condition)
        if otherwise is not None:
            assert bool(matched([otherwise], document)) == holds(condition, document)


class TestAttacks:
    EVIL = "x'\"\\\n\r\u2028); raise SystemExit #{}"

    def test_no_text_of_a_rule_becomes_code(self) -> None:
        evil = self.EVIL
        field = Field(evil)
        conditions: list[Condition] = [
            Comparison(EQUAL, field, Literal(evil)),
            Wildcard(field, (evil + "*",)),
            Regex(field, ("[^0-9]*",)),
            TextTest(TextPart.SUBSTRING, field, Literal(evil)),
            Membership(field, (Literal(evil), Literal(evil + "y"))),
            AnyElement(field, evil, Comparison(EQUAL, Element(evil), Literal(evil))),
            Comparison(EQUAL, Call(Function.CONCAT, (field,)), Literal(evil)),
            IsNull(Field("missing" + evil)),
        ]
        assert matched(conditions, {evil: evil}) == [0, 1, 2, 3, 4, 5, 6, 7]
        for condition in conditions:
            assert isinstance(condition, Node)
            _assert_only_tests(source_of(condition))

    @settings(max_examples=100, deadline=None)
    @given(predicates())
    def test_the_source_is_tests_and_nothing_else(self, predicate: Predicate) -> None:
        _assert_only_tests(source_of(predicate))

    def test_huge_lists_in_an_event_are_looked_at_once(self) -> None:
        document = {"a": [f"text {n}" for n in range(100_000)], "b": ["x"] * 100_000}
        conditions: list[Condition] = [
            Comparison(ComparisonOperator.LESS, Field("a"), Field("b")),
            Comparison(EQUAL, Field("a"), Field("b")),
            TextTest(TextPart.PREFIX, Field("a"), Field("b")),
        ]
        started = time.process_time()
        assert matched(conditions, document) == [0]
        assert time.process_time() - started < 20


class TestCode:
    def test_texts_are_constants(self) -> None:
        source = source_of(Wildcard(NAME, ("cmd.exe", "*secret*")))
        assert "cmd" not in source
        assert "secret" not in source

    def test_equal_predicates_share_their_code(self) -> None:
        predicate = Comparison(EQUAL, NAME, Literal("x"))
        source = source_of(*[And((predicate, Wildcard(NAME, ("*y",))))] * 50)
        assert source.count("def ") == 1


class TestMatches:
    def test_events_keep_their_order_and_targets_ascend(self) -> None:
        matcher = matcher_of(
            [
                Membership(NAME, (Literal("x"), Literal("y"))),
                ALWAYS,
                Comparison(EQUAL, NAME, Literal("x")),
            ]
        )
        documents = [{"a": value} for value in ("z", ["x", "y"], "x", None)]
        found = matcher.match(EventBatch(documents=documents))
        assert [match.index for match in found.matches] == [0, 1, 2, 3]
        assert [match.targets for match in found.matches] == [(1,), (0, 1, 2), (0, 1, 2), (1,)]

    def test_events_that_match_nothing_are_left_out(self) -> None:
        batch = EventBatch(documents=[{}, {"a": "x"}, {}])
        found = matcher_of([Comparison(EQUAL, NAME, Literal("x"))]).match(batch)
        assert (found.places, [match.index for match in found.matches]) == ([0, 1, 2], [1])
        assert matcher_of([]).match(batch).matches == []
        assert matcher_of([NEVER]).match(batch).matches == []

    def test_a_thousand_rules_compile_in_seconds(self) -> None:
        conditions = [
            And(
                (
                    Wildcard(NAME, (f"program{n}.exe", f"tool{n}.exe")),
                    Or(
                        (
                            Wildcard(Field("b"), (f"*-flag{n}*", "*--force*")),
                            Regex(Field("b"), (f".*arg{n}[0-9]+.*",)),
                        )
                    ),
                    Not(Comparison(EQUAL, Field("c.d"), Literal(n))),
                )
            )
            for n in range(1000)
        ]
        started = time.process_time()
        matcher = matcher_of(conditions, [frozenset({"process"})] * 1000)
        document = {"event": {"category": "process"}, "a": "tool7.exe", "b": "x --force y"}
        (match,) = matcher.match(EventBatch(documents=[document])).matches
        assert match.targets == (7,)
        assert time.process_time() - started < 20


def source_of(*predicates: Predicate) -> str:
    """Return the code that tests predicates which several fields decide."""
    code = PredicateCode(CellTable({}))
    for predicate in predicates:
        code.add(predicate)
    return code.source()


def _assert_only_tests(source: str) -> None:
    """Check that generated source calls nothing but the matcher's own functions."""
    allowed = {
        "any", "called", "calculated", "entries", "field_values", "folded", "folded_texts",
        "interpret", "some_key", "some_number", "some_pair", "some_prefix", "some_substring",
        "some_suffix", "some_text", "some_text_pair", "texts",
    }  # fmt: skip
    for node in ast.walk(ast.parse(source)):
        assert not isinstance(node, (ast.Import, ast.ImportFrom, ast.Lambda, ast.Global))
        if isinstance(node, ast.Attribute):
            assert node.attr in {"isdisjoint", "read_document"}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id in allowed or node.func.id[:1] in "rp"
        if isinstance(node, ast.Constant):
            assert node.value is None or isinstance(node.value, (bool, int))
