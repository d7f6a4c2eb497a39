"""What every match of a regular expression contains: never more than is sure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.values import compile_regex
from kestrel_hyperscan.literals import Literal, encoded, needed_literals
from kestrel_hyperscan.required_runs import required_runs
from pattern_texts import matches, regexes, texts


@pytest.mark.parametrize(
    ("pattern", "runs"),
    [
        ("abc", ["abc"]),
        (".*abc.*", ["abc"]),
        (r".*\\windows\\[a-z]+\.exe", ["\\windows\\", ".exe"]),
        ("ab?c", ["a", "c"]),
        ("ab*c", ["a", "c"]),
        ("ab+c", ["ab", "c"]),
        ("ab+?c", ["a", "c"]),
        ("ab{2}c", ["ab", "c"]),
        ("ab{0,2}c", ["a", "c"]),
        ("a|b", []),
        ("a(b|c)d", ["a", "d"]),
        ("a(bc)d", ["a", "bc", "d"]),
        ("a(bc)*d", ["a", "d"]),
        ("a(?:bc)+d", ["a", "bc", "d"]),
        ("(?P<name>bc)d", ["bc", "d"]),
        ("(?<name>bc)d", ["bc", "d"]),
        ("a[]b]c", ["a", "c"]),
        ("a[^]b]c", ["a", "c"]),
        ("a[[:alpha:]]c", ["a", "c"]),
        (r"a[\]b]c", ["a", "c"]),
        (r"a\dc", ["a", "c"]),
        ("^ab$", ["ab"]),
        ("ab]}", ["ab]}"]),
        ("", []),
    ],
)
def test_it_reads_what_stands_for_itself(pattern: str, runs: list[str]) -> None:
    assert required_runs(pattern, fold=False) == (runs, False)


@pytest.mark.parametrize(
    "pattern",
    [r"\Qa|b\E", r"abc\x{61}", r"abc\141", r"abc\pL", r"abc\C", "abc{", "abc{,2}", "abc{01}"],
)
def test_where_it_is_in_doubt_it_requires_nothing(pattern: str) -> None:
    compile_regex(pattern)
    assert required_runs(pattern, fold=False)[0] == []


@pytest.mark.parametrize("pattern", ["(?i)abc", "(?i:abc)", "a(?i)bc", "(?si-m)abc"])
def test_where_case_can_make_no_difference_it_says_so(pattern: str) -> None:
    runs, fold = required_runs(pattern, fold=False)
    assert runs
    assert fold


@pytest.mark.parametrize(
    "pattern", ["(" * 2_000 + "a" + ")" * 2_000, "[" * 50_000, "(?i)" * 20_000]
)
def test_deep_and_long_patterns_end(pattern: str) -> None:
    required_runs(pattern, fold=False)


@settings(max_examples=400)
@given(regexes, st.lists(texts, max_size=5))
def test_what_matches_contains_the_literal(pattern: Pattern, several: list[str]) -> None:
    (literal,) = needed_literals([pattern])
    for text in several:
        if literal is not None and matches(pattern, text):
            data = encoded(text)
            assert literal.content in (data.lower() if literal.fold else data)


def test_no_character_beyond_ascii_has_the_case_of_another_ascii_letter() -> None:
    """With case folded, RE2 takes only the Kelvin sign and the long s for ASCII letters."""
    test = compile_regex(".*[a-z].*", fold=True)
    codes = [code for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000]
    chunks = [codes[start : start + 512] for start in range(0, len(codes), 512)]
    found = {
        chr(code)
        for chunk in chunks
        if test("".join(map(chr, chunk)))
        for code in chunk
        if test(chr(code))
    }
    assert found == {"\u212a", "\u017f"}
    assert needed_literals([Pattern(PatternKind.REGEX, "ASK", fold=True)]) == [Literal(b"a", True)]
