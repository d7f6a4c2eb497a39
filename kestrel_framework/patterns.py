"""Wildcards and regular expressions: the one implementation for all runtimes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import re2

TextTester: TypeAlias = Callable[[str], bool]


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
    if len(pieces) == 3 and not pieces[0] and not pieces[2]:
        literal = pieces[1].strip("?")
        if literal and "?" not in literal:
            return _anywhere_within(pieces[1].index(literal), literal, len(pieces[1]))
    texts = [re.escape(piece).replace(r"\?", ".") for piece in pieces]
    middle = "".join(f"(?>.*?{text})" for text in texts[1:-1] if text)
    last = f".*{texts[-1]}" if len(texts) > 1 else ""
    compiled = re.compile(f"{texts[0]}{middle}{last}", re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _anywhere_within(before: int, literal: str, size: int) -> TextTester:
    """Return a test for a literal that has characters before it, and after it: `size` in all."""
    after = size - before - len(literal)
    return lambda text: text.find(literal, before, max(0, len(text) - after)) >= 0


@lru_cache(maxsize=4096)
def compile_regex(pattern: str, *, fold: bool = False) -> TextTester:
    """Return a test of a whole text against a regular expression.

    The syntax is that of RE2: what needs memory of the text, such as lookahead and back
    references, does not exist, and a repetition counts to 1,000 at most. `.` is also a line
    end. With `fold`, case is disregarded as `fold_case` does. A lone surrogate in a text is
    read as U+FFFD.

    Cost: one pass over the text, whatever the pattern and the text.

    Raises:
        ValueError: the pattern is wrong, or too large.
    """
    fullmatch = _program(pattern, fold).fullmatch

    def matches(text: str) -> bool:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        return fullmatch(data) is not None

    return matches


def regex_size(pattern: str, *, fold: bool = False) -> int:
    """Return how many instructions a regular expression takes: what it costs in memory and time.

    Raises:
        ValueError: the pattern is wrong, or too large.
    """
    size: int = _program(pattern, fold).programsize
    return size


@lru_cache(maxsize=4096)
def _program(pattern: str, fold: bool) -> re2._Regexp:
    # Not at the top: most rule sets have no regular expression, and loading it takes a while.
    import re2

    options = re2.Options()
    options.dot_nl = True
    options.case_sensitive = not fold
    options.log_errors = False
    options.never_capture = True  # remembering what each group matched takes memory, for nothing
    try:
        # As bytes: of a text, RE2 would find out the place of each character, for nothing.
        return re2.compile(pattern.encode(), options)
    except UnicodeEncodeError as error:
        raise ValueError("bad regular expression: it has a lone surrogate") from error
    except re2.error as error:
        problem = error.args[0].decode("utf-8", "replace")
        raise ValueError(f"bad regular expression: {problem}") from error
