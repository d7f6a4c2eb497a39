"""Patterns and texts that are made to be mistaken for each other; and what the answers must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternKind
from kestrel_framework.values import compile_regex, compile_wildcard

ODD: Final = "aAkKsSiI\u0130\u0131\u017f\u212a\u00df\u1e9e\u03c3\u03c2\u03a3e\u0301\u00e9\U0001f600"
BROKEN: Final = "\ud800\udc00\ud83d\ude00\ufffd"
ENDS: Final = "\n\r\x00\x0b\x85\u2028 \t"
SIGNS: Final = "\\.|()[]{}^$+-/:"

letters = st.sampled_from("abcxyz019_" + ODD + BROKEN + ENDS + SIGNS)
texts = st.one_of(
    st.text(st.sampled_from("ab"), max_size=12),
    st.text(letters, max_size=40),
    st.text(max_size=40),
)
wildcards = st.one_of(
    st.text(st.sampled_from("ab**?"), max_size=10),
    st.text(st.one_of(letters, st.sampled_from("**?")), max_size=20),
).map(lambda text: Pattern(PatternKind.WILDCARD, text))

_items = st.one_of(
    st.sampled_from(
        [
            *("a", "b", "ab", "k", "S", "\u00e9", "\u212a", "\n", "]", "}", "\\.", "\\{", "\\\\"),
            *(".", "^", "$", "\\b", "\\B", "\\A", "\\z", "\\d", "\\W", "\\s", "\\n", "\\x61"),
            *("[ab]", "[^a]", "[]a]", "[^]a]", "[[:alpha:]]", "[\\]b]", "[a[:digit:]b]", "\\pL"),
            *(
                "\\Qa.b\\E",
                "\\Q(\\E",
                "(?i)",
                "(?-i)",
                "(?s)",
                "(?i:a)b",
                "(?-i:k)",
                "\\141",
                "\\C",
            ),
        ]
    ),
    st.sampled_from("abkS"),
)
_repetitions = st.sampled_from(
    [
        "",
        "",
        "",
        "*",
        "+",
        "?",
        "*?",
        "+?",
        "??",
        "{0}",
        "{1}",
        "{2}",
        "{0,1}",
        "{1,}",
        "{,2}",
        "{01}",
    ]
)
_regex_texts = st.recursive(
    st.tuples(_items, _repetitions).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.tuples(st.sampled_from(["(", "(?:", "(?P<n>"]), inner, _repetitions).map(
            lambda parts: f"{parts[0]}{parts[1]}){parts[2]}"
        ),
    ),
    max_leaves=8,
)


def _is_valid(pattern: Pattern) -> bool:
    try:
        matches(pattern, "")
    except ValueError:
        return False
    return True


regexes = st.builds(Pattern, st.just(PatternKind.REGEX), _regex_texts, st.booleans()).filter(
    _is_valid
)


def expected(patterns: Sequence[Pattern], compiled: CompiledPatterns, text: str) -> list[int]:
    """Return what a database must answer, by the kernel's own tests."""
    return [
        place
        for place, pattern in enumerate(patterns)
        if place not in compiled.refused and matches(pattern, text)
    ]


def matches(pattern: Pattern, text: str) -> bool:
    """Say what the kernel's own test of a pattern says."""
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)(text)
    return compile_regex(pattern.text, fold=pattern.fold)(text)
