"""Runs the parser's table, and builds the syntax tree as it goes.

lark makes the table and the scanners, and says what is wrong with a text that does not
parse. For texts that do, this loop is several times as fast as lark's own: most steps of
an LALR parser only rename (a literal is a value, is a primary, is a product, is a sum),
and a run of such steps is looked up as one here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias, cast

from kestrel_eql import syntax
from kestrel_eql.parser_table import END, ParserTable, Rule, Scanner
from kestrel_eql.tree_builder import Token, TreeBuilder

_token: Final = tuple.__new__  # half the time of calling `Token`

_Value: TypeAlias = Callable[[TreeBuilder, int, list[object]], object]
"""Makes what stands for the values of a rule's right-hand side, given where it begins. The list is
made for this, and for nobody else."""


class _Reduction(NamedTuple):
    """What to do where a rule of the grammar ends."""

    origin: str
    size: int
    value: _Value
    renames: bool


def _reduction(rule: Rule) -> _Reduction:
    build = _as_they_are if rule.build is None else getattr(TreeBuilder, rule.build)
    value = _of_chosen(rule, build)
    if not rule.inline:
        if rule.kept == tuple((index, False) for index in range(rule.size)):
            value = build
        elif rule.build is None and rule.kept == ((0, True), (rule.size - 1, False)):
            value = _longer_by(rule.size - 1)
    return _Reduction(rule.origin, rule.size, value, rule.renames)


def _as_they_are(_: TreeBuilder, __: int, parts: list[object]) -> object:
    return parts


def _longer_by(index: int) -> _Value:
    """Return what adds one of the values to the list that is the first of them."""

    def value(_: TreeBuilder, __: int, parts: list[object]) -> object:
        items = cast("list[object]", parts[0])
        items.append(parts[index])
        return items

    return value


def _of_chosen(rule: Rule, build: _Value) -> _Value:
    """Return what builds of the values that count."""

    def value(builder: TreeBuilder, start: int, parts: list[object]) -> object:
        kept: list[object] = []
        for index, is_list in rule.kept:
            if is_list:
                kept += cast("list[object]", parts[index])
            else:
                kept.append(parts[index])
        return kept[0] if rule.inline and len(kept) == 1 else build(builder, start, kept)

    return value


class _Scanner:
    """Finds the next token, behind what is ignored.

    Attributes:
        words: For kinds of which some words are another kind: which, by the word.
    """

    def __init__(self, scanner: Scanner, ignored: str) -> None:
        self.words: Mapping[str, Mapping[str, str]] = scanner.words
        self._pattern = f"(?:{ignored})*+(?:{scanner.pattern})"

    @cached_property  # most texts need few of them, and compiling takes time
    def match(self) -> Callable[[str, int], re.Match[str] | None]:
        return re.compile(self._pattern).match


class _State:
    """A state of the parser, with the states it leads to.

    Attributes:
        after: The state after the rule of that name, if a token of that kind follows,
            and after all that would only rename it.
    """

    __slots__ = ("after", "reductions", "scanner", "shifts")

    def __init__(self, scanner: _Scanner) -> None:
        self.scanner = scanner
        self.shifts: dict[str, _State] = {}
        self.reductions: dict[str, _Reduction] = {}
        self.after: dict[tuple[str, str], _State] = {}

    def find_after(self, origin: str, kind: str) -> _State:
        """Return what `after` says, and remember it there."""
        state = self.shifts[origin]
        while (following := state.reductions.get(kind)) is not None and following.renames:
            state = self.shifts[following.origin]
        self.after[origin, kind] = state
        return state


class TooManyTokensError(Exception):
    """A text has more tokens than it may have; the last one that it may ends at `offset`."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class TableParser:
    """Parses texts that are right; has no state between them, and can be shared by threads.

    Cost: some 3 µs a token.

    Args:
        table: What to do in which state.
    """

    def __init__(self, table: ParserTable) -> None:
        scanners = [_Scanner(scanner, table.ignored) for scanner in table.scanners]
        reductions = [_reduction(rule) for rule in table.rules]
        states = [_State(scanners[state.scanner]) for state in table.states]
        for state, said in zip(states, table.states, strict=True):
            state.shifts = {name: states[number] for name, number in said.shifts.items()}
            state.reductions = {kind: reductions[n] for kind, n in said.reductions.items()}
        self._start = states[0]
        self._end = states[table.end]
        self._skip = re.compile(f"(?:{table.ignored})*+").match

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
        state = self._start
        states, values, starts = [state], list[object](), list[int]()
        position = 0
        for _ in range(limit + 1):
            found = state.scanner.match(text, position)
            if found is not None:
                kind = found.lastgroup
                assert kind is not None
                start, position = found.span(kind)
                word = text[start:position]
                words = state.scanner.words.get(kind)
                if words is not None:
                    kind = words.get(word, kind)
            elif self._is_ignored(text, position):
                kind, word, start = END, "", len(text)
            else:
                return None
            while (reduction := state.reductions.get(kind)) is not None:
                origin, size, value, _ = reduction
                parts = values[-size:]
                if size > 1:
                    del values[1 - size :], states[1 - size :], starts[1 - size :]
                values[-1] = value(builder, starts[-1], parts)
                below, way = states[-2], (origin, kind)
                states[-1] = state = below.after.get(way) or below.find_after(*way)
                if state is self._end and kind == END:
                    return cast(syntax.Query, values[-1])
            shifted = state.shifts.get(kind)
            if shifted is None:
                return None
            state = shifted
            token = _token(Token, (kind, word, start))
            states.append(state)
            values.append(token)
            starts.append(start)
            if tokens is not None:
                tokens.append(token)
        raise TooManyTokensError(position)

    def _is_ignored(self, text: str, position: int) -> bool:
        """Say whether nothing counts from a position on."""
        found = self._skip(text, position)
        return found is not None and found.end() == len(text)
