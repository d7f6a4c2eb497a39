"""What waits at a place: patterns that match whatever comes by, and patterns that may."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.values import compile_regex, compile_wildcard


class Candidate:
    """A pattern that may match, and the places where it stands among all patterns.

    Its test is compiled when it is first needed: most patterns never are.

    Attributes:
        places: Its places.
        test: Says whether it matches a whole text.
    """

    __slots__ = ("_pattern", "places", "test")

    def __init__(self, pattern: Pattern, places: Sequence[int]) -> None:
        self._pattern = pattern
        self.places = places
        self.test: Callable[[str], bool] = self._first_test

    def _first_test(self, text: str) -> bool:
        pattern = self._pattern
        if pattern.kind is PatternKind.REGEX:
            self.test = compile_regex(pattern.text, fold=pattern.fold)
        else:
            self.test = _wildcard_test(pattern.text)
        return self.test(text)


class Waiting(msgspec.Struct, eq=False):
    """What waits at one place.

    Attributes:
        places: Where patterns stand that match whatever comes by here.
        candidates: Patterns that may match it.
    """

    places: list[int] = msgspec.field(default_factory=list)
    candidates: list[Candidate] = msgspec.field(default_factory=list)


def _wildcard_test(pattern: str) -> Callable[[str], bool]:
    """Return the test of a wildcard, without the `?` around it: without any, tests are faster."""
    rest, before = _without_single_characters(pattern)
    backwards, after = _without_single_characters(rest[::-1])
    rest = backwards[::-1]
    shortest = before + after
    if not after and rest.count("*") == 1 and "?" not in rest:
        first, last = rest.split("*")
        shortest += len(first) + len(last)
        return lambda text: (
            len(text) >= shortest and text.endswith(last) and text.startswith(first, before)
        )
    test = compile_wildcard(rest)
    if not shortest:
        return test
    return lambda text: len(text) >= shortest and test(text[before : len(text) - after])


def _without_single_characters(pattern: str) -> tuple[str, int]:
    """Return a wildcard without the `?` that it begins with, and their number.

    They may be between stars: `*??a` is `??*a`.
    """
    rest = pattern.lstrip("*?")
    removed = pattern[: len(pattern) - len(rest)]
    return "*" * ("*" in removed) + rest, removed.count("?")
