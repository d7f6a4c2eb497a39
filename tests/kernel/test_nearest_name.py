"""The nearest name is the one that difflib would find, and is found quickly."""

from __future__ import annotations

import difflib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._nearest_name import NearestName
from kestrel_framework.schema import SchemaRegistry

PATHS = sorted(SchemaRegistry.ecs().fields)
_SHORT = st.text("aAb._é", max_size=6)


def by_difflib(word: str, names: list[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=cutoff)), None)


@given(_SHORT, st.lists(_SHORT.filter(bool), max_size=12), st.sampled_from((0.5, 0.6, 0.75)))
def test_it_finds_what_difflib_finds(word: str, names: list[str], cutoff: float) -> None:
    assert NearestName(names, cutoff).find(word) == by_difflib(word, names, cutoff)


@settings(max_examples=20)  # difflib compares with every field
@given(st.sampled_from(PATHS), st.integers(0, 40), st.integers(0, 3), st.text("ae.P", max_size=3))
def test_it_finds_slips_in_fields(path: str, at: int, left_out: int, put_in: str) -> None:
    word = path[:at] + put_in + path[at + left_out :]
    assert SchemaRegistry.ecs().nearest_field(word) == by_difflib(word, PATHS, 0.75)


@pytest.mark.parametrize("word", ["", "x" * 100_000, "process." * 10_000, "\U00010000" * 1000])
def test_odd_words_are_like_nothing(word: str) -> None:
    nearest = NearestName(PATHS, 0.75)
    begun = time.process_time()
    assert nearest.find(word) is None
    assert time.process_time() - begun < 20


def test_no_name_is_like_no_name() -> None:
    assert NearestName((), 0.6).find("a") is None
    assert NearestName((), 0.6).find("") is None


def test_what_is_remembered_is_bounded() -> None:
    nearest = NearestName(["abcd"], 0.5)
    for number in range(3000):
        assert nearest.find(f"abc{number}") == by_difflib(f"abc{number}", ["abcd"], 0.5)
    nearest.find("x" * 1000)
    assert len(nearest._found) <= 1000
    assert max(map(len, nearest._found)) <= 100
