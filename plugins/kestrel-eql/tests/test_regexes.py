"""Lucene's regular expressions in the kernel's syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_eql.regexes import from_lucene
from kestrel_framework.values import compile_regex


def translated(pattern: str) -> tuple[str, list[str]]:
    remarks: list[str] = []
    return from_lucene(pattern, remarks.append), remarks


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r".*\.(exe|dll)", ["a.exe", ".dll", "\n.exe"], ["a.exe.", "exe"]),
        ("[a-c]{2,3}", ["ab", "abc"], ["a", "abcd"]),
        ("[^ ]+[ ]{3,}", ["x   "], ["x  "]),
        ('"a.b*"', ["a.b*"], ["axb", "a.b"]),
        (r"\"x\"", ['"x"'], ["x"]),
        ("^a$", ["^a$"], ["a"]),
        ("a@b", ["a@b"], ["axb"]),
        ("#", ["#"], [""]),
        ("<1-3>", ["<1-3>"], ["2"]),
        (".*?x", ["x", "aax"], ["xa"]),
        ("a+?", ["", "a", "aa"], ["b"]),
        ("a{2}?", ["aa"], ["a"]),
        (r"\(?a", ["(a", "a"], ["((a"]),
        ("(?:ab)+", ["abab"], ["a"]),
        (r"[\]\-x]+", ["]-x"], ["y"]),
        ("[a&&b[]+", ["a&b["], ["c"]),
        (r"\d\w\s", ["1a "], ["d_s"]),
        (r"\n\b", ["nb"], ["\n"]),
        (r"C:\\Windows\\.+", [r"C:\Windows\x"], ["C:/Windows/x"]),
    ],
)
def test_meaning(pattern: str, matching: list[str], other: list[str]) -> None:
    matches = compile_regex(translated(pattern)[0])
    assert [text for text in matching if not matches(text)] == []
    assert [text for text in other if matches(text)] == []


@pytest.mark.parametrize(
    ("pattern", "remark"),
    [
        (r"\d", "not every Elasticsearch knows"),
        (r"\b", "is just the character `b`"),
        ("^a", "is no anchor"),
        ("a@b", "may read `@` as an operator"),
        ("a+?", "repeats a repetition"),
        ("(?i)a", "has no `(?...)`"),
    ],
)
def test_remarks(pattern: str, remark: str) -> None:
    assert any(remark in sentence for sentence in translated(pattern)[1])


def test_a_lazy_star_is_a_star_and_needs_no_remark() -> None:
    assert translated(".*?x") == (".*x", [])


@pytest.mark.parametrize("pattern", ["a\\", "[a", "[]", '"a', "a{2}+", "[^]", "[\\"])
def test_wrong_patterns(pattern: str) -> None:
    with pytest.raises(ValueError, match="bad regular expression"):
        translated(pattern)


@given(st.text(alphabet='ab01.*+?|()[]{},\\"^$#@&<>~-d', max_size=20))
def test_any_pattern_is_translated_or_refused(pattern: str) -> None:
    problem = ""
    try:
        compile_regex(translated(pattern)[0])
    except ValueError as error:
        problem = str(error)
    assert problem.startswith("bad regular expression") or not problem
