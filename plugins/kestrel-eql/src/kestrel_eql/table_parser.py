"""Runs the parser's table, and builds the syntax tree as it goes.

lark makes the table and the scanners, and says what is wrong with a text that does not
parse. For texts that do, this loop is several times as fast as lark's own: most steps of
an LALR parser only rename (a literal is a value, is a primary, is a product, is a sum),
and a run of such steps is looked up as one here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias, cast

import attrs
from lark import Lark
from lark.grammar import Rule, Terminal
from lark.lexer import AbstractBasicLexer, BasicLexer, ContextualLexer, UnlessCallback
from lark.parsers.lalr_analysis import Shift

from kestrel_eql import syntax
from kestrel_eql.tree_builder import Token, TreeBuilder

_END: Final = "$END"

_Build: TypeAlias = Callable[[TreeBuilder, int, list[object]], object]


@attrs.frozen
class _Reduction:
    """What to do with the values of a rule's right-hand side.

    Attributes:
        origin: The name of the rule.
        size: How many values there are.
        kept: Which of them count, and whether each is a list of values to be taken out of it.
        build: Makes the node; `None` gives the list of values.
        inline: Whether a value that is alone stands for the node.
    """

    origin: str
    size: int
    kept: tuple[tuple[int, bool], ...]
    build: _Build | None
    inline: bool

    @property
    def renames(self) -> bool:
        return self.inline and self.size == 1 and self.kept == ((0, False),)

    def value(self, builder: TreeBuilder, start: int, parts: Sequence[object]) -> object:
        kept: list[object] = []
        for index, is_list in self.kept:
            part = parts[index]
            if not is_list:
                kept.append(part)
            elif kept:
                kept.extend(cast(list[object], part))
            else:
                kept = cast(list[object], part)  # made for this, and for nobody else
        if self.inline and len(kept) == 1:
            return kept[0]
        return kept if self.build is None else self.build(builder, start, kept)


class _Scanner(NamedTuple):
    """Finds the next token in one state: of its kind, or of a kind of its own for key words."""

    match: Callable[[str, int], re.Match[str] | None]
    words: Mapping[str, Mapping[str, str]]


class TooManyTokensError(Exception):
    """A text has more tokens than it may have; the last one that it may ends at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class TableParser:
    """Parses texts that are right; has no state between them, and can be shared by threads.

    Cost: some 4 µs a token.

    Args:
        lark: What the table is taken from: LALR, with a contextual lexer.
    """

    def __init__(self, lark: Lark) -> None:
        frontend = lark.parser
        table = frontend.parser.parser.parse_table
        self._start: int = table.start_states["query"]
        self._end: int = table.end_states["query"]
        self._shifts: dict[int, dict[str, int]] = {}
        self._reductions: dict[int, dict[str, _Reduction]] = {}
        known: dict[Rule, _Reduction] = {}
        for state, actions in table.states.items():
            self._shifts[state] = {}
            self._reductions[state] = {}
            for name, (action, target) in actions.items():
                if action is Shift:
                    self._shifts[state][name] = target
                else:
                    reduction = known.setdefault(target, _reduction(target))
                    self._reductions[state][name] = reduction
        self._after: dict[tuple[int, str, str], int] = {}
        self._lexer: ContextualLexer = frontend.lexer
        self._scanners: dict[int, _Scanner] = {}
        terminals = frontend.lexer_conf.terminals_by_name
        ignored = (terminals[name].pattern.to_regexp() for name in frontend.lexer_conf.ignore)
        self._skip = re.compile(f"(?:{'|'.join(ignored)})*+").match

    def parse(
        self, text: str, builder: TreeBuilder, limit: int, tokens: list[Token] | None = None
    ) -> syntax.Query | None:
        """Return what `builder` makes of the text, or `None` if it does not parse.

        Args:
            text: The text.
            builder: Makes the nodes.
            limit: How many tokens there may be.
            tokens: Where each token is added, if they are wanted.

        Raises:
            TooManyTokensError: there are more than `limit` tokens.
        """
        states, values, starts = [self._start], list[object](), list[int]()
        state, position = self._start, 0
        for _ in range(limit + 1):
            position = self._skip(text, position).end()  # type: ignore[union-attr]  # of nothing too
            token = self._token(text, position, state)
            if token is None:
                return None
            kind = token.type
            while (reduction := self._reductions[state].get(kind)) is not None:
                size = reduction.size
                parts, start = values[-size:], starts[-size]
                del values[-size:], starts[-size:], states[-size:]
                values.append(reduction.value(builder, start, parts))
                starts.append(start)
                state = self._state_after(states[-1], reduction.origin, kind)
                states.append(state)
                if state == self._end and kind == _END:
                    return cast(syntax.Query, values[-1])
            shifted = self._shifts[state].get(kind)
            if shifted is None:
                return None
            state = shifted
            states.append(state)
            values.append(token)
            starts.append(position)
            if tokens is not None:
                tokens.append(token)
            position += len(token.text)
        raise TooManyTokensError(position)

    def _token(self, text: str, position: int, state: int) -> Token | None:
        if position == len(text):
            return Token(_END, "", position)
        scanner = self._scanners.get(state)
        if scanner is None:
            scanner = self._scanners[state] = _scanner(self._lexer.lexers[state])
        found = scanner.match(text, position)
        if found is None:
            return None
        kind, word = found.lastgroup, found[0]
        assert kind is not None
        words = scanner.words.get(kind)
        return Token(kind if words is None else words.get(word, kind), word, position)

    def _state_after(self, below: int, origin: str, kind: str) -> int:
        """Return the state after a rule, and after all that would only rename it."""
        key = (below, origin, kind)
        state = self._after.get(key)
        if state is None:
            state = self._shifts[below][origin]
            while (next_ := self._reductions[state].get(kind)) is not None and next_.renames:
                state = self._shifts[below][next_.origin]
            self._after[key] = state
        return state


def _reduction(rule: Rule) -> _Reduction:
    origin = str(rule.origin.name)
    kept = tuple(
        (index, not symbol.is_term and symbol.name.startswith("_"))
        for index, symbol in enumerate(rule.expansion)
        if not (isinstance(symbol, Terminal) and symbol.filter_out)
    )
    build = None if origin.startswith("_") else getattr(TreeBuilder, rule.alias or origin, None)
    inline = bool(rule.options.expand1) and not rule.alias
    return _Reduction(origin, len(rule.expansion), kept, build, inline)


def _scanner(lexer: AbstractBasicLexer) -> _Scanner:
    assert isinstance(lexer, BasicLexer)
    terminals = lexer.scanner.terminals
    alternatives = (
        f"(?P<{terminal.name}>{terminal.pattern.to_regexp()})" for terminal in terminals
    )
    words = {
        name: {word.pattern.value: word.name for word in unless.scanner.terminals}
        for name, unless in lexer.callback.items()
        if isinstance(unless, UnlessCallback)
    }
    return _Scanner(re.compile("|".join(alternatives)).match, words)
