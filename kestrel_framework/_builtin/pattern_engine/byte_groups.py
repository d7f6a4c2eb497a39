"""Groups of bytes, by which literals are found in texts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Final

import attrs

_LONGEST_LOOK: Final = 128


def encoded(text: str) -> bytes:
    """Return bytes that contain those of every part of the text."""
    return text.encode("utf-8", "surrogatepass")


@attrs.frozen
class Grouping:
    """How literals of some lengths are found.

    Of a text, only the groups of `size` bytes are looked at that begin at one of `starts` and
    every `size` bytes from there. Wherever a literal stands in the text, one of `count` groups
    that begin at neighbouring bytes of it is among them.

    Attributes:
        shortest: The fewest bytes that such a literal has.
        code: The type of a group in an array.
        size: How many bytes a group has.
        starts: Where passes over a text begin.
        count: Under how many groups a literal is known.
        worth: From how many literals on this is faster than a search for each.
        rare: Whether most texts contain none of the literals, but of the most frequent ones.
    """

    shortest: int
    code: str
    size: int
    starts: tuple[int, ...]
    count: int
    worth: int
    rare: bool = False


GROUPINGS: Final = (
    Grouping(shortest=7, code="I", size=4, starts=(0,), count=4, worth=25),
    Grouping(shortest=5, code="I", size=4, starts=(0, 2), count=2, worth=40, rare=True),
    Grouping(shortest=4, code="I", size=4, starts=(0, 1, 2, 3), count=1, worth=75, rare=True),
    Grouping(shortest=3, code="H", size=2, starts=(0,), count=2, worth=30, rare=True),
    Grouping(shortest=2, code="H", size=2, starts=(0, 1), count=1, worth=60),
    Grouping(shortest=1, code="B", size=1, starts=(0,), count=1, worth=25),
)


def first_groupings(least: Callable[[Grouping], int]) -> list[Grouping]:
    """Return, for each length, the first grouping whose `least` is not more.

    That of the last length is for all longer ones, that of 0 for nothing.
    """
    longest = least(GROUPINGS[0])
    lengths = [1, *range(1, longest + 1)]
    return [next(one for one in GROUPINGS if least(one) <= length) for length in lengths]


_BY_SIZE: Final = first_groupings(lambda grouping: grouping.size)
_BY_SIZE_END: Final = len(_BY_SIZE) - 1


def groups_from(start: int, data: bytes, grouping: Grouping) -> array[int]:
    """Return the groups of `data` that begin at `start` and every so many bytes from there."""
    size = grouping.size
    return array(grouping.code, data[start : len(data) - (len(data) - start) % size])


class GroupFrequencies:
    """How often groups of bytes occur in the patterns, which tells how often they do in texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._data: Final = encoded("\n".join(texts))
        self._counts: Final[dict[str, Counter[int]]] = {}
        self._of_literals: Final[dict[str, int]] = {}

    def of_literal(self, literal: str) -> int:
        """Return how often the rarest of the groups that a literal consists of occurs."""
        frequency = self._of_literals.get(literal)
        if frequency is None:
            data = encoded(literal)[:_LONGEST_LOOK]
            grouping = _BY_SIZE[min(len(data), _BY_SIZE_END)]
            groups = groups_from(0, data, grouping)
            frequency = self._of_literals[literal] = min(self._frequencies(groups, grouping))
        return frequency

    def rarest_groups(self, literal: str, grouping: Grouping) -> list[int]:
        """Return the neighbouring groups of a literal that occur least, as many as it takes."""
        data = encoded(literal)[:_LONGEST_LOOK]
        groups = [0] * (len(data) - grouping.size + 1)
        for start in range(grouping.size):
            groups[start :: grouping.size] = groups_from(start, data, grouping)
        counts = self._frequencies(groups, grouping)
        rarest = bytes(map(bool, counts)).find(bytes(grouping.count))
        if rarest < 0:
            neighbours = [counts[start:] for start in range(grouping.count)]
            sums = list(map(sum, zip(*neighbours, strict=False)))
            rarest = sums.index(min(sums))
        return groups[rarest : rarest + grouping.count]

    def _frequencies(self, groups: Iterable[int], grouping: Grouping) -> list[int]:
        if grouping.size == 1:  # few literals are that short, and Python counts bytes quickly
            return list(map(self._data.count, groups))
        known = self._counts.get(grouping.code)
        if known is None:
            everywhere = groups_from(0, self._data, grouping)
            known = self._counts[grouping.code] = Counter(everywhere)
        return list(map(known.get, groups, repeat(0)))
