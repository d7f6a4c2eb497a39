"""Databases of patterns: a scan for literals finds candidates, and tests decide about them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.patterns import TextTester
from kestrel_framework.values import compile_regex, compile_wildcard
from kestrel_hyperscan.literal_scanner import LiteralScanner, ScanError
from kestrel_hyperscan.literals import LONGEST, encoded

_ANYWHERE: Final = re.compile(r"\*+([^*?]+)\*+")


class FewPatterns:
    """Patterns of which each is tested.

    Attributes:
        whole: The places of patterns that only one text matches, by that text.
        others: The other patterns, by their places.
    """

    def __init__(self, whole: Mapping[str, Sequence[int]], others: Mapping[int, Pattern]) -> None:
        self._whole: Final = whole
        self._tests: Final = [(place, pattern_test(pattern)) for place, pattern in others.items()]

    def matches(self, text: str) -> list[int]:
        """Return the places of the patterns that match `text`."""
        found = [place for place, test in self._tests if test(text)]
        found += self._whole.get(text, ())
        return found


class ManyPatterns:
    """Patterns of which those are tested whose literal is in the text. For one thread at a time.

    Attributes:
        whole: The places of patterns that only one text matches, by that text.
        others: The other patterns, by their places.
        scanner: Finds the literals.
        waiting: For each literal, the places of the patterns that need it.
    """

    def __init__(
        self,
        whole: Mapping[str, Sequence[int]],
        others: Mapping[int, Pattern],
        scanner: LiteralScanner,
        waiting: Sequence[Sequence[int]],
    ) -> None:
        self._whole: Final = whole
        self._others: Final = others
        self._scanner: Final = scanner
        self._waiting: Final = waiting
        # Most literals never occur, and so most patterns need no test.
        self._tests: Final[list[_Tests | None]] = [None] * len(waiting)
        self._all: FewPatterns | None = None

    def matches(self, text: str) -> list[int]:
        """Return the places of the patterns that match `text`."""
        found: list[int] = []
        try:
            literals = self._scanner.found(encoded(text))
        except ScanError:
            return self._one_by_one(text)
        for literal in literals:
            tests = self._tests[literal] or self._tests_of(literal)
            found += tests.certain
            for place, test in tests.uncertain:
                if test(text):
                    found.append(place)
        if text in self._whole:
            found += self._whole[text]
        return found

    def _tests_of(self, literal: int) -> _Tests:
        tests = _Tests({place: self._others[place] for place in self._waiting[literal]})
        self._tests[literal] = tests
        return tests

    def _one_by_one(self, text: str) -> list[int]:
        if self._all is None:
            self._all = FewPatterns(self._whole, self._others)
        return self._all.matches(text)


class _Tests:
    """What is left to be asked about a text that contains a literal."""

    __slots__ = ("certain", "uncertain")

    def __init__(self, patterns: Mapping[int, Pattern]) -> None:
        self.certain: Final[list[int]] = []
        self.uncertain: Final[list[tuple[int, TextTester]]] = []
        for place, pattern in patterns.items():
            if _asks_for_one_literal(pattern):
                self.certain.append(place)
            else:
                self.uncertain.append((place, pattern_test(pattern)))


def pattern_test(pattern: Pattern) -> TextTester:
    """Return the test of one pattern."""
    if pattern.kind is PatternKind.REGEX:
        return compile_regex(pattern.text, fold=pattern.fold)
    return compile_wildcard(pattern.text)


def _asks_for_one_literal(pattern: Pattern) -> bool:
    """Say whether a pattern matches just the texts that contain what was looked for."""
    if pattern.kind is not PatternKind.WILDCARD:
        return False
    literal = _ANYWHERE.fullmatch(pattern.text)
    return literal is not None and len(encoded(literal[1])) <= LONGEST
