"""What the parser does in each of its states: `parser_table.json`, made from the grammar.

`kestrel_eql.table_generator` makes it. That reading rules needs neither the grammar nor lark is
worth a tenth of a second at the first start.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import msgspec

FILE: Final = files("kestrel_eql").joinpath("parser_table.json")
END: Final = "$END"
"""The kind of the token after the last one."""


class Scanner(msgspec.Struct, frozen=True):
    """Finds the next token.

    Attributes:
        pattern: A group for each kind of token.
        words: For kinds of which some words are another kind: which, by the word.
    """

    pattern: str
    words: dict[str, dict[str, str]]


class Rule(msgspec.Struct, frozen=True):
    """A rule of the grammar.

    Attributes:
        origin: Its name.
        size: How many symbols its right-hand side has.
        kept: Which of them count, and whether each is a list of values to be taken out of it.
        build: The method of the `TreeBuilder` that makes the node; without one, the rule gives
            the list of values.
        inline: Whether a value that is alone stands for the node.
    """

    origin: str
    size: int
    kept: tuple[tuple[int, bool], ...]
    build: str | None
    inline: bool

    @property
    def renames(self) -> bool:
        return self.inline and self.size == 1 and self.kept == ((0, False),)


class State(msgspec.Struct, frozen=True):
    """A state of the parser.

    Attributes:
        scanner: The number of the scanner that finds its next token.
        shifts: The state after a token of that kind, or after a rule.
        reductions: The number of the rule that ends before a token of that kind.
    """

    scanner: int
    shifts: dict[str, int]
    reductions: dict[str, int]


class ParserTable(msgspec.Struct, frozen=True):
    """An LALR(1) parser with a contextual lexer.

    Attributes:
        ignored: What may stand before each token.
        end: The number of the state in which a whole text was read.
        scanners: How tokens are found.
        rules: The rules of the grammar.
        states: The states; the first one is where a text begins.
    """

    ignored: str
    end: int
    scanners: tuple[Scanner, ...]
    rules: tuple[Rule, ...]
    states: tuple[State, ...]


def read_table() -> ParserTable:
    """Return the table that belongs to the grammar."""
    return msgspec.json.decode(FILE.read_bytes(), type=ParserTable)
