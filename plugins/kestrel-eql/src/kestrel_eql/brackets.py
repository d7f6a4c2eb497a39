"""The brackets of a text that may not parse: those in texts, names and comments are none."""

from __future__ import annotations

import re
from typing import Final

_BRACKET: Final = re.compile(
    r'"""[^\r\n]*?"{3,5}(?!")'
    r'|"(?:[^"\\\r\n]|\\.)*+"?'
    r"|'(?:[^'\\\r\n]|\\.)*+'?"
    r"|`[^`\r\n]*`"
    r"|//[^\r\n]*"
    r"|/\*(?s:.)*?(?:\*/|\Z)"
    r"|(?P<open>[(\[])|(?P<close>[)\]])"
)


def bracket_too_deep(text: str, limit: int) -> int | None:
    """Return where the first bracket is that more than `limit` are open with, if there is one."""
    if text.count("(") + text.count("[") <= limit:
        return None
    depth = 0
    for token in _BRACKET.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        if depth > limit:
            return token.start()
    return None


def unclosed_bracket(text: str) -> int | None:
    """Return where the last bracket is that is never closed, if there is one."""
    waiting: list[int] = []
    for token in _BRACKET.finditer(text):
        if token["open"]:
            waiting.append(token.start())
        elif token["close"] and waiting:
            waiting.pop()
    return waiting[-1] if waiting else None
