"""Which of many literals a text contains: all of them in a few passes over the text.

Of a text, only every fourth group of four bytes is looked up in a dictionary (those that
begin at byte 0, 4, 8, ...). Wherever a literal of seven bytes or more stands in the text,
one of the four groups that begin at its first four bytes is among them. So each literal
waits under four groups. Shorter literals do the same with groups of two bytes or of one.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Final, TypeAlias

import attrs

from kestrel_framework._builtin.pattern_engine.candidate import Waiting

_LONGEST_LOOK: Final = 128
_LARGEST_FILTER: Final = 2_000


def encoded(text: str) -> bytes:
    """Return bytes that contain those of every part of the text."""
    return text.encode("utf-8", "surrogatepass")


@attrs.frozen
class _Grouping:
    """How literals of some lengths are found.

    Attributes:
        shortest: The fewest bytes that such a literal has.
        code: The type of a group in an array.
        size: How many bytes a group has.
        starts: The bytes of a text at which passes begin.
        groups: How many neighbouring groups of a literal are looked for.
        worth: How many literals are as fast to look for one by one.
        rare: Whether a look for any of them at all, before the passes, is worth it.
    """

    shortest: int
    code: str
    size: int
    starts: tuple[int, ...]
    groups: int
    worth: int
    rare: bool = False


_GROUPINGS: Final = (
    _Grouping(shortest=7, code="I", size=4, starts=(0,), groups=4, worth=12),
    _Grouping(shortest=5, code="I", size=4, starts=(0, 2), groups=2, worth=12),
    _Grouping(shortest=4, code="I", size=4, starts=(0, 1, 2, 3), groups=1, worth=25, rare=True),
    _Grouping(shortest=3, code="H", size=2, starts=(0,), groups=2, worth=30, rare=True),
    _Grouping(shortest=2, code="H", size=2, starts=(0, 1), groups=1, worth=50),
    _Grouping(shortest=1, code="B", size=1, starts=(0,), groups=1, worth=20),
)


class GroupFrequencies:
    """How often groups of bytes occur in the patterns, which tells how often they do in texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts: Final = texts
        self._counts: Final[dict[str, dict[int, int]]] = {}

    def of_groups(self, data: bytes, code: str, size: int) -> list[int]:
        """Return how often each group in `data` occurs, one for each byte that it can begin at."""
        known = self._counts.get(code)
        if known is None:
            known = self._counts[code] = self._counted(code, size)
        counts = [0] * (len(data) - size + 1)
        for start in range(size):
            counts[start::size] = map(known.get, _groups(data, code, size, start), repeat(0))
        return counts

    def of_literal(self, literal: str) -> int:
        """Return how often the rarest group in a literal occurs."""
        data = encoded(literal)[:_LONGEST_LOOK]
        code, size = next((one.code, one.size) for one in _GROUPINGS if len(data) >= one.size)
        return min(self.of_groups(data, code, size))

    def _counted(self, code: str, size: int) -> dict[int, int]:
        data = encoded("\n".join(self._texts))
        return dict(Counter(_groups(data, code, size, 0)))


@attrs.frozen(eq=False)
class _Literal:
    """A literal, and what waits for texts that contain it."""

    text: str
    waiting: Waiting


_Passes: TypeAlias = dict[tuple[str, int, int], dict[int, list[_Literal]]]


class LiteralScan:
    """Finds which of its literals a text contains.

    Cost: a pass over the text for each class of lengths that has many literals, and a
    search for each literal of which a group was met.

    Args:
        literals: None of them empty; and what waits for them.
        frequencies: Decide which part of a literal is looked for.
    """

    def __init__(self, literals: Mapping[str, Waiting], frequencies: GroupFrequencies) -> None:
        by_grouping: dict[_Grouping, list[_Literal]] = {grouping: [] for grouping in _GROUPINGS}
        for text, waiting in literals.items():
            by_grouping[_grouping_of(encoded(text))].append(_Literal(text, waiting))
        self._few: Final[list[_Literal]] = []
        rare: list[_Literal] = []
        passes: _Passes = {}
        rare_passes: _Passes = {}
        for grouping, members in by_grouping.items():
            if len(members) <= grouping.worth:
                self._few.extend(members)
                continue
            by_group = _by_group(members, grouping, frequencies)
            if grouping.rare:
                rare += members
            for start in grouping.starts:
                key = grouping.code, grouping.size, start
                one = (rare_passes if grouping.rare else passes).setdefault(key, {})
                for group, here in by_group.items():
                    one.setdefault(group, []).extend(here)
        self._is_any_there: Final = _filter(rare)
        self._passes: Final = [(*key, by_group) for key, by_group in passes.items()]
        self._rare_passes: Final = [(*key, by_group) for key, by_group in rare_passes.items()]

    def __bool__(self) -> bool:
        return bool(self._passes or self._rare_passes or self._few)

    def collect(self, searched: str, text: str, found: list[int]) -> None:
        """Add the places of the patterns that match `text` and wait for what is in `searched`."""
        if self._passes or self._rare_passes:
            data = encoded(searched)
            met: list[_Literal] = []
            for code, size, start, literals in self._passes:
                for group in literals.keys() & _groups(data, code, size, start):
                    met += literals[group]
            if self._rare_passes and self._is_any_there(data):
                for code, size, start, literals in self._rare_passes:
                    for group in literals.keys() & _groups(data, code, size, start):
                        met += literals[group]
            for literal in set(met):
                if literal.text in searched:
                    literal.waiting.collect(text, found)
        for literal in self._few:
            if literal.text in searched:
                literal.waiting.collect(text, found)


def _groups(data: bytes, code: str, size: int, start: int) -> array[int]:
    """Return the groups of `data` that begin at `start` and every `size` bytes from there."""
    return array(code, data[start : len(data) - (len(data) - start) % size])


def _grouping_of(data: bytes) -> _Grouping:
    return next(grouping for grouping in _GROUPINGS if len(data) >= grouping.shortest)


def _by_group(
    literals: Iterable[_Literal], grouping: _Grouping, frequencies: GroupFrequencies
) -> dict[int, list[_Literal]]:
    waiting: dict[int, list[_Literal]] = {}
    for literal in literals:
        data = encoded(literal.text)[:_LONGEST_LOOK]
        counts = frequencies.of_groups(data, grouping.code, grouping.size)
        neighbours = [counts[first:] for first in range(grouping.groups)]
        sums = list(map(sum, zip(*neighbours, strict=False)))
        rarest = sums.index(min(sums))
        for start in range(rarest, rarest + grouping.groups):
            (group,) = array(grouping.code, data[start : start + grouping.size])
            waiting.setdefault(group, []).append(literal)
    return waiting


def _filter(literals: Sequence[_Literal]) -> Callable[[bytes], object]:
    """Return what says whether any of the literals may be in some bytes."""
    parts = [encoded(literal.text) for literal in literals]
    if not parts or sum(map(len, parts)) > _LARGEST_FILTER:
        return bool
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    together = re2.Set.SearchSet(options)
    together.Add(b"|".join(b"".join(b"\\x%02x" % byte for byte in part) for part in parts))
    together.Compile()
    match: Callable[[bytes], object] = together.Match
    return match
