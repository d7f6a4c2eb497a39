"""The engine and its databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kestrel_framework._builtin.pattern_engine.beginnings import Beginnings
from kestrel_framework._builtin.pattern_engine.candidate import Waiting
from kestrel_framework._builtin.pattern_engine.literal_scan import (
    GroupFrequencies,
    LiteralScan,
)
from kestrel_framework._builtin.pattern_engine.regex_literals import necessary_literal
from kestrel_framework._builtin.pattern_engine.regex_set import RegexSet
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot, wildcard_places
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternKind
from kestrel_framework.values import fold_case

_TELLING_LITERAL: Final = 3
_LARGEST_SET: Final = 16


class NativePatternEngine:
    """The pattern engine `native`. It takes every pattern."""

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        """Return the patterns, compiled when they are first asked about: some never are."""
        return CompiledPatterns(_Database(patterns))


class _Database:
    """Patterns, each waiting at one place for the texts that it may match."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns: tuple[Pattern, ...] = tuple(patterns)
        self._index: _Index | None = None

    def matches(self, text: str) -> Sequence[int]:
        index = self._index
        if index is None:
            index = self._index = _Index(self._patterns)
            self._patterns = ()
        return index.matches(text)


class _Index:
    """What waits where, for one look at a text."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        places: dict[Pattern, list[int]] = {}
        for number, pattern in enumerate(patterns):
            places.setdefault(pattern, []).append(number)
        wildcards = [pattern for pattern in places if pattern.kind is PatternKind.WILDCARD]
        frequencies = GroupFrequencies([pattern.text for pattern in wildcards])
        waiting: dict[Spot, dict[str, Waiting]] = {spot: {} for spot in Spot}
        for pattern, place in _chosen(wildcards, frequencies):
            here = waiting[place.spot].setdefault(place.literal, Waiting())
            here.add(pattern, places[pattern], is_enough=place.is_enough)
        folded: dict[str, Waiting] = {}
        regexes = [pattern for pattern in places if pattern.kind is PatternKind.REGEX]
        untold = []
        for pattern in regexes:
            literal = necessary_literal(pattern.text) if len(regexes) > _LARGEST_SET else ""
            if len(literal) < _TELLING_LITERAL:
                untold.append(pattern)
                continue
            literals = folded if pattern.fold else waiting[Spot.ANYWHERE]
            literal = fold_case(literal) if pattern.fold else literal
            literals.setdefault(literal, Waiting()).add(pattern, places[pattern])
        self._whole: Final = waiting[Spot.WHOLE]
        self._whole_but_first: Final = waiting[Spot.WHOLE_BUT_FIRST]
        self._longest_but_first: Final = max(map(len, self._whole_but_first), default=0)
        self._beginnings: Final = Beginnings(waiting[Spot.BEGINNING])
        self._beginnings_but_first: Final = Beginnings(waiting[Spot.BEGINNING_BUT_FIRST])
        self._ends: Final = Beginnings({one[::-1]: here for one, here in waiting[Spot.END].items()})
        self._any_text: Final = waiting[Spot.LENGTH].get("", Waiting())
        self._scan: Final = LiteralScan(waiting[Spot.ANYWHERE], frequencies)
        self._folded_scan: Final = LiteralScan(folded, frequencies)
        self._sets: Final = [
            RegexSet(some, [places[pattern] for pattern in some]) for some in _sets(untold)
        ]

    def matches(self, text: str) -> Sequence[int]:
        found: list[int] = []
        here = self._whole.get(text)
        if here is not None:
            here.collect(text, found)
        if self._beginnings:
            self._beginnings.collect(text, text, found)
        if self._beginnings_but_first:
            self._beginnings_but_first.collect(text[1:], text, found)
        if self._whole_but_first and len(text) <= self._longest_but_first + 1:
            here = self._whole_but_first.get(text[1:])
            if here is not None:
                here.collect(text, found)
        if self._ends:
            self._ends.collect(text[: -self._ends.longest - 1 : -1], text, found)
        if self._scan:
            self._scan.collect(text, text, found)
        if self._folded_scan:
            self._folded_scan.collect(fold_case(text), text, found)
        for one in self._sets:
            one.collect(text, found)
        self._any_text.collect(text, found)
        return found


def _chosen(
    wildcards: Iterable[Pattern], frequencies: GroupFrequencies
) -> Iterator[tuple[Pattern, Place]]:
    """Yield each wildcard with the place where the fewest texts are to be expected."""

    def expected(place: Place) -> int:
        return frequencies.of_literal(place.literal) + _price(place)

    for pattern in wildcards:
        places = wildcard_places(pattern.text)
        yield pattern, places[0] if len(places) == 1 else min(places, key=expected)


def _price(place: Place) -> int:
    """Return what it costs to look for a literal at all, in patterns that wait in vain."""
    if place.spot is not Spot.ANYWHERE or len(place.literal) >= 7:
        return 0
    return 3 if len(place.literal) >= 3 else 30


def _sets(regexes: Iterable[Pattern]) -> Iterator[list[Pattern]]:
    for fold in (False, True):
        alike = [pattern for pattern in regexes if pattern.fold is fold]
        for first in range(0, len(alike), _LARGEST_SET):
            yield alike[first : first + _LARGEST_SET]
