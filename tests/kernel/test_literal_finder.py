"""Both finders of literals say what a look for each literal by itself says."""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin import pattern_engine
from kestrel_framework._builtin.pattern_engine.literal_finder import (
    LiteralFinder,
    is_native,
    literal_finder,
)
from kestrel_framework._builtin.pattern_engine.portable_finder import PortableFinder
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot

NATIVE: Final[Any] = (
    importlib.import_module(f"{pattern_engine.__name__}._native") if is_native() else None
)
MOST_PATTERNS: Final = 1 << 22
MOST_BYTES: Final = 1 << 28

Finder = Callable[[Sequence[Sequence[Place]]], LiteralFinder]

needs_native = pytest.mark.skipif(not is_native(), reason="the native finder is not compiled")
both = pytest.mark.parametrize(
    "finder",
    [pytest.param(literal_finder, marks=needs_native, id="native"), PortableFinder],
)


def comes_by(text: str, place: Place) -> bool:
    match place.spot:
        case Spot.ANYWHERE:
            return place.literal in text
        case Spot.BEGINNING:
            return text.startswith(place.literal)
        case Spot.BEGINNING_BUT_FIRST:
            return text.startswith(place.literal, 1)
        case _:
            return text.endswith(place.literal)


def check(finder: LiteralFinder, patterns: Sequence[Sequence[Place]], text: str) -> None:
    found = finder.find(text)
    assert len(set(found)) == len(found)
    for number, places in enumerate(patterns):
        by = [comes_by(text, place) for place in places]
        assert any(by) if number in found else not all(by)


ALPHABETS = (
    "a",
    "ab",
    "aA\x00\n",
    "a\u00e9\u20ac\U0001f600\ud83d\ude00",
    "abcdefghijklmnopqrst\\.",
)
SPOTS = (Spot.ANYWHERE, Spot.BEGINNING, Spot.BEGINNING_BUT_FIRST, Spot.END)
literals = st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, min_size=1))
places = st.builds(Place, st.sampled_from(SPOTS), literals)
patterns_of_places = st.lists(st.lists(places, min_size=1, max_size=4), max_size=15)


@both
@given(patterns=patterns_of_places, data=st.data())
def test_patterns_are_found_by_their_places(
    finder: Finder, patterns: list[list[Place]], data: st.DataObject
) -> None:
    found = finder(patterns)
    known = [place.literal for places in patterns for place in places]
    parts = st.lists(st.sampled_from([*known, *"".join(ALPHABETS)]), max_size=6).map("".join)
    for text in data.draw(st.lists(parts | st.text(max_size=9), max_size=5)):
        check(found, patterns, text)


@both
@given(
    seed=st.integers(),
    letters=st.sampled_from(ALPHABETS),
    longest=st.sampled_from([1, 2, 3, 4, 5, 9, 30]),
    count=st.sampled_from([5, 60, 300]),
)
def test_each_of_many_literals_is_found_once(
    finder: Finder, seed: int, letters: str, longest: int, count: int
) -> None:
    chance = random.Random(seed)
    many = ["".join(chance.choices(letters, k=chance.randint(1, longest))) for _ in range(count)]
    patterns = [[Place(chance.choice(SPOTS), literal)] for literal in many]
    found = finder(patterns)
    for _ in range(5):
        text = "".join(chance.choices([*many, *letters], k=chance.randint(0, 9)))
        check(found, patterns, text)


@both
@pytest.mark.parametrize("length", range(1, 10))
def test_a_literal_is_found_wherever_it_stands(finder: Finder, length: int) -> None:
    literal = "abcdefghi"[:length]
    patterns = [[Place(spot, literal)] for spot in SPOTS]
    found = finder(patterns)
    for before in ("", "-", "\u00e9", "\ud800", "\U0001f600", "--", "-" * 20, literal[:-1]):
        for after in ("", "-", "\u00e9", "a", "-" * 20):
            check(found, patterns, before + literal + after)
            check(found, patterns, before + literal[:-1] + after)


@both
def test_halves_of_a_character_are_not_found_in_it(finder: Finder) -> None:
    found = finder([[Place(Spot.ANYWHERE, "\ud83d")], [Place(Spot.END, "\ude00")]])
    assert found.find("\U0001f600") == []
    assert sorted(found.find("\ud83d\ude00")) == [0, 1]


@both
def test_equal_places_are_found_for_each_pattern(finder: Finder) -> None:
    found = finder([[Place(Spot.ANYWHERE, "word")], [Place(Spot.ANYWHERE, "word")]] * 2)
    assert sorted(found.find("a word, and a word")) == [0, 1, 2, 3]


@both
def test_a_pattern_waits_where_few_texts_come_by(finder: Finder) -> None:
    words = [letter * 8 for letter in "abcdefghijklmnopqrstuvwxyz"]
    common = Place(Spot.BEGINNING, "c:\\windows\\")
    found = finder([[common, Place(Spot.ANYWHERE, word)] for word in words])
    assert found.find("c:\\windows\\system32\\nothing.exe") == []
    assert found.find(f"c:\\windows\\{words[7]}") == [7]


@both
def test_nothing_is_found_without_patterns(finder: Finder) -> None:
    assert finder([]).find("") == finder([]).find("a\u00e9") == []


def texts_that_repeat(patterns: Sequence[Sequence[Place]], size: int) -> list[str]:
    parts = {place.literal[at : at + 4] for places in patterns for place in places for at in (0, 3)}
    return [part * (size // len(part)) for part in parts if part]


@needs_native
def test_a_text_that_repeats_what_many_literals_share_is_not_slow() -> None:
    """Some 12 ms for 64 KB, whose every fourth group, or second, is that of 200 literals."""
    patterns = [
        *([Place(Spot.ANYWHERE, "a" * n + "b")] for n in range(4, 204)),
        *([Place(Spot.END, "ab" * n)] for n in range(2, 200)),
    ]
    found = NATIVE.LiteralFinder(patterns)
    for text in (*texts_that_repeat(patterns, 65_536), "aaab" * 16_384, "a" * 203 + "b" * 65_000):
        started = time.process_time()
        found.find(text)
        assert time.process_time() - started < 1


@needs_native
@pytest.mark.parametrize(
    ("patterns", "error"),
    [
        (None, TypeError),
        ([None], TypeError),
        ("ab", TypeError),
        ([["ab"]], TypeError),
        ([[()]], TypeError),
        ([[(0,)]], TypeError),
        ([[("a", "a")]], TypeError),
        ([[(0, b"a")]], TypeError),
        ([[(0, "")]], ValueError),
        ([[(-1, "a")]], ValueError),
        ([[(Spot.WHOLE, "a")]], ValueError),
        ([[(2**70, "a")]], OverflowError),
        ([[]], ValueError),
        ([[(0, "a")], [(0, "b"), (0, "")]], ValueError),
        ([None] * (MOST_PATTERNS + 1), ValueError),
        ([[(0, "a" * 2**20)] * (MOST_BYTES // 2**20) + [(0, "a")]], ValueError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_wrong_patterns_are_refused(patterns: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        NATIVE.LiteralFinder(patterns)


@needs_native
def test_other_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        NATIVE.LiteralFinder()
    with pytest.raises(TypeError):
        NATIVE.LiteralFinder([], [])
    with pytest.raises(TypeError):
        NATIVE.LiteralFinder(patterns=[])
    for text in (b"a", None, 1):
        with pytest.raises(TypeError):
            NATIVE.LiteralFinder([]).find(text)


@needs_native
def test_exceptions_of_what_is_given_come_through() -> None:
    def failing() -> Any:
        yield [(0, "a")]
        raise KeyError("b")

    with pytest.raises(KeyError):
        NATIVE.LiteralFinder(failing())
    with pytest.raises(KeyError):
        NATIVE.LiteralFinder([failing()])
