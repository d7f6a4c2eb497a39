"""Asking runtimes: in batches, with declared fields only, and never mistaking a fault for a no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import pytest
from hypothesis import assume, given, settings

from kestrel_framework._builtin.native_evaluator import NativeEvaluator
from kestrel_framework._pipeline.flow import UNTIL, Candidate, Problem, Row, Target
from kestrel_framework._pipeline.predicate_runner import PredicateRunner
from kestrel_framework.errors import ResourceLimitError, RuleError
from kestrel_framework.event import Document
from kestrel_framework.interfaces import MISSING, Failure, FieldValue, Limits, Outcome
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Predicate,
    StepField,
)
from kestrel_framework.predicate_traversal import walk
from kestrel_framework.rule import ANY_EVENT, Condition, Program
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates

SCHEMA = SchemaRegistry().extended(
    [
        FieldDefinition("port", FieldType.LONG),
        FieldDefinition("day", FieldType.DATE, formats=("dd-MM-yyyy",)),
        FieldDefinition("exe", alias_of="name"),
    ]
)
Verdict = Callable[[Sequence[FieldValue]], Outcome]


@attrs.define
class AskedRuntime:
    """A runtime that answers by a function, and remembers what it was asked."""

    verdict: Verdict
    calls: list[list[Sequence[FieldValue]]] = attrs.field(factory=list)

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> AskedRuntime:
        return self

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        self.calls.append(list(rows))
        return [self.verdict(row) for row in rows]


def row(document: Document, offset: int = 0) -> Row:
    return Row(lambda given: document, document, 0, "s", offset)


def runner(
    targets: Sequence[Target],
    evaluator: object,
    *,
    runtime: str = "native",
    problems: list[tuple[int, Problem]] | None = None,
) -> PredicateRunner:
    told = [] if problems is None else problems
    return PredicateRunner(
        targets,
        {"lua": evaluator},  # type: ignore[dict-item]
        runtime,
        SCHEMA,
        Limits(),
        lambda rule, problem: told.append((rule, problem)),
    )


def program(**fields: FieldType) -> Program:
    return Program("lua", b"return true", fields or {"a": FieldType.KEYWORD})


class TestPrograms:
    def test_all_candidates_are_asked_about_in_one_call(self) -> None:
        lua = AskedRuntime(lambda values: values[0] == "x")
        asked = runner([Target(0, 0, ANY_EVENT, ALWAYS), Target(1, 0, ANY_EVENT, program())], lua)
        candidates = [
            Candidate(row({"a": "x"}), (1,)),
            Candidate(row({"a": "y"}), (0, 1)),
            Candidate(row({"a": "z"}), (1,)),
            Candidate(row({}), (0,)),
        ]
        confirmed = asked.confirm(candidates)
        assert [candidate.targets for candidate in confirmed] == [(1,), (0,), (0,)]
        assert lua.calls == [[["x"], ["y"], ["z"]]]

    def test_a_program_sees_its_declared_fields_as_values(self) -> None:
        lua = AskedRuntime(lambda _: True)
        declared = program(
            port=FieldType.LONG,
            day=FieldType.DATE,
            exe=FieldType.KEYWORD,
            several=FieldType.KEYWORD,
            one=FieldType.KEYWORD,
            absent=FieldType.KEYWORD,
            wrong=FieldType.LONG,
            zero=FieldType.LONG,
            object=FieldType.OBJECT,
        )
        asked = runner([Target(0, 0, ANY_EVENT, declared)], lua)
        document = {
            "port": "445", "day": "02-01-1970", "name": "cmd", "several": ["x", 1, None],
            "one": ["x"], "wrong": "abc", "zero": 0, "object": {"k": 1}, "secret": "not declared",
        }  # fmt: skip
        asked.confirm([Candidate(row(document), (0,))])
        assert lua.calls == [
            [[445, 86_400 * 10**9, "cmd", ("x", "1"), ("x",), MISSING, MISSING, 0, {"k": 1}]]
        ]

    def test_an_unknown_runtime_is_an_error_of_the_rule(self) -> None:
        with pytest.raises(RuleError, match='no runtime "wasm"; there are: lua'):
            runner([Target(0, 0, ANY_EVENT, Program("wasm", b"", {}))], None)


class TestFailures:
    @pytest.mark.parametrize(
        ("verdict", "problem"),
        [
            (lambda _: Failure("out of fuel"), "out of fuel"),
            (lambda _: 1 / 0, "ZeroDivisionError"),
            (lambda _: None, "None is no outcome"),
        ],
        ids=["failure", "exception", "no outcome"],
    )
    def test_a_failure_is_reported_and_is_no_verdict(self, verdict: Verdict, problem: str) -> None:
        problems: list[tuple[int, Problem]] = []
        targets = [
            Target(7, 0, ANY_EVENT, program()),
            Target(7, UNTIL, ANY_EVENT, program(), prevents=True),
        ]
        asked = runner(targets, AskedRuntime(verdict), problems=problems)
        (confirmed,) = asked.confirm([Candidate(row({}, 3), (0, 1))])
        assert confirmed.targets == (1,)
        assert [rule for rule, _ in problems] == [7, 7]
        assert problem in problems[0][1].message
        assert problems[0][1].origin == "s#3"
        assert not problems[0][1].skipped

    def test_too_few_outcomes_fail_them_all(self) -> None:
        problems: list[tuple[int, Problem]] = []

        class Short(AskedRuntime):
            def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
                return [True]

        asked = runner([Target(0, 0, ANY_EVENT, program())], Short(bool), problems=problems)
        assert asked.confirm([Candidate(row({}, n), (0,)) for n in range(3)]) == []
        assert len(problems) == 3


class TestExpressions:
    EXPRESSION = Comparison(ComparisonOperator.EQUAL, Field("a"), Literal(1))

    def test_under_the_native_runtime_they_are_not_asked_again(self) -> None:
        asked = runner([Target(0, 0, ANY_EVENT, self.EXPRESSION)], None)
        candidates = [Candidate(row({}), (0,))]
        assert asked.confirm(candidates) == candidates

    def test_under_another_runtime_each_is_asked(self) -> None:
        lua = AskedRuntime(lambda values: values == [1])
        asked = runner([Target(0, 0, ANY_EVENT, self.EXPRESSION)], lua, runtime="lua")
        candidates = [Candidate(row({"a": 1}), (0,)), Candidate(row({"a": 2}), (0,))]
        assert len(asked.confirm(candidates)) == 1

    def test_what_reads_earlier_steps_is_left_to_the_tracker(self) -> None:
        on_step = Comparison(ComparisonOperator.EQUAL, Field("a"), StepField(0, "a"))
        asked = runner([Target(0, 1, ANY_EVENT, on_step)], None, runtime="lua")
        assert len(asked.confirm([Candidate(row({}), (0,))])) == 1

    @settings(max_examples=300, deadline=None)
    @given(predicates(), documents())
    def test_the_native_evaluator_equals_the_interpreter(
        self, predicate: Predicate, document: dict[str, object]
    ) -> None:
        assume(_reads_each_path_in_one_way(predicate))
        asked = runner([Target(0, 0, ANY_EVENT, predicate)], NativeEvaluator(), runtime="lua")
        confirmed = asked.confirm([Candidate(row(document), (0,))])
        assert bool(confirmed) == holds(predicate, document)


class TestNativeEvaluator:
    def test_evaluates_rows(self) -> None:
        expression = Not(IsNull(Field("a.b")))
        loaded = NativeEvaluator().load(expression, {"x": None, "a.b": None}, Limits())
        assert list(loaded.matches_many([[1, 2], [1, MISSING], [1, ()]])) == [True, False, False]
        (outcome,) = loaded.matches_many([[1]])
        assert isinstance(outcome, Failure)

    def test_a_date_is_not_read_as_a_date_again(self) -> None:
        day = Comparison(ComparisonOperator.EQUAL, Field("d", FieldType.DATE), Literal(5))
        loaded = NativeEvaluator().load(day, {"d": FieldType.DATE}, Limits())
        assert list(loaded.matches_many([[5]])) == [True]

    @pytest.mark.parametrize(
        ("condition", "problem"),
        [
            (program(), "not programs"),
            (IsNull(StepField(0, "a")), "earlier steps"),
            (
                Lineage(LineageRelation.CHILD, ANY_EVENT, ALWAYS, Field("a"), Field("a")),
                "asks for lineage",
            ),
            (IsNull(Field("b")), "`b`, which is not declared"),
        ],
    )
    def test_refuses_what_it_cannot_evaluate(self, condition: Condition, problem: str) -> None:
        with pytest.raises(RuleError, match=problem):
            NativeEvaluator().load(condition, {"a": None}, Limits())

    def test_refuses_what_nests_too_deeply(self) -> None:
        deep: Predicate = ALWAYS
        for _ in range(300):
            deep = Not(deep)
        with pytest.raises(ResourceLimitError, match="200 levels"):
            NativeEvaluator().load(deep, {}, Limits())


def _reads_each_path_in_one_way(predicate: Predicate) -> bool:
    ways: dict[str, set[str]] = {}
    for node in walk(predicate):
        if isinstance(node, Field):
            ways.setdefault(node.path, set()).add(repr(attrs.evolve(node, whole=False)))
    return all(len(found) == 1 for found in ways.values())
