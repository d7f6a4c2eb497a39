"""The engine and its databases."""

from __future__ import annotations

from collections.abc import Sequence

from kestrel_framework._builtin.pattern_engine.index import PatternIndex
from kestrel_framework.interfaces import CompiledPatterns, Pattern


class NativePatternEngine:
    """The pattern engine `native`. It takes every pattern."""

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        """Return the patterns, compiled when they are first asked about: some never are."""
        return CompiledPatterns(_Database(patterns))


class _Database:
    """Patterns, each waiting at one place for the texts that it may match."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns: tuple[Pattern, ...] = tuple(patterns)
        self._index: PatternIndex | None = None

    def matches(self, text: str) -> Sequence[int]:
        index = self._index
        if index is None:
            index = self._index = PatternIndex(self._patterns)
            self._patterns = ()
        return index.matches(text)
