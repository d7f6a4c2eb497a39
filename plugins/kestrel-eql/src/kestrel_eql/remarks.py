"""Warnings about conditions that mean something, but hardly what was meant."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from kestrel_eql import syntax
from kestrel_eql.problems import Problems
from kestrel_framework.values import fold_case, text_of

_ESCAPED: Final[Mapping[str, str]] = {
    "\t": "`\\t` is a tab",
    "\n": "`\\n` is a line feed",
    "\r": "`\\r` is a carriage return",
    "\b": "`\\b` is a backspace",
    "\f": "`\\f` is a form feed",
}
_SQL_PATTERN: Final = re.compile(r"%[^%*]+%?|[^%*]+%")
"""Has `%` at its ends only: environment variables have it inside."""
_DAMAGED_PATH: Final = re.compile(
    r"(?:\b[A-Za-z]:|\\[^\t\n\r\b\f\\]*)(?P<first>[\t\n\r\b\f])|(?P<second>[\t\n\r\b\f])[^\\]*\\"
)


def remark_on_text(text: str, position: int, problems: Problems) -> None:
    r"""Warn of a path in which a backslash began an escape: in `"C:\temp"` it is a tab."""
    if text.isprintable():
        return
    found = _DAMAGED_PATH.search(text)
    if found is not None:
        what = _ESCAPED[found["first"] or found["second"]]
        instead = 'write `\\\\` for a backslash, or `"""..."""` for a text without escapes'
        problems.warn(f"{what} in this path; {instead}", position)


def remark_on_terms(node: syntax.And | syntax.Or, problems: Problems) -> None:
    """Warn of terms that stand there twice, and of those that decide everything."""
    word = "and" if isinstance(node, syntax.And) else "or"
    deciding = isinstance(node, syntax.Or)
    seen: set[syntax.Expression] = set()
    for term in node.terms:
        if isinstance(term, syntax.Literal) and term.value is deciding:
            verb = "always" if deciding else "never"
            known = text_of(deciding)
            problem = f"with `{known}` in it, this `{word}` {verb} holds; leave `{known}` out"
            problems.warn(problem, term.position)
        elif term in seen:
            problem = f"this condition stands in the same `{word}` twice; leave one out"
            problems.warn(problem, _start(term))
        seen.add(term)
    if isinstance(node, syntax.Or):
        _remark_on_exclusions(node, problems)


def remark_on_choices(
    choices: Sequence[syntax.Expression], problems: Problems, *, fold: bool
) -> None:
    """Warn of choices or patterns that stand in a list twice."""
    known = [choice for choice in choices if isinstance(choice, syntax.Literal)]
    values = [choice.value for choice in known]
    keys = [fold_case(v) if fold and isinstance(v, str) else v for v in values]
    if len(set(keys)) == len(keys):
        return
    seen: set[tuple[type, object]] = set()
    for choice, value, key in zip(known, values, keys, strict=True):
        if (type(value), key) in seen:
            shown = f'"{value}"' if isinstance(value, str) else f"`{_written(choice)}`"
            problems.warn(f"{shown} stands in this list twice; leave one out", choice.position)
        seen.add((type(value), key))


def remark_on_percent_signs(patterns: Sequence[syntax.Expression], problems: Problems) -> None:
    """Warn of patterns with the wildcard of SQL, such as `"%text%"`."""
    for pattern in patterns:
        text = pattern.value if isinstance(pattern, syntax.Literal) else None
        if isinstance(text, str) and "%" in text and _SQL_PATTERN.fullmatch(text):
            problem = "`%` in a pattern stands for itself; any text is `*`"
            problems.warn(problem, pattern.position)


def remark_on_constants(node: syntax.Comparison, problems: Problems) -> None:
    """Warn of a comparison that is the same for every event."""
    if isinstance(node.left, syntax.Literal) and isinstance(node.right, syntax.Literal):
        problems.warn(
            "this compares two constants, so it is the same for every event: compare a field",
            node.position,
        )


def _remark_on_exclusions(node: syntax.Or, problems: Problems) -> None:
    """Warn of `a != 1 or a != 2`, which holds for every single value."""
    excluded = [
        (term, term.left)
        for term in node.terms
        if isinstance(term, syntax.Comparison)
        and term.operator == "!="
        and isinstance(term.left, syntax.Field)
        and isinstance(term.right, syntax.Literal)
        and term.right.value is not None
    ]
    counts = Counter(field for _, field in excluded)
    for term, field in excluded:
        if counts.pop(field, 0) > 1:
            path = field.path
            problem = (
                f"`{path}` is always unequal to one of several values, so this `or` nearly always "
                f"holds; join the comparisons with `and`, or write `{path} not in (...)`"
            )
            problems.warn(problem, term.position)


def _start(node: syntax.Expression) -> int:
    """Return where an expression begins; its position may be that of its operator."""
    positions = [node.position]
    waiting = [node]
    while waiting:
        below = syntax.children(waiting.pop())
        positions.extend(child.position for child in below)
        waiting.extend(below)
    return min(positions)


def _written(literal: syntax.Literal) -> str:
    return "null" if literal.value is None else text_of(literal.value)
