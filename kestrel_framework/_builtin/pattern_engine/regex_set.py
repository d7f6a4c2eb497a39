"""Several regular expressions that are matched against a text together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kestrel_framework.interfaces import Pattern
from kestrel_framework.patterns import compile_regex

_CANARY: Final = "\x00canary"


class RegexSet:
    """Regular expressions in one automaton.

    Cost: one pass over the text, however many there are. The automaton grows while it is
    asked, within a few megabytes.

    Args:
        patterns: The expressions.
        places: The places of each.
    """

    def __init__(self, patterns: Sequence[Pattern], places: Sequence[Sequence[int]]) -> None:
        # Not at the top: most rule sets have no regular expression, and loading it takes a while.
        import re2

        options = re2.Options()
        options.dot_nl = True
        options.log_errors = False
        options.never_capture = True
        together = re2.Set.FullMatchSet(options)
        together.Add(re2.escape(_CANARY))
        try:
            for pattern in patterns:
                together.Add(f"(?i){pattern.text}" if pattern.fold else pattern.text)
            together.Compile()
        except re2.error:
            works = False
        else:
            # A set that is too large for its memory finds nothing, and does not say so.
            works = together.Match(_CANARY) == [0]
        self._match: Final[Callable[[str], Sequence[int] | None]] = together.Match
        self._places: Final = [(), *places]
        self._one_by_one: Final = (
            None
            if works
            else [
                (compile_regex(pattern.text, fold=pattern.fold), numbers)
                for pattern, numbers in zip(patterns, places, strict=True)
            ]
        )

    def matches(self, text: str) -> Sequence[int]:
        """Return the places of the expressions that match `text`."""
        if self._one_by_one is not None:
            matching = [numbers for test, numbers in self._one_by_one if test(text)]
        else:
            try:
                together = self._match(text)
            except UnicodeEncodeError:
                whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                together = self._match(whole)
            if not together:
                return ()
            matching = [self._places[number] for number in together]
        return [place for places in matching for place in places]
