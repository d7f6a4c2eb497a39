"""Predicates as one line for people.

The notation is that of EQL where EQL has one, and words where it has none. Texts are in quotes,
with the escapes of JSON; `~` after an operator or a function says: without regard to case.

`process.name like~ ("*sh", "nc?") and not (user.id == 0 or step(1).user.id is null)`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kestrel_framework.predicate import (
    And,
    AnyElement,
    Arithmetic,
    Call,
    Cidr,
    Comparison,
    Constant,
    Element,
    ElementCount,
    Field,
    IsNull,
    Lineage,
    LineageRelation,
    Literal,
    Membership,
    Node,
    Not,
    Or,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Wildcard,
)
from kestrel_framework.values import Scalar

_CUT: Final = "..."
_MOST_CHOICES: Final = 4
_LONGEST_LITERAL: Final = 60
_RELATIONS: Final = {
    LineageRelation.EVENT: "event of",
    LineageRelation.CHILD: "child of",
    LineageRelation.DESCENDANT: "descendant of",
}
_TEXT_PARTS: Final = {
    TextPart.PREFIX: "starts with",
    TextPart.SUFFIX: "ends with",
    TextPart.SUBSTRING: "contains",
}


def predicate_text(node: Node, longest: int | None = None) -> str:
    """Return what a predicate or a value says, on one line.

    Names of fields are as the rule has them: what shows this on a terminal has to escape
    what a terminal obeys. Cost: linear in what is returned.

    Args:
        node: Any tree.
        longest: How many characters to return at most. What has more is shortened: long texts
            and lists first, then the end is cut off. Without it, nothing is.
    """
    if longest is None:
        return "".join(_Writer(shortened=False).pieces(node))
    pieces = []
    room = longest
    for piece in _Writer(shortened=True).pieces(node):
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            return "".join(pieces)[: max(longest - len(_CUT), 0)] + _CUT
    return "".join(pieces)


def text_of_literal(value: Scalar | None, longest: int | None = None) -> str:
    """Return how a constant is written; of a text, at most the first `longest` characters."""
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    if longest is not None and len(value) > longest:
        return json.dumps(value[:longest], ensure_ascii=False)[:-1] + f'{_CUT}"'
    return json.dumps(value, ensure_ascii=False)


class _Writer:
    """Writes a tree piece by piece, so that a long one can be left off in between."""

    def __init__(self, *, shortened: bool) -> None:
        self._longest_literal = _LONGEST_LITERAL if shortened else None
        self._most_choices = _MOST_CHOICES if shortened else None

    def pieces(self, node: Node) -> Iterator[str]:
        match node:
            case Constant():
                yield "true" if node.holds else "false"
            case And():
                yield from self._joined(node.terms, " and ")
            case Or():
                yield from self._joined(node.terms, " or ")
            case Not():
                yield "not "
                yield from self._term(node.term)
            case Comparison():
                yield from self._operation(node.left, node.operator.value, node.right, node.fold)
            case TextTest():
                yield from self._operation(node.value, _TEXT_PARTS[node.kind], node.part, node.fold)
            case Membership():
                choices = [choice.value for choice in node.choices]
                yield from self._choice(node.value, "in", choices, fold=node.fold)
            case Wildcard():
                yield from self._choice(node.value, "like", node.patterns, fold=node.fold)
            case Regex():
                yield from self._choice(node.value, "regex", node.patterns, fold=node.fold)
            case Cidr():
                yield from self._choice(node.value, "in networks", node.networks, fold=False)
            case IsNull():
                yield from self.pieces(node.value)
                yield " is null"
            case AnyElement():
                yield from self._quantified("some", node)
            case Lineage():
                yield from self._lineage(node)
            case _:
                yield from self._value(node)

    def _value(self, node: Node) -> Iterator[str]:
        match node:
            case Literal():
                yield text_of_literal(node.value, self._longest_literal)
            case Field():
                yield f"{node.path}[*]" if node.whole else node.path
            case StepField():
                yield f"step({node.step + 1}).{node.path}"
            case Element():
                yield f"${node.variable}.{node.path}" if node.path else f"${node.variable}"
            case Arithmetic():
                yield "("
                yield from self._operation(node.left, node.operator.value, node.right, fold=False)
                yield ")"
            case Call():
                yield f"{node.function.value}{_tilde(node.fold)}("
                yield from self._listed(node.arguments, ", ")
                yield ")"
            case ElementCount():
                yield "("
                yield from self._quantified("count", node)
                yield ")"
            case Truth():
                yield "truth("
                yield from self.pieces(node.holds)
                yield "; false if "
                yield from self.pieces(node.fails)
                yield ")"
            case _:  # pragma: no cover
                raise TypeError(f"not a node: {type(node).__name__}")

    def _operation(self, left: Node, operator: str, right: Node, fold: bool) -> Iterator[str]:
        yield from self.pieces(left)
        yield f" {operator}{_tilde(fold)} "
        yield from self.pieces(right)

    def _choice(
        self, value: Node, operator: str, choices: Sequence[Scalar | None], *, fold: bool
    ) -> Iterator[str]:
        yield from self.pieces(value)
        shown = choices[: self._most_choices]
        texts = [text_of_literal(choice, self._longest_literal) for choice in shown]
        left_out = len(choices) - len(shown)
        if left_out:
            texts.append(f"{_CUT}{left_out} more")
        yield f" {operator}{_tilde(fold)} ({', '.join(texts)})"

    def _quantified(self, word: str, node: AnyElement | ElementCount) -> Iterator[str]:
        yield f"{word} ${node.variable} of "
        yield from self.pieces(node.array)
        yield " where "
        yield from self._term(node.predicate)

    def _lineage(self, node: Lineage) -> Iterator[str]:
        types = " or ".join(sorted(node.event_types)) or "any"
        yield f"{_RELATIONS[node.relation]} [{types} where "
        yield from self.pieces(node.predicate)
        yield "]"

    def _term(self, node: Node) -> Iterator[str]:
        """Yield a part of a larger term, in brackets where it needs them."""
        if isinstance(node, (And, Or, AnyElement)):
            yield "("
            yield from self.pieces(node)
            yield ")"
        else:
            yield from self.pieces(node)

    def _joined(self, terms: Iterable[Node], between: str) -> Iterator[str]:
        for number, term in enumerate(terms):
            if number:
                yield between
            yield from self._term(term)

    def _listed(self, nodes: Iterable[Node], between: str) -> Iterator[str]:
        for number, node in enumerate(nodes):
            if number:
                yield between
            yield from self.pieces(node)


def _tilde(fold: bool) -> str:
    return "~" if fold else ""
