"""Pattern engines behind their fault boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

from kestrel_framework._plugins.error_handling import (
    Decision,
    HandlerChain,
    always,
    fall_back,
)
from kestrel_framework._plugins.faults import Failed, FaultBoundary
from kestrel_framework.errors import PluginError
from kestrel_framework.interfaces import (
    CompiledPatterns,
    Pattern,
    PatternDatabase,
    PatternEngine,
)

_STOP: Final = HandlerChain()
_ASK: Final = HandlerChain(fall_back, always(Decision.SKIP))


class GuardedPatternEngine:
    """A `PatternEngine` behind its boundary. `compile` raises `PluginError` and nothing else.

    Args:
        engine: The engine.
        boundary: Its boundary; shared by all databases it compiles.
        fallback: The engine that answers from the first time on that a database fails.
            `None` lets that failure through, as a `PluginError`.
    """

    def __init__(
        self,
        engine: PatternEngine,
        boundary: FaultBoundary,
        fallback: PatternEngine | None = None,
    ) -> None:
        self._engine = engine
        self._boundary = boundary
        self._fallback = fallback

    def with_fallback(self, fallback: PatternEngine) -> GuardedPatternEngine:
        """Return the same engine with another one to fall back to."""
        return GuardedPatternEngine(self._engine, self._boundary, fallback)

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        patterns = tuple(patterns)
        result = self._boundary.call(
            "compile",
            lambda: _checked(self._engine.compile(patterns), len(patterns)),
            _STOP,
            in_any_case=True,  # other rules may come after a database has failed
        )
        if isinstance(result, Failed):
            if isinstance(result.error, PluginError):
                raise result.error
            problem = f"`compile` failed: {result.error}"
            raise PluginError(self._boundary.plugin, problem) from result.error
        compiled = result.value
        fallback = None
        if self._fallback is not None:
            taken = [place for place in range(len(patterns)) if place not in compiled.refused]
            kept = self._fallback.compile([patterns[place] for place in taken])
            fallback = _Renumbered(kept.database, taken)
        database = _GuardedDatabase(compiled.database, len(patterns), self._boundary, fallback)
        return CompiledPatterns(database, compiled.refused)


class _GuardedDatabase:
    """A database that is not asked again once it has failed.

    Its calls do not pass through the boundary as long as they go well: that would take as
    long as the answer.
    """

    def __init__(
        self,
        database: PatternDatabase,
        count: int,
        boundary: FaultBoundary,
        fallback: PatternDatabase | None,
    ) -> None:
        self._matches = database.matches
        self._count = count
        self._boundary = boundary
        self._fallback = fallback

    def matches(self, text: str) -> Sequence[int]:
        try:
            found = self._matches(text)
            if found and not 0 <= min(found) <= max(found) < self._count:
                raise ValueError("it found a pattern that there is not")
            return found
        except BaseException as raised:  # noqa: BLE001 - the boundary judges it
            return self._answer_after(raised, text)

    def _answer_after(self, raised: BaseException, text: str) -> Sequence[int]:
        def failing() -> NoReturn:
            raise raised

        result = self._boundary.call(
            "matches", failing, _ASK, has_fallback=self._fallback is not None
        )
        if self._fallback is None:
            assert isinstance(result, Failed)
            raise result.error
        self._matches = self._fallback.matches
        return self._matches(text)


class _Renumbered:
    """A database of some of the patterns, with the places that they have among all."""

    def __init__(self, database: PatternDatabase, places: Sequence[int]) -> None:
        self._database = database
        self._places = places

    def matches(self, text: str) -> Sequence[int]:
        return [self._places[number] for number in self._database.matches(text)]


def _checked(compiled: object, count: int) -> CompiledPatterns:
    if not isinstance(compiled, CompiledPatterns):
        raise TypeError(f"it returned a {type(compiled).__name__}, not CompiledPatterns")
    if not callable(getattr(compiled.database, "matches", None)):
        raise TypeError("it returned a database without `matches`")
    if not frozenset(range(count)).issuperset(compiled.refused):
        raise ValueError("it refused a pattern that there is not")
    return compiled
