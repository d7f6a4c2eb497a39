"""Parts of the pattern engine `native`: where patterns wait, and how literals are found."""

from __future__ import annotations

import random
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine.beginnings import Beginnings
from kestrel_framework._builtin.pattern_engine.byte_groups import (
    GROUPINGS,
    GroupFrequencies,
    encoded,
    first_groupings,
    groups_from,
)
from kestrel_framework._builtin.pattern_engine.literal_scan import LiteralScan
from kestrel_framework._builtin.pattern_engine.regex_literals import necessary_literal
from kestrel_framework._builtin.pattern_engine.wildcard_places import Place, Spot, wildcard_places
from kestrel_framework.values import compile_regex, compile_wildcard, fold_case

PARTS = [slice(None), slice(1, 5), slice(None, -5, -1)]
texts = st.text(st.sampled_from("ab\n"), max_size=8)


def comes_by(text: str, place: Place) -> bool:
    return {
        Spot.WHOLE: text == place.literal,
        Spot.BEGINNING: text.startswith(place.literal),
        Spot.WHOLE_BUT_FIRST: text[:1] != "" and text[1:] == place.literal,
        Spot.BEGINNING_BUT_FIRST: text[:1] != "" and text[1:].startswith(place.literal),
        Spot.END: text.endswith(place.literal),
        Spot.ANYWHERE: place.literal in text,
        Spot.LENGTH: True,
    }[place.spot]


def test_the_first_grouping_that_fits_is_found_by_length() -> None:
    table = first_groupings(lambda one: one.shortest)
    for length in range(1, 12):
        slowly = next(one for one in GROUPINGS if length >= one.shortest)
        assert table[min(length, len(table) - 1)] is slowly


@given(st.lists(st.text(st.sampled_from("ab\u00e9"), max_size=9)), st.text("ab", min_size=1))
def test_the_frequency_of_a_literal_is_that_of_its_rarest_group(
    patterns: list[str], literal: str
) -> None:
    data = encoded(literal)
    grouping = next(one for one in GROUPINGS if len(data) >= one.size)
    everywhere = list(groups_from(0, encoded("\n".join(patterns)), grouping))
    slowly = min(everywhere.count(group) for group in groups_from(0, data, grouping))
    assert GroupFrequencies(patterns).of_literal(literal) == slowly


@given(st.text(st.sampled_from("ab*?\n"), max_size=8), texts)
def test_every_text_that_matches_a_wildcard_comes_by_each_of_its_places(
    pattern: str, text: str
) -> None:
    matches = compile_wildcard(pattern)(text)
    places = wildcard_places(pattern)
    assert places
    for place in places:
        assert comes_by(text, place) or not matches
        if place.is_enough:
            assert matches == comes_by(text, place)


@pytest.mark.parametrize(
    ("pattern", "places"),
    [
        ("abc", [Place(Spot.WHOLE, "abc", is_enough=True)]),
        ("abc**", [Place(Spot.BEGINNING, "abc", is_enough=True)]),
        ("?abc*", [Place(Spot.BEGINNING_BUT_FIRST, "abc", is_enough=True)]),
        ("*abc", [Place(Spot.END, "abc", is_enough=True)]),
        ("**abc*", [Place(Spot.ANYWHERE, "abc", is_enough=True)]),
        (
            "ab*cd?ef",
            [
                Place(Spot.BEGINNING, "ab"),
                Place(Spot.END, "ef"),
                Place(Spot.ANYWHERE, "cd"),
            ],
        ),
        ("?ab*cd?", [Place(Spot.BEGINNING_BUT_FIRST, "ab"), Place(Spot.ANYWHERE, "cd")]),
        ("??a", [Place(Spot.END, "a")]),
        ("?a**", [Place(Spot.BEGINNING_BUT_FIRST, "a", is_enough=True)]),
        ("??a*", [Place(Spot.ANYWHERE, "a")]),
        ("*?*", [Place(Spot.LENGTH, "")]),
    ],
)
def test_a_wildcard_waits_where_few_texts_come_by(pattern: str, places: list[Place]) -> None:
    assert wildcard_places(pattern) == places


@given(st.sets(texts.filter(bool), max_size=30), texts, st.sampled_from(PARTS))
def test_beginnings_are_all_literals_that_a_text_begins_with(
    literals: set[str], text: str, part: slice
) -> None:
    waiting = {literal: [number, -number] for number, literal in enumerate(literals, 1)}
    met: list[int] = []
    Beginnings(waiting, part).look(text, met)
    begun = [waiting[literal] for literal in literals if text[part].startswith(literal)]
    assert sorted(met) == sorted(number for numbers in begun for number in numbers)


@given(
    st.integers(),
    st.sampled_from(["ab", "aé\ud800", "abcdefgh", "abcdefghijklmnopqrstuvwxyz"]),
    st.integers(1, 12),
    st.sampled_from([5, 60, 250]),
)
def test_a_scan_finds_each_literal_once(seed: int, letters: str, longest: int, count: int) -> None:
    chance = random.Random(seed)
    lengths = range(max(1, longest - 2), longest + 1)
    waiting = {
        "".join(chance.choices(letters, k=chance.choice(lengths))): [number]
        for number in range(count)
    }
    scan = LiteralScan(waiting, GroupFrequencies(list(waiting)))
    for _ in range(5):
        text = "".join(chance.choices([*waiting, *letters], k=chance.randint(0, 8)))
        met: list[int] = []
        scan.look(text, met)
        expected = [number for literal, (number,) in waiting.items() if literal in text]
        assert sorted(met) == sorted(expected)


@pytest.mark.parametrize("length", range(1, 10))
def test_literals_of_each_length_are_found_at_each_place(length: int) -> None:
    chance = random.Random(length)
    letters = [chr(code) for code in range(97, 97 + 60)]
    waiting = {"".join(chance.choices(letters, k=length)): [number] for number in range(200)}
    scan = LiteralScan(waiting, GroupFrequencies(list(waiting)))
    for literal, (number,) in waiting.items():
        for before in range(5):
            met: list[int] = []
            scan.look("-" * before + literal + "-" * 3, met)
            assert number in met


def test_few_wildcards_do_without_the_library_for_regexes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    literals = ("ab", "abc", "abcd", "abcde", "a long literal")
    waiting = {literal: [number] for number, literal in enumerate(literals)}
    met: list[int] = []
    LiteralScan(waiting, GroupFrequencies(list(waiting))).look("xabcdx", met)
    assert sorted(met) == [0, 1, 2]


def test_very_many_short_literals_are_found_without_a_filter() -> None:
    waiting = {f"{number:05}": [number] for number in range(1000)}
    scan = LiteralScan(waiting, GroupFrequencies(list(waiting)))
    for text, numbers in (("x00123x", [123]), ("0012300", [123]), ("0-0123", [])):
        met: list[int] = []
        scan.look(text, met)
        assert met == numbers


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        (r".*curl.* \-[a-z]*[oO].*", "curl"),
        (r"c:\\windows\\[a-z0-9\-_\.]+\.exe", "c:\\windows\\"),
        (r"abcd?ef", "abc"),
        (r"abcd+ef", "abcd"),
        (r"abcd*ef", "abc"),
        (r"abc{0,3}ef", "ab"),
        (r"(?:abc)*de", "de"),
        (r"(abc|de)f", "f"),
        (r"x(?P<name>abc)yz", "yz"),
        (r"\Aab\b.\x00", ""),
        (r"abcd|ef", ""),
        (r"(?i)abc", ""),
        (r"\Qabc", ""),
        (r"abc\pLde", ""),
        (r"abc{x", ""),
        (r"[]abc]def", ""),
        (r"[^]abc]def", ""),
        (r"[[:alpha:]]def", ""),
        ("abéde", "ab"),
        (r"\.exe", ".exe"),
        ("", ""),
    ],
)
def test_a_necessary_literal_is_taken_from_what_is_plain(pattern: str, literal: str) -> None:
    compile_regex(pattern)
    assert necessary_literal(pattern) == literal


@given(
    st.text(st.sampled_from("abk()|[]^*+?.{}12,\\QEdx:iPé-"), max_size=14),
    st.text(st.sampled_from("abk()[]^*+.{}12,\\QEdxé-K\u212a\ufffd\ud800"), max_size=10),
    st.booleans(),
)
def test_every_text_that_a_regex_matches_has_its_literal(
    pattern: str, text: str, fold: bool
) -> None:
    try:
        test = compile_regex(pattern, fold=fold)
    except ValueError:
        return
    literal = necessary_literal(pattern)
    if fold:
        literal = fold_case(literal)
    for candidate in (text, pattern, re.sub(r"[*+?\\]", "", pattern)):
        if test(candidate):
            assert literal in (fold_case(candidate) if fold else candidate)
