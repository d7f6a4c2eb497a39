"""The pattern engine `hyperscan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from kestrel_framework.interfaces import (
    CompiledPatterns,
    Pattern,
    PatternKind,
    PluginContext,
)
from kestrel_hyperscan.database_cache import DatabaseCache, key_of
from kestrel_hyperscan.library import require_library
from kestrel_hyperscan.literal_scanner import LiteralScanner
from kestrel_hyperscan.pattern_database import FewPatterns, ManyPatterns
from kestrel_hyperscan.prepared_patterns import PreparedPatterns, prepare, restored

_FEW: Final = 3
"""So many patterns are as quick to test one by one."""


@attrs.frozen
class HyperscanConfig:
    """The section of the configuration for this engine."""

    cache: bool = attrs.field(
        default=True,
        metadata={"help": "Keep compiled patterns in the user's cache folder, for the next start."},
    )


@attrs.define
class HyperscanEngine:
    """Finds the patterns that match a text with Vectorscan.

    It refuses wildcards that are only `*` and `?`, and regular expressions that require no
    literal. Its databases are for one thread at a time. It pickles as its settings.

    Attributes:
        cache: Whether compiled patterns are kept in the cache folder of the user, which makes
            compiling them again, also in another process, many times as fast.
    """

    cache: bool = attrs.field(default=False, kw_only=True)
    _kept: DatabaseCache | None = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._kept = DatabaseCache() if self.cache else None

    @classmethod
    def from_config(cls, config: HyperscanConfig, context: PluginContext) -> HyperscanEngine:
        """Make an engine from its section of the configuration."""
        engine = cls(cache=config.cache)
        if config.cache:
            engine._kept = DatabaseCache(context.logger)
        return engine

    def __getstate__(self) -> dict[str, bool]:
        return {"cache": self.cache}

    def __setstate__(self, state: dict[str, bool]) -> None:
        self.__init__(cache=state["cache"])  # type: ignore[misc]

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        """Return the patterns compiled together.

        Raises:
            PluginError: Vectorscan does not work here.
        """
        require_library()
        whole: dict[str, list[int]] = {}
        others: dict[int, Pattern] = {}
        for place, pattern in enumerate(patterns):
            if pattern.kind is PatternKind.REGEX or "*" in pattern.text or "?" in pattern.text:
                others[place] = pattern
            else:
                whole.setdefault(pattern.text, []).append(place)
        if len(others) <= _FEW:
            return CompiledPatterns(FewPatterns(whole, others))
        prepared, scanner = self._prepared(list(others.values()))
        if scanner is None:
            return CompiledPatterns(FewPatterns(whole, {}), frozenset(others))
        waiting: list[list[int]] = [[] for _ in range(prepared.literals)]
        refused = []
        for place, literal in zip(others, prepared.literal_of, strict=True):
            if literal is None:
                refused.append(place)
            else:
                waiting[literal].append(place)
        for place in refused:
            del others[place]
        database = ManyPatterns(whole, others, scanner, waiting)
        return CompiledPatterns(database, frozenset(refused))

    def _prepared(
        self, patterns: Sequence[Pattern]
    ) -> tuple[PreparedPatterns, LiteralScanner | None]:
        """Return what is kept of the patterns, or else prepare them, and keep it."""
        if self._kept is None:
            return prepare(patterns)
        key = key_of(patterns)
        found = self._kept.find(key)
        if found is not None:
            try:
                return restored(found, len(patterns))
            except ValueError as error:
                self._kept.reject(key, str(error))
        prepared, scanner = prepare(patterns)
        self._kept.keep(key, prepared.encoded())
        return prepared, scanner
