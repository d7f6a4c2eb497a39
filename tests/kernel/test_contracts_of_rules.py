"""The contracts of rule languages and runtimes: what is wrong fails them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from kestrel_framework._builtin.native_evaluator import NativeEvaluator
from kestrel_framework.errors import (
    RuleError,
    SourceLocation,
)
from kestrel_framework.interfaces import (
    MISSING,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
    RuleFile,
)
from kestrel_framework.predicate import ALWAYS, Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    Condition,
    EventRule,
    Program,
    Rule,
    RuleMetadata,
    RuleSource,
)
from kestrel_framework.schema import FieldType, SchemaRegistry
from kestrel_framework.testing import (
    PredicateEvaluatorContract,
    RuleCompilerContract,
)


def fails(test: Callable[..., None], *arguments: object) -> bool:
    """Say whether a contract test finds something wrong."""
    try:
        test(*arguments)
    except (AssertionError, TypeError, KeyError, pytest.fail.Exception):
        return True
    return False


# --- runtimes --------------------------------------------------------------------------------


@attrs.frozen
class Changed:
    """Outcomes of the native evaluator, changed."""

    native: LoadedPredicate
    change: Callable[[list[Outcome], Sequence[Sequence[FieldValue]]], list[Outcome]]

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        return self.change(list(self.native.matches_many(rows)), rows)


@attrs.frozen
class ChangedEvaluator:
    change: Callable[[list[Outcome], Sequence[Sequence[FieldValue]]], list[Outcome]]

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        return Changed(NativeEvaluator().load(condition, fields, limits), self.change)


def missing_is_empty(
    outcomes: list[Outcome], rows: Sequence[Sequence[FieldValue]]
) -> list[Outcome]:
    return [
        False if any(value is MISSING for value in row) else outcome
        for outcome, row in zip(outcomes, rows, strict=True)
    ]


def looks_at_neighbours(
    outcomes: list[Outcome], rows: Sequence[Sequence[FieldValue]]
) -> list[Outcome]:
    return [any(outcomes)] * len(outcomes) if len(outcomes) > 1 else outcomes


@pytest.mark.parametrize(
    ("change", "test"),
    [
        (missing_is_empty, "test_agrees_with_the_reference"),
        (lambda outcomes, rows: outcomes[:-1], "test_agrees_with_the_reference"),
        (looks_at_neighbours, "test_one_row_is_judged_as_many"),
        (lambda outcomes, rows: [True for _ in rows], "test_rows_follow_the_order_of_the_fields"),
    ],
)
def test_wrong_evaluators_fail(
    change: Callable[[list[Outcome], Sequence[Sequence[FieldValue]]], list[Outcome]], test: str
) -> None:
    contract = PredicateEvaluatorContract()
    assert fails(getattr(PredicateEvaluatorContract, test), contract, ChangedEvaluator(change))


class LoadsAnything:
    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        return Changed(
            NativeEvaluator().load(ALWAYS, {}, limits),
            lambda outcomes, rows: [True for _ in rows],
        )


def test_an_evaluator_that_loads_anything_fails() -> None:
    contract = PredicateEvaluatorContract()
    program = Program("any", b"program", {"text": FieldType.KEYWORD})
    assert fails(contract.test_refuses_a_program_of_another_runtime, LoadsAnything())
    assert fails(contract.test_runs_a_program, LoadsAnything(), program)
    assert fails(contract.test_refuses_a_damaged_program, LoadsAnything(), program)
    assert fails(
        contract.test_a_failing_program_is_neither_true_nor_false, LoadsAnything(), program
    )


# --- rule languages --------------------------------------------------------------------------


class NameCompiler:
    """A right compiler: each line is the name of a process to look for."""

    language = "names"
    suffixes: tuple[str, ...] = (".names",)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        try:
            text = file.text()
        except UnicodeDecodeError as error:
            raise RuleError("is not UTF-8", SourceLocation(file.path)) from error
        metadata = RuleMetadata(Path(file.path).stem)
        return [RuleSource(metadata, self.language, text, SourceLocation(file.path, 1, 1))]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        names = source.text.splitlines()
        for number, name in enumerate(names):
            if not name.isidentifier():
                line = (source.location.line or 1) + number
                raise RuleError("not a name", SourceLocation(source.location.path, line))
        if not names:
            raise RuleError("no name", source.location)
        return self.rule(source, names[0])

    def rule(self, source: RuleSource, name: str) -> Rule:
        predicate = Comparison(
            ComparisonOperator.EQUAL, Field("process.name", FieldType.KEYWORD), Literal(name)
        )
        body = EventRule(frozenset({"process"}), predicate)
        return Rule(source.metadata, body, self.language, source.location)


class TestNameCompiler(RuleCompilerContract):
    @pytest.fixture
    def compiler(self) -> NameCompiler:
        return NameCompiler()

    @pytest.fixture
    def rule_file(self) -> RuleFile:
        return RuleFile("rules/shells.names", b"bash\nzsh\n")

    @pytest.fixture
    def broken_rule(self) -> str:
        return "bash\nzsh\nnot a name\n"


class LosesItsPlace(NameCompiler):
    def rule(self, source: RuleSource, name: str) -> Rule:
        return attrs.evolve(super().rule(source, name), location=None)


class Fickle(NameCompiler):
    calls = 0

    def rule(self, source: RuleSource, name: str) -> Rule:
        self.calls += 1
        return super().rule(source, f"{name}{self.calls}")


class WrongLine(NameCompiler):
    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        return super().compile(attrs.evolve(source, location=SourceLocation("x", 1)), schema)


class AcceptsAnything(NameCompiler):
    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        return self.rule(source, source.text)


class Crashes(NameCompiler):
    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        return self.rule(source, source.text.splitlines()[0])

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        file.content.decode()
        return super().read(file)


FILE = RuleFile("rules/shells.names", b"bash\nzsh\n")


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (LosesItsPlace, "test_compiles"),
        (Fickle, "test_compiling_is_pure"),
    ],
)
def test_wrong_compilers_fail(wrong: type[NameCompiler], test: str) -> None:
    contract, compiler, schema = RuleCompilerContract(), wrong(), SchemaRegistry.ecs()
    sources = list(compiler.read(FILE))
    assert fails(getattr(RuleCompilerContract, test), contract, compiler, sources, schema)


@pytest.mark.parametrize("wrong", [WrongLine, AcceptsAnything])
def test_a_compiler_that_does_not_say_where_fails(wrong: type[NameCompiler]) -> None:
    contract, compiler, schema = RuleCompilerContract(), wrong(), SchemaRegistry.ecs()
    sources = list(compiler.read(FILE))
    assert fails(
        contract.test_says_where_a_rule_is_wrong, compiler, sources, "bash\nnot a name", schema
    )


def test_a_compiler_that_crashes_fails() -> None:
    contract, compiler, schema = RuleCompilerContract(), Crashes(), SchemaRegistry.ecs()
    sources = list(compiler.read(FILE))
    with pytest.raises(IndexError):
        contract.test_survives_any_text(compiler, sources, schema)
    with pytest.raises(UnicodeDecodeError):
        contract.test_says_what_is_wrong_with_a_file(compiler)
