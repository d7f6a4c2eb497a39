"""What could have stood where a text stops making sense, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_VALUE: Final = frozenset(
    {"NAME", "STRING", "RAW_STRING", "INTEGER", "DECIMAL", "TRUE", "FALSE", "NULL", "VARIABLE"}
)
_OPERATORS: Final = frozenset(
    {"COMPARISON", "ASSIGN", "COLON", "IN", "IN_FOLD", "LIKE", "LIKE_FOLD", "REGEX", "REGEX_FOLD"}
)
_ARITHMETIC: Final = frozenset({"PLUS", "MINUS", "STAR", "SLASH", "PERCENT"})
_HIDDEN: Final = frozenset({"FOLD", "OPTIONAL", "OF"})

_WORDS: Final = {
    "$END": "the end of the rule",
    "NAME": "a name",
    "STRING": "a text in quotes",
    "INTEGER": "a number",
    "DECIMAL": "a number",
    "LEFT": "`(`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "COMMA": "`,`",
    "VBAR": "`|`",
    "ASSIGN": "`=`",
    "MISSING": "`![`",
    "__ANON_0": "`|`",
}
KEYWORDS: Final = {
    "SEQUENCE": "sequence",
    "JOIN": "join",
    "SAMPLE": "sample",
    "WHERE": "where",
    "BY": "by",
    "WITH": "with",
    "AS": "as",
    "UNTIL": "until",
    "FORK": "fork",
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IN": "in",
    "IN_FOLD": "in~",
    "LIKE": "like",
    "LIKE_FOLD": "like~",
    "REGEX": "regex",
    "REGEX_FOLD": "regex~",
    "TRUE": "true",
    "FALSE": "false",
    "NULL": "null",
    "OF": "of",
}
"""The key words, by terminal."""


def expected_words(terminals: Iterable[str]) -> str:
    """Return what the parser would have accepted, as a phrase such as "`and`, `or` or `)`"."""
    left = set(terminals) - _HIDDEN
    words: list[str] = []
    if "NAME" in left and "STRING" in left and "NULL" in left:
        words.append("a value")
        left -= _VALUE | _ARITHMETIC | {"LPAR", "NOT"}
    elif "NAME" in left and "STRING" in left:
        words.append("an event category")
        left -= _VALUE
    if "COMPARISON" in left:
        words.append("an operator")
        left -= _OPERATORS | _ARITHMETIC | {"NOT"}
    left -= _ARITHMETIC if len(left) > 2 else set()
    for terminal in sorted(left, key=_rank):
        word = _WORDS.get(terminal) or f"`{KEYWORDS.get(terminal, terminal.lower())}`"
        if word not in words:
            words.append(word)
    if not words:
        return "something else"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _rank(terminal: str) -> tuple[int, str]:
    order = list(KEYWORDS)
    return (order.index(terminal) if terminal in order else len(order), terminal)
