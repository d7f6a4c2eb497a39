"""Words, signs and functions of other languages, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

_STRAIGHT: Final = 'texts stand in straight quotes: `"..."`'
_NO_CASE: Final = "write `:`, or a function with `~`, to disregard case"
_STARTS: Final = 'write `startsWith(field, "text")`'
_ENDS: Final = 'write `endsWith(field, "text")`'
_EXISTS: Final = "write `field != null`"
_REGEX: Final = 'write `field regex "..."`'
_HOW_MANY: Final = "an event says itself how many values it has, as in `process.args_count`"

FOREIGN_WORDS: Final[Mapping[str, str]] = {
    "&&": "write `and`",
    "&": "write `and`",
    "||": "write `or`",
    "!": "write `not`",
    "<>": "write `!=`",
    "===": "write `==`",
    "!==": "write `!=`",
    "=>": "write `>=`",
    "=<": "write `<=`",
    "=~": "write `:` or `regex~`",
    "!~": "write `not field regex~ pattern`",
    "!:": "write `not field : pattern`",
    ":~": "write `:`, which disregards case",
    "==~": "write `:`, which disregards case",
    "contains": 'write `field : "*text*"`',
    "matches": "write `regex`",
    "is": "write `==`, and `!=` for `is not`",
    "between": "write `field >= 1 and field <= 9`",
    "starts": _STARTS,
    "startswith": _STARTS,
    "ends": _ENDS,
    "endswith": _ENDS,
    "limit": "write `| head 10`",
    "#": "a comment begins with `//`",
    ";": "leave it out, a rule just ends",
    "{": "a list stands in `(...)`",
    "“": _STRAIGHT,
    "”": _STRAIGHT,
    "‘": _STRAIGHT,
    "’": _STRAIGHT,
    "–": "write `-`",
    "—": "write `-`",
}
"""What to say of a word that cannot stand where it is, by the word in lower case."""

_FOREIGN_FUNCTIONS: Final[Mapping[str, str]] = {
    "lower": _NO_CASE,
    "lowercase": _NO_CASE,
    "tolower": _NO_CASE,
    "toupper": _NO_CASE,
    "upper": _NO_CASE,
    "contains": "write `stringContains(text, part)`",
    "exists": _EXISTS,
    "isnotnull": _EXISTS,
    "isnull": "write `field == null`",
    "in": "write `field in (...)`, or `field not in (...)`",
    "like": 'write `field like "..."`',
    "regex": _REGEX,
    "regexp": _REGEX,
    "rlike": _REGEX,
    "now": "a rule knows no time but that of its events",
    "count": _HOW_MANY,
    "size": _HOW_MANY,
}


def hint_of_function(name: str, known: Iterable[str]) -> str:
    """Return what to add to the complaint about a function that does not exist.

    Args:
        name: As it is written.
        known: The functions that exist.
    """
    foreign = _FOREIGN_FUNCTIONS.get(name.lower())
    if foreign is not None:
        return f"; {foreign}"
    names = {function.lower(): function for function in known}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean `{names[near[0]]}`?" if near else ""
