"""Likely slips of those who write rules, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Set as AbstractSet
from typing import Final

from kestrel_eql.expectations import KEYWORDS, expected_words

_OPERATOR_RUN: Final = re.compile(r"[=!<>&|~:]+")
_WORD: Final = re.compile(r"[A-Za-z_@$][A-Za-z0-9_.]*|[^\w\s]|\w+")
_QUOTED: Final = re.compile(r'\??"(?:[^"\\\r\n]|\\.)*"|\??\'(?:[^\'\\\r\n]|\\.)*\'')
_LAST_WORD: Final = re.compile(r"([A-Za-z]+~?)\s*$")
_LONGEST: Final = 40

_FOREIGN: Final = {
    "&&": "write `and`",
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
    "contains": "write `:`",
    "matches": "write `regex`",
    "is": "write `==`",
    "#": "a comment begins with `//`",
    ";": "leave it out, a rule just ends",
    "{": "a list stands in `(...)`",
    "“": 'texts stand in straight quotes: `"..."`',
    "”": 'texts stand in straight quotes: `"..."`',
    "‘": 'texts stand in straight quotes: `"..."`',
    "’": 'texts stand in straight quotes: `"..."`',
}
_PATTERN_OPERATORS: Final = (":", "like", "regex")
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=", "=")
_LISTS: Final = ("in", "in~")


def found_at(text: str, offset: int) -> tuple[str, int]:
    """Return what stands where a text stops making sense, for a sentence, and where it begins.

    An operator that the parser has read half of is whole again.
    """
    for run in _OPERATOR_RUN.finditer(text, max(offset - 3, 0), offset + 4):
        if run.start() <= offset < run.end():
            known = run[0] in _FOREIGN or run[0] in _COMPARISONS
            return (run[0], run.start()) if known else (text[offset], offset)
    match = _QUOTED.match(text, offset) or _WORD.match(text, offset)
    found = match[0] if match else text[offset : offset + 1]
    if not found.isprintable():
        return f"U+{ord(found[0]):04X}", offset
    return found if len(found) <= _LONGEST else found[:_LONGEST] + "...", offset


def unexpected(found: str, accepted: AbstractSet[str], before: str) -> str:
    """Return the sentence for what stands where it cannot.

    Args:
        found: What stands there, of `found_at`.
        accepted: The terminals that could have stood there.
        before: The text before it.
    """
    if found in _FOREIGN:
        return f"unexpected `{found}`: {_FOREIGN[found]}"
    hint = _hint(found, accepted, before) or _hint_of_word(found, accepted)
    sentence = f"unexpected `{found}`: expected {expected_words(accepted)}"
    return f"{sentence}; {hint}" if hint else sentence


def _hint(found: str, accepted: AbstractSet[str], before: str) -> str:
    previous = _LAST_WORD.search(before)
    if accepted <= {"IN", "IN_FOLD"} and found.rstrip("~") in _PATTERN_OPERATORS:
        return f"`not` stands before the field: `not field {found} ...`"
    if accepted == {"LEFT"} and previous and previous[1] in _LISTS:
        return 'a list stands in brackets: `("a", "b")`'
    if found in _COMPARISONS and "AND" in accepted and "COMPARISON" not in accepted:
        return "comparisons do not chain: join two of them with `and`"
    if found in ("maxspan", "runs"):
        return f"write `with {found}=...`"
    if found == "," and "LSQB" in accepted:
        return "leave it out, nothing stands between steps"
    if found == "by" and "LSQB" not in accepted:
        return "only sequences, their steps, and samples have `by`"
    if found in ("with", "until") and before.lstrip().startswith("sample"):
        return f"a sample has no `{found}`"
    if found[:1] in ("x", "X") and before.endswith("0"):
        return "write the number in decimal"
    if "COMPARISON" in accepted and previous and previous[1] in ("and", "or"):
        return f"`{previous[1]}` stands between two conditions, and is read as a field here"
    return ""


def _hint_of_word(found: str, accepted: AbstractSet[str]) -> str:
    words = {KEYWORDS[name] for name in accepted if name in KEYWORDS}
    lowered = found.lower()
    if lowered != found and lowered in KEYWORDS.values():
        return f"key words are in lower case: `{lowered}`"
    near = difflib.get_close_matches(lowered, words, n=1, cutoff=0.6)
    if not near and accepted == {"WHERE"}:
        return "a rule begins with `category where`"
    return f"did you mean `{near[0]}`?" if near else ""
