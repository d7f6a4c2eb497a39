"""Wildcards and regular expressions."""

from __future__ import annotations

import re
import time
import tracemalloc
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._regex_machine import UnsupportedPatternError, regex_machine
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
    assert time.process_time() - started < 2


def regexes(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    repetitions = st.sampled_from(
        ["*", "+", "?", "*?", "+?", "{2}", "{,2}", "{1,}", "{1,3}", "{,}"]
    )
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
        "\\u017f",
        "ß",
        "{",
        "]",
        "x{}",
    ]
)


@given(
    st.recursive(characters, regexes, max_leaves=8),
    st.lists(st.text(st.sampled_from("abAs.1]{}ſßx\n"), max_size=8), min_size=1, max_size=5),
    st.booleans(),
)
def test_the_machine_matches_what_re_matches(pattern: str, texts: list[str], fold: bool) -> None:
    flags = re.DOTALL | re.IGNORECASE if fold else re.DOTALL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re.compile(pattern, flags)
    machine = regex_machine(pattern, flags)
    for text in texts:
        assert machine.matches(text) == (compiled.fullmatch(text) is not None)


@pytest.mark.parametrize(
    "pattern", ["^a", "a$", r"\ba", "(?i)a", "(?>a)b", "a*+", "(?:a{1000}){9}"]
)
def test_what_only_re_can_do_is_left_to_it(pattern: str) -> None:
    with pytest.raises(UnsupportedPatternError):
        regex_machine(pattern, re.DOTALL)
    assert compile_regex(pattern)("a") == (re.fullmatch(pattern, "a") is not None)


def test_the_machine_remembers_only_so_much() -> None:
    matches = regex_machine("(?:.*a){3}.{20}", re.DOTALL).matches
    tracemalloc.start()
    try:
        for start in range(0, 0x8000, 0x400):
            matches("a" + "".join(map(chr, range(start, start + 0x400))) * 3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
    assert matches("aaa" + "x" * 20)
