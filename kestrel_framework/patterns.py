"""Wildcards and regular expressions: the one implementation for all runtimes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from kestrel_framework._regex_machine import (
    RegexMachine,
    UnsupportedPatternError,
    regex_machine,
)

TextTester: TypeAlias = Callable[[str], bool]

_REFUSED_GROUPS: Final = ("(?=", "(?!", "(?<=", "(?<!", "(?P=", "(?(")


@lru_cache(maxsize=16384)
def compile_wildcard(pattern: str) -> TextTester:
    """Return a test of a whole text against a pattern with `*` and `?`.

    `*` is any text, `?` any one character, line ends included; nothing escapes. To
    disregard case, fold both the pattern and the texts. Cost: one pass over the
    text for each piece between stars, whatever the text.
    """
    pieces = pattern.split("*")
    if "?" in pattern:
        return _with_single_characters(pieces)
    if len(pieces) == 1:
        return lambda text: text == pattern
    first, *between, last = pieces
    middle = [piece for piece in between if piece]
    if not middle and not last:
        return lambda text: text.startswith(first)
    if not middle and not first:
        return lambda text: text.endswith(last)
    if len(middle) == 1 and not first and not last:
        return lambda text: middle[0] in text
    return _with_pieces(first, middle, last)


def compile_wildcards(patterns: Sequence[str]) -> TextTester:
    """Return a test of a whole text against several wildcards, of which one must match."""
    exact: set[str] = set()
    prefixes: list[str] = []
    suffixes: list[str] = []
    substrings: list[str] = []
    others: list[TextTester] = []
    for pattern in dict.fromkeys(patterns):
        body = pattern.strip("*")
        if "*" in body or "?" in body or not body:
            others.append(compile_wildcard(pattern))
        elif pattern == body:
            exact.add(pattern)
        elif not pattern.startswith("*"):
            prefixes.append(body)
        elif not pattern.endswith("*"):
            suffixes.append(body)
        else:
            substrings.append(body)
    starts, ends = tuple(prefixes), tuple(suffixes)

    def matches(text: str) -> bool:
        if text in exact or text.startswith(starts) or text.endswith(ends):
            return True
        for part in substrings:
            if part in text:
                return True
        return any(test(text) for test in others) if others else False

    return matches


def _with_pieces(first: str, middle: Sequence[str], last: str) -> TextTester:
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return matches


def _with_single_characters(pieces: Sequence[str]) -> TextTester:
    """Leave the search to `re`; atomic groups keep it from ever going back."""
    texts = [re.escape(piece).replace(r"\?", ".") for piece in pieces]
    middle = "".join(f"(?>.*?{text})" for text in texts[1:-1] if text)
    last = f".*{texts[-1]}" if len(texts) > 1 else ""
    compiled = re.compile(f"{texts[0]}{middle}{last}", re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def compile_regex(pattern: str, *, fold: bool = False) -> TextTester:
    """Return a test of a whole text against a regular expression.

    The syntax is that of Python's `re` without what needs memory of the text: no
    lookahead or lookbehind, no back references, no conditions. `.` is also a line
    end. With `fold`, case is disregarded as `re.IGNORECASE` does, which is
    `fold_case` except that `İ` and `ı` are also an `i`.

    Cost: one pass over the text, whatever the text, unless the pattern has anchors,
    flags, atomic groups or possessive repetitions, or stands for thousands of characters.

    Raises:
        ValueError: the pattern is wrong; the sentence says where, counted from 1.
    """
    _refuse_memory(pattern)
    flags = re.DOTALL | re.IGNORECASE if fold else re.DOTALL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, flags)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise ValueError(f"bad regular expression: {error.msg}{where}") from error
    except (OverflowError, RecursionError) as error:
        raise ValueError("bad regular expression: it is too large or nests too deeply") from error
    try:
        machine = regex_machine(pattern, flags)
    except UnsupportedPatternError:
        return lambda text: compiled.fullmatch(text) is not None
    return _with_machine(compiled, machine)


def _with_machine(compiled: re.Pattern[str], machine: RegexMachine) -> TextTester:
    """Ask `re` about texts that it is quick with, and the machine about the others."""
    quick_length, matches_slowly = machine.quick_length, machine.matches

    def matches(text: str) -> bool:
        if len(text) <= quick_length:
            return compiled.fullmatch(text) is not None
        return matches_slowly(text)

    return matches


def _refuse_memory(pattern: str) -> None:
    position, in_class = 0, False
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            if not in_class and pattern[position + 1 : position + 2] in tuple("123456789"):
                raise ValueError(
                    f"bad regular expression: no back references, at character {position + 1}"
                )
            position += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            # A "]" that stands first, or after "^", is a member of the class.
            following = position + 1 + pattern.startswith("^", position + 1)
            if pattern.startswith("]", following):
                position = following
        elif pattern.startswith(_REFUSED_GROUPS, position):
            raise ValueError(
                "bad regular expression: no lookahead, lookbehind, condition or back "
                f"reference, at character {position + 1}"
            )
        position += 1
