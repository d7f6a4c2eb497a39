"""Which literal a text must contain for a pattern to match it.

A scan for literals finds the patterns that can match; so a literal may never be one that a
matching text lacks. For a regular expression this is decided by reading what surely
belongs to the syntax of RE2, and taking nothing from the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_hyperscan.required_runs import required_runs

LONGEST: Final = 32
"""How many bytes of a literal are looked for."""

_BYTES_IN_A_GROUP: Final = 4
_WILD: Final = re.compile(r"[*?]+")
_NOT_OF_ONE_CASE_PAIR: Final = re.compile(r"[^\x00-\x7f]+|[kKsS]+")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


@attrs.frozen
class Literal:
    """Bytes of a text in UTF-8, where lone surrogates are written as if they were characters.

    Attributes:
        content: The bytes, at least one.
        fold: Whether the case of ASCII letters makes no difference; then they are lower case.
    """

    content: bytes
    fold: bool = False


def encoded(text: str) -> bytes:
    """Return a text as the bytes in which literals are looked for.

    The bytes of every part of a text are a part of its bytes.
    """
    return text.encode("utf-8", "surrogatepass")


def needed_literals(patterns: Sequence[Pattern]) -> list[Literal | None]:
    """Return for each pattern a literal that every matching text contains, or None.

    Of several, it is the one that promises to be in the fewest texts: a group of its bytes
    is in the fewest of the patterns.
    """
    choices = [list(_choices(pattern)) for pattern in patterns]
    counts: Counter[bytes] = Counter()
    for some in choices:
        groups = {group for literal in some for group in _groups(literal.content)}
        counts.update(groups)
    return [_rarest(some, counts) for some in choices]


def _choices(pattern: Pattern) -> Iterator[Literal]:
    if pattern.kind is PatternKind.WILDCARD:
        runs, fold = _WILD.split(pattern.text), False
    else:
        runs, fold = required_runs(pattern.text, fold=pattern.fold)
        # A lone surrogate counts as U+FFFD, and letters beyond ASCII can have several lower
        # cases; K and S are also the Kelvin sign and the long s.
        cut = _NOT_OF_ONE_CASE_PAIR if fold else _NOT_ASCII
        runs = [part for run in runs for part in cut.split(run)]
    for run in runs:
        if run:
            yield Literal(encoded(run.lower() if fold else run), fold)


def _groups(content: bytes) -> Iterator[bytes]:
    """Yield all groups of neighbouring bytes, by place."""
    size = min(_BYTES_IN_A_GROUP, len(content))
    for start in range(len(content) - size + 1):
        yield content[start : start + size]


def _rarest(choices: Sequence[Literal], counts: Counter[bytes]) -> Literal | None:
    best: tuple[int, int, int] | None = None
    chosen = None
    for literal in choices:
        of_groups = [counts[group] for group in _groups(literal.content)]
        fewest = min(of_groups)
        worth = (max(0, 3 - len(literal.content)), fewest, -min(len(literal.content), LONGEST))
        if best is None or worth < best:
            best = worth
            chosen = _cut(literal, of_groups.index(fewest))
    return chosen


def _cut(literal: Literal, place: int) -> Literal:
    """Return as much of a literal as is looked for, with the group that begins at `place`."""
    spare = len(literal.content) - LONGEST
    if spare <= 0:
        return literal
    start = min(max(0, place - (LONGEST - _BYTES_IN_A_GROUP) // 2), spare)
    return attrs.evolve(literal, content=literal.content[start : start + LONGEST])
