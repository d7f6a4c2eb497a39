"""Several regular expressions that are matched against a text together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kestrel_framework._builtin.pattern_engine.candidate import Candidate, Waiting
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
        try:
            for pattern in patterns:
                together.Add(pattern.text)
            together.Compile()
        except re2.error:
            works = False
        else:
            # A set that is too large for its memory finds nothing, and does not say so.
            works = together.Match(_CANARY) == [0]
        self._match: Final = together.Match
        self._waiting: Final = [Waiting(), *(Waiting(list(numbers)) for numbers in places)]
        self._one_by_one: Final = (
            None if works else Waiting(candidates=list(map(Candidate, patterns, places)))
        )

    def look(self, text: str, met: list[Waiting]) -> None:
        """Add what waits for an expression that matches `text`."""
        if self._one_by_one is not None:
            met.append(self._one_by_one)
            return
        try:
            matching = self._match(text)
        except UnicodeEncodeError:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            matching = self._match(whole)
        if matching:
            met.extend([self._waiting[number] for number in matching])
