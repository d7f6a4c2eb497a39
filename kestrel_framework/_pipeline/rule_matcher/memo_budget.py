"""How much the memos of a matcher may hold together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

LONGEST_KEPT: Final = 8192
"""Texts with more characters are looked at each time; they hardly come twice."""


@attrs.frozen
class MatcherLimits:
    """What a matcher may remember of the values it has seen. At a limit, it forgets everything.

    Attributes:
        entries: Values remembered, and results of their combinations.
        size: Bytes of all values remembered, roughly.
    """

    entries: int = 200_000
    size: int = 32 * 1024 * 1024


class MemoBudget:
    """Counts what memos hold, and has all of them emptied when it is too much.

    Args:
        limits: How much is too much.
    """

    def __init__(self, limits: MatcherLimits) -> None:
        self._limits = limits
        self._entries = 0
        self._size = 0
        self._empty: list[Callable[[], object]] = []
        self.times_emptied = 0

    def share(self, empty: Callable[[], object]) -> None:
        """Add what empties a memo."""
        self._empty.append(empty)

    def take(self, size: int) -> None:
        """Count one more entry, before it is kept."""
        if self._entries >= self._limits.entries or self._size + size > self._limits.size:
            self.times_emptied += 1
            self._entries = self._size = 0
            for empty in self._empty:
                empty()
        self._entries += 1
        self._size += size
