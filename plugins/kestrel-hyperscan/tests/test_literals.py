"""Which literal of a pattern is looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_hyperscan.literals import LONGEST, Literal, encoded, needed_literals
from pattern_texts import matches, texts, wildcards


def chosen(*patterns: str) -> list[Literal | None]:
    return needed_literals([Pattern(PatternKind.WILDCARD, text) for text in patterns])


def test_it_is_the_one_that_fewest_other_patterns_have() -> None:
    patterns = ("c:\\windows\\*\\svchost.exe", "c:\\windows\\*.dll", "c:\\windows\\a*", "*.exe")
    literals = chosen(*patterns)
    assert literals[0] == Literal(b"\\svchost.exe")
    assert literals[1] == Literal(b".dll")


def test_a_short_one_is_the_last_resort() -> None:
    assert chosen("a*windows*", "b*windows*", "c*windows*") == [Literal(b"windows")] * 3
    assert chosen("*?7??*") == [Literal(b"7")]


@pytest.mark.parametrize("text", ["", "*", "?", "**?*"])
def test_without_a_literal_there_is_none(text: str) -> None:
    assert chosen(text) == [None]


def test_of_a_long_one_a_part_is_looked_for() -> None:
    (literal, *_) = chosen("*" + "a" * 50 + "rare" + "a" * 50 + "*", "*" + "a" * 50 + "*")
    assert literal is not None
    assert len(literal.content) == LONGEST
    assert b"rare" in literal.content


@given(wildcards, st.lists(texts, max_size=5))
def test_what_matches_contains_it(pattern: Pattern, several: list[str]) -> None:
    (literal,) = needed_literals([pattern])
    for text in [*several, pattern.text.replace("*", "").replace("?", "a")]:
        if literal is not None and matches(pattern, text):
            assert literal.content in encoded(text)
