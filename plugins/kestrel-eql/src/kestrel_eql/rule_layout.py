"""The parts of a rule that stay together on a line, or are broken over several.

A part is a run of pieces. The parser has said that the text is EQL, so that finding the
parts takes little: brackets, commas and key words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_eql.pieces import END, PIPE, Piece

_OPERATORS: Final = frozenset(
    {"COMPARISON", "ASSIGN", "COLON", "LIKE", "LIKE_FOLD", "REGEX", "REGEX_FOLD", "IN", "IN_FOLD",
     "NOT", "PLUS", "MINUS", "STAR", "SLASH", "PERCENT"}
)  # fmt: skip
_CLAUSES: Final = frozenset({"BY", "WITH", "AS", "FORK"})
_OPENING: Final = ("(", "[")
_SEVERAL_EVENTS: Final = ("SEQUENCE", "JOIN", "SAMPLE")


@attrs.frozen(eq=False)
class Part:
    """What a phrase can begin a line with, and all up to the next such place.

    Attributes:
        start, end: Its pieces.
        brackets: The brackets in it, in their order.
    """

    start: int
    end: int
    brackets: tuple[Bracket, ...]


@attrs.frozen(eq=False)
class Phrase:
    """What has neither `and`, `or` nor a comma outside of brackets, save in headers."""

    start: int
    end: int
    parts: tuple[Part, ...]


@attrs.frozen(eq=False)
class Chain:
    """Conditions with `and` between them, or with `or`; an operator is the piece at `end`."""

    start: int
    end: int
    terms: tuple[Condition, ...]


Condition: TypeAlias = Phrase | Chain


@attrs.frozen(eq=False)
class Event:
    """`category where condition`; the condition begins at `condition.start`."""

    start: int
    end: int
    condition: Condition


@attrs.frozen(eq=False)
class Bracket:
    """`(...)` with its items, each but the last with a comma at its `end`; or `[event]`."""

    start: int
    end: int
    items: tuple[Condition, ...]
    event: Event | None = None


@attrs.frozen(eq=False)
class Step:
    """A bracket of a sequence with what is before and behind it; `until` is one, too."""

    start: int
    end: int
    bracket: Bracket
    clauses: Phrase


@attrs.frozen(eq=False)
class Steps:
    """A sequence, join or sample."""

    header: Phrase
    steps: tuple[Step, ...]


@attrs.frozen(eq=False)
class Pipe:
    """`| name` with its arguments, each but the last with a comma at its `end`."""

    start: int
    end: int
    arguments: tuple[Condition, ...]


@attrs.frozen(eq=False)
class Layout:
    """A whole rule."""

    body: Event | Steps
    pipes: tuple[Pipe, ...]


def layout_of(pieces: Sequence[Piece]) -> Layout:
    """Return the parts of a rule, of which `pieces` are all, with the one for the end."""
    return _Reader(pieces).layout()


class _Parts:
    """The parts of a phrase, while it is read."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.brackets: list[Bracket] = []
        self._part_start = start
        self._parts: list[Part] = []

    def begin(self, start: int) -> None:
        """Begin a part, with the piece at `start`."""
        self._parts.append(Part(self._part_start, start, tuple(self.brackets)))
        self._part_start, self.brackets = start, []

    def phrase(self, end: int) -> Phrase:
        """Return the phrase, which ends before the piece at `end`."""
        self.begin(end)
        return Phrase(self.start, end, tuple(self._parts))


class _Reader:
    """Reads pieces from left to right."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._next = 0

    def layout(self) -> Layout:
        several = self._pieces[0].kind in _SEVERAL_EVENTS
        body = self._steps() if several else self._event()
        pipes = []
        while self._pieces[self._next].kind != END:
            pipes.append(self._pipe())
        return Layout(body, tuple(pipes))

    def _steps(self) -> Steps:
        header = self._clauses()
        steps = []
        while self._pieces[self._next].text != "|" and self._pieces[self._next].kind != END:
            steps.append(self._step())
        return Steps(header, tuple(steps))

    def _step(self) -> Step:
        start = self._next
        while self._pieces[self._next].text != "[":
            self._next += 1
        bracket = self._bracket()
        clauses = self._clauses()
        return Step(start, self._next, bracket, clauses)

    def _pipe(self) -> Pipe:
        start = self._next
        self._next += 2
        arguments: list[Condition] = []
        while self._pieces[self._next].text != "|" and self._pieces[self._next].kind != END:
            arguments.append(self._condition())
            self._skip_comma()
        return Pipe(start, self._next, tuple(arguments))

    def _event(self) -> Event:
        start = self._next
        self._next += 2
        condition = self._condition()
        return Event(start, self._next, condition)

    def _condition(self) -> Condition:
        return self._chain("OR")

    def _chain(self, operator: str) -> Condition:
        start = self._next
        terms = [self._chain("AND") if operator == "OR" else self._phrase()]
        while self._pieces[self._next].kind == operator:
            self._next += 1
            terms.append(self._chain("AND") if operator == "OR" else self._phrase())
        return terms[0] if len(terms) == 1 else Chain(start, self._next, tuple(terms))

    def _phrase(self) -> Phrase:
        parts = _Parts(self._next)
        in_pipe = self._next > 0 and self._pieces[self._next - 1].kind == PIPE
        while True:
            piece = self._pieces[self._next]
            if piece.kind in ("AND", "OR", END) or piece.text in (")", "]", ",", "|"):
                return parts.phrase(self._next)
            if self._next > parts.start and piece.space:
                previous = self._pieces[self._next - 1]
                if in_pipe or (piece.kind in _OPERATORS and previous.kind != "NOT"):
                    parts.begin(self._next)
            self._read_into(parts)

    def _clauses(self) -> Phrase:
        """Read the header of a sequence, or what follows the bracket of a step."""
        parts = _Parts(self._next)
        while True:
            piece = self._pieces[self._next]
            begun = self._next > parts.start
            previous = self._pieces[self._next - 1] if begun else None
            if piece.kind in ("MISSING", "UNTIL", END) or piece.text == "|":
                return parts.phrase(self._next)
            if piece.text == "[" and not (previous and previous.kind == "OF"):
                return parts.phrase(self._next)
            if previous and (piece.kind in _CLAUSES or previous.text == ","):
                parts.begin(self._next)
            self._read_into(parts)

    def _read_into(self, parts: _Parts) -> None:
        if self._pieces[self._next].text in _OPENING:
            parts.brackets.append(self._bracket())
        else:
            self._next += 1

    def _bracket(self) -> Bracket:
        start = self._next
        self._next += 1
        items: list[Condition] = []
        event = None
        if self._pieces[start].text == "[":
            event = self._event()
        else:
            while self._pieces[self._next].text != ")":
                items.append(self._condition())
                self._skip_comma()
        self._next += 1
        return Bracket(start, self._next, tuple(items), event)

    def _skip_comma(self) -> None:
        if self._pieces[self._next].text == ",":
            self._next += 1
