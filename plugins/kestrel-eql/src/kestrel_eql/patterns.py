"""Wildcard patterns as predicates."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kestrel_framework.predicate import NEVER, Predicate, Regex, Value, Wildcard


def wildcard(value: Value, patterns: Iterable[str], *, fold: bool) -> Predicate:
    """Return the test of `:` and `like`: `*` is any text, `?` any one character."""
    texts = tuple(dict.fromkeys(patterns))
    return Wildcard(value, texts, fold) if texts else NEVER


def endgame_wildcard(value: Value, pattern: str, *, fold: bool) -> Predicate:
    """Return the test of `==` in the endgame dialect, where `?` is an ordinary character."""
    if "?" not in pattern:
        return Wildcard(value, (pattern,), fold)
    expression = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return Regex(value, (expression,), fold)
