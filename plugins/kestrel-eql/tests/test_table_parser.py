"""The parser's loop: it takes what lark takes, and any text in reasonable time."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lark.exceptions import UnexpectedInput

from kestrel_eql import syntax
from kestrel_eql.lark_parser import lark_parser
from kestrel_eql.parser import MAX_CHARACTERS, MAX_TOKENS, parse
from kestrel_eql.parser_table import read_table
from kestrel_eql.table_parser import TableParser, TooManyTokensError
from kestrel_eql.tree_builder import TreeBuilder
from kestrel_framework.errors import RuleError

LARK = lark_parser()
PARSER = TableParser(read_table())
SECONDS = 10.0

_WORDS = (
    "any", "where", "a", "b.c", "`or`", "?d", "$x", "and", "or", "not", "in", "in~", "like",
    "regex~", ":", "==", "=", "<", "+", "-", "*", "/", "%", "(", ")", "[", "]", ",", "|", "!", "~",
    "1", "2.5", '"t"', '"""r"""', "'q'", "true", "null", "sequence", "by", "with", "maxspan",
    "runs", "30s", "until", "sample", "join", "fork", "as", "of", "descendant", "// c\n",
    "/* c */", "\n", "/*", '"', "é",
)  # fmt: skip


def parsed(text: str) -> syntax.Query | None:
    return PARSER.parse(text, TreeBuilder(lambda problem, offset: None), MAX_TOKENS)


def lark_parses(text: str) -> bool:
    try:
        LARK.parse(text)
    except UnexpectedInput:
        return False
    return True


@given(st.lists(st.sampled_from(_WORDS), max_size=20).map(" ".join))
@example('any where a == -1.5 and not b : ("x", "y") or c in~ (1, 2) // end')
@example("sequence by a, ?b with maxspan = 30s [any where true] by c with runs=2 as d ![e where f]")
@example('any where descendant of [process where `a``b`.c[0] == concat("x", $y.z)] | head 5')
@example("")
def test_it_takes_what_lark_takes(text: str) -> None:
    assert (parsed(text) is not None) == lark_parses(text)
    assert (parsed(f"any where {text}") is not None) == lark_parses(f"any where {text}")


def test_nodes_know_where_they_begin() -> None:
    query = parse('any where (a == 1) and\n  not (b : "x" or  c)')
    assert isinstance(query.body, syntax.EventQuery)
    both = query.body.condition
    assert isinstance(both, syntax.And)
    first, second = both.terms
    assert (both.position, first.position, second.position) == (10, 13, 25)
    assert isinstance(second, syntax.Not)
    assert second.term.position == 30


def test_names_texts_and_signs_are_limited() -> None:
    fits = "any where " + " or ".join(["a"] * ((MAX_TOKENS - 1) // 2))
    assert parsed(fits)
    with pytest.raises(TooManyTokensError):
        parsed(f"{fits} or a or a")
    with pytest.raises(RuleError, match=r"too long: 10,000 names, texts and signs") as refused:
        parse(f"{fits}\nor a or a")
    assert refused.value.location is not None
    assert refused.value.location.line == 2


def _filled(before: str, unit: str, after: str = "") -> str:
    return before + unit * ((MAX_CHARACTERS - len(before) - len(after)) // len(unit)) + after


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_filled("any where a", " or a"), id="terms"),
        pytest.param("any where a" + " or a" * 4_500 + " or )", id="wrong at the end"),
        pytest.param(_filled("any where 1 == 1", "+1"), id="sums"),
        pytest.param(_filled("any where ", "not ", "a"), id="nots"),
        pytest.param(_filled("any where ", "(", "a"), id="open brackets"),
        pytest.param(_filled("any where " + "(" * 70, "/* "), id="open comments"),
        pytest.param(_filled("any where ", "/**/", "a"), id="comments"),
        pytest.param(_filled("any where ", " ", ")"), id="blanks"),
        pytest.param(_filled('any where a == "', "\\q", '"'), id="wrong escapes"),
        pytest.param(_filled("any where a == ", '"""""" '), id="quotes"),
        pytest.param(_filled("any where a", ".b"), id="dots"),
        pytest.param(_filled("any where a", " .b"), id="dots after blanks"),
        pytest.param(_filled("any where a", "[1]"), id="positions"),
        pytest.param(_filled("any where a == ", "1"), id="digits"),
        pytest.param(_filled("sequence by a ", "[b where c] "), id="steps"),
        pytest.param(_filled("sequence by a", ",a", " [b where c] [d where e]"), id="keys"),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    parsed("any where true")
    begun = time.process_time()
    with contextlib.suppress(RuleError, ExceptionGroup):
        parse(text)
    assert time.process_time() - begun < SECONDS
