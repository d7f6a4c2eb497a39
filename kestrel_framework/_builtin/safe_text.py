"""Text from events, made harmless for a terminal."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control, format (bidirectional marks among them), surrogate, private use, not
# assigned, and the separators that end a line.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def safe_text(text: str, max_length: int = 400) -> str:
    """Return `text` on one line, with everything a terminal would obey written out.

    Whoever causes an event chooses its texts: escape sequences could hide or forge
    output, and bidirectional marks turn it around. A backslash stays as it is. A long
    text is cut, and says so.
    """
    cut = text[:max_length]
    if not (cut.isascii() and cut.isprintable()):
        cut = "".join(map(_safe_character, cut))
    left_out = len(text) - max_length
    return f"{cut}... ({left_out} more)" if left_out > 0 else cut


def _safe_character(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if unicodedata.category(character) not in _UNSAFE_CATEGORIES:
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
