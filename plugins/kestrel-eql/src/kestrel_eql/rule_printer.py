"""Writes the parts of a rule as lines of a width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kestrel_eql.pieces import Piece
from kestrel_eql.rule_layout import (
    Bracket,
    Chain,
    Condition,
    Event,
    Layout,
    Part,
    Phrase,
    Pipe,
    Step,
    Steps,
)

WIDTH: Final = 100
"""How long a line may be."""

_INDENT: Final = 2
_SHORT_ITEM: Final = 30
_ENDLESS: Final = 1 << 60


def printed(pieces: Sequence[Piece], layout: Layout) -> str:
    """Return the text of a rule."""
    return _Printer(pieces).text(layout)


class _Printer:
    """Puts one piece after the other on a page.

    An `indent` is that of the line on which a part begins: its brackets close there, and
    its further lines are indented under it.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._page = _Page()
        # Sums up to each piece, so that the width of any run of them is a subtraction.
        self._widths = [0]
        self._line_ends = [0]
        self._lines_above = [0]
        for piece in pieces:
            width = sum(map(len, (*piece.before, piece.text))) + len(piece.before)
            comments = piece.after[:-1] if piece.ends_line else piece.after
            width += sum(map(len, comments)) + len(comments) + piece.space
            self._widths.append(self._widths[-1] + width)
            self._line_ends.append(self._line_ends[-1] + piece.ends_line)
            self._lines_above.append(self._lines_above[-1] + bool(piece.above))

    def text(self, layout: Layout) -> str:
        body = layout.body
        if isinstance(body, Event):
            self._event(body, _INDENT)
        else:
            self._steps(body)
        for pipe in layout.pipes:
            self._page.new_line(0)
            self._pipe(pipe)
        if self._pieces[-1].above:
            self._page.new_line(0)
            self._put_above(self._pieces[-1])
        return self._page.text()

    # --- parts ---------------------------------------------------------------------

    def _event(self, event: Event, indent: int) -> None:
        if self._fits(event.start, event.end):
            self._put(event.start, event.end, indent)
            return
        self._put(event.start, event.condition.start, indent)
        self._page.new_line(indent, gaps=False)
        self._broken(event.condition, indent)

    def _steps(self, body: Steps) -> None:
        header = body.header
        self._phrase(header, 2 * _INDENT, 2 * _INDENT)
        for step in body.steps:
            indent = 0 if self._pieces[step.start].kind == "UNTIL" else _INDENT
            self._page.new_line(indent, gaps=step is not body.steps[0])
            self._step(step, indent)

    def _step(self, step: Step, indent: int) -> None:
        if self._fits(step.start, step.end):
            self._put(step.start, step.end, indent)
            return
        bracket, clauses = step.bracket, step.clauses
        self._put(step.start, bracket.start, indent)
        self._bracket(bracket, indent)
        self._phrase(clauses, indent, indent + 2 * _INDENT)

    def _pipe(self, pipe: Pipe) -> None:
        if self._fits(pipe.start, pipe.end):
            self._put(pipe.start, pipe.end, 0)
            return
        self._put(pipe.start, pipe.start + 2, _INDENT)
        for number, argument in enumerate(pipe.arguments):
            comma = number < len(pipe.arguments) - 1
            end = argument.end + comma
            if number and not self._fits(argument.start, end):
                self._page.new_line(_INDENT)
            self._condition(argument, _INDENT, tail=int(comma))
            self._put(argument.end, end, _INDENT)

    def _condition(self, condition: Condition, indent: int, *, tail: int = 0) -> None:
        if self._fits(condition.start, condition.end, tail):
            self._put(condition.start, condition.end, indent)
        elif isinstance(condition, Chain):
            self._chain(condition, indent)
        else:
            self._phrase(condition, indent, indent + _INDENT, tail=tail)

    def _broken(self, condition: Condition, indent: int) -> None:
        """Write a condition on the lines of something that is broken: one for each part of it."""
        if isinstance(condition, Chain):
            self._chain(condition, indent)
        else:
            self._condition(condition, indent)

    def _chain(self, chain: Chain, indent: int) -> None:
        """Write each condition on a line of its own, led by its operator."""
        for term in chain.terms:
            if term is not chain.terms[0]:
                self._page.new_line(indent)
                self._put(term.start - 1, term.start, indent)
            self._condition(term, indent + _INDENT if isinstance(term, Chain) else indent)

    def _phrase(self, phrase: Phrase, indent: int, further: int, *, tail: int = 0) -> None:
        """Fill lines, of which the first is indented by `indent`, the others by `further`."""
        for part in phrase.parts:
            left = tail if part.end == phrase.end else 0
            fits = self._fits(part.start, part.end, left)
            if part.start > phrase.start and not fits and not self._fits_if_broken(part):
                self._page.new_line(further, gaps=False)
                indent = further
                fits = self._fits(part.start, part.end, left)
            position = part.start
            for bracket in () if fits else part.brackets:
                self._put(position, bracket.start, further)
                self._bracket(bracket, indent)
                position = bracket.end
            self._put(position, part.end, further)

    def _fits_if_broken(self, part: Part) -> bool:
        return bool(part.brackets) and self._fits(part.start, part.brackets[0].start + 1)

    def _bracket(self, bracket: Bracket, indent: int) -> None:
        """Write a bracket over several lines."""
        inner = indent + _INDENT
        close = bracket.end - 1
        self._put(bracket.start, bracket.start + 1, inner)
        if bracket.event is not None:
            self._event(bracket.event, inner)
        elif self._can_be_filled(bracket):
            self._fill(bracket, inner)
        else:
            for number, item in enumerate(bracket.items):
                comma = number < len(bracket.items) - 1
                self._page.new_line(inner, gaps=number > 0)
                if len(bracket.items) == 1:
                    self._broken(item, inner)
                else:
                    further = inner + _INDENT if isinstance(item, Chain) else inner
                    self._condition(item, further, tail=int(comma))
                self._put(item.end, item.end + comma, inner)
        if self._pieces[close].above:
            self._page.new_line(inner)
            self._put_above(self._pieces[close])
        self._page.new_line(indent, gaps=False)
        self._put(close, bracket.end, indent, above=False)

    def _can_be_filled(self, bracket: Bracket) -> bool:
        """Say whether the items are short and without comments that need lines."""
        return (
            len(bracket.items) > 1
            and self._width(bracket.start, bracket.end) < _ENDLESS
            and all(self._width(item.start, item.end) <= _SHORT_ITEM for item in bracket.items)
        )

    def _fill(self, bracket: Bracket, inner: int) -> None:
        for item in bracket.items:
            comma = item is not bracket.items[-1]
            if item is bracket.items[0] or not self._fits(item.start, item.end + comma):
                self._page.new_line(inner, gaps=False)
            self._put(item.start, item.end + comma, inner)

    # --- pieces --------------------------------------------------------------------

    def _width(self, start: int, end: int) -> int:
        """Return the width of pieces on one line; endless where a comment needs a line."""
        if start == end:
            return 0
        if (
            self._line_ends[end - 1] > self._line_ends[start]
            or self._lines_above[end] > self._lines_above[start + 1]
        ):
            return _ENDLESS
        return self._widths[end] - self._widths[start] - self._pieces[start].space

    def _fits(self, start: int, end: int, tail: int = 0) -> bool:
        if start == end:
            return True
        space = self._pieces[start].space and not self._page.at_line_start
        return self._page.column + space + self._width(start, end) + tail <= WIDTH

    def _put(self, start: int, end: int, indent: int, *, above: bool = True) -> None:
        for piece in self._pieces[start:end]:
            if piece.above and above:
                if not self._page.at_line_start:
                    self._page.new_line(indent)
                self._put_above(piece)
                self._page.new_line(self._page.indent)
            self._page.put(piece, indent)

    def _put_above(self, piece: Piece) -> None:
        for number, comment in enumerate(piece.above):
            if number:
                self._page.new_line(self._page.indent)
            self._page.put_comment(comment.text, gap=comment.gap)


class _Page:
    """Lines, of which the last one is still written."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._gaps = False
        self._ended = False
        self.indent = 0
        self.column = 0
        self.at_line_start = True

    def new_line(self, indent: int, *, gaps: bool = True) -> None:
        """Begin a line; with `gaps`, what comes first on it can have a blank line before it."""
        if not self.at_line_start:
            self._lines.append("".join(self._line).rstrip())
        self._line = [" " * indent]
        self._gaps, self._ended = gaps, False
        self.indent = self.column = indent
        self.at_line_start = True

    def put(self, piece: Piece, indent: int) -> None:
        """Write a piece with the comments beside it."""
        if self._ended:
            self.new_line(indent, gaps=False)
        self._begin(gap=piece.gap)
        space = piece.space and not self.at_line_start
        self._write(" " * space + " ".join((*piece.before, piece.text, *piece.after)))
        self._ended = piece.ends_line

    def put_comment(self, text: str, *, gap: bool) -> None:
        """Write a comment as a line, or as several."""
        self._begin(gap=gap)
        self._write(text)

    def text(self) -> str:
        return "\n".join([*self._lines, "".join(self._line).rstrip()]) + "\n"

    def _begin(self, *, gap: bool) -> None:
        if self.at_line_start and self._gaps and gap:
            self._lines.append("")

    def _write(self, text: str) -> None:
        self._line.append(text)
        self.column += len(text)
        self.at_line_start = False
