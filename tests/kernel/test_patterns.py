"""Wildcards and regular expressions."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.patterns import compile_regex, compile_wildcard, compile_wildcards

patterns = st.text(st.sampled_from("ab*?\\.\n"), max_size=8)
subjects = st.text(st.sampled_from("ab\\.\n?*"), max_size=10)


def by_definition(pattern: str, text: str) -> bool:
    """Match the slow way: try every split of the text."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_definition(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and by_definition(pattern[1:], text[1:])


@given(patterns, subjects)
def test_a_wildcard_means_what_its_definition_says(pattern: str, text: str) -> None:
    assert compile_wildcard(pattern)(text) == by_definition(pattern, text)


@given(st.lists(patterns, max_size=5), subjects)
def test_several_wildcards_are_any_of_them(several: list[str], text: str) -> None:
    expected = any(by_definition(pattern, text) for pattern in several)
    assert compile_wildcards(several)(text) == expected


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*b", "*a?*a?*a?*a?*a?*a?*ab", "a*a*a*a*a*b"])
def test_a_hostile_text_does_not_make_a_wildcard_slow(pattern: str) -> None:
    started = time.process_time()
    assert not compile_wildcard(pattern)("a" * 100_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a.c", "abc", True),
        ("a.c", "a\nc", True),
        ("b", "abc", False),
        ("a|ab", "ab", True),
        ("[]a]+", "]a", True),
        (r"\1?".replace("1", "."), ".", True),
        ("[[a]", "[", True),
    ],
)
def test_a_regex_matches_the_whole_text(pattern: str, text: str, matches: bool) -> None:
    assert compile_regex(pattern)(text) is matches


def test_a_regex_disregards_case_when_asked() -> None:
    assert not compile_regex("ab")("AB")
    assert compile_regex("ab", fold=True)("AB")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "missing ), unterminated subpattern at character 1"),
        ("ab[", "unterminated character set at character 3"),
        ("a{99999999999}", "too large"),
        ("(" * 5000, "nests too deeply"),
        (r"(a)\1", "no back references, at character 4"),
        ("(?=a)", "no lookahead"),
        ("a(?<!b)", "at character 2"),
        ("(?P<x>a)(?P=x)", "at character 9"),
    ],
)
def test_a_bad_regex_says_what_is_wrong(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match="bad regular expression") as raised:
        compile_regex(pattern)
    assert problem in str(raised.value)


@given(st.text(st.sampled_from("ab[]()\\^|*+?.{1}=!<:P"), max_size=10))
def test_a_regex_compiles_or_is_refused_but_never_breaks(pattern: str) -> None:
    try:
        test = compile_regex(pattern)
    except ValueError:
        return
    assert test("ab") == (re.compile(pattern, re.DOTALL).fullmatch("ab") is not None)
