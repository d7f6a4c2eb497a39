"""The engine: its answers are those of the kernel's own functions, for every text."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.interfaces import Pattern, PatternEngine, PatternKind
from kestrel_framework.testing import PatternEngineContract
from kestrel_framework.values import fold_case
from kestrel_hyperscan import HyperscanEngine, literal_scanner
from kestrel_hyperscan.pattern_database import ManyPatterns
from pattern_texts import BROKEN, ENDS, ODD, expected, regexes, texts, wildcards


class TestHyperscanEngine(PatternEngineContract):
    @pytest.fixture
    def engine(self) -> PatternEngine:
        return HyperscanEngine()


def wildcards_of(*several: str) -> list[Pattern]:
    return [Pattern(PatternKind.WILDCARD, text) for text in several]


def check(patterns: list[Pattern], several: list[str]) -> None:
    compiled = HyperscanEngine().compile(patterns)
    for text in several:
        assert sorted(compiled.database.matches(text)) == expected(patterns, compiled, text)


@settings(max_examples=300)
@given(
    st.lists(st.one_of(wildcards, regexes), min_size=8, max_size=40), st.lists(texts, max_size=8)
)
def test_it_agrees_on_any_patterns_and_texts(patterns: list[Pattern], several: list[str]) -> None:
    near = [pattern.text.replace("*", "b").replace("?", "a") for pattern in patterns]
    check(patterns, [*several, *near, "".join(near)])


HOSTILE = [
    *(f"*{character}*" for character in ODD + BROKEN + ENDS),
    *("a*\n*b", "*\n", "\n*", "*\r\n*", "a?b*", "*?\U0001f600", "\U0001f600?*", "*\x00\x00*"),
    *("*a*b*a*b*", "a*b*a*b", "*abab*", "ab*", "*ab", "*ba*ab*", "*\ud83d*\ude00*", "*\U0001f600*"),
]


@pytest.mark.parametrize("fold", [False, True])
def test_it_agrees_on_hostile_texts(fold: bool) -> None:
    patterns = wildcards_of(*map(fold_case, HOSTILE) if fold else HOSTILE)
    patterns += [
        Pattern(PatternKind.REGEX, text, fold)
        for text in ("a.b", ".*\n.*ab.*", ".*a{50}b.*", ".*kiss.*", ".*\u0130.*", "(?i).*SIS.*")
    ]
    every = ODD + BROKEN + ENDS
    check(
        patterns,
        [
            *every,
            *(f"a{one}b{two}" for one in every for two in every),
            *(
                "a\nb",
                "ab\n",
                "\nab",
                "a\r\nb",
                "\x00\x00",
                "\x00",
                "ab\x00",
                "KISS",
                "\u212ai\u017fs",
            ),
            "ab" * 500_000,
            "a" * 999_999 + "b",
            "\n" * 1_000_000 + "ab",
            "\U0001f600" * 250_000,
            "\ud800" * 300_000,
        ],
    )


def test_a_long_text_with_thousands_of_matches_takes_no_time() -> None:
    words = [f"{number:04x}q" for number in range(3_000)]
    patterns = wildcards_of(*(f"*{word}*" for word in words))
    compiled = HyperscanEngine().compile(patterns)
    text = " ".join(words * 60)
    started = time.process_time()
    assert sorted(compiled.database.matches(text)) == list(range(3_000))
    assert time.process_time() - started < 20


def test_what_is_only_a_wildcard_or_requires_no_literal_is_refused() -> None:
    usual = wildcards_of(*(f"*{word}*" for word in ("ab", "bc", "cd", "de", "ef", "fg", "gh")))
    odd = [
        *wildcards_of("*", "?*"),
        Pattern(PatternKind.REGEX, "a|b"),
        Pattern(PatternKind.REGEX, "\u0130", fold=True),
    ]
    assert HyperscanEngine().compile([*usual, *odd]).refused == {7, 8, 9, 10}


@pytest.mark.parametrize("cache", [False, True])
def test_where_no_pattern_has_a_literal_all_but_whole_texts_are_refused(
    cache: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    patterns = wildcards_of("*", "?", "whole", "??", "*?", "?*")
    for _ in range(2):
        compiled = HyperscanEngine(cache=cache).compile(patterns)
        assert compiled.refused == {0, 1, 3, 4, 5}
        assert compiled.database.matches("whole") == [2]
        assert compiled.database.matches("") == []


def test_a_text_that_cannot_be_scanned_gets_the_same_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patterns = wildcards_of("a*", "*a", "*a*", "b", "*b*", "*c*", "*d*", "?a*", "*ab*", "*")
    compiled = HyperscanEngine().compile(patterns)
    assert isinstance(compiled.database, ManyPatterns)
    monkeypatch.setattr(literal_scanner, "LARGEST_TEXT", 3)
    for text in ("a", "b", "ab", "bbbba", "\ud800\ud800abcd", ""):
        assert sorted(compiled.database.matches(text)) == expected(patterns, compiled, text)


def test_several_databases_work_in_several_threads() -> None:
    several = [wildcards_of(*(f"*{word}{n}*" for word in "abcdefgh")) for n in range(8)]
    engine = HyperscanEngine()
    wrong: list[str] = []

    def work(patterns: list[Pattern]) -> None:
        compiled = engine.compile(patterns)
        for number in range(300):
            text = f"xa{number % 10}h{number % 8}"
            if sorted(compiled.database.matches(text)) != expected(patterns, compiled, text):
                wrong.append(text)

    threads = [threading.Thread(target=work, args=[patterns]) for patterns in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("cache", [False, True])
def test_it_pickles_as_its_settings(cache: bool) -> None:
    engine = pickle.loads(pickle.dumps(HyperscanEngine(cache=cache)))
    assert engine == HyperscanEngine(cache=cache)
    assert engine.compile(wildcards_of("a*")).database.matches("ab") == [0]
