"""The layout that rules get, example by example."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time

import pytest

from kestrel_eql import format_query
from kestrel_eql.parser import MAX_CHARACTERS
from kestrel_framework.errors import RuleError, SourceLocation

A, B, C = "a" * 40, "b" * 40, "c" * 40


def layout(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


@pytest.mark.parametrize(
    "line",
    [
        'process where process.name : ("sh", "*bash") and not user.id == "0"',
        "any where a in~ (1, -2, 3.5) or not (b and c)",
        "any where length(a) * -2 + 3 >= b - -1 and c not in (true, null)",
        "any where startsWith~(a, \"x\") == false and ?b.`c d`[0] == ?'raw'",
        "any where a like~ ($e, $e.x) and descendant of [process where child of [any where b]]",
        'any where a regex """\\w+""" and b = 1 / 2 % 3',
        '"my category" where f()',
        "any where a == 1 // why",
        "any where /* inline */ a == 1 /* and */ and b /* too */",
    ],
)
def test_what_is_short_stays_on_its_line(line: str) -> None:
    assert format_query(line) == line + "\n"
    assert format_query(f"  {line} \n\n") == line + "\n"


def test_blanks_become_the_usual_ones() -> None:
    text = 'any  where( a==1and length ( b )<- 2 )or c:( "x" ,"y")and not d.e . f|head 5'
    assert format_query(text) == (
        'any where (a == 1 and length(b) < -2) or c : ("x", "y") and not d.e.f\n| head 5\n'
    )


def test_a_long_condition_has_a_line_for_each_part_led_by_its_operator() -> None:
    text = f"any where {A} and ({B} or {C} or not {A}) and not {C}"
    assert format_query(text) == layout(f"""
        any where
          {A}
          and (
            {B}
            or {C}
            or not {A}
          )
          and not {C}
        """)


def test_and_inside_of_or_is_indented_where_it_needs_lines() -> None:
    text = f"any where {A} and {B} and {C} or {A} and b or c"
    assert format_query(text) == layout(f"""
        any where
          {A}
            and {B}
            and {C}
          or {A} and b
          or c
        """)


def test_short_items_fill_lines_and_long_ones_stand_alone() -> None:
    short = ", ".join(f'"item {number}"' for number in range(20))
    long = [f'"C:\\\\Program Files\\\\Something\\\\{number}"' for number in range(3)]
    assert format_query(f"any where a in ({short}) and b : ({', '.join(long)})") == layout(f"""
        any where
          a in (
            {", ".join(f'"item {number}"' for number in range(9))},
            {", ".join(f'"item {number}"' for number in range(9, 17))},
            {", ".join(f'"item {number}"' for number in range(17, 20))}
          )
          and b : (
            {long[0]},
            {long[1]},
            {long[2]}
          )
        """)


def test_a_list_with_comments_has_a_line_for_each_item() -> None:
    text = 'any where a in ("x", // one\n"y" /* two */,\n\n// three\n"z")'
    assert format_query(text) == layout("""
        any where
          a in (
            "x", // one
            "y" /* two */,

            // three
            "z"
          )
        """)


def test_steps_until_and_pipes_have_lines_of_their_own() -> None:
    text = (
        "sequence by host.id,user.id with maxspan = 30 s [process where a]by x as e0 "
        f"! [file where {A} and {B} and e0.y] with runs=2 until [any where c] | head 5 | tail 1"
    )
    assert format_query(text) == layout(f"""
        sequence by host.id, user.id with maxspan=30s
          [process where a] by x as e0
          ![file where
            {A}
            and {B}
            and e0.y
          ] with runs=2
        until [any where c]
        | head 5
        | tail 1
        """)


def test_fork_and_samples() -> None:
    text = "sample by a[any where true]fork=true[any where b]fork by c"
    assert format_query(text) == layout("""
        sample by a
          [any where true] fork=true
          [any where b] fork by c
        """)


def test_an_array_search_that_is_long() -> None:
    text = f"api where _arraysearch(x, $e, $e.a == {A} and $e.b == {B})"
    assert format_query(text) == layout(f"""
        api where
          _arraysearch(
            x,
            $e,
            $e.a == {A}
              and $e.b == {B}
          )
        """)


def test_a_comparison_too_long_for_a_line_is_broken_before_its_operator() -> None:
    text = f'any where {A}.{B} == "{C}" and a'
    assert format_query(text) == layout(f"""
        any where
          {A}.{B}
            == "{C}"
          and a
        """)


def test_comments_stay_with_what_they_stood_near() -> None:
    text = """
        // about the rule

        process where // about the first
          a == 1 and  // the first

          /* about the second */
          b == 2 // the second
          // about the third
          and /* inline */ c == 3 // the third
          or  d

        // the end
    """
    assert format_query(text) == layout("""
        // about the rule

        process where // about the first
          a == 1 // the first

            /* about the second */
            and b == 2 // the second
            // about the third
            and /* inline */ c == 3 // the third
          or d

        // the end
        """)


def test_comments_in_odd_places_stay_and_break_the_line_if_they_must() -> None:
    text = "any where a // one\n== // two\n f( // three\n ) and // four\n// five\nb"
    formatted = format_query(text)
    assert [
        formatted.count(f"// {word}\n") for word in ("one", "two", "three", "four", "five")
    ] == [1] * 5
    assert format_query(formatted) == formatted


def test_paragraphs_stay_apart_by_one_line() -> None:
    assert format_query(f"any where {A} and\n\n\n{B} and\n{C}") == layout(f"""
        any where
          {A}

          and {B}
          and {C}
        """)


def test_line_ends_become_line_feeds() -> None:
    assert format_query("any where a // x\r\nand b\r| head 1") == layout("""
        any where
          a // x
          and b
        | head 1
        """)


# --- bad input --------------------------------------------------------------------------


def test_a_text_that_is_not_eql_is_an_error_with_its_place() -> None:
    with pytest.raises(RuleError) as raised:
        format_query("any where a = = b", SourceLocation("r.eql", 7, 3))
    assert str(raised.value.location) == "r.eql:7:17"


def test_a_rule_that_would_become_too_long_is_refused() -> None:
    text = "any where " + "(" * 60 + " or ".join(["a"] * 4000) + ")" * 60
    with pytest.raises(RuleError, match=r"formatted, the rule would have [\d,]+ characters"):
        format_query(text)


HOSTILE = {
    "or": "any where " + " or ".join(["a"] * 4900),
    "list": "any where a in (" + ",".join(["1"] * 4900) + ")",
    "nested": "any where " + "(" * 60 + " or ".join(["a"] * 4000) + ")" * 60,
    "calls": "any where " + "f(" * 60 + ",".join(["a"] * 4000) + ")" * 60,
    "lineage": "any where " + "descendant of [any where " * 60 + "a" + "]" * 60,
    "comments": "any where a " + "/* c */ " * 12_000,
    "comments between": "any where " + "/**/a/**/or/**/" * 4900 + "a",
    "line comments": "any where a\n" + "// c\n" * 19_000,
    "lines": "any where a" + "\n" * 99_000,
    "path": "any where " + "a . " * 24_000 + "a",
    "backticks": "any where `" + "``" * 40_000 + "`",
    "text": 'any where a == "' + "x" * 99_000 + '"',
    "pipe": "any where a | unique " + " ".join(["a"] * 4900),
    "keys": "sequence by " + ",".join(["a"] * 4900) + "[any where a]",
    "steps": "sequence " + "[any where a]" * 490,
    "open": "any where " + "(" * 60 + "a or " * 4000,
    "slashes": "/*" * 49_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_largest_texts_take_less_than_a_second(name: str) -> None:
    assert len(HOSTILE[name]) <= MAX_CHARACTERS
    start = time.process_time()
    with contextlib.suppress(RuleError):
        format_query(HOSTILE[name])
    measured = sys.gettrace() is not None  # coverage makes everything several times as slow
    assert time.process_time() - start < (20 if measured else 1)


def test_a_comment_that_moves_to_another_line_settles() -> None:
    long = "x" * 82
    text = f"process where ?a + // note\n{long} == /* block */\n- 1"
    formatted = format_query(text)
    assert format_query(formatted) == formatted
