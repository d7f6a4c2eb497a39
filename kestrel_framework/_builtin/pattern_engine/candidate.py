"""Patterns that may match a text, or do where they wait at the right place."""

from __future__ import annotations

from collections.abc import Sequence

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.patterns import TextTester, compile_regex, compile_wildcard


class Candidate:
    """A pattern that waits at a place, and where it stands among all patterns.

    Its test is compiled when it is first needed: most patterns never are.

    Args:
        pattern: The pattern.
        places: Where it stands.
        is_certain: Whether it matches whatever comes by, so that no test is needed.

    Attributes:
        places: Where it stands.
        is_certain: Whether it matches whatever comes by.
        test: Says whether it matches a whole text; None before it was compiled.
    """

    __slots__ = ("_pattern", "is_certain", "places", "test")

    def __init__(
        self, pattern: Pattern, places: Sequence[int], *, is_certain: bool = False
    ) -> None:
        self._pattern = pattern
        self.places = places
        self.is_certain = is_certain
        self.test: TextTester | None = None

    def compile(self) -> TextTester:
        """Return the test, which is known from now on."""
        pattern = self._pattern
        if pattern.kind is PatternKind.REGEX:
            test = compile_regex(pattern.text, fold=pattern.fold)
        else:
            test = _wildcard_test(pattern.text)
        self.test = test
        return test


def _wildcard_test(pattern: str) -> TextTester:
    """Return the test of a wildcard, without the `?` around it: without any, tests are faster."""
    rest, before = _without_single_characters(pattern)
    backwards, after = _without_single_characters(rest[::-1])
    rest = backwards[::-1]
    shortest = before + after
    if not after and "*" in rest and "?" not in rest:
        first, *between, last = rest.split("*")
        middle = [piece for piece in between if piece]
        if len(middle) < 2:
            return _test_of_pieces(first, "".join(middle), last, before)
    test = compile_wildcard(rest)
    if not shortest:
        return test
    return lambda text: len(text) >= shortest and test(text[before : len(text) - after])


def _test_of_pieces(first: str, middle: str, last: str, before: int) -> TextTester:
    """Return the test for pieces, with anything between, and characters before the first."""
    start = before + len(first)
    if not middle:
        shortest = start + len(last)
        return lambda text: (
            len(text) >= shortest and text.endswith(last) and text.startswith(first, before)
        )
    return lambda text: (
        text.find(middle, start, len(text) - len(last)) >= 0
        and text.endswith(last)
        and text.startswith(first, before)
    )


def _without_single_characters(pattern: str) -> tuple[str, int]:
    """Return a wildcard without the `?` that it begins with, and their number.

    They may be between stars: `*??a` is `??*a`.
    """
    rest = pattern.lstrip("*?")
    removed = pattern[: len(pattern) - len(rest)]
    return "*" * ("*" in removed) + rest, removed.count("?")
