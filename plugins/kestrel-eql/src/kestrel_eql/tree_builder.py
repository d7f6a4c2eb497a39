"""What each rule of the grammar makes of the syntax tree, and what a grammar cannot refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias, TypeVar, cast

import attrs

from kestrel_eql import syntax
from kestrel_eql.dialect import Dialect
from kestrel_eql.syntax import Expression

MAX_RUNS: Final = 100
"""How often `with runs` can repeat a step."""

_UNITS: Final = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_MAX_SPAN: Final = 2**63 - 1
_MAX_INTEGER: Final = 2**63 - 1
_MAX_DIGITS: Final = 30
_ESCAPES: Final = {
    "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\\": "\\", '"': '"', "'": "'",
}  # fmt: skip
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9A-Fa-f]{2,8})\}|(.))", re.DOTALL)
_NAME_PART: Final = re.compile(r"`(?:[^`\r\n]|``)+`|[A-Za-z0-9_@]+|\[[0-9]+\]")
_CONSTANTS: Final = {"TRUE": True, "FALSE": False, "NULL": None}
_LINEAGE: Final = ("descendant", "child", "event")

Report: TypeAlias = Callable[[str, int], None]
"""Takes a problem and the offset where it is."""

_NodeT = TypeVar("_NodeT")


class Token(NamedTuple):
    """A word of the text: its kind, by the grammar, itself, and where it begins."""

    type: str
    text: str
    position: int


@attrs.frozen
class _By:
    keys: tuple[Expression, ...]


@attrs.frozen
class _Option:
    name: str
    number: int | float
    unit: str | None
    position: int


@attrs.frozen
class _Name:
    name: str


@attrs.frozen
class _Fork:
    on: bool


@attrs.frozen
class _Until:
    term: syntax.Term


@attrs.frozen
class _List:
    items: tuple[Expression, ...]


_Binary: TypeAlias = tuple[Expression, Token, Expression]
_Match: TypeAlias = tuple[Expression, Token, Expression | _List]
_Lineage: TypeAlias = tuple[Token, syntax.EventQuery]
_Sign: TypeAlias = tuple[Token, Expression]


class TreeBuilder:
    """Builds one syntax tree; a tree with problems is only good for finding more of them.

    The methods for queries, conditions and values are called by the names of the grammar's
    rules, with where the rule begins in the text, and its parts.

    Args:
        report: Where problems go.
        dialect: What is refused if another dialect alone can write it so; `None` refuses nothing.
    """

    def __init__(self, report: Report, dialect: Dialect | None = None) -> None:
        self._report = report
        self._elastic = dialect is Dialect.ELASTIC

    # --- queries ---

    def query(self, start: int, parts: list[object]) -> syntax.Query:
        body = cast(syntax.Body, parts[0])
        return syntax.Query(body, tuple(_all(syntax.Pipe, parts)))

    def event(self, start: int, parts: list[object]) -> syntax.EventQuery:
        category, condition = parts
        return syntax.EventQuery(cast(str, category), cast(Expression, condition), position=start)

    def category(self, start: int, parts: list[Token]) -> str:
        (token,) = parts
        if token.type != "NAME":
            return self._text(token)
        return syntax.dotted(self._path(token))

    def sequence(self, start: int, parts: list[object]) -> syntax.SequenceQuery:
        maxspan = None
        for option in _all(_Option, parts):
            maxspan = self._maxspan(option)
        return syntax.SequenceQuery(
            tuple(_all(syntax.Term, parts)),
            _keys(parts),
            maxspan,
            _until(parts),
            position=start,
        )

    def join(self, start: int, parts: list[object]) -> syntax.JoinQuery:
        terms = tuple(_all(syntax.Term, parts))
        return syntax.JoinQuery(terms, _keys(parts), _until(parts), position=start)

    def sample(self, start: int, parts: list[object]) -> syntax.SampleQuery:
        terms = tuple(_all(syntax.Term, parts))
        return syntax.SampleQuery(terms, _keys(parts), position=start)

    def term(self, start: int, parts: list[object]) -> syntax.Term:
        runs = 1
        for option in _all(_Option, parts):
            runs = self._runs(option)
        return syntax.Term(
            next(_all(syntax.EventQuery, parts)),
            missing=any(isinstance(part, Token) and part.type == "MISSING" for part in parts),
            fork=any(fork.on for fork in _all(_Fork, parts)),
            keys=_keys(parts),
            runs=runs,
            name=next((alias.name for alias in _all(_Name, parts)), ""),
            position=start,
        )

    def fork(self, start: int, parts: list[Token]) -> _Fork:
        return _Fork(parts[-1].type != "FALSE")

    def by(self, start: int, parts: list[Expression]) -> _By:
        return _By(tuple(parts))

    def option(self, start: int, parts: list[Token]) -> _Option:
        name, number, *unit = parts
        return _Option(name.text, self._number(number), unit[0].text if unit else None, start)

    def alias(self, start: int, parts: list[Token]) -> _Name:
        path = self._path(parts[0])
        if len(path) != 1:
            self._report("the name of a step has no dots", start)
        return _Name(str(path[0]))

    def until(self, start: int, parts: list[syntax.Term]) -> _Until:
        return _Until(parts[0])

    def pipe(self, start: int, parts: list[object]) -> syntax.Pipe:
        name, *arguments = parts
        items = cast(_List, arguments[0]).items if arguments else ()
        return syntax.Pipe(cast(Token, name).text, items, position=start)

    def arguments(self, start: int, parts: list[Expression]) -> _List:
        return _List(tuple(parts))

    # --- conditions ---

    def disjunction(self, start: int, parts: list[Expression]) -> Expression:
        return syntax.Or(tuple(parts), position=start)

    def conjunction(self, start: int, parts: list[Expression]) -> Expression:
        return syntax.And(tuple(parts), position=start)

    def negation(self, start: int, parts: list[object]) -> Expression:
        return syntax.Not(cast(Expression, parts[1]), position=start)

    def comparison(self, start: int, parts: list[object]) -> Expression:
        left, operator, right = cast(_Binary, parts)
        return syntax.Comparison(operator.text, left, right, position=operator.position)

    def membership(self, start: int, parts: list[object]) -> Expression:
        value, *operators, choices = parts
        first, last = cast(Token, operators[0]), cast(Token, operators[-1])
        return syntax.Membership(
            cast(Expression, value),
            cast(_List, choices).items,
            fold=last.type == "IN_FOLD",
            negated=len(operators) == 2,
            position=first.position,
        )

    def match(self, start: int, parts: list[object]) -> Expression:
        value, operator, right = cast(_Match, parts)
        patterns = right.items if isinstance(right, _List) else (right,)
        return syntax.Match(operator.text, value, patterns, position=operator.position)

    def lineage(self, start: int, parts: list[object]) -> Expression:
        word, query = cast(_Lineage, parts)
        if word.text not in _LINEAGE:
            self._report(
                f"`{word.text} of` is unknown; there is `descendant of`, `child of` and `event of`",
                start,
            )
        return syntax.Lineage(word.text, query, position=start)

    # --- values ---

    def arithmetic(self, start: int, parts: list[object]) -> Expression:
        left, operator, right = cast(_Binary, parts)
        return syntax.Arithmetic(operator.text, left, right, position=operator.position)

    def sign(self, start: int, parts: list[object]) -> Expression:
        operator, operand = cast(_Sign, parts)
        match operand:
            case syntax.Literal(value=int() | float() as number) if not isinstance(number, bool):
                signed = -number if operator.text == "-" else number
                return syntax.Literal(signed, position=start)
        return syntax.Sign(operator.text, operand, position=start)

    def call(self, start: int, parts: list[object]) -> Expression:
        name, *arguments = parts
        fold = bool(arguments) and isinstance(arguments[0], Token)
        return syntax.Call(
            cast(Token, name).text,
            cast(tuple[Expression, ...], tuple(arguments[int(fold) :])),
            fold=fold,
            position=start,
        )

    def field(self, start: int, parts: list[Token]) -> Expression:
        return syntax.Field(self._path(parts[-1]), optional=len(parts) == 2, position=start)

    def variable(self, start: int, parts: list[Token]) -> Expression:
        name, *path = self._path(parts[0])
        return syntax.Variable(str(name), tuple(path), position=start)

    def choices(self, start: int, parts: list[object]) -> _List:
        return _List(tuple(cast(Expression, part) for part in parts[1:]))

    def literal(self, start: int, parts: list[Token]) -> Expression:
        (token,) = parts
        kind = token.type
        if kind in ("STRING", "RAW_STRING"):
            return syntax.Literal(self._text(token), position=start)
        if kind in _CONSTANTS:
            return syntax.Literal(_CONSTANTS[kind], position=start)
        return syntax.Literal(self._number(token), position=start)

    # --- tokens ---

    def _path(self, token: Token) -> tuple[str | int, ...]:
        if token.text.replace(".", "_").isidentifier():
            return tuple(token.text.split("."))
        parts: list[str | int] = []
        for text in _NAME_PART.findall(token.text):
            if text.startswith("`"):
                parts.append(text[1:-1].replace("``", "`"))
            elif text.startswith("["):
                parts.append(self._index(text[1:-1], token))
            else:
                parts.append(text)
        return tuple(parts)

    def _index(self, digits: str, token: Token) -> int:
        if len(digits) > 9:
            self._report("the index is too large", token.position)
            return 0
        return int(digits)

    def _number(self, token: Token) -> int | float:
        if token.type == "DECIMAL":
            number = float(token.text)
            if number in (float("inf"), float("-inf")):
                self._report("the number is too large", token.position)
            return number
        if len(token.text) > _MAX_DIGITS or int(token.text) > _MAX_INTEGER + 1:
            self._report("the number is too large: integers have 64 bits", token.position)
            return 0
        return int(token.text)

    def _text(self, token: Token) -> str:
        text = token.text
        if self._elastic and text.startswith("'"):
            self._report('texts stand in double quotes: `"..."`', token.position)
        if text.startswith("?"):
            if self._elastic:
                self._report('raw texts stand in three double quotes: `"""..."""`', token.position)
            quote = text[1]
            return text[2:-1].replace(f"\\{quote}", quote)
        if token.type == "RAW_STRING":
            return text[3:-3]
        if "\\" not in text:
            return text[1:-1]
        return _ESCAPE.sub(lambda escape: self._escaped(escape, token.position + 1), text[1:-1])

    def _escaped(self, escape: re.Match[str], start: int) -> str:
        digits, character = escape.groups()
        if digits is not None:
            code = int(digits, 16)
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code)
            self._report(f"`{escape[0]}` is no character", start + escape.start())
        elif character in _ESCAPES:
            return _ESCAPES[character]
        else:
            instead = 'write `\\\\` for a backslash, or `"""..."""` for a text without escapes'
            self._report(f"unknown escape `{escape[0]}`; {instead}", start + escape.start())
        return escape[0]

    # --- options ---

    def _maxspan(self, option: _Option) -> int | None:
        if option.name != "maxspan":
            problem = f"unknown option `{option.name}` of a sequence; there is `maxspan`"
            self._report(problem, option.position)
            return None
        if option.unit is None and self._elastic:
            problem = (
                f"maxspan needs a unit: `maxspan={option.number}s`; there is ms, s, m, h and d"
            )
            self._report(problem, option.position)
        unit = _UNITS.get(option.unit or "s")
        if unit is None:
            problem = f"unknown unit `{option.unit}`; there is ms, s, m, h and d"
            self._report(problem, option.position)
            return None
        if not 0 < option.number < _MAX_SPAN / unit:
            self._report("maxspan must be above 0 and below 292 years", option.position)
            return None
        return round(option.number * unit)

    def _runs(self, option: _Option) -> int:
        runs = option.number
        if option.name != "runs":
            problem = f"unknown option `{option.name}` of a step; there is `runs`"
            if option.name == "maxspan":
                problem = "`with maxspan` stands at the beginning, before the steps"
            self._report(problem, option.position)
        elif option.unit is not None or not isinstance(runs, int) or not 1 <= runs <= MAX_RUNS:
            self._report(f"`runs` must be a whole number from 1 to {MAX_RUNS}", option.position)
        else:
            return runs
        return 1


def _all(kind: type[_NodeT], parts: Sequence[object]) -> Iterator[_NodeT]:
    return (part for part in parts if isinstance(part, kind))


def _keys(parts: Sequence[object]) -> tuple[Expression, ...]:
    return next((by.keys for by in _all(_By, parts)), ())


def _until(parts: Sequence[object]) -> syntax.Term | None:
    return next((until.term for until in _all(_Until, parts)), None)
