"""lark's own parser of the grammar: it says what is wrong with a text that does not parse."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from lark import Lark


@cache
def lark_parser() -> Lark:
    """Return the parser; the first call takes a tenth of a second."""
    return Lark(
        files("kestrel_eql").joinpath("grammar.lark").read_text(encoding="utf-8"),
        parser="lalr",
        lexer="contextual",
        start="query",
        maybe_placeholders=False,
    )
