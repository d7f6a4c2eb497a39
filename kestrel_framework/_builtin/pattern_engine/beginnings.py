"""Which of many literals a text begins with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

from kestrel_framework._builtin.pattern_engine.candidate import Waiting


class Beginnings:
    """Literals in the order of their texts, each linked to the longest one it begins with.

    All literals that a text begins with are the one before it in that order, or linked from
    there. Cost: a binary search, and a step for each link.

    Attributes:
        longest: How many characters the longest literal has.
    """

    def __init__(self, waiting: Mapping[str, Waiting]) -> None:
        self._literals: Final = sorted(waiting)
        self._waiting: Final = [waiting[literal] for literal in self._literals]
        self._shorter: Final = _links(self._literals)
        self.longest: Final = max(map(len, waiting), default=0)

    def __len__(self) -> int:
        return len(self._literals)

    def collect(self, beginning: str, text: str, found: list[int]) -> None:
        """Add the places of the patterns that wait for `beginning` and match `text`."""
        literals, shorter, waiting = self._literals, self._shorter, self._waiting
        place = bisect_right(literals, beginning) - 1
        while place >= 0 and not beginning.startswith(literals[place]):
            place = shorter[place]
        while place >= 0:
            here = waiting[place]
            found += here.places
            if here.candidates:
                here.test(text, found)
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
