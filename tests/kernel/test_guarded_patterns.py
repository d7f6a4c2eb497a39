"""Pattern engines behind their fault boundary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._plugins.faults import FaultBoundary, FaultReport
from kestrel_framework._plugins.guarded_patterns import GuardedPatternEngine
from kestrel_framework.errors import ConfigurationError, PluginError
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternEngine, PatternKind
from kestrel_framework.testing import PatternEngineContract

PATTERNS = [Pattern(PatternKind.WILDCARD, text) for text in ("a*", "*b", "?", "*")]


@attrs.define
class Toy:
    """An engine, and a database, that do what they are told."""

    answer: Callable[[str], object] = attrs.field(default=lambda text: [3])
    compiled: Callable[[Toy], object] = attrs.field(default=CompiledPatterns)
    asked: list[str] = attrs.field(factory=list)

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        return self.compiled(self)  # type: ignore[return-value]

    def matches(self, text: str) -> Sequence[int]:
        self.asked.append(text)
        return self.answer(text)  # type: ignore[return-value]


def raises(error: BaseException) -> Callable[[object], object]:
    def raise_it(argument: object) -> object:
        raise error

    return raise_it


def guarded(toy: PatternEngine, reports: list[FaultReport] | None = None) -> GuardedPatternEngine:
    observed = [] if reports is None else reports
    return GuardedPatternEngine(toy, FaultBoundary("acme", observer=observed.append))


class TestGuardedEngine(PatternEngineContract):
    refuses_nothing = True

    @pytest.fixture
    def engine(self) -> PatternEngine:
        return guarded(NativePatternEngine()).with_fallback(NativePatternEngine())


class TestEngineThatAlwaysFails(PatternEngineContract):
    """Whoever falls back notices nothing."""

    refuses_nothing = True

    @pytest.fixture
    def engine(self) -> PatternEngine:
        return guarded(Toy(raises(RuntimeError()))).with_fallback(NativePatternEngine())


def test_an_engine_that_works_is_heard() -> None:
    toy = Toy()
    database = guarded(toy).with_fallback(NativePatternEngine()).compile(PATTERNS).database
    assert [list(database.matches("ab")) for _ in range(3)] == [[3]] * 3
    assert toy.asked == ["ab"] * 3


@pytest.mark.parametrize(
    "answer",
    [
        raises(ValueError("bug")),
        raises(SystemExit(1)),
        raises(ConfigurationError("not now")),
        lambda text: [4],
        lambda text: [-1],
        lambda text: "03",
        lambda text: 7,
    ],
)
def test_a_database_that_fails_is_not_asked_again(answer: Callable[[str], object]) -> None:
    reports: list[FaultReport] = []
    toy = Toy(answer)
    engine = guarded(toy, reports).with_fallback(NativePatternEngine())
    database = engine.compile(PATTERNS).database
    assert [sorted(database.matches("ab")) for _ in range(3)] == [[0, 1, 3]] * 3
    assert toy.asked == ["ab"]
    assert [report.plugin for report in reports] == ["acme"]
    with pytest.raises((PluginError, ConfigurationError)):
        guarded(Toy(answer)).compile(PATTERNS).database.matches("ab")


def test_what_was_refused_is_left_to_the_kernel_also_by_the_fallback() -> None:
    toy = Toy(raises(ValueError()), lambda toy: CompiledPatterns(toy, frozenset([0, 3])))
    compiled = guarded(toy).with_fallback(NativePatternEngine()).compile(PATTERNS)
    assert compiled.refused == {0, 3}
    assert list(compiled.database.matches("ab")) == [1]
    assert sorted(compiled.database.matches("b")) == [1, 2]


@pytest.mark.parametrize(
    "compiled",
    [
        raises(PluginError("acme", "it does not work here")),
        raises(ConfigurationError("it does not work here")),
        raises(MemoryError("it does not work here")),
        lambda toy: toy,
        lambda toy: None,
        lambda toy: CompiledPatterns(None),  # type: ignore[arg-type]
        lambda toy: CompiledPatterns(toy, frozenset([4])),
        lambda toy: CompiledPatterns(toy, 3),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_compile_blames_the_plugin(compiled: Callable[[Toy], object]) -> None:
    with pytest.raises(PluginError, match="acme"):
        guarded(Toy(compiled=compiled)).with_fallback(NativePatternEngine()).compile(PATTERNS)


def test_an_interrupt_by_a_person_is_no_fault() -> None:
    engine = guarded(Toy(raises(KeyboardInterrupt()))).with_fallback(NativePatternEngine())
    database = engine.compile(PATTERNS).database
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            database.matches("ab")
