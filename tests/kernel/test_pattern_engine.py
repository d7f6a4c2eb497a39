"""The pattern engine `native`: its answers are those of the kernel's own functions."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine, literal_finder
from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.testing import PatternEngineContract
from kestrel_framework.values import compile_regex, compile_wildcard, fold_case


@pytest.fixture(scope="module", autouse=True, params=["native", "portable"])
def finder(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run every test with both ways to find literals."""
    if request.param == "native" and not literal_finder.is_native():
        pytest.skip("the native finder of literals is not compiled")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "portable":
            patch.setattr(literal_finder, "NativeFinder", None)
        yield


class TestNativePatternEngine(PatternEngineContract):
    refuses_nothing = True

    @pytest.fixture
    def engine(self) -> NativePatternEngine:
        return NativePatternEngine()


def wildcards(*texts: str) -> list[Pattern]:
    return [Pattern(PatternKind.WILDCARD, text) for text in texts]


def regexes(*texts: str, fold: bool = False) -> list[Pattern]:
    return [Pattern(PatternKind.REGEX, text, fold) for text in texts]


def found(patterns: Sequence[Pattern], text: str) -> list[int]:
    compiled = NativePatternEngine().compile(patterns)
    assert not compiled.refused
    return sorted(compiled.database.matches(text))


def by_definition(patterns: Sequence[Pattern], text: str) -> list[int]:
    return [place for place, pattern in enumerate(patterns) if holds(pattern, text)]


def holds(pattern: Pattern, text: str) -> bool:
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)(text)
    return compile_regex(pattern.text, fold=pattern.fold)(text)


# --- random patterns and texts ---------------------------------------------------------------

LETTERS = "abA\\.é\u212a\U0001f600\ud800\udc00\n\x00"
pattern_texts = st.text(st.sampled_from("*?" + LETTERS), max_size=9)
regex_texts = st.recursive(
    st.sampled_from(["a", "b", "A", "\\.", ".", "[ab]", "[^a]", "\\d", "é", "]", "x{y}", "abc"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.builds("(?:{}|{})".format, inner, inner),
        st.builds("({}){}".format, inner, st.sampled_from(["", "*", "+", "?", "{0}", "{2,3}"])),
        inner.map("(?i:{})".format),
    ),
    max_leaves=6,
)
patterns = st.one_of(
    pattern_texts.map(lambda text: Pattern(PatternKind.WILDCARD, text)),
    pattern_texts.map(lambda text: Pattern(PatternKind.WILDCARD, text)),
    st.builds(Pattern, st.just(PatternKind.REGEX), regex_texts, st.booleans()),
)
subjects = st.text(st.sampled_from(LETTERS), max_size=12) | st.text(max_size=6)


@given(st.lists(patterns, max_size=12), st.lists(subjects, min_size=1, max_size=4))
def test_answers_are_those_of_each_pattern_alone(several: list[Pattern], texts: list[str]) -> None:
    database = NativePatternEngine().compile(several).database
    for text in texts:
        assert sorted(database.matches(text)) == by_definition(several, text)


@given(st.integers(), st.sampled_from(["ab", "abc", "aé", "ab\U0001f600", "abcdefghij\\."]))
def test_very_many_literals_of_all_lengths_are_found(seed: int, letters: str) -> None:
    chance = random.Random(seed)
    literals = ["".join(chance.choices(letters, k=chance.randint(1, 11))) for _ in range(300)]
    forms = ["*{}*"] * 8 + ["*{}", "{}*", "*{}*{}*", "{}*{}", "*{}?{}*", "?{}*", "?{}", "{}"]
    several = wildcards(*(chance.choice(forms).format(one, one[::-1]) for one in literals))
    database = NativePatternEngine().compile(several).database
    for _ in range(6):
        text = "".join(chance.choices([*literals, *letters], k=chance.randint(0, 6)))
        assert sorted(database.matches(text)) == by_definition(several, text)


@given(st.integers(), st.booleans())
def test_very_many_regexes_are_found(seed: int, fold: bool) -> None:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abkS.-", k=chance.randint(1, 6))) for _ in range(80)]
    forms = [".*{}.*", "{}+", "({}|{}).*", ".*[ab]{}", "{}(?:x)*{}", ".*{}[^b]", "{}?.*"]
    several = regexes(
        *(chance.choice(forms).format(one, chance.choice(words)) for one in words), fold=fold
    )
    several += regexes(*(f".*{one}.*" for one in words), fold=not fold)
    database = NativePatternEngine().compile(several).database
    for _ in range(6):
        text = "".join(chance.choices([*words, "\u212a", "\u017f", "K", "\ud800"], k=3))
        assert sorted(database.matches(text)) == by_definition(several, text)
        assert sorted(database.matches(fold_case(text))) == by_definition(several, fold_case(text))


# --- what each kind of place must not get wrong -----------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("?:\\windows\\*", "c:\\windows\\x", [":\\windows\\x", "cc:\\windows\\x", ""]),
        ("?:\\a", "c:\\a", [":\\a", "c:\\ab", "cc:\\a"]),
        ("*a??", "xaxx", ["xax", "a", "axxx"]),
        ("*??a*", "xxa", ["xa", "a", "xaxx"]),
        ("?*?", "ab", ["a", ""]),
        ("a*a", "aa", ["a", "aab", ""]),
        ("ab*ba", "abba", ["aba"]),
        ("*aba*aba*", "abaaba", ["ababa"]),
        ("*\ud83d*", "\ud83d\ude00", ["\U0001f600"]),
    ],
)
def test_pieces_may_not_share_characters(pattern: str, matching: str, others: list[str]) -> None:
    assert found(wildcards(pattern), matching) == [0]
    for other in others:
        assert found(wildcards(pattern), other) == []


def test_all_beginnings_of_a_text_are_found_and_no_others() -> None:
    several = wildcards(*("a" * length + "*" for length in range(1, 200)), "b*", "aab*")
    assert found(several, "a" * 50) == list(range(50))
    assert found(several, "a" * 50 + "b") == list(range(50))
    assert found(several, "aab") == [0, 1, 200]


def test_equal_patterns_are_found_at_all_their_places() -> None:
    several = [*wildcards("*a*", "a", "a*", "*"), *regexes("a", "a.*")] * 3
    assert found(several, "a") == list(range(18))


def test_a_regex_is_found_beside_others_that_are_too_large_to_be_matched_together() -> None:
    several = regexes("ab*", *(f"{letter}\\pL{{100}}" for letter in "cdefgh"))
    assert found(several, "abb") == [0]
    assert found(several, "d" + "\u03b1" * 100) == [2]


# --- cost ------------------------------------------------------------------------------------


def seconds(patterns: Sequence[Pattern], text: str) -> float:
    database = NativePatternEngine().compile(patterns).database
    database.matches(text)
    started = time.process_time()
    database.matches(text)
    return time.process_time() - started


HOSTILE = {
    "one character": "a" * 1_000_000,
    "two characters": "ab" * 500_000,
    "parts of every literal": "".join(f"value{n}" for n in range(100_000)),
    "every literal": "".join(f"value{n}x" for n in range(100_000)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_not_slow(text: str) -> None:
    several = wildcards(
        *(f"*value{n}x*" for n in range(1000)),
        *("*" + "a" * n + "b*" for n in range(1, 40)),
        *(f"*{'a' * n}*{'b' * n}*{'a' * n}c" for n in range(1, 40)),
        *(f"*a{'?' * n}b" for n in range(1, 10)),
    )
    assert seconds(several, text) < 20


def test_hostile_patterns_are_not_slow() -> None:
    nested = wildcards(*("a" * n + "*" for n in range(2000)), *("*" + "a" * n for n in range(2000)))
    assert seconds(nested, "a" * 1999 + "b") < 5
    alike = wildcards(*(f"*{'a' * 50}{n}*" for n in range(2000)))
    assert seconds(alike, "a" * 1000) < 5
    long = wildcards("*" + "ab" * 500_000 + "*", "?" * 100_000 + "a", "a*" * 100_000)
    assert seconds(long, "ab" * 1000) < 5


def test_the_cost_hardly_grows_with_the_patterns() -> None:
    chance = random.Random(20270118)

    def word() -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz\\-. ", k=chance.randint(8, 20)))

    forms = ("*{}*", "*{}*", "?:\\{}*", "*\\{}.exe", "c:\\windows\\{}", "*{}*{}*", "c:\\{}*{}.exe")
    several = wildcards(*(chance.choice(forms).format(word(), word()) for _ in range(2000)))
    texts = ["c:\\windows\\" + "".join(word() for _ in range(10)) + ".exe" for _ in range(200)]

    def cost(count: int) -> float:
        database = NativePatternEngine().compile(several[:count]).database
        best = 1.0
        for _ in range(5):
            started = time.process_time()
            for text in texts:
                database.matches(text)
            best = min(best, time.process_time() - started)
        return best

    assert cost(2000) < 6 * cost(200)


def test_nothing_is_compiled_for_patterns_that_nobody_asks_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "kestrel_framework._builtin.pattern_engine"
    compiled: list[str] = []

    def compile_and_note(pattern: str) -> object:
        compiled.append(pattern)
        return compile_wildcard(pattern)

    monkeypatch.setattr(f"{module}.candidate.compile_wildcard", compile_and_note)
    several = wildcards(*(f"*word{n}*a*other{n}*" for n in range(100)))
    assert found(several, "word7 a other7") == [7]
    assert compiled == [several[7].text]
