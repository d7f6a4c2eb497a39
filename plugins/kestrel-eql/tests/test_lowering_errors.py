"""What the compiler says of rules that are wrong, or odd."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_eql.problems import MAX_PROBLEMS
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import (
    Rule,
)
from kestrel_framework.schema import SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]
Refused: TypeAlias = Callable[..., list[RuleError]]


@pytest.mark.parametrize(
    ("text", "sentence", "column"),
    [
        ("any where a = 1", "`=` compares in the endgame dialect only; write `==`", 13),
        ('any where "text"', "a constant is no condition; a list of texts is `field : (", 11),
        ("any where 5 and true", "a constant is no condition", 11),
        ("any where length(a)", "this is a value, no condition", 11),
        ("any where a + 1", "this is a value, no condition", 13),
        ("any where a < true", "true and false have no order", 15),
        ('any where a + "1" == 2', "`1` is no number", 15),
        ("any where a : b", "a pattern must be a text in quotes", 15),
        ('any where a regex "("', "bad regular expression", 19),
        ("any where startWith(a, b)", "`startWith`; did you mean `startsWith`?", 11),
        ("any where startsWith(a)", "`startsWith` takes 2 arguments, not 1", 11),
        ("any where length~(a) == 1", "`length` has no form with `~`", 11),
        ("any where length() == 1", "`length` takes 1 argument, not 0", 11),
        ("any where concat() == 1", "takes 1 or more arguments", 11),
        ('any where cidrMatch(a, "10.0.0.0/99")', "is no network", 24),
        ("any where cidrMatch(a, b)", "a network must be a text", 24),
        ('any where wildcard(a, "b")', "not a function of the elastic dialect; write `field :", 11),
        ("any where _arraysearch(a, b, true)", "must be a variable such as `$entry`", 27),
        ("any where _arraysearch(length(a), $b, true)", "only a field can be searched", 24),
        ("join by a [b where true] [c where true]", "`join` exists in the endgame dialect", 1),
        ("sequence [a where b] [a where b] fork", "`fork` exists in the endgame dialect only", 22),
        ("any where $a == 1", "`$a` is not bound", 11),
        ("sequence with maxspan=1s [a where b] ![a where b] as c", "cannot name an event", 38),
        ("sequence [a where b] by c as e until [x where y] by z", "a sequence has two steps", 1),
        ("sequence [a where b] by c as e [a where b] by e.c", "join by a field of this step", 47),
        ("sequence [a where b] as e [a where _arraysearch(e.l, $x, $x)]", "cannot be searched", 49),
        ("sequence [a where true]", "a sequence has two steps or more", 1),
        ("sequence [a where true] ![b where true]", "needs `maxspan`", 25),
        ("sequence with maxspan=1s ![a where true] ![b where true]", "missing events alone", 26),
        ("sequence [a where true] by x [b where true]", "and the first step has 1", 30),
        ("sequence [a where true] by x [b where true] by x until [c where true]", "0 join", 56),
        ("sequence [a where true] by x + 1 [b where true] by y", "a join key must be a field", 30),
        ("sequence [a where true] [b where true] until ![c where true]", "`until` has no `!`", 46),
        ("sample [a where true] [b where true]", "a sample needs `by`", 1),
        ("sample by x [a where true] with runs=2", "a sample has no `runs`", 13),
        ("sample by x ![a where true] [b where true]", "cannot look for a missing event", 13),
        ("sample by x [a where true] [b where true] | head 1", "a sample has no pipes", 43),
        ("a where true | head", "`head` takes a whole number", 14),
        ("a where true | head -1", "`head` takes a whole number", 14),
        ("a where true | head true", "`head` takes a whole number", 14),
        ("a where true | haed 5", "unknown pipe `haed`; there is head, tail", 14),
        ("a where true | unique b", "exists in the endgame dialect only", 14),
        ("any where a == 'x'", "texts stand in double quotes", 16),
        ('any where a == ?"x"', "raw texts stand in three double quotes", 16),
        ("'a b' where true", "texts stand in double quotes", 1),
        ("sequence with maxspan=5 [a where b] [a where b]", "needs a unit: `maxspan=5s`", 10),
    ],
)  # fmt: skip
def test_errors(refused: Refused, text: str, sentence: str, column: int) -> None:
    (error,) = refused(text)
    assert sentence in error.problem
    assert error.location is not None
    assert error.location.column == column


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "sequence with maxspan=1s ![a where true] [b where true]",
            "does not exist in",
        ),
        ("sequence [a where b] fork [a where b]", "the first step has no `fork`"),
        ("sequence [a where b] [a where b] fork with runs=2", "`fork` and `runs` do not go"),
        ("sequence [a where b] [a where b] until [a where b] fork", "`until` has no `fork`"),
        ("join [a where b]", "a join has two events or more"),
        ("join [a where b] [a where b] fork", "a join has no `fork`"),
        ("join [a where b] with runs=2 [a where b]", "a join has no `runs`"),
        ("join ![a where b] [a where b]", "a join cannot look for a missing event"),
        ("join [a where b] as c [a where b]", "a join has no `as`"),
        ("join by a [a where b] by c [a where b]", "this step has 1 join keys, and the first"),
        ("join by 1 [a where b] [a where b]", "a join key must be a field"),
        ("sample by a [a where b] fork [a where b]", "a sample has no `fork`"),
        ("any where _arraysearch(a, $x, true)", "write `arraySearch("),
        ("sequence [a where true] [b where true] | unique events[2].x", "a result has 2 events"),
        ("sequence [a where true] [b where true] | unique events[1]", "an event is no value"),
        ("a where true | filter b, c", "`filter` takes one condition"),
        ("a where true | sort", "`sort` takes values"),
    ],
)
def test_errors_of_endgame(refused: Refused, text: str, sentence: str) -> None:
    (error,) = refused(text, dialect="endgame")
    assert sentence in error.problem


def test_all_errors_of_a_rule_at_once(refused: Refused) -> None:
    errors = refused(
        "sequence by a\n"
        '  [x where foo(1) and (a = 2 or b : c) and d in (bar(2), "e")]\n'
        "  [y where not length(a)] by b\n"
        "| haed 3"
    )
    where = [(e.location.line, e.location.column) for e in errors if e.location]
    assert where == [(2, 12), (2, 26), (2, 37), (2, 50), (3, 3), (3, 16), (4, 1)]


def test_options_are_checked(refused: Refused) -> None:
    assert "unknown dialect `klingon`" in refused("a where true", dialect="klingon")[0].problem
    assert "`case` is sensitive or" in refused("a where true", case="upper")[0].problem


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('any where a in ("x*")', "`in` takes `*` as it stands"),
        ('any where a == "x*"', "`==` takes `*` as it stands"),
        ('any where a in (null, "x")', "null is never equal"),
        ("any where a > null", "nothing is less or greater than null"),
        ("sequence [a where true] [b where true]", "without `maxspan`"),
        ('any where a in ("x", "y", "x")', '"x" stands in this list twice'),
        ('any where a : ("x", "X")', '"X" stands in this list twice'),
        ("any where a in (1, 2, 1)", "`1` stands in this list twice"),
        ("any where a == 1 and (b or c) and a == 1", "stands in the same `and` twice"),
        ("any where b == 1 or a == 1 or a == 1", "stands in the same `or` twice"),
        ("any where false", "this never holds; write a condition"),
        ("sequence with maxspan=1s [a where null] [b where c]", "this never holds"),
        ("any where a or true", "with `true` in it, this `or` always holds"),
        ("any where a and false", "with `false` in it, this `and` never holds"),
        ("any where 1 == 1.0", "compares two constants"),
        ('any where "a" < "b" and c', "compares two constants"),
        ('any where a != "x" or a != "y"', "write `a not in (...)`"),
        (r'any where a regex """\d+"""', r"not every Elasticsearch knows `\d`"),
        ('any where a regex "^x$"', "`^` is no anchor"),
    ],
)
def test_warnings(compiled: Compiled, text: str, sentence: str) -> None:
    warnings = compiled(text).warnings
    assert any(sentence in warning.problem for warning in warnings)


@pytest.mark.parametrize(
    "text",
    [
        'any where a in ("x", "X") and b like ("x", "X")',
        "any where a in (1, true)",
        "any where a and true",
        "any where a or false",
        "any where a == 1 or b == 1 or (a == 2 and b == 1)",
        "any where a != 1 or b != 1",
        "any where a != 1 and a != 2",
        "any where a != null or a != 1",
        "sequence [a where b] [a where b] until [a where c]",
    ],
)
def test_what_makes_sense_is_not_remarked_on(compiled: Compiled, text: str) -> None:
    assert compiled(text).warnings == ()


def test_conditions_as_values_nest_to_a_limit(compiled: Compiled, refused: Refused) -> None:
    def nested(levels: int) -> str:
        text = "a > 1"
        for _ in range(levels):
            text = f"(b == ({text}))"
        return f"any where {text}"

    assert compiled(nested(4))
    assert "nest deeper than 4 levels" in refused(nested(5))[0].problem


def test_array_searches_nest_to_a_limit(compiled: Compiled, refused: Refused) -> None:
    def nested(levels: int) -> str:
        return "any where " + "_arraysearch(a, $x, " * levels + "$x == 1" + ")" * levels

    assert compiled(nested(4))
    (error,) = refused(nested(5))
    assert error.problem == "array searches nest deeper than 4 levels"


def test_a_sequence_has_a_limit_of_steps(refused: Refused) -> None:
    text = "sequence with maxspan=1s " + "[a where true] with runs=100 " * 6
    assert "at most 500 steps" in refused(text)[0].problem


def test_a_rule_of_errors_is_told_quickly_and_to_a_limit(refused: Refused) -> None:
    begin = time.process_time()
    text = " or ".join(f"process.nme{number} == foo{number}(1)" for number in range(1_200))
    assert len(refused(f"any where {text}", schema=SchemaRegistry.ecs())) == MAX_PROBLEMS
    assert time.process_time() - begin < 40
