from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest

from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_rules import (
    AmbiguousCompiler,
    GuardedCompiler,
    GuardedEvaluator,
)
from kestrel_framework.errors import (
    PluginError,
    ResourceLimitError,
    RuleError,
    SourceLocation,
)
from kestrel_framework.interfaces import (
    Failure,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
    RuleFile,
)
from kestrel_framework.predicate import ALWAYS
from kestrel_framework.rule import (
    ANY_EVENT,
    Condition,
    EventRule,
    Program,
    Rule,
    RuleMetadata,
    RuleSource,
)
from kestrel_framework.schema import FieldType, SchemaRegistry

RULE = Rule(RuleMetadata("r"), EventRule(ANY_EVENT, ALWAYS))
SOURCE = RuleSource(RuleMetadata("r"), "acme", "any", SourceLocation("r.acme"))
FILE = RuleFile("r.acme", b"any")
SCHEMA = SchemaRegistry()


class Compiler:
    """A compiler that returns or raises what it is told to."""

    language = "acme"
    suffixes: tuple[str, ...] = (".acme",)

    def __init__(self, result: object) -> None:
        self.result = result

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        return self._result()  # type: ignore[return-value]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        return self._result()  # type: ignore[return-value]

    def _result(self) -> object:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def compiler(result: object) -> GuardedCompiler:
    return GuardedCompiler(Compiler(result), FaultBoundary("acme"))


def test_a_compiler_that_works_is_heard() -> None:
    assert compiler(RULE).compile(SOURCE, SCHEMA) is RULE
    assert compiler([SOURCE]).read(FILE) == (SOURCE,)


def test_wrong_rules_never_stop_a_compiler() -> None:
    failing = compiler(RuleError("wrong"))
    for _ in range(50):
        with pytest.raises(RuleError, match="wrong"):
            failing.compile(SOURCE, SCHEMA)


def test_all_errors_of_a_rule_come_through() -> None:
    group = ExceptionGroup("two", [RuleError("first"), RuleError("second")])
    with pytest.raises(ExceptionGroup) as caught:
        compiler(group).compile(SOURCE, SCHEMA)
    assert [str(error) for error in caught.value.exceptions] == ["first", "second"]


@pytest.mark.parametrize(
    "result",
    [
        ValueError("bug"),
        SystemExit(1),
        RecursionError(),
        ExceptionGroup("mixed", [RuleError("first"), ValueError("bug")]),
        None,
        "a rule",
    ],
    ids=repr,
)
def test_an_accident_or_garbage_blames_the_plugin(result: object) -> None:
    with pytest.raises(PluginError):
        compiler(result).compile(SOURCE, SCHEMA)
    with pytest.raises(PluginError):
        compiler(result if not isinstance(result, str) else [result]).read(FILE)


def test_suffixes_are_a_tuple_of_texts() -> None:
    wrong = Compiler(RULE)
    wrong.suffixes = ".acme"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="no tuple of texts"):
        GuardedCompiler(wrong, FaultBoundary("acme"))


def test_a_language_of_two_plugins_is_an_error_once_it_is_needed() -> None:
    ambiguous = AmbiguousCompiler("acme", [Compiler(RULE), Compiler(RULE)], "two plugins")
    assert ambiguous.suffixes == (".acme",)
    with pytest.raises(RuleError, match="two plugins"):
        ambiguous.read(FILE)
    with pytest.raises(RuleError, match=r"r\.acme: two plugins"):
        ambiguous.compile(SOURCE, SCHEMA)


class Evaluator:
    """A runtime whose predicates answer, or raise, what they are told to."""

    def __init__(self, loaded: object, answer: object = None) -> None:
        self._loaded = loaded
        self._answer = answer

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        if isinstance(self._loaded, BaseException):
            raise self._loaded
        return self._loaded  # type: ignore[return-value]


class Answering:
    """A loaded predicate with a fixed answer, or one that raises."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer  # type: ignore[return-value]


ROWS: Sequence[Sequence[FieldValue]] = [("a",), ("b",)]


def loaded(
    answer: object, fallback: object = None, condition: Condition = ALWAYS
) -> LoadedPredicate:
    guarded = GuardedEvaluator(Evaluator(Answering(answer)), FaultBoundary("acme"))
    if fallback is not None:
        guarded = guarded.with_fallback(Evaluator(Answering(fallback)))
    return guarded.load(condition, {}, Limits())


def test_outcomes_come_through() -> None:
    failure = Failure("out of fuel")
    assert loaded([True, failure]).matches_many(ROWS) == [True, failure]


@pytest.mark.parametrize(
    "answer",
    [ValueError("bug"), SystemExit(1), MemoryError(), None, [True], [True, 1], ["a", "b"], 7],
    ids=repr,
)
def test_an_accident_is_a_failure_of_every_row_and_never_false(answer: object) -> None:
    outcomes = loaded(answer).matches_many(ROWS)
    assert len(outcomes) == 2
    assert all(isinstance(outcome, Failure) for outcome in outcomes)


def test_another_runtime_answers_for_an_expression() -> None:
    assert loaded(ValueError("bug"), [True, False]).matches_many(ROWS) == [True, False]


def test_nothing_answers_for_a_program() -> None:
    program = Program("acme", b"", {})
    outcomes = loaded(ValueError("bug"), [True, False], program).matches_many(ROWS)
    assert all(isinstance(outcome, Failure) for outcome in outcomes)


def test_a_runtime_that_keeps_failing_is_not_asked_and_the_other_answers() -> None:
    predicate = loaded(ValueError("bug"), [True, False])
    for _ in range(20):
        assert predicate.matches_many(ROWS) == [True, False]


@pytest.mark.parametrize("error", [RuleError("no regex"), ResourceLimitError("too large")])
def test_a_refused_condition_is_refused(error: Exception) -> None:
    with pytest.raises(type(error)):
        GuardedEvaluator(Evaluator(error), FaultBoundary("acme")).load(ALWAYS, {}, Limits())


@pytest.mark.parametrize("result", [ValueError("bug"), SystemExit(1), None, SimpleNamespace()])
def test_an_accident_while_loading_costs_the_rule(result: object) -> None:
    with pytest.raises(RuleError, match="plugin acme"):
        GuardedEvaluator(Evaluator(result), FaultBoundary("acme")).load(ALWAYS, {}, Limits())
