"""The places of keys: what most lines look like is found at once, and as by looking closely."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kestrel_eql import toml_text

_PIECES = (
    "a", "b-c", '"d e"', "'f'", " = ", "=", ".", "1", "1.5", "true", "false", '"t"', '""', "'t'",
    '"""', "'''", '"', "'", "\\", '\\"', "[", "]", "[[", "]]", "{", "}", ",", ", ", " ", "\t", "\n",
    "\r\n", "# c", "a = 1\n", '[t]\nb = """\n[x]\ny = 2\n"""\n', 'l = ["x", "y"]\n',
    "é", "2020-01-02",
)  # fmt: skip
_NEVER = re.compile(r"(?!)")


@given(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join))
@example("a = '''x''' # c\nb = ['y']\nc = [[1], [2]]\nd.e = 1")
@example('a = [\n  "x", # c\n  "y",\n]\nb = ["]",\n]  \nc = """\\""""""\nd = 1\n')
def test_simple_pairs_are_found_as_by_looking_closely(text: str) -> None:
    found = list(toml_text._find_places(text))
    for path in {path for path, *_ in found}:
        places = toml_text._find_places(text, toml_text._other_pairs(path[-1] if path else ""))
        assert next(each for each in places if each[0] == path) == next(
            each for each in found if each[0] == path
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toml_text, "_SIMPLE_PAIR", _NEVER)
        assert found == list(toml_text._find_places(text))


@given(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join))
@example("a" + ".b" * 20 + " = 1")
def test_texts_and_comments_end_where_they_end_character_by_character(text: str) -> None:
    by_character = re.compile(
        r'"""(?:\\(?s:.)|(?!""")[^\\])*+(?:"{3,5}|\\?\Z)'
        r"|'''(?:(?!''')(?s:.))*+(?:'{3,5}|\Z)"
        r'|"(?:\\.|[^"\\\n])*+"?'
        r"|'[^'\n]*+'?"
        r"|#[^\n]*+"
    )
    found = [match.span() for match in toml_text._OPAQUE.finditer(text)]
    assert found == [match.span() for match in by_character.finditer(text)]
