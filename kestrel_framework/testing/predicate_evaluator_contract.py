"""What every runtime must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import attrs
import pytest

from kestrel_framework.errors import ResourceLimitError, RuleError
from kestrel_framework.interfaces import (
    MISSING,
    Failure,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
    PredicateEvaluator,
)
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Arithmetic,
    ArithmeticOperator,
    Comparison,
    ComparisonOperator,
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
    Wildcard,
)
from kestrel_framework.rule import Program
from kestrel_framework.schema import FieldType
from kestrel_framework.testing.contract import Contract, if_supported

_TEXT: Final = Field("text", FieldType.KEYWORD)
_NUMBER: Final = Field("number", FieldType.LONG)
_ANY: Final = Field("any")
_FIELDS: Final[Mapping[str, FieldType | None]] = {
    "text": FieldType.KEYWORD,
    "number": FieldType.LONG,
    "any": None,
}


def _is(value: Field, literal: str | float | bool, *, fold: bool = False) -> Comparison:
    return Comparison(ComparisonOperator.EQUAL, value, Literal(literal), fold)


def _orders(operator: ComparisonOperator) -> Comparison:
    return Comparison(operator, _NUMBER, Literal(10))


_PREDICATES: Final[Sequence[Predicate]] = (
    ALWAYS,
    NEVER,
    _is(_TEXT, "abc"),
    _is(_TEXT, "ABC", fold=True),
    _is(_TEXT, ""),
    _is(_NUMBER, 0),
    _is(_ANY, 1),
    _is(_ANY, 1.0),
    _is(_ANY, True),
    _is(_ANY, "1"),
    *(_orders(operator) for operator in ComparisonOperator),
    Comparison(ComparisonOperator.EQUAL, _TEXT, _ANY),
    Comparison(ComparisonOperator.LESS, _NUMBER, _ANY),
    Comparison(
        ComparisonOperator.EQUAL,
        Arithmetic(ArithmeticOperator.MODULO, _NUMBER, Literal(3)),
        Literal(1),
    ),
    Membership(_TEXT, (Literal("abc"), Literal("x")), fold=True),
    Wildcard(_TEXT, ("a*", "?")),
    Wildcard(_TEXT, ("*\n*",), fold=False),
    Regex(_TEXT, ("a[b-c]+",)),
    Regex(_TEXT, ("A.*",), fold=True),
    TextTest(TextPart.PREFIX, _TEXT, Literal("ab")),
    TextTest(TextPart.SUFFIX, _TEXT, Literal("BC"), fold=True),
    TextTest(TextPart.SUBSTRING, _TEXT, Literal("b")),
    IsNull(_TEXT),
    IsNull(_NUMBER),
    Not(_is(_TEXT, "abc")),
    Not(_orders(ComparisonOperator.LESS)),
    And((_is(_TEXT, "abc"), Not(IsNull(_NUMBER)))),
    Or((_is(_NUMBER, 10), _is(_ANY, False))),
)
_ROWS: Final[Sequence[tuple[FieldValue, FieldValue, FieldValue]]] = (
    (MISSING, MISSING, MISSING),
    ("abc", 10, "abc"),
    ("ABC", -1, 1),
    ("", 0, 0),
    ("abcc", 2**62, 1.0),
    ("x\ny", 9, True),
    ("\u0130stanbul", 11, False),
    ("stra\u00dfe", -(2**62), "1"),
    (("abc", "x"), (3, 12), (1, "abc")),
    (MISSING, 4, ""),
    ("abc", MISSING, 12),
)


class PredicateEvaluatorContract(Contract, contract=True):
    """Give it an `evaluator`, and say what it can evaluate.

    Attributes:
        evaluates_expressions: The kernel's predicate trees.
        evaluates_programs: Predicates written by hand; needs the fixtures `program`, which
            holds where the value of its one declared field is the text "yes", and
            `failing_program`, which always fails.
    """

    evaluates_expressions: ClassVar[bool] = True
    evaluates_programs: ClassVar[bool] = False

    @pytest.fixture
    def evaluator(self) -> PredicateEvaluator:
        """Return an evaluator."""
        raise NotImplementedError("define a fixture `evaluator` that returns your runtime")

    @pytest.fixture
    def program(self) -> Program:
        """Return a program with one field that holds where its value is the text "yes"."""
        raise NotImplementedError("define a fixture `program`")

    @pytest.fixture
    def failing_program(self) -> Program:
        """Return a program with one field whose evaluation always fails."""
        raise NotImplementedError("define a fixture `failing_program`")

    def test_is_an_evaluator(self, evaluator: PredicateEvaluator) -> None:
        """It has all methods of the interface."""
        assert isinstance(evaluator, PredicateEvaluator)

    @if_supported("evaluates_expressions")
    def test_agrees_with_the_reference(self, evaluator: PredicateEvaluator) -> None:
        """Every kind of node means what the kernel's interpreter says; MISSING is no value."""
        for predicate in _PREDICATES:
            loaded = evaluator.load(predicate, _FIELDS, Limits())
            assert isinstance(loaded, LoadedPredicate)
            expected = [holds(predicate, _document(row)) for row in _ROWS]
            assert list(loaded.matches_many(_ROWS)) == expected, predicate

    @if_supported("evaluates_expressions")
    def test_one_row_is_judged_as_many(self, evaluator: PredicateEvaluator) -> None:
        """Outcomes depend neither on the rows beside, nor on what was asked before."""
        predicate = Or((_is(_TEXT, "abc"), _is(_ANY, True)))
        loaded = evaluator.load(predicate, _FIELDS, Limits())
        together = list(loaded.matches_many(_ROWS))
        alone: list[Outcome] = []
        for row in _ROWS:
            alone += loaded.matches_many([row])
        assert alone == together
        assert list(loaded.matches_many(list(reversed(_ROWS)))) == together[::-1]
        assert not loaded.matches_many([])

    @if_supported("evaluates_expressions")
    def test_rows_follow_the_order_of_the_fields(self, evaluator: PredicateEvaluator) -> None:
        """A row has the values in the order given to `load`, and more than the predicate reads."""
        backwards = dict(reversed(list(_FIELDS.items())))
        loaded = evaluator.load(_is(_TEXT, "abc"), backwards, Limits())
        assert list(loaded.matches_many([row[::-1] for row in _ROWS])) == [
            holds(_is(_TEXT, "abc"), _document(row)) for row in _ROWS
        ]

    def test_refuses_a_program_of_another_runtime(self, evaluator: PredicateEvaluator) -> None:
        """What it cannot evaluate is said when it is loaded, not when it is asked."""
        foreign = Program("no-such-runtime", b"", {"text": FieldType.KEYWORD})
        with pytest.raises(RuleError):
            evaluator.load(foreign, foreign.fields, Limits())

    @if_supported("evaluates_programs")
    def test_runs_a_program(self, evaluator: PredicateEvaluator, program: Program) -> None:
        """A program sees its declared field, and can tell that an event has none."""
        loaded = evaluator.load(program, program.fields, Limits())
        rows: list[tuple[FieldValue]] = [("yes",), ("no",), ("",), (MISSING,), ("yes",)]
        assert list(loaded.matches_many(rows)) == [True, False, False, False, True]

    @if_supported("evaluates_programs")
    def test_a_failing_program_is_neither_true_nor_false(
        self, evaluator: PredicateEvaluator, failing_program: Program
    ) -> None:
        """A failure is an outcome with a reason, not an exception, and costs that row alone."""
        loaded = evaluator.load(failing_program, failing_program.fields, Limits())
        outcomes = list(loaded.matches_many([("yes",), ("no",)]))
        assert len(outcomes) == 2
        assert all(isinstance(outcome, Failure) and outcome.problem for outcome in outcomes)

    @if_supported("evaluates_programs")
    def test_refuses_a_damaged_program(
        self, evaluator: PredicateEvaluator, program: Program
    ) -> None:
        """A payload that is no program is an error of its rule."""
        for payload in (b"", b"\x00", b"\xff" * 1000, program.payload[: len(program.payload) // 2]):
            with pytest.raises((RuleError, ResourceLimitError)):
                evaluator.load(attrs.evolve(program, payload=payload), program.fields, Limits())


def _document(row: Sequence[FieldValue]) -> dict[str, object]:
    values = zip(_FIELDS, row, strict=True)
    return {path: value for path, value in values if value is not MISSING}
