"""The syntax tree of EQL: what was written, before anything is known of what it means.

Every node knows where it begins: `position` is an offset into the rule's text
and takes no part in equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs


def _position() -> int:
    return attrs.field(default=0, eq=False, repr=False, kw_only=True)


# --- values -------------------------------------------------------------------


@attrs.frozen
class Literal:
    """A text with its escapes resolved, a number, true, false, or null (`None`)."""

    value: str | int | float | bool | None = attrs.field(eq=lambda value: (type(value), value))
    position: int = _position()

    def __hash__(self) -> int:  # attrs' own takes four times as long
        return hash(self.value)


@attrs.frozen
class Field:
    """A path such as `process.args[0]`: names are texts, indexes are integers."""

    parts: tuple[str | int, ...]
    optional: bool = False
    position: int = _position()

    @property
    def path(self) -> str:
        """The dotted path; an index is written `[0]`."""
        return dotted(self.parts)


@attrs.frozen
class Variable:
    """`$name` or `$name.path`: the element that an array search looks at."""

    name: str
    parts: tuple[str | int, ...] = ()
    position: int = _position()


@attrs.frozen(cache_hash=True)
class Call:
    """A function by the name it was written with; `fold` for a `~` after the name."""

    name: str
    arguments: tuple[Expression, ...]
    fold: bool = False
    position: int = _position()


@attrs.frozen
class Sign:
    """`-x` or `+x`."""

    operator: str
    operand: Expression
    position: int = _position()


@attrs.frozen
class Arithmetic:
    """`operator` is one of `+ - * / %`."""

    operator: str
    left: Expression
    right: Expression
    position: int = _position()


# --- conditions -----------------------------------------------------------------


@attrs.frozen(cache_hash=True)
class Comparison:
    """`operator` is one of `== != < <= > >=`, or `=` as it was written."""

    operator: str
    left: Expression
    right: Expression
    position: int = _position()


@attrs.frozen(cache_hash=True)
class Membership:
    """`value in (...)`, `not in`, `in~`."""

    value: Expression
    choices: tuple[Expression, ...]
    fold: bool = False
    negated: bool = False
    position: int = _position()


@attrs.frozen(cache_hash=True)
class Match:
    """`value : ...`, and likewise `like`, `like~`, `regex`, `regex~`: the operator as written."""

    operator: str
    value: Expression
    patterns: tuple[Expression, ...]
    position: int = _position()


@attrs.frozen
class Lineage:
    """`descendant of [...]`, `child of [...]`, `event of [...]`; `relation` is the first word."""

    relation: str
    query: EventQuery
    position: int = _position()


@attrs.frozen(cache_hash=True)
class Not:
    """`not term`."""

    term: Expression
    position: int = _position()


@attrs.frozen(cache_hash=True)
class And:
    """Two terms or more, without `And`s among them that no bracket asked for."""

    terms: tuple[Expression, ...]
    position: int = _position()


@attrs.frozen(cache_hash=True)
class Or:
    """Two terms or more, as in `And`."""

    terms: tuple[Expression, ...]
    position: int = _position()


Expression: TypeAlias = (
    Literal
    | Field
    | Variable
    | Call
    | Sign
    | Arithmetic
    | Comparison
    | Membership
    | Match
    | Lineage
    | Not
    | And
    | Or
)


# --- queries ------------------------------------------------------------------------


@attrs.frozen
class EventQuery:
    """`category where condition`."""

    category: str
    condition: Expression
    position: int = _position()


@attrs.frozen
class Term:
    """One bracket of a sequence, join or sample, with what follows it."""

    query: EventQuery
    missing: bool = False
    fork: bool = False
    keys: tuple[Expression, ...] = ()
    runs: int = 1
    name: str = ""
    position: int = _position()


@attrs.frozen
class SequenceQuery:
    """Events one after the other that share their keys; `maxspan` is in nanoseconds."""

    terms: tuple[Term, ...]
    keys: tuple[Expression, ...] = ()
    maxspan: int | None = None
    until: Term | None = None
    position: int = _position()


@attrs.frozen
class JoinQuery:
    """Events in any order that share their keys; of the endgame dialect."""

    terms: tuple[Term, ...]
    keys: tuple[Expression, ...] = ()
    until: Term | None = None
    position: int = _position()


@attrs.frozen
class SampleQuery:
    """Different events in any order, one for each term, that share their keys."""

    terms: tuple[Term, ...]
    keys: tuple[Expression, ...] = ()
    position: int = _position()


@attrs.frozen
class Pipe:
    """`| name arguments`."""

    name: str
    arguments: tuple[Expression, ...] = ()
    position: int = _position()


Body: TypeAlias = EventQuery | SequenceQuery | JoinQuery | SampleQuery


@attrs.frozen
class Query:
    """A whole text."""

    body: Body
    pipes: tuple[Pipe, ...] = ()


# --- looking at a tree ----------------------------------------------------------------


def dotted(parts: Sequence[str | int]) -> str:
    """Return a path as it is written: names joined by dots, indexes in brackets."""
    names = [part for part in parts if isinstance(part, str)]
    if len(names) == len(parts):
        return ".".join(names)
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def children(expression: Expression) -> tuple[Expression, ...]:
    """Return the expressions directly under one, in order."""
    read = _CHILDREN.get(type(expression))
    return () if read is None else read(expression)


def _sides(node: Arithmetic | Comparison) -> tuple[Expression, ...]:
    return (node.left, node.right)


# A table, since whole packs of rules are looked through.
_CHILDREN: Final[Mapping[type, Callable[[Any], tuple[Expression, ...]]]] = {
    Call: lambda node: node.arguments,
    Sign: lambda node: (node.operand,),
    Arithmetic: _sides,
    Comparison: _sides,
    Membership: lambda node: (node.value, *node.choices),
    Match: lambda node: (node.value, *node.patterns),
    Lineage: lambda node: (node.query.condition,),
    Not: lambda node: (node.term,),
    And: lambda node: node.terms,
    Or: lambda node: node.terms,
}


def expressions_of(query: Query) -> Iterator[Expression]:
    """Yield the outermost expressions of a query: conditions, keys and arguments of pipes."""
    body = query.body
    if isinstance(body, EventQuery):
        yield body.condition
    else:
        until = None if isinstance(body, SampleQuery) else body.until
        yield from body.keys
        for term in (*body.terms, *((until,) if until else ())):
            yield term.query.condition
            yield from term.keys
    for pipe in query.pipes:
        yield from pipe.arguments


def too_deep(expression: Expression, limit: int) -> Expression | None:
    """Return a node more than `limit` levels under `expression`, if there is one.

    Without recursion, and each level once: safe for any depth.
    """
    level: Sequence[Expression] = (expression,)
    for _ in range(limit):
        level = [
            child
            for parent in level
            if (read := _CHILDREN.get(type(parent))) is not None
            for child in read(parent)
        ]
        if not level:
            return None
    return level[0]
