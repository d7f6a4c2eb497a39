"""How much a matcher remembers of events, and what it forgets.

Values of fields are in memos of two generations: one that is full becomes the older one, and what
was not asked for since then is forgotten. What combinations of values lead to is forgotten all at
once. No event waits for that: what was forgotten is freed bit by bit, while new things come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

import attrs

LONGEST_KEPT: Final = 8192
"""Texts with more characters are looked at each time; they hardly come twice."""
_SHARES: Final = 16
"""One generation of a memo may take one part in so many of what all may."""
_STEP: Final = 64
_STEPS_EACH: Final = 2

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")


@attrs.frozen
class MatcherLimits:
    """What a matcher may remember; half of it of values, and half of their combinations.

    Attributes:
        entries: Values remembered, and results of their combinations.
        size: Bytes of all that, roughly.
    """

    entries: int = 200_000
    size: int = 32 * 1024 * 1024


class _Waste:
    """What was forgotten and is still to be freed."""

    def __init__(self) -> None:
        self._parts: deque[Iterator[object]] = deque()

    def throw(self, part: Iterator[object]) -> None:
        """Add what frees a little with each step."""
        self._parts.append(part)

    def free_a_little(self) -> None:
        """Free more entries than one."""
        for _ in range(_STEPS_EACH):
            if not self._parts:
                return
            if next(self._parts[0], self) is self:
                self._parts.popleft()


def freed(entries: dict[_KeyT, _ValueT]) -> Iterator[None]:
    """Remove the entries of a dictionary, some with each step."""
    while entries:
        for _ in range(min(_STEP, len(entries))):
            entries.popitem()
        yield


class Memo(dict[_KeyT, _ValueT], Generic[_KeyT, _ValueT]):
    """Values by keys, as many as the budget allows; those not asked for lately are forgotten.

    Attributes:
        entries: How many were kept since the last generation began.
        size: The bytes these take.
        older_entries: How many the generation before has.
        older_size: The bytes these take.
    """

    __slots__ = ("_budget", "_older", "entries", "older_entries", "older_size", "size")

    def __init__(self, budget: MemoBudget) -> None:
        super().__init__()
        self._budget = budget
        self._older: dict[_KeyT, _ValueT] = {}
        self.entries = self.older_entries = 0
        self.size = self.older_size = 0
        budget.memos.append(self)

    def recalled(self, key: _KeyT) -> _ValueT | None:
        """Return what the older generation knows of a key; to be kept again."""
        return self._older.get(key)

    def keep(self, key: _KeyT, value: _ValueT, size: int) -> None:
        """Remember a value that takes so many bytes."""
        self._budget.make_room(self, size)
        self.entries += 1
        self.size += size
        self[key] = value

    def begin_generation(self) -> dict[_KeyT, _ValueT]:
        """Forget, and return, what was not asked for since the last generation began."""
        forgotten, self._older = self._older, dict(self)
        self.clear()
        self.older_entries, self.older_size = self.entries, self.size
        self.entries = self.size = 0
        return forgotten


class MemoBudget:
    """Counts what a matcher remembers, and has it forget before that is too much.

    Args:
        limits: How much is too much.

    Attributes:
        memos: All memos of values.
        times_emptied: How often something was forgotten.
    """

    def __init__(self, limits: MatcherLimits) -> None:
        self._most_entries = limits.entries // 2
        self._most_size = limits.size // 2
        self.memos: list[Memo[Any, Any]] = []
        self.times_emptied = 0
        self._values = self._values_size = 0
        self._combinations = self._combinations_size = 0
        self._forget: list[Callable[[], Iterator[object]]] = []
        self._waste = _Waste()

    def share(self, forget: Callable[[], Iterator[object]]) -> None:
        """Add what forgets combinations: at once, but what it returns frees them."""
        self._forget.append(forget)

    def free(self, entries: dict[Any, Any]) -> None:
        """Remove the entries of a dictionary that nobody else has, bit by bit."""
        if entries:
            self._waste.throw(freed(entries))

    def take(self, size: int) -> None:
        """Count one more combination, before it is kept."""
        self._waste.free_a_little()
        if (
            self._combinations >= self._most_entries
            or self._combinations_size + size > self._most_size
        ):
            self.times_emptied += 1
            self._combinations = self._combinations_size = 0
            for forget in self._forget:
                self._waste.throw(forget())
        self._combinations += 1
        self._combinations_size += size

    def make_room(self, memo: Memo[Any, Any], size: int) -> None:
        """Count one more value, before a memo keeps it."""
        self._waste.free_a_little()
        if (
            memo.entries * _SHARES >= self._most_entries
            or (memo.size + size) * _SHARES > self._most_size
        ):
            self.begin_generation(memo)
        while self._values and (
            self._values >= self._most_entries or self._values_size + size > self._most_size
        ):
            self.begin_generation(max(self.memos, key=self._weight))
        self._values += 1
        self._values_size += size

    def begin_generation(self, memo: Memo[Any, Any]) -> None:
        """Have a memo forget what it was not asked for lately."""
        self.times_emptied += 1
        self._values -= memo.older_entries
        self._values_size -= memo.older_size
        self.free(memo.begin_generation())

    def _weight(self, memo: Memo[Any, Any]) -> int:
        entries, size = memo.entries + memo.older_entries, memo.size + memo.older_size
        return max(entries * (self._most_size or 1), size * (self._most_entries or 1))
