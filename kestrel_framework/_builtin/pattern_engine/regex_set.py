"""Several regular expressions that are matched against a text together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kestrel_framework._builtin.pattern_engine.candidate import Candidate
from kestrel_framework.interfaces import Pattern

_CANARY: Final = "\x00canary"


class RegexSet:
    """Regular expressions, all with or all without regard to case, in one automaton.

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
        options.case_sensitive = not patterns[0].fold
        options.log_errors = False
        options.never_capture = True
        together = re2.Set.FullMatchSet(options)
        together.Add(re2.escape(_CANARY))
        self._places: Final = [(), *places]
        self._candidates: list[Candidate] = []
        try:
            for pattern in patterns:
                together.Add(pattern.text)
            together.Compile()
        except re2.error:
            works = False
        else:
            # A set that is too large for its memory finds nothing, and does not say so.
            works = together.Match(_CANARY) == [0]
        if not works:
            self._candidates = list(map(Candidate, patterns, places))
        self._match: Final = together.Match

    def collect(self, text: str, found: list[int]) -> None:
        """Add the places of the expressions that match `text`."""
        if self._candidates:
            for candidate in self._candidates:
                if candidate.test(text):
                    found += candidate.places
            return
        try:
            matching = self._match(text)
        except UnicodeEncodeError:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            matching = self._match(whole)
        for number in matching or ():
            found += self._places[number]
