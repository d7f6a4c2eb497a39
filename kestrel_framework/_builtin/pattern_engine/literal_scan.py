"""Which of many literals a text contains: all of them in a few passes over the text.

Of a text, only every fourth group of four bytes is looked up in a dictionary: those that
begin at byte 0, 4, 8, ... Wherever a literal of seven bytes or more stands in the text, one
of any four neighbouring groups of it is among them; so each literal is known under four.
Shorter literals take more passes, or smaller groups (`byte_groups.GROUPINGS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._builtin.pattern_engine.byte_groups import (
    GROUPINGS,
    GroupFrequencies,
    Grouping,
    encoded,
    first_groupings,
    groups_from,
)

_BY_SHORTEST: Final = first_groupings(lambda grouping: grouping.shortest)
_BY_SHORTEST_END: Final = len(_BY_SHORTEST) - 1
_FREQUENT: Final = 10
_WORTH_A_FILTER: Final = 20
_LARGEST_FILTER: Final = 2_000


@attrs.frozen(eq=False)
class _Literal:
    """A literal, and the numbers of the patterns that wait for texts that contain it."""

    text: str
    waiting: Sequence[int]


class _Crowd:
    """Literals of similar length, many enough to be looked for together."""

    def __init__(
        self, literals: Sequence[_Literal], grouping: Grouping, frequencies: GroupFrequencies
    ) -> None:
        self.literals: Final = literals
        self._grouping: Final = grouping
        self._by_group: Final[dict[int, list[_Literal]]] = {}
        if len(literals) >= grouping.worth:
            for literal in literals:
                for group in set(frequencies.rarest_groups(literal.text, grouping)):
                    self._by_group.setdefault(group, []).append(literal)

    def look(self, text: str, data: bytes, met: list[int]) -> None:
        """Add the numbers that wait for a literal in `text`, whose bytes are `data`."""
        possible: Iterable[_Literal] = self.literals
        by_group = self._by_group
        if by_group:
            possible = set()
            for start in self._grouping.starts:
                for group in by_group.keys() & groups_from(start, data, self._grouping):
                    possible.update(by_group[group])
        for literal in possible:
            if literal.text in text:
                met += literal.waiting


class LiteralScan:
    """Finds which of its literals a text contains.

    Cost: a pass or more over the text for each class of lengths that has many literals, and a
    search for each literal of which a group was met. Most texts contain none of the short
    literals, but of the most frequent ones; one look tells that before any pass for them.

    Args:
        literals: None of them empty; and the numbers of the patterns that wait for them.
        frequencies: Decide which part of a literal is looked for.
    """

    def __init__(
        self, literals: Mapping[str, Sequence[int]], frequencies: GroupFrequencies
    ) -> None:
        by_grouping: dict[Grouping, list[_Literal]] = {grouping: [] for grouping in GROUPINGS}
        for text, waiting in literals.items():
            length = len(encoded(text))
            grouping = _BY_SHORTEST[min(length, _BY_SHORTEST_END)]
            by_grouping[grouping].append(_Literal(text, waiting))
        few = _frequent(by_grouping, frequencies)
        crowds = []
        rare_crowds = []
        for grouping, members in by_grouping.items():
            others = [literal for literal in members if literal not in few]
            if grouping.rare:
                rare_crowds += [_Crowd(others, grouping, frequencies)] if others else []
            elif len(others) >= grouping.worth:
                crowds.append(_Crowd(others, grouping, frequencies))
            else:
                few.update(dict.fromkeys(others))
        self._few: Final = [(literal.text, literal.waiting) for literal in few]
        self._crowds: Final = crowds
        self._rare_crowds: Final = rare_crowds
        self._rare_numbers: Final = _filter([crowd.literals for crowd in rare_crowds])

    def look(self, text: str, met: list[int]) -> None:
        """Add the numbers that wait for a literal that is in `text`."""
        data = encoded(text)
        for crowd in self._crowds:
            crowd.look(text, data, met)
        if self._rare_crowds:
            for number in self._rare_numbers(data) or ():
                self._rare_crowds[number].look(text, data, met)
        for part, waiting in self._few:
            if part in text:
                met += waiting


def _frequent(
    by_grouping: Mapping[Grouping, Sequence[_Literal]], frequencies: GroupFrequencies
) -> dict[_Literal, None]:
    """Return the literals of rare groupings that are frequent all the same, or all if few."""
    rare = [grouping for grouping in GROUPINGS if grouping.rare]
    literals = [literal for grouping in rare for literal in by_grouping[grouping]]
    if len(literals) > _FREQUENT + _WORTH_A_FILTER:
        # Frequencies of groups of two bytes say little.
        literals = [one for grouping in rare if grouping.size == 4 for one in by_grouping[grouping]]
        literals.sort(key=lambda literal: frequencies.of_literal(literal.text), reverse=True)
        del literals[_FREQUENT:]
    return dict.fromkeys(literals)


def _filter(crowds: Sequence[Sequence[_Literal]]) -> Callable[[bytes], Sequence[int] | None]:
    """Return what tells which of the crowds have literals in some bytes, or may have."""
    parts = [[encoded(literal.text) for literal in crowd] for crowd in crowds]
    if not parts or sum(len(part) for crowd in parts for part in crowd) > _LARGEST_FILTER:
        everything = range(len(crowds))
        return lambda data: everything
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    together = re2.Set.SearchSet(options)
    for crowd in parts:
        together.Add(b"|".join(b"".join(b"\\x%02x" % byte for byte in part) for part in crowd))
    together.Compile()
    numbers: Callable[[bytes], Sequence[int] | None] = together.Match
    return numbers
