"""Lucene's regular expressions, which EQL has, in the kernel's syntax, which is RE2's.

Where the two read a character differently, Lucene's reading is what a rule means;
where rule authors often expect something else, there is a remark for a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Remark: TypeAlias = Callable[[str], None]

_CLASS_LETTERS: Final = "dDsSwW"
_OPTIONAL_OPERATORS: Final = "#@&<>~"
_QUANTIFIERS: Final = re.compile(r"[*+?]|\{[0-9]*(?:,[0-9]*)?\}")


def from_lucene(pattern: str, remark: Remark) -> str:
    """Return the pattern in the kernel's syntax; what to warn of goes to `remark`.

    Raises:
        ValueError: the pattern is wrong.
    """
    result: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            result.append(_escaped(pattern, position, remark))
            position += 2
        elif character == "[":
            end = _class_end(pattern, position)
            result.append(_class(pattern[position + 1 : end], remark))
            position = end + 1
        elif character == '"':
            end = pattern.find('"', position + 1)
            if end < 0:
                raise ValueError(
                    'bad regular expression: a `"` quotes literal text and is never closed'
                )
            quoted = re.escape(pattern[position + 1 : end])
            result.append(f"(?:{quoted})")
            position = end + 1
        elif quantifier := _QUANTIFIERS.match(pattern, position):
            if quantifier[0] == "?" and result and result[-1] == "(":
                remark(
                    "Elasticsearch has no `(?...)`; write `(...)`, and `regex~` to disregard case"
                )
                result.append("?")
                position += 1
                continue
            position = _repeated(pattern, quantifier, result, remark)
        else:
            result.append(_plain(character, remark))
            position += 1
    return "".join(result)


def _escaped(pattern: str, position: int, remark: Remark) -> str:
    escaped = pattern[position + 1 : position + 2]
    if not escaped:
        raise ValueError("bad regular expression: it ends with a backslash")
    if escaped in _CLASS_LETTERS:
        remark(f"not every Elasticsearch knows `\\{escaped}`; write the characters in `[...]`")
        return f"\\{escaped}"
    if escaped.isascii() and escaped.isalnum():
        remark(f"`\\{escaped}` is just the character `{escaped}`")
        return escaped
    return re.escape(escaped)


def _class_end(pattern: str, start: int) -> int:
    position = start + 1 + pattern.startswith("^", start + 1)
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] == "]":
            return position
        position += 1
    raise ValueError("bad regular expression: a `[` is never closed")


def _class(content: str, remark: Remark) -> str:
    members: list[str] = []
    position = 0
    if content.startswith("^"):
        members.append("^")
        position = 1
    if position == len(content):
        raise ValueError("bad regular expression: `[]` has no characters")
    while position < len(content):
        if content[position] == "\\":
            members.append(_escaped(content, position, remark))
            position += 2
        else:
            member = content[position]
            members.append(f"\\{member}" if member in "[&|~^" else member)
            position += 1
    return f"[{''.join(members)}]"


def _repeated(pattern: str, first: re.Match[str], result: list[str], remark: Remark) -> int:
    """Take all quantifiers that follow each other: in Lucene each repeats what is before it."""
    quantifier, position = first[0], first.end()
    while following := _QUANTIFIERS.match(pattern, position):
        if quantifier not in ("*", "?"):
            remark(f"`{quantifier}{following[0]}` is no lazy match: it repeats a repetition")
        quantifier = _combined(quantifier, following[0])
        position = following.end()
    result.append(f"{{0{quantifier[1:]}" if quantifier.startswith("{,") else quantifier)
    return position


def _combined(inner: str, outer: str) -> str:
    if "{" in (inner[0], outer[0]):
        if outer == "?":
            return inner
        raise ValueError("bad regular expression: put a repetition that is repeated in `(...)`")
    if inner == outer:
        return inner
    return "*"


def _plain(character: str, remark: Remark) -> str:
    if character in "^$":
        remark(f"`{character}` is no anchor: patterns always match from end to end")
        return f"\\{character}"
    if character in _OPTIONAL_OPERATORS:
        remark(f"Elasticsearch may read `{character}` as an operator; here it stands for itself")
        return re.escape(character)
    return character
