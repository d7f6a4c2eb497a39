"""Regular expressions in time that grows with the text alone, whatever text an attacker sends.

Python's `re` tries one way after the other, and a text can be made for which there are
more ways than seconds in a year. Here all ways are followed at once, as sets of places
in the pattern, which are remembered with the character that leads from one to the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import factorial
from typing import Final, TypeAlias

import attrs

_MOST_PLACES: Final = 5_000
_MOST_REMEMBERED: Final = 10_000
_GREATEST_EFFORT: Final = 1_000_000
_MOST_LOOPS: Final = 20
_QUICK_AT_ANYTHING: Final = 8

_QUANTIFIER: Final = re.compile(r"([*+?])|\{(?!\})([0-9]*)(?:(,)([0-9]*))?\}")
_ESCAPE: Final = re.compile(
    r"\\(?:x..|u.{4}|U.{8}|N\{[^}]*\}|0[0-7]{0,2}|[^AbBzZ])", re.ASCII | re.DOTALL
)
_CLASS: Final = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_GROUP: Final = re.compile(r"\((?!\?)|\(\?:|\(\?P<[^>]*>")
_PLAIN: Final = re.compile(r"[^*+?{}()|^$\[\\]|[{}]", re.DOTALL)

_CharacterTest: TypeAlias = Callable[[str], object]


class UnsupportedPatternError(ValueError):
    """A pattern that is more than a choice, sequence and repetition of characters, or immense."""


@attrs.frozen
class _Characters:
    """One character of a kind, such as `[a-z]`, as the pattern writes it."""

    source: str


@attrs.frozen
class _Sequence:
    parts: tuple[_Part, ...]


@attrs.frozen
class _Choice:
    branches: tuple[_Part, ...]


@attrs.frozen
class _Repetition:
    """`most` is `None` where there is no limit."""

    part: _Part
    least: int
    most: int | None


_Part: TypeAlias = "_Characters | _Sequence | _Choice | _Repetition"


@attrs.frozen
class RegexMachine:
    """A pattern that can be asked about texts of any length.

    Attributes:
        quick_length: For texts up to so many characters `re` cannot take long.
        matches: Says whether a whole text matches.
    """

    quick_length: int
    matches: Callable[[str], bool]


def regex_machine(pattern: str, flags: re.RegexFlag) -> RegexMachine:
    """Return the machine for a pattern that `re` has accepted.

    Raises:
        UnsupportedPatternError: it has anchors, flags of its own, or what only `re` can do.
    """
    try:
        part = _Parser(pattern).parsed()
        return RegexMachine(_quick_length(part), _Machine(part, flags).matches)
    except RecursionError as error:
        raise UnsupportedPatternError("it nests too deeply") from error


def _quick_length(part: _Part) -> int:
    """Return for how long a text the ways to match it are few enough to try them all."""
    if _repeats_choices(part, inside=False):
        return _QUICK_AT_ANYTHING
    loops, ways = _choices(part)
    if loops > _MOST_LOOPS or ways > _GREATEST_EFFORT:
        return _QUICK_AT_ANYTHING
    length = _QUICK_AT_ANYTHING
    while ways * (length * 2) ** loops <= _GREATEST_EFFORT * factorial(loops) and length < 1 << 30:
        length *= 2
    return length


def _repeats_choices(part: _Part, *, inside: bool) -> bool:
    """Say whether something that has several ways to match can stand many times in a row."""
    match part:
        case _Characters():
            return False
        case _Sequence(parts):
            return any(_repeats_choices(one, inside=inside) for one in parts)
        case _Choice(branches):
            return inside or any(_repeats_choices(one, inside=inside) for one in branches)
        case _Repetition(inner, least, most):
            if inside and least != most:
                return True
            return _repeats_choices(inner, inside=inside or most is None or most > 1)


def _choices(part: _Part) -> tuple[int, int]:
    """Return how many loops of any length there are, and how many ways besides."""
    match part:
        case _Characters():
            return 0, 1
        case _Repetition(inner, least, most):
            loops, ways = _choices(inner)
            if most is None:
                return loops + 1, ways
            return loops, min(ways * (most - least + 1), 1 << 64)
        case _Sequence(parts):
            loops, ways = 0, 1
            for one in parts:
                more_loops, more_ways = _choices(one)
                loops, ways = loops + more_loops, min(ways * more_ways, 1 << 64)
            return loops, ways
        case _Choice(branches):
            each = [_choices(one) for one in branches]
            return max(loops for loops, _ in each), sum(ways for _, ways in each)


class _Parser:
    """Reads the syntax of `re`, without checking what `re` has checked already."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def parsed(self) -> _Part:
        part = self._choice()
        if self._at < len(self._pattern):
            raise UnsupportedPatternError(self._pattern)
        return part

    def _choice(self) -> _Part:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._repeated(self._single()))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _single(self) -> _Part:
        if self._match(_GROUP):
            part = self._choice()
            if not self._take(")"):
                raise UnsupportedPatternError(self._pattern)
            return part
        for form in (_ESCAPE, _CLASS, _PLAIN):
            if found := self._match(form):
                return _Characters(found[0])
        raise UnsupportedPatternError(self._pattern)

    def _repeated(self, part: _Part) -> _Part:
        found = self._match(_QUANTIFIER)
        if found is None:
            return part
        if self._take("+"):
            raise UnsupportedPatternError(self._pattern)
        self._take("?")  # which way is tried first makes no difference to a whole text
        sign, low, comma, high = found.groups()
        if sign:
            return _Repetition(part, int(sign == "+"), 1 if sign == "?" else None)
        least = int(low or 0)
        most = least if comma is None else int(high) if high else None
        return _Repetition(part, least, most)

    def _match(self, form: re.Pattern[str]) -> re.Match[str] | None:
        found = form.match(self._pattern, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _take(self, character: str) -> bool:
        taken = self._pattern.startswith(character, self._at)
        self._at += taken
        return taken


class _Node:
    """A set of places in the pattern, and where characters lead from there."""

    __slots__ = ("accepting", "following", "places")

    def __init__(self, places: tuple[int, ...], *, accepting: bool) -> None:
        self.places = places
        self.accepting = accepting
        self.following: dict[str, _Node] = {}


class _Machine:
    """Places in the pattern: each has a test of a character, or only leads on to others.

    What is remembered may be used by several threads: at worst a step is made twice.
    """

    def __init__(self, part: _Part, flags: re.RegexFlag) -> None:
        self._flags = flags
        self._tests: list[_CharacterTest | None] = []
        self._onward: list[tuple[int, ...]] = []
        self._tests_by_source: dict[str, _CharacterTest] = {}
        self._end = self._place(None)
        self._begin = self._compiled(part, self._end)
        self._nodes: dict[tuple[int, ...], _Node] = {}
        self._remembered = 0
        self._start = self._node((self._begin,))

    def matches(self, text: str) -> bool:
        """Say whether the whole text matches."""
        node = self._start
        for character in text:
            following = node.following.get(character)
            node = self._step(node, character) if following is None else following
            if not node.places:
                return False
        return node.accepting

    def _step(self, node: _Node, character: str) -> _Node:
        reached: list[int] = []
        for place in node.places:
            test = self._tests[place]
            if test is not None and test(character):
                reached += self._onward[place]
        following = self._node(reached)
        self._remembered += 1 + len(following.places)
        if self._remembered > _MOST_REMEMBERED:
            self._forget()
        node.following[character] = following
        return following

    def _forget(self) -> None:
        # The nodes of a match under way live on, without what they lead to.
        for node in list(self._nodes.values()):
            node.following.clear()
        self._nodes = {self._start.places: self._start}
        self._remembered = 0

    def _node(self, places: Iterable[int]) -> _Node:
        """Return the node of `places` and all to which they lead without a character."""
        found: set[int] = set()
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                if self._tests[place] is None:
                    waiting += self._onward[place]
        key = tuple(sorted(p for p in found if p == self._end or self._tests[p] is not None))
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Node(key, accepting=self._end in found)
        return node

    def _compiled(self, part: _Part, target: int) -> int:
        """Return the place where `part` begins if `target` is where it ends."""
        match part:
            case _Characters(source):
                return self._place(self._test(source), target)
            case _Sequence(parts):
                for one in reversed(parts):
                    target = self._compiled(one, target)
                return target
            case _Choice(branches):
                return self._place(None, *(self._compiled(one, target) for one in branches))
            case _Repetition(inner, least, most):
                if least > _MOST_PLACES:
                    raise UnsupportedPatternError("too many places")
                if most is None:
                    loop = self._place(None, target)
                    self._onward[loop] = (target, self._compiled(inner, loop))
                    target = loop
                else:
                    end = target
                    for _ in range(most - least):
                        target = self._place(None, end, self._compiled(inner, target))
                for _ in range(least):
                    target = self._compiled(inner, target)
                return target

    def _place(self, test: _CharacterTest | None, *onward: int) -> int:
        if len(self._tests) >= _MOST_PLACES:
            raise UnsupportedPatternError("too many places")
        self._tests.append(test)
        self._onward.append(onward)
        return len(self._tests) - 1

    def _test(self, source: str) -> _CharacterTest:
        test = self._tests_by_source.get(source)
        if test is None:
            test = self._tests_by_source[source] = re.compile(source, self._flags).fullmatch
        return test
