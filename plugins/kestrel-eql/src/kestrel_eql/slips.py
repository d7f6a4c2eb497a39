"""Likely slips of those who write rules, and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Set as AbstractSet
from typing import Final

from kestrel_eql.expectations import KEYWORDS, expected_words
from kestrel_eql.foreign_words import FOREIGN_WORDS

_OPERATOR_RUN: Final = re.compile(r"[=!<>&|~:]+")
_WORD: Final = re.compile(r"[A-Za-z_@$][A-Za-z0-9_.]*|[^\w\s]|\w+")
_QUOTED: Final = re.compile(r'\??"(?:[^"\\\r\n]|\\.)*"|\??\'(?:[^\'\\\r\n]|\\.)*\'')
_LAST_WORD: Final = re.compile(r"([A-Za-z]+~?)$")
_WITH: Final = re.compile(r"(,|\bby)\s+with\s*$")
_UNTIL: Final = re.compile(r"\buntil\b")
_PARTS_OF_ADDRESS: Final = re.compile(r"[0-9]\.[0-9]+$")
_LONGEST: Final = 40
_INVISIBLE: Final = "U+"

_PATTERN_OPERATORS: Final = (":", "like", "regex")
_BEFORE_PATTERNS: Final = (":", "like", "like~", "==")
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=", "=")
_LISTS: Final = ("in", "in~")
_MANY_EVENTS: Final = ("sequence", "join", "sample")
_SUFFIXES: Final = ("as", "by", "fork", "with")
_RELATIONS: Final = ("descendant", "child", "event")


def found_at(text: str, offset: int) -> tuple[str, int]:
    """Return what stands where a text stops making sense, for a sentence, and where it begins.

    An operator that the parser has read half of is whole again.
    """
    for run in _OPERATOR_RUN.finditer(text, max(offset - 3, 0), offset + 4):
        if run.start() <= offset < run.end():
            known = run[0] in FOREIGN_WORDS or run[0] in _COMPARISONS
            return (run[0], run.start()) if known else (text[offset], offset)
    match = _QUOTED.match(text, offset) or _WORD.match(text, offset)
    found = match[0] if match else text[offset : offset + 1]
    if not found.isprintable():
        return f"{_INVISIBLE}{ord(found[0]):04X}", offset
    return found if len(found) <= _LONGEST else found[:_LONGEST] + "...", offset


def unexpected(found: str, accepted: AbstractSet[str], before: str) -> str:
    """Return the sentence for what stands where it cannot.

    Args:
        found: What stands there, of `found_at`.
        accepted: The terminals that could have stood there.
        before: The text before it.
    """
    foreign = FOREIGN_WORDS.get(found.lower())
    if foreign is not None and not (found == "{" and "LSQB" in accepted):
        return f"unexpected `{found}`: {foreign}"
    if found.startswith(_INVISIBLE):
        return f"unexpected `{found}`: delete this character, which cannot be seen"
    hint = _hint(found, accepted, before) or _hint_of_word(found, accepted)
    sentence = f"unexpected `{found}`: expected {expected_words(accepted)}"
    return f"{sentence}; {hint}" if hint else sentence


def _hint(found: str, accepted: AbstractSet[str], before: str) -> str:
    return (
        _hint_of_category(found, accepted)
        or _hint_of_comma(found, accepted, before)
        or _hint_of_sequence(found, accepted, before)
        or _hint_of_condition(found, accepted, before)
    )


def _hint_of_category(found: str, accepted: AbstractSet[str]) -> str:
    if accepted == {"WHERE"} and found in (",", "and", "or"):
        return 'there is one category; several are `any where event.category in ("a", "b")`'
    if "SEQUENCE" not in accepted:
        return ""
    if found == "[":
        return "several events are a `sequence`, or a `sample`"
    return "every event is `any where`" if found == "*" else ""


def _hint_of_comma(found: str, accepted: AbstractSet[str], before: str) -> str:
    if found in (")", "[", "]") and before.rstrip().endswith(","):
        return "leave out the `,` before it"
    if found != ",":
        return ""
    if "LSQB" in accepted:
        return "leave it out, nothing stands between steps"
    return 'several values are a list: `field in ("a", "b")`' if "COMMA" not in accepted else ""


def _hint_of_sequence(found: str, accepted: AbstractSet[str], before: str) -> str:
    first = before.split(maxsplit=1)[0] if before.strip() else ""
    if first != first.lower() and first.lower() in _MANY_EVENTS:
        return f"key words are in lower case: `{first.lower()}`"
    if found in ("maxspan", "runs"):
        written = _WITH.search(before[-_LONGEST:])
        if written is None:
            return f"write `with {found}=...`"
        return "leave out the `,` before `with`" if written[1] == "," else "`by` needs a key"
    if found == "by":
        if "COMMA" in accepted:
            return "several keys are separated by `,`"
        if "LSQB" not in accepted:
            return "only sequences, their steps, and samples have `by`"
    if found in ("with", "until") and first == "sample":
        return f"a sample has no `{found}`"
    if found in ("with", "until") and first not in _MANY_EVENTS:
        return f"only sequences have `{found}`"
    if found == "[" and "LSQB" not in accepted and _UNTIL.search(before):
        return "`until` comes last, after all steps"
    if "LSQB" not in accepted:
        return ""
    if found == "{":
        return "write `with runs=3`"
    if found in _SUFFIXES and "UNTIL" in accepted:
        return "the order is `[...] by key with runs=3 as name`"
    if found in ("and", "or", "then", "-"):
        return "leave it out, nothing stands between steps"
    if found == "not":
        return "an event that must not come is `![...]`"
    known = "AS" in accepted or found in KEYWORDS.values()
    return "" if known else "an event stands in `[...]`"


def _hint_of_condition(found: str, accepted: AbstractSet[str], before: str) -> str:
    if found == ")" and "$END" in accepted:
        return "no `(` is open here"
    match = _LAST_WORD.search(before.rstrip()[-_LONGEST:])
    previous = match[1] if match else ""
    if accepted <= {"IN", "IN_FOLD"} and found.rstrip("~") in _PATTERN_OPERATORS:
        return f"`not` stands before the field: `not field {found} ...`"
    if previous == "not" and found[:1] in ('"', "'"):
        return "`not` stands before the field: `not field : ...`"
    if found == "*" and before.rstrip().endswith(_BEFORE_PATTERNS):
        return 'a pattern is a text in quotes: `"*text*"`'
    if accepted == {"LEFT"} and previous in _LISTS:
        return 'a list stands in brackets: `("a", "b")`'
    if before.rstrip().endswith("~") and accepted <= {"LPAR", "LEFT"}:
        return "to disregard case write `:`"
    if found in _COMPARISONS and "AND" in accepted and "COMPARISON" not in accepted:
        return "comparisons do not chain: join two of them with `and`"
    if found[:1] in ("x", "X") and before.endswith("0"):
        return "write the number in decimal"
    if found == "." and _PARTS_OF_ADDRESS.search(before[-_LONGEST:]):
        return "an address or a network is a text in quotes"
    if found[:1].isalpha() and before[-1:].isdigit() and "AND" in accepted:
        return "a number has no unit"
    if "COMPARISON" not in accepted:
        return ""
    if found == "[" and before[-1:].isalnum():
        return "a position is a whole number from 0: `field[0]`"
    if found in _RELATIONS:
        return f"it stands without a field: `{found} of [...]`"
    if previous in ("and", "or"):
        return f"`{previous}` stands between two conditions, and is read as a field here"
    if previous != previous.lower() and previous.lower() in KEYWORDS.values():
        return f"key words are in lower case: `{previous.lower()}`"
    return "write `field != null`" if previous.lower() == "exists" else ""


def _hint_of_word(found: str, accepted: AbstractSet[str]) -> str:
    words = {KEYWORDS[name] for name in accepted if name in KEYWORDS}
    lowered = found.lower()
    if lowered != found and lowered in KEYWORDS.values():
        return f"key words are in lower case: `{lowered}`"
    near = difflib.get_close_matches(lowered, words, n=1, cutoff=0.6)
    if not near and accepted == {"WHERE"}:
        return "a rule begins with `category where`"
    return f"did you mean `{near[0]}`?" if near else ""
