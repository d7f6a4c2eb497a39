"""Wildcards and regular expressions."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.patterns import (
    compile_regex,
    compile_wildcard,
    compile_wildcards,
    regex_size,
)
from kestrel_framework.predicate import Field, Regex
from kestrel_framework.values import fold_case

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


@pytest.mark.parametrize("before", ["", "?", "??"])
@pytest.mark.parametrize("literal", ["", "a", "ab", "a?b"])
@pytest.mark.parametrize("after", ["", "?", "??"])
def test_single_characters_around_a_literal_must_be_there(
    before: str, literal: str, after: str
) -> None:
    pattern = f"*{before}{literal}{after}*"
    test = compile_wildcard(pattern)
    for size in range(6):
        for characters in itertools.product("ab", repeat=size):
            text = "".join(characters)
            assert test(text) == by_definition(pattern, text)


@given(st.lists(patterns, max_size=5), subjects)
def test_several_wildcards_are_any_of_them(several: list[str], text: str) -> None:
    expected = any(by_definition(pattern, text) for pattern in several)
    assert compile_wildcards(several)(text) == expected


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*b", "*a?*a?*a?*a?*a?*a?*ab", "a*a*a*a*a*b"])
def test_a_hostile_text_does_not_make_a_wildcard_slow(pattern: str) -> None:
    started = time.process_time()
    assert not compile_wildcard(pattern)("a" * 100_000)
    assert time.process_time() - started < 20


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
        ("(", "missing ): ("),
        ("ab[", "missing ]: ["),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("((a{100}){100}){100}", "invalid repetition size: {100}"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)", "invalid perl operator: (?="),
        ("a(?<!b)", "invalid perl operator: (?<"),
        ("a\ud800", "lone surrogate"),
    ],
)
def test_a_bad_regex_says_what_is_wrong(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match="bad regular expression") as raised:
        compile_regex(pattern)
    assert problem in str(raised.value)


@given(st.text(st.sampled_from("ab[]()\\^|*+?.{1}=!<:P")), st.text())
def test_a_regex_compiles_or_is_refused_but_never_breaks(pattern: str, text: str) -> None:
    try:
        test = compile_regex(pattern)
    except ValueError:
        return
    assert test(text) in (True, False)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.text(max_size=3))
def test_a_regex_folds_case_as_everything_does(text: str, other: str) -> None:
    for candidate in (other, text.upper(), text.lower(), text.casefold()):
        same = fold_case(candidate) == fold_case(text)
        assert compile_regex(re.escape(text), fold=True)(candidate) == same


def test_a_lone_surrogate_in_a_text_is_any_character() -> None:
    assert compile_regex("a.b")("a\ud800b")
    assert not compile_regex("ab")("a\ud800b")


HOSTILE = [
    (".*(a+)+b", "a" * 60),
    ("(a|a)*b", "a" * 100),
    ("(a|aa)+", "a" * 100_000 + "b"),
    (".*a.*b.*c.*d.*", "abc" * 20_000),
    ("(.*a){10}", "a" * 9 + "b" * 50_000),
    ("(a?){30}a{30}", "a" * 29),
    ("((a*)*)*b", "a" * 1000),
    ("[a-z]+[a-y]+[a-x]+[0-9]", "a" * 5000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
@pytest.mark.parametrize("fold", [False, True])
def test_a_hostile_text_does_not_make_a_regex_slow(pattern: str, text: str, fold: bool) -> None:
    started = time.process_time()
    assert not compile_regex(pattern, fold=fold)(text)
    assert time.process_time() - started < 20


def regexes(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repetitions = st.sampled_from(["*", "+", "?", "*?", "+?", "{2}", "{0,2}", "{1,}", "{1,3}"])
    return (
        st.builds("".join, st.lists(inner, max_size=3))
        | st.builds("(?:{}|{})".format, inner, inner)
        | st.builds("(?:{}){}".format, inner, repetitions)
        | st.builds("({})".format, inner)
    )


characters = st.sampled_from(
    [
        "a",
        "b",
        "S",
        ".",
        "\\.",
        "[ab]",
        "[^a]",
        "[]a]",
        "\\d",
        "\\x61",
        "ſ",
        "ß",
        "]",
    ]
)


@given(
    st.recursive(characters, regexes, max_leaves=8),
    st.lists(st.text(st.sampled_from("abAs.1]{}ſßx\n"), max_size=8), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_regex_matches_what_a_search_by_trial_matches(
    pattern: str, texts: list[str], fold: bool
) -> None:
    compiled = re.compile(pattern, re.DOTALL | re.IGNORECASE if fold else re.DOTALL)
    for text in texts:
        assert compile_regex(pattern, fold=fold)(text) == (compiled.fullmatch(text) is not None)


def test_deep_nesting_is_no_problem() -> None:
    assert compile_regex("(" * 5000 + "a" + ")" * 5000)("a")


def test_groups_cost_nothing_when_a_text_is_matched() -> None:
    nested = "(" * 9_000 + "a" + ")" * 9_000
    started = time.process_time()
    assert compile_regex(nested)("a")
    assert not compile_regex(nested)("b" * 100)
    assert time.process_time() - started < 20


def test_the_size_of_a_regex_is_that_of_its_program() -> None:
    assert regex_size("a") < 10
    assert 1_000 <= regex_size("a{1000}") < 1_100
    assert regex_size("k{1000}", fold=True) > regex_size("k{1000}")
    with pytest.raises(ValueError, match="bad regular expression"):
        regex_size("(")


def test_a_regex_that_is_too_large_without_regard_to_case_is_refused_at_once() -> None:
    pattern = "k{1000}" * 200
    assert Regex(Field("a"), (pattern,), fold=False)
    with pytest.raises(ValueError, match="too large"):
        Regex(Field("a"), (pattern,), fold=True)


@pytest.mark.slow
def test_a_regex_folds_every_character_as_everything_does() -> None:
    same: dict[str, list[str]] = {}
    for character in map(chr, range(0x110000)):
        if not 0xD800 <= ord(character) < 0xE000:
            same.setdefault(fold_case(character), []).append(character)
    for first, *others in same.values():
        test = compile_regex(re.escape(first), fold=True) if others else None
        assert all(test(other) for other in others if test)
