"""A rule's text as pieces: its tokens, each with the comments that stand near it.

The formatter moves pieces, and comments move with them. Line ends in the text are
single line feeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from kestrel_eql.tree_builder import Token

_COMMENT: Final = re.compile(r"//[^\r\n]*|/\*(?s:.)*?\*/")
_BLANKS_IN_PATH: Final = re.compile(r"(`(?:[^`]|``)+`)|[ \t\r\n]+")
_OPERANDS: Final = frozenset(
    {"NAME", "VARIABLE", "STRING", "RAW_STRING", "INTEGER", "DECIMAL", "TRUE", "FALSE", "NULL"}
)
_OPENING: Final = ("(", "[")
_CLOSING: Final = (")", "]")
END: Final = "$END"
"""The kind of the piece after the last token."""
PIPE: Final = "PIPE"
"""The kind of a pipe's name."""


@attrs.frozen
class Comment:
    """A comment on lines of its own; `gap` says that there is a blank line before it."""

    text: str
    gap: bool


@attrs.define(eq=False)
class Piece:
    """A token with what stands near it.

    Attributes:
        text: As it was written, without blanks inside a path.
        kind: The terminal of the grammar, `PIPE` or `END`.
        above: Comments on lines of their own before it.
        before: Comments before it on its line.
        after: Comments behind it on its line; `//` only as the last one.
        gap: Whether a blank line is before it, behind the comments above it.
        space: Whether a blank is before it where it does not begin a line.
    """

    text: str
    kind: str
    above: list[Comment] = attrs.field(factory=list)
    before: list[str] = attrs.field(factory=list)
    after: list[str] = attrs.field(factory=list)
    gap: bool = False
    space: bool = True

    @property
    def ends_line(self) -> bool:
        """Whether nothing can follow it on its line."""
        return bool(self.after) and self.after[-1].startswith("//")


def pieces_of(text: str, tokens: Sequence[Token]) -> list[Piece]:
    """Return the pieces of a text that parses, and one more for its end."""
    pieces: list[Piece] = []
    position = 0
    previous: Piece | None = None
    for token in tokens:
        word = token.text
        if token.type in ("NAME", "VARIABLE") and not word.isidentifier():
            word = _BLANKS_IN_PATH.sub(lambda found: found[1] or "", word)
        after_bar = previous is not None and previous.text == "|"
        piece = Piece(word, PIPE if after_bar else token.type)
        _place_comments(text[position : token.position], previous, piece)
        pieces.append(piece)
        position = token.position + len(token.text)
        previous = piece
    end = Piece("", END)
    _place_comments(text[position:], previous, end)
    pieces.append(end)
    _move_over_operators(pieces)
    _set_spaces(pieces)
    return pieces


def comments_between(text: str, tokens: Sequence[Token]) -> list[str]:
    """Return the comments of a text that parses, without the blanks at the ends of their lines."""
    comments: list[str] = []
    position = 0
    for token in (*tokens, Token(END, "", len(text))):
        if "/" in (between := text[position : token.position]):
            comments += (_without_blanks(found[0]) for found in _COMMENT.finditer(between))
        position = token.position + len(token.text)
    return comments


# --- which piece a comment belongs to ------------------------------------------------


def _place_comments(between: str, previous: Piece | None, piece: Piece) -> None:
    """Give the comments between two pieces to one of them."""
    line_begins = previous is None
    position = 0
    if "/" in between:
        for run, gap, lines, ends_line in _runs(between, at_end=piece.kind == END):
            line_begins = line_begins or lines > 0
            if (
                any("\n" in comment for comment in run)
                or (line_begins and ends_line)
                or (line_begins and _hangs_on(piece))
            ):
                piece.above.append(Comment(" ".join(run), gap))
            elif not line_begins and previous and (ends_line or _hangs_on(piece)):
                previous.after += run
            else:
                piece.before += run
                piece.gap = gap
        position = max(found.end() for found in _COMMENT.finditer(between))
    piece.gap = piece.gap or between.count("\n", position) >= 2


def _runs(between: str, *, at_end: bool) -> Iterator[tuple[list[str], bool, int, bool]]:
    """Yield the comments of each line.

    With them: whether a blank line precedes, how many lines ended since what was before,
    and whether the line ends behind them.
    """
    run: list[str] = []
    gap, lines, position = False, 0, 0
    for found in _COMMENT.finditer(between):
        crossed = between.count("\n", position, found.start())
        if run and crossed:
            yield run, gap, lines, True
            run = []
        if not run:
            gap, lines = crossed >= 2, crossed
        run.append(_without_blanks(found[0]))
        position = found.end()
    yield run, gap, lines, at_end or "\n" in between[position:]


def _without_blanks(comment: str) -> str:
    return "\n".join(line.rstrip() for line in comment.split("\n"))


def _hangs_on(piece: Piece) -> bool:
    """Say whether a piece belongs to what is before it rather than to what follows."""
    return piece.kind in ("AND", "OR", END) or piece.text in (",", *_CLOSING)


def _move_over_operators(pieces: list[Piece]) -> None:
    """Move comments off the pieces between two conditions or items.

    In the result `and` leads the line of what follows it, and a comma ends the line of
    what is before it. What is said of a condition is said before its operator.
    """
    for index, piece in enumerate(pieces):
        if piece.kind in ("AND", "OR"):
            _move_off_operator(pieces[index - 1], piece, pieces[index + 1])
        elif piece.text == ",":
            _move_off_comma(pieces[index - 1], piece, pieces[index + 1])


def _move_off_operator(previous: Piece, operator: Piece, following: Piece) -> None:
    if operator.after:
        if operator.above or previous.ends_line:
            operator.above.append(Comment(" ".join(operator.after), gap=False))
        else:
            previous.after += operator.after
        operator.after = []
    if following.above:
        first, *others = following.above
        operator.above += [attrs.evolve(first, gap=first.gap or operator.gap), *others]
        operator.gap = following.gap
    else:
        operator.gap = operator.gap or following.gap
    following.above, following.gap = [], False


def _move_off_comma(previous: Piece, comma: Piece, following: Piece) -> None:
    moved = comma.above
    if comma.after and (moved or previous.ends_line):
        moved = [*moved, Comment(" ".join(comma.after), gap=False)]
        comma.after = []
    if previous.ends_line:
        comma.after, previous.after = previous.after, []
    following.above = [*moved, *following.above]
    following.gap = following.gap or comma.gap
    comma.above, comma.gap = [], False


# --- blanks -------------------------------------------------------------------------------


def _set_spaces(pieces: Sequence[Piece]) -> None:
    before, previous = Piece("", "", space=False), Piece("", "", space=False)
    option_end = 0
    for index, piece in enumerate(pieces):
        piece.space = _has_space(before, previous, piece, in_option=index < option_end)
        if piece.kind == "WITH":
            option_end = index + 5
        elif piece.kind == "FORK" and pieces[index + 1].kind == "ASSIGN":
            option_end = index + 3
        if not (piece.space or piece.above or previous.ends_line or _hangs_on(piece)):
            piece.before = [*previous.after, *piece.before]
            previous.after = []
        before, previous = previous, piece


def _has_space(before: Piece, previous: Piece, piece: Piece, *, in_option: bool) -> bool:
    if not previous.text or previous.text in _OPENING or previous.kind in ("OPTIONAL", "MISSING"):
        return False
    if piece.text in (",", *_CLOSING) or piece.kind == "FOLD":
        return False
    if piece.text == "(":
        return previous.kind not in ("NAME", "FOLD")
    if in_option:
        # `with maxspan=30s`, `fork=true`: only the name, and what comes next, stand apart.
        return previous.kind == "WITH" or piece.kind not in (
            "ASSIGN", "INTEGER", "DECIMAL", "TRUE", "FALSE", "NAME",
        )  # fmt: skip
    return not (previous.kind in ("PLUS", "MINUS") and _is_sign(before, previous))


def _is_sign(before: Piece, piece: Piece) -> bool:
    """Say whether `+` or `-` has no left side."""
    return before.kind not in _OPERANDS and before.text not in _CLOSING
