"""The index of patterns: which of them a text comes by, and which of those match it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from kestrel_framework._builtin.pattern_engine.beginnings import Beginnings
from kestrel_framework._builtin.pattern_engine.byte_groups import GroupFrequencies
from kestrel_framework._builtin.pattern_engine.candidate import Candidate, Waiting
from kestrel_framework._builtin.pattern_engine.literal_scan import LiteralScan
from kestrel_framework._builtin.pattern_engine.regex_literals import necessary_literal
from kestrel_framework._builtin.pattern_engine.regex_set import RegexSet
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot, wildcard_places
from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.values import fold_case

_TELLING_LITERAL: Final = 3
_LONG: Final = 7
_LARGEST_SET: Final = 16

_Look: TypeAlias = Callable[[str, list[Waiting]], None]
_ByLiteral: TypeAlias = dict[str, Waiting]


class PatternIndex:
    """Patterns, each waiting at one place for the texts that it may match."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        wildcards: dict[str, list[int]] = {}
        regexes: dict[Pattern, list[int]] = {}
        for number, pattern in enumerate(patterns):
            if pattern.kind is PatternKind.WILDCARD:
                wildcards.setdefault(pattern.text, []).append(number)
            else:
                regexes.setdefault(pattern, []).append(number)
        frequencies = GroupFrequencies(list(wildcards))
        waiting: dict[Spot, _ByLiteral] = {spot: {} for spot in Spot}
        for text, place in _chosen(wildcards, frequencies):
            here = _at(waiting[place.spot], place.literal)
            if place.is_enough:
                here.places += wildcards[text]
            else:
                here.candidates.append(Candidate(patterns[wildcards[text][0]], wildcards[text]))
        folded: _ByLiteral = {}
        alone = list(regexes)
        if len(alone) > _LARGEST_SET:
            alone = []
            for pattern, numbers in regexes.items():
                literal = necessary_literal(pattern.text)
                if len(literal) < _TELLING_LITERAL:
                    alone.append(pattern)
                elif pattern.fold:
                    here = _at(folded, fold_case(literal))
                    here.candidates.append(Candidate(pattern, numbers))
                else:
                    here = _at(waiting[Spot.ANYWHERE], literal)
                    here.candidates.append(Candidate(pattern, numbers))
        self._whole: Final = waiting[Spot.WHOLE]
        self._whole_but_first: Final = waiting[Spot.WHOLE_BUT_FIRST]
        self._longest_but_first: Final = max(map(len, self._whole_but_first), default=0) + 1
        self._always: Final = list(waiting[Spot.LENGTH].values())
        self._looks: Final = [
            *_looks(waiting, frequencies),
            *_folded_looks(folded, frequencies),
            *(RegexSet(some, [regexes[one] for one in some]).look for some in _sets(alone)),
        ]

    def matches(self, text: str) -> Sequence[int]:
        """Return the places of the patterns that match `text`."""
        met = self._always.copy()
        here = self._whole.get(text)
        if here is not None:
            met.append(here)
        if self._whole_but_first and len(text) <= self._longest_but_first:
            here = self._whole_but_first.get(text[1:])
            if here is not None:
                met.append(here)
        for look in self._looks:
            look(text, met)
        found: list[int] = []
        for waiting in met:
            found += waiting.places
            for candidate in waiting.candidates:
                if candidate.test(text):
                    found += candidate.places
        return found


def _at(waiting: _ByLiteral, literal: str) -> Waiting:
    here = waiting.get(literal)
    if here is None:
        here = waiting[literal] = Waiting()
    return here


def _chosen(wildcards: Iterable[str], frequencies: GroupFrequencies) -> Iterator[tuple[str, Place]]:
    """Yield each wildcard with the place where the fewest texts are to be expected."""
    for text in wildcards:
        places = wildcard_places(text)
        chosen = places[0]
        if len(places) > 1:
            least = _expected(chosen, frequencies)
            for place in places:
                if not least:
                    break
                if place is not chosen and (expected := _expected(place, frequencies)) < least:
                    chosen, least = place, expected
        yield text, chosen


def _expected(place: Place, frequencies: GroupFrequencies) -> int:
    """Return how many texts are to be expected, with what it costs to look for a literal at all."""
    frequency = frequencies.of_literal(place.literal)
    length = len(place.literal)
    if length >= _LONG or place.spot is not Spot.ANYWHERE:
        return frequency
    return frequency + (3 if length >= _TELLING_LITERAL else 30)


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


def _folded_looks(folded: _ByLiteral, frequencies: GroupFrequencies) -> Iterator[_Look]:
    if folded:
        scan = LiteralScan(folded, frequencies)
        yield lambda text, met: scan.look(fold_case(text), met)


def _sets(regexes: Iterable[Pattern]) -> Iterator[list[Pattern]]:
    for fold in (False, True):
        alike = [pattern for pattern in regexes if pattern.fold is fold]
        for first in range(0, len(alike), _LARGEST_SET):
            yield alike[first : first + _LARGEST_SET]
