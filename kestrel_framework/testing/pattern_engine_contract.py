"""What every pattern engine must do."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

import pytest

from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternEngine, PatternKind
from kestrel_framework.testing.contract import Contract, if_supported
from kestrel_framework.values import compile_regex, compile_wildcard

_ALPHABETS: Final = ("ab", "abc\\.", "aA\u212a\u017f\u0130", "a\n\x00\u2028", "a\u00e9\U0001f600")
_RANDOM_DATABASES: Final = 150
_MANY: Final = 2_000
_LONG: Final = 200_000
_SECONDS_FOR_A_LONG_TEXT: Final = 10.0


def _wildcards(*texts: str) -> list[Pattern]:
    return [Pattern(PatternKind.WILDCARD, text) for text in texts]


def _regexes(*texts: str, fold: bool = False) -> list[Pattern]:
    return [Pattern(PatternKind.REGEX, text, fold) for text in texts]


_USUAL: Final = _wildcards(
    "cmd.exe", "powershell*", "*.dll", "*-encodedcommand*", "c:\\windows\\*\\svchost.exe"
)
_TELLING: Final = (
    *_USUAL,
    *_wildcards("", "*", "**", "?", "??", "*?*", "?*?", "a", "a*", "*a", "*a*", "a*a", "a*b*a"),
    *_wildcards(
        "aba*aba", "*ab*ab*", "a?a", "*a?a*", "?a*", "*a?", "*\n*", "*\x00*", "[a]*", "\\*"
    ),
    *_wildcards("a.*", "(a", "*\U0001f600*", "?\U0001f600", "\ud800*", "*\udc00*", "\u00e9?"),
    *_wildcards("a" * 300, f"*{'ab' * 100}*", f"{'a' * 70}*{'b' * 70}", "*\u212a*", "*\u0130*"),
    *_regexes("", ".*", ".", "a", "a*", "a|b", "(a|b)*", "a.a", ".*a.*", "[^a]", "[a-c]{2,3}"),
    *_regexes(".*a\n.*", r"\x00.*", r".*\\windows\\.*", r"\w+", r"\s*", "(?i)A.*", ".*ab|ba.*"),
    *_regexes(r"\Aa\z", "^a$", r".*\bab\b.*", ".*\U0001f600", r"\Qa.b\E.*", "a{0}", "(?:)", "ab?"),
    *_regexes(".*ABC.*", "k.*", ".*\u212a", "s+", "\u0130.*", "\u00e9|\u00df", fold=True),
)
_TEXTS: Final = (
    *("", "a", "b", "aa", "ab", "aba", "abab", "ababa", "abcabc", "A", "ABC", "a.b", "a.c", "(a"),
    *("cmd.exe", "cmd.exe ", "powershell -encodedcommand", "c:\\windows\\a\\svchost.exe", "x.dll"),
    *("\n", "a\n", "\na", "a\nb", "a\na", "\x00", "a\x00", "\u2028", "[a]", "\\", "\\*", "a\\z"),
    *(
        "\U0001f600",
        "a\U0001f600",
        "\ud800",
        "a\ud800",
        "\ud83d\ude00",
        "\udc00a",
        "\u00e9",
        "\u00e9a",
    ),
    *("k", "K", "\u212a", "s", "\u017f", "i", "\u0130", "\u0131", "\u00df", "\u1e9e", "e\u0301"),
    *("a" * 140, "a" * 299, "a" * 300, "ab" * 100, "ba" * 100, "a" * 70 + "b" * 70, " a ", "\t"),
)
_HOSTILE_PATTERNS: Final = (
    *_wildcards("*a*a*a*a*a*b", "*aaaaaaaaaaaaaaaab*", "*a?a?a?a?a?ab*", "a*aaaa*b", "*aaab*aaab*"),
    *_wildcards("?" * 50 + "*b", "*b", "b*", "*" + "ab" * 50 + "c*"),
    *_regexes("(a|aa)+b", ".*a.*a.*a.*b", "(a+)+b", ".*a{50}b.*", "(a?){30}b.*"),
)
_HOSTILE_TEXTS: Final = ("a" * _LONG, "ab" * (_LONG // 2), "aaab" * (_LONG // 4))


class PatternEngineContract(Contract, contract=True):
    """Give it an `engine`.

    Attributes:
        refuses_nothing: It takes every pattern that the kernel's own functions take.
    """

    refuses_nothing: ClassVar[bool] = False

    @pytest.fixture
    def engine(self) -> PatternEngine:
        """Return an engine."""
        raise NotImplementedError("define a fixture `engine` that returns your engine")

    def test_is_a_pattern_engine(self, engine: PatternEngine) -> None:
        """It has all methods of the interface, and so has what it compiles."""
        assert isinstance(engine, PatternEngine)
        compiled = engine.compile(_USUAL)
        assert isinstance(compiled, CompiledPatterns)
        assert isinstance(compiled.refused, frozenset)

    def test_takes_usual_patterns(self, engine: PatternEngine) -> None:
        """It may refuse what is odd, but an engine that refuses everything is none."""
        assert not engine.compile(_USUAL).refused

    @if_supported("refuses_nothing")
    def test_takes_every_pattern(self, engine: PatternEngine) -> None:
        """Where it says that it refuses nothing, odd patterns are no exception."""
        compiled = engine.compile(_TELLING)
        assert not compiled.refused, [_TELLING[place] for place in compiled.refused]

    def test_agrees_on_telling_patterns(self, engine: PatternEngine) -> None:
        """It answers as the kernel's own functions do; what it refuses, it leaves out."""
        _check_agreement(engine, _TELLING, _TEXTS)

    def test_agrees_on_each_pattern_alone(self, engine: PatternEngine) -> None:
        """The answer for a pattern does not depend on those beside it."""
        for pattern in _TELLING:
            _check_agreement(engine, [pattern], _TEXTS)

    def test_agrees_on_random_patterns(self, engine: PatternEngine) -> None:
        """Short patterns over few letters overlap, repeat and contain each other."""
        chance = random.Random(20270116)
        for _ in range(_RANDOM_DATABASES):
            letters = chance.choice(_ALPHABETS)
            patterns = [_random_pattern(chance, letters) for _ in range(chance.randint(0, 12))]
            texts = [_random_text(chance, letters, 14) for _ in range(12)]
            texts += [_matching_text(chance, pattern, letters) for pattern in patterns]
            _check_agreement(engine, patterns, texts)

    def test_agrees_on_very_many_patterns(self, engine: PatternEngine) -> None:
        """Thousands of patterns, most of them much like others, are no other case."""
        chance = random.Random(20270117)
        words = [_random_text(chance, "abcdefgh\\.-", 12) + "xy" for _ in range(_MANY // 4)]
        forms = ("{}", "{}*", "*{}", "*{}*", "*\\{}.exe", "*{}*{}*", "{}*{}")
        texts = [chance.choice(forms).format(*chance.choices(words, k=2)) for _ in range(_MANY)]
        subjects = [
            "".join(chance.choices([*words, " ", ".exe", "\\"], k=chance.randint(1, 12)))
            for _ in range(100)
        ]
        _check_agreement(engine, _wildcards(*texts), [*subjects, *chance.choices(words, k=100)])

    def test_takes_no_patterns_and_equal_ones(self, engine: PatternEngine) -> None:
        """No patterns match nothing; of equal patterns, each place is named."""
        _check_agreement(engine, [], _TEXTS)
        _check_agreement(engine, [*_USUAL, *_USUAL, *_regexes("a", "a"), *_USUAL], _TEXTS)

    def test_databases_are_apart(self, engine: PatternEngine) -> None:
        """What was compiled earlier answers as before, and takes no notice of later changes."""
        patterns = _wildcards("a*", "*b")
        first = engine.compile(patterns)
        patterns[0] = Pattern(PatternKind.WILDCARD, "c")
        second = engine.compile(patterns)
        for _ in range(3):
            assert list(first.database.matches("a")) == [0]
            assert list(second.database.matches("a")) == []
            assert list(second.database.matches("c")) == [0]
            assert sorted(first.database.matches("ab")) == [0, 1]

    @pytest.mark.parametrize("text", _HOSTILE_TEXTS, ids=["a", "ab", "aaab"])
    def test_a_hostile_text_is_not_slow(self, engine: PatternEngine, text: str) -> None:
        """The time is linear in the text, whatever patterns and texts do to each other."""
        compiled = engine.compile(_HOSTILE_PATTERNS)
        started = time.process_time()
        found = compiled.database.matches(text)
        assert time.process_time() - started < _SECONDS_FOR_A_LONG_TEXT
        assert sorted(found) == _expected(_HOSTILE_PATTERNS, compiled.refused, text)


def _check_agreement(
    engine: PatternEngine, patterns: Sequence[Pattern], texts: Iterable[str]
) -> None:
    compiled = engine.compile(patterns)
    assert compiled.refused <= frozenset(range(len(patterns))), "refused places are no places"
    for text in texts:
        found = sorted(compiled.database.matches(text))
        expected = _expected(patterns, compiled.refused, text)
        different = [patterns[place] for place in set(found) ^ set(expected)]
        assert found == expected, f"{text!r} differs for {different}"


def _expected(patterns: Sequence[Pattern], refused: frozenset[int], text: str) -> list[int]:
    return [
        place
        for place, pattern in enumerate(patterns)
        if place not in refused and _matches(pattern, text)
    ]


def _matches(pattern: Pattern, text: str) -> bool:
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)(text)
    return compile_regex(pattern.text, fold=pattern.fold)(text)


def _random_text(chance: random.Random, letters: str, longest: int) -> str:
    return "".join(chance.choices(letters, k=chance.randint(0, longest)))


def _random_pattern(chance: random.Random, letters: str) -> Pattern:
    if chance.random() < 0.7:
        return Pattern(PatternKind.WILDCARD, _random_text(chance, letters + "**?", 10))
    forms = ("{}", "({}|{})", "{}.*{}", ".*{}.*", "{}?{}", "({})+", "{}.{}", "[^{}]*.*")
    parts = [re.escape(_random_text(chance, letters, 4)) or "a" for _ in range(2)]
    form = chance.choice(forms).format(*parts)
    return Pattern(PatternKind.REGEX, form, chance.random() < 0.5)


def _matching_text(chance: random.Random, pattern: Pattern, letters: str) -> str:
    """Return a text that a wildcard matches, most often; for a regex, one that looks like it."""
    pieces = {"*": lambda: _random_text(chance, letters, 4), "?": lambda: chance.choice(letters)}
    return "".join(pieces[letter]() if letter in pieces else letter for letter in pattern.text)
