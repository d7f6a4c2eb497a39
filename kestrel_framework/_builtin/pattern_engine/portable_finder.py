"""Which patterns wait at a literal that a text has, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from kestrel_framework._builtin.pattern_engine.beginnings import Beginnings
from kestrel_framework._builtin.pattern_engine.byte_groups import GroupFrequencies
from kestrel_framework._builtin.pattern_engine.literal_scan import LiteralScan
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot

_Look: TypeAlias = Callable[[str, list[int]], None]
_ByLiteral: TypeAlias = dict[str, list[int]]


class PortableFinder:
    """Finds the patterns whose literal is in a text.

    Cost: that of a look at the beginning and the end of a text, and of a `LiteralScan`.

    Args:
        patterns: The places where each can wait. It waits at the one where the fewest texts are
            to be expected.
    """

    def __init__(self, patterns: Sequence[Sequence[Place]]) -> None:
        frequencies = GroupFrequencies([place.literal for places in patterns for place in places])
        waiting: dict[Spot, _ByLiteral] = {spot: {} for spot in Spot}
        for number, places in enumerate(patterns):
            place = _chosen(places, frequencies)
            waiting[place.spot].setdefault(place.literal, []).append(number)
        self._looks: Final = list(_looks(waiting, frequencies))

    def find(self, text: str, /) -> list[int]:
        """Return the numbers of the patterns that may match `text`, each once."""
        met: list[int] = []
        for look in self._looks:
            look(text, met)
        return met


def _chosen(places: Sequence[Place], frequencies: GroupFrequencies) -> Place:
    if len(places) == 1:
        return places[0]
    return min(places, key=lambda place: frequencies.of_literal(place.literal) + _price(place))


def _price(place: Place) -> int:
    """Return what it costs to look for a literal at all, in patterns that wait in vain."""
    if place.spot is not Spot.ANYWHERE or len(place.literal) >= 7:
        return 0
    return 3 if len(place.literal) >= 3 else 30


def _looks(waiting: Mapping[Spot, _ByLiteral], frequencies: GroupFrequencies) -> Iterator[_Look]:
    if here := waiting[Spot.BEGINNING]:
        yield Beginnings(here, slice(None)).look
    if here := waiting[Spot.BEGINNING_BUT_FIRST]:
        yield Beginnings(here, slice(1, 1 + max(map(len, here)))).look
    if here := waiting[Spot.END]:
        backwards = slice(None, -1 - max(map(len, here)), -1)
        yield Beginnings({one[::-1]: ending for one, ending in here.items()}, backwards).look
    if here := waiting[Spot.ANYWHERE]:
        yield LiteralScan(here, frequencies).look
