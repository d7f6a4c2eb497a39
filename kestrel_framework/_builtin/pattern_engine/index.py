"""The index of patterns: which of them a text comes by, and which of those match it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kestrel_framework._builtin.pattern_engine.candidate import Candidate
from kestrel_framework._builtin.pattern_engine.literal_finder import literal_finder
from kestrel_framework._builtin.pattern_engine.regex_literals import necessary_literal
from kestrel_framework._builtin.pattern_engine.regex_set import RegexSet
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot, wildcard_places
from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.values import fold_case

_TELLING_LITERAL: Final = 3
_LARGEST_SET: Final = 16


class _Waiting:
    """Patterns that wait for texts that have a literal, before anything finds these."""

    def __init__(self) -> None:
        self.candidates: Final[list[Candidate]] = []
        self.places: Final[list[Sequence[Place]]] = []

    def add(self, candidate: Candidate, places: Sequence[Place]) -> None:
        self.candidates.append(candidate)
        self.places.append(places)


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
        self._whole: Final[dict[str, list[int]]] = {}
        self._whole_but_first: Final[dict[str, list[int]]] = {}
        self._always: Final[list[Candidate]] = []
        waiting, folded = _Waiting(), _Waiting()
        self._add_wildcards(patterns, wildcards, waiting)
        alone = regexes
        if len(regexes) > _LARGEST_SET:
            alone = _without_literal(regexes, waiting, folded)
        self._longest_but_first: Final = max(map(len, self._whole_but_first), default=-1) + 1
        self._candidates: Final = waiting.candidates
        self._finder: Final = literal_finder(waiting.places)
        self._folded_candidates: Final = folded.candidates
        self._folded_finder: Final = literal_finder(folded.places)
        self._sets: Final = list(_sets(alone))

    def matches(self, text: str) -> Sequence[int]:
        """Return the places of the patterns that match `text`."""
        found = [*self._whole.get(text, ())]
        if len(text) <= self._longest_but_first:
            found += self._whole_but_first.get(text[1:], ())
        candidates = self._candidates
        met = [candidates[number] for number in self._finder.find(text)]
        candidates = self._folded_candidates
        if candidates:
            met += [candidates[number] for number in self._folded_finder.find(fold_case(text))]
        met += self._always
        for candidate in met:
            if candidate.is_certain or (candidate.test or candidate.compile())(text):
                found += candidate.places
        for together in self._sets:
            found += together.matches(text)
        return found

    def _add_wildcards(
        self,
        patterns: Sequence[Pattern],
        wildcards: Mapping[str, list[int]],
        waiting: _Waiting,
    ) -> None:
        for text, numbers in wildcards.items():
            places = wildcard_places(text)
            spot, literal, is_enough = places[0]
            if spot is Spot.WHOLE:
                self._whole[literal] = numbers
            elif spot is Spot.WHOLE_BUT_FIRST:
                self._whole_but_first[literal] = numbers
            else:
                candidate = Candidate(patterns[numbers[0]], numbers, is_certain=is_enough)
                if spot is Spot.LENGTH:
                    self._always.append(candidate)
                else:
                    waiting.add(candidate, places)


def _without_literal(
    regexes: Mapping[Pattern, list[int]], waiting: _Waiting, folded: _Waiting
) -> dict[Pattern, list[int]]:
    """Have expressions wait for a literal that they need, and return those that need none."""
    others = {}
    for pattern, numbers in regexes.items():
        literal = necessary_literal(pattern.text)
        if len(literal) < _TELLING_LITERAL:
            others[pattern] = numbers
        elif pattern.fold:
            folded.add(Candidate(pattern, numbers), [Place(Spot.ANYWHERE, fold_case(literal))])
        else:
            waiting.add(Candidate(pattern, numbers), [Place(Spot.ANYWHERE, literal)])
    return others


def _sets(regexes: Mapping[Pattern, list[int]]) -> Iterator[RegexSet]:
    patterns = list(regexes)
    for first in range(0, len(patterns), _LARGEST_SET):
        some = patterns[first : first + _LARGEST_SET]
        yield RegexSet(some, [regexes[pattern] for pattern in some])
