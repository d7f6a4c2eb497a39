"""Wildcard patterns as predicates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kestrel_eql.kinds import kind_test
from kestrel_eql.truths import Truths
from kestrel_framework.predicate import (
    NEVER,
    Predicate,
    Regex,
    Value,
    Wildcard,
    all_of,
    any_of,
)


def wildcard(value: Value, patterns: Iterable[str], *, fold: bool) -> Predicate:
    """Return the test of `:` and `like`: `*` is any text, `?` any one character."""
    texts = tuple(dict.fromkeys(patterns))
    return Wildcard(value, texts, fold) if texts else NEVER


def endgame_wildcard(value: Value, patterns: Sequence[str], *, fold: bool) -> Truths:
    """Return the test of `==` and `wildcard` in the endgame dialect.

    `?` is an ordinary character there; what is no text is neither like a pattern nor unlike it.

    Raises:
        ValueError: a pattern is too large.
    """
    text = kind_test(value, "text")
    plain = tuple(dict.fromkeys(pattern for pattern in patterns if "?" not in pattern))
    others = dict.fromkeys(pattern for pattern in patterns if "?" in pattern)
    expressions = tuple(".*".join(map(re.escape, pattern.split("*"))) for pattern in others)
    tests: list[Predicate] = []
    if plain:
        tests.append(Wildcard(value, plain, fold))
    if expressions:
        tests.append(Regex(value, expressions, fold))
    return Truths.among(all_of((any_of(tests), text)), text)


def endgame_match(value: Value, expressions: Sequence[str], *, fold: bool) -> Truths:
    """Return the test of `match`, of which `endgame_wildcard` says what is null."""
    text = kind_test(value, "text")
    found = Regex(value, tuple(dict.fromkeys(expressions)), fold)
    return Truths.among(all_of((found, text)), text)


def matching_where_a_text_begins(expression: str) -> str:
    """Return an expression that, matched from end to end, takes what comes behind as it is."""
    return f"(?:{expression}).*"
