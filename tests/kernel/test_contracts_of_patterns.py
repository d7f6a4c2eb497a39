"""The contract of pattern engines: a right engine passes it, what is wrong fails it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs
import pytest

from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternEngine, PatternKind
from kestrel_framework.testing import PatternEngineContract
from kestrel_framework.values import compile_regex, compile_wildcard, fold_case

Change: TypeAlias = Callable[[list[int], str], Sequence[int]]


@attrs.frozen
class OneByOne:
    """Tests each pattern by itself, and changes the answer."""

    patterns: Sequence[Pattern]
    change: Change = attrs.field(default=lambda found, text: found)

    def matches(self, text: str) -> Sequence[int]:
        places = range(len(self.patterns))
        return self.change([p for p in places if holds(self.patterns[p], text)], text)


def holds(pattern: Pattern, text: str) -> bool:
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)(text)
    return compile_regex(pattern.text, fold=pattern.fold)(text)


@attrs.frozen
class Engine:
    """Makes of patterns what `compiled` says."""

    compiled: Callable[[Sequence[Pattern]], CompiledPatterns]

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        return self.compiled(tuple(patterns))


class TestRightEngine(PatternEngineContract):
    refuses_nothing = True

    @pytest.fixture
    def engine(self) -> PatternEngine:
        return Engine(lambda patterns: CompiledPatterns(OneByOne(patterns)))


class TestEngineThatRefuses(PatternEngineContract):
    """It takes wildcards only, and is right about them."""

    @pytest.fixture
    def engine(self) -> PatternEngine:
        def compiled(patterns: Sequence[Pattern]) -> CompiledPatterns:
            regexes = [p for p, one in enumerate(patterns) if one.kind is PatternKind.REGEX]
            refused = frozenset(regexes)
            database = OneByOne(
                patterns, lambda found, text: [p for p in found if p not in refused]
            )
            return CompiledPatterns(database, refused)

        return Engine(compiled)


def changed(change: Change) -> Engine:
    return Engine(lambda patterns: CompiledPatterns(OneByOne(patterns, change)))


def with_patterns(change: Callable[[Pattern], Pattern]) -> Engine:
    return Engine(lambda patterns: CompiledPatterns(OneByOne([change(one) for one in patterns])))


def wildcard(change: Callable[[str], str]) -> Engine:
    def changed_one(pattern: Pattern) -> Pattern:
        if pattern.kind is PatternKind.WILDCARD:
            return attrs.evolve(pattern, text=change(pattern.text))
        return pattern

    return with_patterns(changed_one)


def fails(test: str, engine: object) -> bool:
    contract = PatternEngineContract()
    try:
        getattr(contract, test)(engine)
    except (AssertionError, AttributeError):
        return True
    return False


@pytest.mark.parametrize(
    "engine",
    [
        changed(lambda found, text: found[:-1]),
        changed(lambda found, text: [*found, *found[:1]]),
        changed(lambda found, text: [] if "\n" in text else found),
        changed(lambda found, text: [] if len(text) > 256 else found),
        with_patterns(lambda one: attrs.evolve(one, fold=False)),
        with_patterns(lambda one: attrs.evolve(one, fold=one.kind is PatternKind.REGEX)),
        wildcard(fold_case),
        wildcard(lambda text: text.replace("?", "*")),
        wildcard(lambda text: text if text.startswith("*") else text + "*"),
    ],
)
def test_wrong_answers_fail(engine: PatternEngine) -> None:
    assert fails("test_agrees_on_telling_patterns", engine)


def test_answers_that_depend_on_what_is_beside_fail() -> None:
    cuts = Engine(lambda patterns: CompiledPatterns(OneByOne(patterns[:1000])))
    assert fails("test_agrees_on_very_many_patterns", cuts)
    distinct = Engine(lambda patterns: CompiledPatterns(OneByOne(list(dict.fromkeys(patterns)))))
    assert fails("test_takes_no_patterns_and_equal_ones", distinct)


def test_an_engine_that_forgets_what_it_compiled_fails() -> None:
    shared: list[Pattern] = []

    def compiled(patterns: Sequence[Pattern]) -> CompiledPatterns:
        shared[:] = patterns
        return CompiledPatterns(OneByOne(shared))

    assert fails("test_databases_are_apart", Engine(compiled))


def test_refusing_everything_or_nowhere_fails() -> None:
    def refuses(places: Callable[[int], frozenset[int]]) -> Engine:
        return Engine(
            lambda patterns: CompiledPatterns(
                OneByOne(patterns, lambda found, text: []), places(len(patterns))
            )
        )

    everything = refuses(lambda count: frozenset(range(count)))
    assert fails("test_takes_usual_patterns", everything)
    assert fails("test_takes_every_pattern", everything)
    assert not fails("test_agrees_on_telling_patterns", everything)
    assert fails("test_agrees_on_telling_patterns", refuses(lambda count: frozenset([count])))
    refused_and_answered = Engine(
        lambda patterns: CompiledPatterns(OneByOne(patterns), frozenset([0]))
    )
    assert fails("test_agrees_on_telling_patterns", refused_and_answered)


def test_what_is_no_engine_fails() -> None:
    assert fails("test_is_a_pattern_engine", object())
    assert fails("test_is_a_pattern_engine", Engine(lambda patterns: OneByOne(patterns)))  # type: ignore[arg-type, return-value]


def test_a_slow_engine_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(found: list[int], text: str) -> list[int]:
        for start in range(0, len(text), 20):
            text[start:].count("ab")
        return found

    contract = "kestrel_framework.testing.pattern_engine_contract"
    monkeypatch.setattr(f"{contract}._SECONDS_FOR_A_LONG_TEXT", 0.3)
    with pytest.raises(AssertionError):
        PatternEngineContract().test_a_hostile_text_is_not_slow(changed(slow), "ab" * 100_000)
