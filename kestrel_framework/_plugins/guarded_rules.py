"""Rule languages and runtimes behind their fault boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from kestrel_framework._plugins.error_handling import (
    Decision,
    HandlerChain,
    always,
    fall_back,
)
from kestrel_framework._plugins.faults import Failed, FaultBoundary
from kestrel_framework.errors import ResourceLimitError, RuleError
from kestrel_framework.interfaces import (
    Failure,
    FieldValue,
    Limits,
    LoadedPredicate,
    Outcome,
    PredicateEvaluator,
    RuleCompiler,
    RuleFile,
)
from kestrel_framework.rule import Condition, Program, Rule, RuleSource
from kestrel_framework.schema import FieldType, SchemaRegistry

T = TypeVar("T")

_SKIP: Final = HandlerChain(always(Decision.SKIP))
_ASK: Final = HandlerChain(fall_back, always(Decision.SKIP))

RuleProblem = RuleError | ExceptionGroup[RuleError]


class GuardedCompiler:
    """A `RuleCompiler` behind its boundary.

    Raises what its interface says about wrong rules, and `PluginError` for
    everything else: then the fault is not the rule's author's.
    """

    def __init__(self, compiler: RuleCompiler, boundary: FaultBoundary) -> None:
        self.language = compiler.language
        self.suffixes = _checked_suffixes(compiler.suffixes)
        self.fingerprint = _checked_fingerprint(compiler)
        self._compiler = compiler
        self._boundary = boundary

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        def read() -> Sequence[RuleSource]:
            sources = tuple(self._compiler.read(file))
            for source in sources:
                _check(RuleSource, source)
            return sources

        return self._call("read", read)

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        def compile_() -> Rule:
            rule = self._compiler.compile(source, schema)
            _check(Rule, rule)
            return rule

        return self._call("compile", compile_)

    def _call(self, operation: str, function: Callable[[], T]) -> T:
        result = self._boundary.call(operation, lambda: _or_problem(function), _SKIP)
        if isinstance(result, Failed):
            raise result.error
        if isinstance(result.value, RuleError | ExceptionGroup):
            raise result.value
        return result.value


class GuardedEvaluator:
    """A `PredicateEvaluator` behind its boundary.

    Args:
        evaluator: The runtime.
        boundary: Its boundary; shared by all predicates it loads.
        fallback: The runtime that answers for expressions where this one fails by
            accident. `None` counts a failure instead. A program has no fallback.
    """

    def __init__(
        self,
        evaluator: PredicateEvaluator,
        boundary: FaultBoundary,
        fallback: PredicateEvaluator | None = None,
    ) -> None:
        self._evaluator = evaluator
        self._boundary = boundary
        self._fallback = fallback

    def with_fallback(self, fallback: PredicateEvaluator) -> GuardedEvaluator:
        """Return the same runtime with another one to fall back to."""
        return GuardedEvaluator(self._evaluator, self._boundary, fallback)

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        def load() -> LoadedPredicate:
            loaded = self._evaluator.load(condition, fields, limits)
            if not callable(getattr(loaded, "matches_many", None)):
                raise TypeError("it returned a predicate without `matches_many`")
            return loaded

        result = self._boundary.call("load", load, _SKIP)
        if isinstance(result, Failed):
            if isinstance(result.error, RuleError | ResourceLimitError):
                raise result.error
            raise RuleError(str(result.error)) from result.error
        fallback = None
        if self._fallback is not None and not isinstance(condition, Program):
            fallback = self._fallback.load(condition, fields, limits)
        return _GuardedPredicate(result.value, self._boundary, fallback)


class _GuardedPredicate:
    """A `LoadedPredicate` that raises nothing: an accident is a `Failure` of each row."""

    def __init__(
        self, loaded: LoadedPredicate, boundary: FaultBoundary, fallback: LoadedPredicate | None
    ) -> None:
        self._loaded = loaded
        self._boundary = boundary
        self._fallback = fallback

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        result = self._boundary.call(
            "matches_many",
            lambda: _checked_outcomes(self._loaded.matches_many(rows), len(rows)),
            _ASK,
            has_fallback=self._fallback is not None,
        )
        if not isinstance(result, Failed):
            return result.value
        if result.decision is Decision.FALL_BACK and self._fallback is not None:
            return self._fallback.matches_many(rows)
        return [Failure(str(result.error))] * len(rows)


class AmbiguousCompiler:
    """Stands for a language that two plugins offer: an error as soon as a rule needs it."""

    def __init__(self, language: str, compilers: Sequence[RuleCompiler], problem: str) -> None:
        self.language = language
        self.suffixes = tuple(sorted({suffix for one in compilers for suffix in one.suffixes}))
        self._problem = problem

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        raise RuleError(self._problem)

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        raise RuleError(self._problem, source.location)


def _checked_suffixes(suffixes: object) -> tuple[str, ...]:
    if isinstance(suffixes, tuple) and all(isinstance(one, str) for one in suffixes):
        return suffixes
    raise TypeError("its `suffixes` are no tuple of texts")


def _checked_fingerprint(compiler: RuleCompiler) -> str | None:
    """Return what stands for all that decides what a compiler makes, if it says so."""
    fingerprint = getattr(compiler, "fingerprint", None)
    if fingerprint is None or isinstance(fingerprint, str):
        return fingerprint
    raise TypeError("its `fingerprint` is no text")


def _or_problem(function: Callable[[], T]) -> T | RuleProblem:
    """Return what is wrong with a rule as a value: it is no failure of the call."""
    try:
        return function()
    except RuleError as error:
        return error
    except ExceptionGroup as group:
        errors, others = group.split(RuleError)
        if errors is None or others is not None:
            raise
        return errors


def _check(kind: type, value: object) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"it returned a {type(value).__name__}, not a {kind.__name__}")


def _checked_outcomes(outcomes: object, wanted: int) -> Sequence[Outcome]:
    if not isinstance(outcomes, Sequence) or len(outcomes) != wanted:
        raise TypeError(f"it did not return {wanted} outcomes")
    for outcome in outcomes:
        if not isinstance(outcome, bool | Failure):
            raise TypeError(f"it returned the outcome {type(outcome).__name__}")
    return outcomes
