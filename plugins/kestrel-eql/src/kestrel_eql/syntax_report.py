"""Syntax trees for people and for programs: names of nodes, their parts, their places."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Final, cast

import attrs

from kestrel_eql import syntax
from kestrel_framework.errors import SourceLocation

_NAMES: Final[Mapping[type, str]] = {
    syntax.Query: "query",
    syntax.EventQuery: "event",
    syntax.SequenceQuery: "sequence",
    syntax.JoinQuery: "join",
    syntax.SampleQuery: "sample",
    syntax.Term: "step",
    syntax.Pipe: "pipe",
    syntax.Or: "or",
    syntax.And: "and",
    syntax.Not: "not",
    syntax.Comparison: "comparison",
    syntax.Membership: "membership",
    syntax.Match: "match",
    syntax.Lineage: "lineage",
    syntax.Arithmetic: "arithmetic",
    syntax.Sign: "sign",
    syntax.Call: "call",
    syntax.Field: "field",
    syntax.Variable: "variable",
    syntax.Literal: "literal",
}


class SyntaxReport:
    """Tells the syntax tree of one text.

    Args:
        text: The text that was parsed.
        begin: Where it begins in its file.
    """

    def __init__(self, text: str, begin: SourceLocation) -> None:
        self._line, self._column = begin.line or 1, begin.column or 1
        self._line_starts = [0]
        self._line_starts += (index + 1 for index, char in enumerate(text) if char == "\n")

    def as_json(self, node: object) -> dict[str, object]:
        """Return a node as an object: `node`, `line`, `column`, then its parts."""
        line, column = self._place(node)
        report: dict[str, object] = {"node": _NAMES[type(node)], "line": line, "column": column}
        for name, value in _parts(node):
            report[name] = self._value(value)
        return report

    def as_lines(self, node: object, label: str = "", depth: int = 0) -> Iterator[str]:
        """Yield a node and what is under it, each as a line with its place."""
        line, column = self._place(node)
        words = [f"{label}:" if label else "", _NAMES[type(node)], *_own_words(node)]
        yield f"{'  ' * depth}{' '.join(filter(None, words))}  {line}:{column}"
        for name, value in _parts(node):
            for child in value if isinstance(value, tuple) else (value,):
                if type(child) in _NAMES:
                    yield from self.as_lines(child, name, depth + 1)

    def _value(self, value: object) -> object:
        if isinstance(value, tuple):
            return [self._value(item) for item in value]
        return self.as_json(value) if type(value) in _NAMES else value

    def _place(self, node: object) -> tuple[int, int]:
        position: int = getattr(node, "position", 0)
        row = bisect_right(self._line_starts, position) - 1
        column = position - self._line_starts[row]
        return self._line + row, column + (self._column if row == 0 else 1)


def _parts(node: object) -> Iterator[tuple[str, object]]:
    for attribute in attrs.fields(cast("type[attrs.AttrsInstance]", type(node))):
        if attribute.name != "position":
            yield attribute.name, getattr(node, attribute.name)


def _own_words(node: object) -> Iterator[str]:
    """Yield what a node says itself, without what is the usual thing."""
    if isinstance(node, syntax.Literal):
        yield json.dumps(node.value, ensure_ascii=False)
        return
    if isinstance(node, syntax.Field):
        yield node.path
    elif isinstance(node, syntax.Variable):
        yield syntax.dotted((f"${node.name}", *node.parts))
        return
    for name, value in _parts(node):
        if value is True:
            yield name
        elif isinstance(value, str) and value:
            yield value
        elif isinstance(value, int) and value is not False and (name, value) != ("runs", 1):
            yield f"{name}={value}"
