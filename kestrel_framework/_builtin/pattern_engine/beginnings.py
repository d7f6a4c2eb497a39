"""Which of many literals a text begins with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final


class Beginnings:
    """Literals in the order of their texts, each linked to the longest one it begins with.

    All literals that a text begins with are the one before it in that order, or linked from
    there. Cost: a binary search, and a step for each link.

    Args:
        waiting: The numbers of the patterns that wait for each literal.
        part: The part of a text whose beginning is looked at.
    """

    def __init__(self, waiting: Mapping[str, Sequence[int]], part: slice) -> None:
        self._literals: Final = sorted(waiting)
        self._waiting: Final = [waiting[literal] for literal in self._literals]
        self._shorter: Final = _links(self._literals)
        self._part: Final = part

    def look(self, text: str, met: list[int]) -> None:
        """Add the numbers that wait for a literal that the part of `text` begins with."""
        literals, shorter = self._literals, self._shorter
        beginning = text[self._part]
        place = bisect_right(literals, beginning) - 1
        while place >= 0 and not beginning.startswith(literals[place]):
            place = shorter[place]
        while place >= 0:
            met += self._waiting[place]
            place = shorter[place]


def _links(literals: list[str]) -> list[int]:
    """Return for each of the sorted literals the place of the longest one it begins with, or -1."""
    links = []
    open_places: list[int] = []
    for place, literal in enumerate(literals):
        while open_places and not literal.startswith(literals[open_places[-1]]):
            open_places.pop()
        links.append(open_places[-1] if open_places else -1)
        open_places.append(place)
    return links
