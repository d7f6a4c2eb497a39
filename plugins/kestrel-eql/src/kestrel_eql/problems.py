"""What is wrong with one rule, collected with its places, so that all of it is told at once."""

from __future__ import annotations

from typing import Final, NoReturn

import attrs

from kestrel_framework.errors import RuleError, Severity, SourceLocation

MAX_PROBLEMS: Final = 100
"""How many errors, and how many warnings, of one rule are told."""


@attrs.frozen
class TextPlaces:
    """Turns offsets into a rule's text into places in the file that it stands in.

    Attributes:
        text: The rule's text.
        begin: Where the text begins in the file; its `text` is the whole first
            line, for the caret.
    """

    text: str
    begin: SourceLocation

    def location(self, offset: int) -> SourceLocation:
        """Return the place of the character at `offset` (from 0)."""
        begin = self.begin
        inner = SourceLocation.in_text(begin.path, self.text, offset)
        if begin.line is None or inner.line is None or inner.column is None:
            return inner
        if inner.line > 1:
            return attrs.evolve(inner, line=begin.line + inner.line - 1)
        lead = (begin.column or 1) - 1
        line = begin.text
        if line is None or not line[lead:].startswith(inner.text or ""):
            line = " " * lead + (inner.text or "")
        return attrs.evolve(inner, line=begin.line, column=lead + inner.column, text=line)


class Problems:
    """The errors and warnings of one rule: the first `MAX_PROBLEMS` of each."""

    def __init__(self, places: TextPlaces, rule_id: str | None = None) -> None:
        self._places = places
        self._rule_id = rule_id
        self._errors: dict[str, RuleError] = {}
        self._remarks: dict[tuple[str, int], None] = {}

    def error(self, problem: str, offset: int) -> None:
        """Add an error at an offset of the text; the same one twice is one."""
        if len(self._errors) >= MAX_PROBLEMS:
            return
        error = RuleError(problem, self._places.location(offset), rule_id=self._rule_id)
        self._errors.setdefault(str(error), error)

    def warn(self, problem: str, offset: int) -> None:
        """Add a warning at an offset of the text; the same one twice is one."""
        if len(self._remarks) < MAX_PROBLEMS:
            self._remarks.setdefault((problem, offset))

    def __bool__(self) -> bool:
        """Whether there is an error."""
        return bool(self._errors)

    @property
    def warnings(self) -> tuple[RuleError, ...]:
        """The warnings, each with its place."""
        return tuple(
            RuleError(
                problem,
                self._places.location(offset),
                severity=Severity.WARNING,
                rule_id=self._rule_id,
            )
            for problem, offset in self._remarks
        )

    def throw(self) -> NoReturn:
        """Raise the errors, of which there must be one.

        Raises:
            RuleError: the only error; an `ExceptionGroup` of them where there are several.
        """
        errors = sorted(self._errors.values(), key=_place)
        if len(errors) == 1:
            raise errors[0]
        raise ExceptionGroup(f"{len(errors)} errors in the rule", errors)


def _place(error: RuleError) -> tuple[int, int]:
    location = error.location
    return (location.line or 0, location.column or 0) if location else (0, 0)
