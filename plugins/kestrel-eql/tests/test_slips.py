"""What rule authors often write by mistake is met with what to write instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kestrel_eql.foreign_words import hint_of_function
from kestrel_eql.parser import parse
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import Rule
from kestrel_framework.schema import SchemaRegistry


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("any where NOT a == 1", "key words are in lower case: `not`"),
        ("Sequence by a [any where b] [any where b]", "lower case: `sequence`"),
        ('any where a in ("x", "y",)', "leave out the `,` before it"),
        ("sequence by a [any where b] by c, [any where b] by c", "leave out the `,` before it"),
        ('any where a == ("x", "y")', "several values are a list"),
        ('any where a == "x", "y"', "several values are a list"),
        ("any where exists a", "write `field != null`"),
        ('any where a ~ "x"', "to disregard case write `:`"),
        ('any where a :~ "x"', "write `:`, which disregards case"),
        ('any where a ==~ "x"', "write `:`, which disregards case"),
        ('any where a : not "x"', "`not` stands before the field"),
        ("any where a BETWEEN 1 and 3", "write `field >= 1 and field <= 9`"),
        ("any where a > 5m", "a number has no unit"),
        ("any where a == 10.0.0.1", "an address or a network is a text in quotes"),
        ("any where cidrMatch(a, 10.0.0.0/8)", "an address or a network is a text in quotes"),
        ("any where a[-1] == 1", "a position is a whole number from 0"),
        ("any where a\u00a0== 1", "delete this character, which cannot be seen"),
        ("any where a == 1)", "no `(` is open here"),
        ("process, network where a", "there is one category"),
        ("process or network where a", "there is one category"),
        ("* where a", "every event is `any where`"),
        ("any where a : *b*", 'a pattern is a text in quotes: `"*text*"`'),
        ('any where a startsWith "b"', 'write `startsWith(field, "text")`'),
        ("any where a & b", "unexpected `&`: write `and`"),
        ("any where a limit 10", "write `| head 10`"),
        ("any where a until [any where b]", "only sequences have `until`"),
        ("any where a with maxspan=1m", "only sequences have `with`"),
        ("any where process descendant of [any where b]", "it stands without a field"),
        ("sequence by with maxspan=1m [any where b]", "`by` needs a key"),
        ("sequence by a [any where b]{3}", "write `with runs=3`"),
        ("sequence [any where b] with runs=2 by a", "the order is `[...] by key with runs=3"),
        ("sequence [any where b] as c with runs=2", "the order is `[...] by key with runs=3"),
        ("[any where b] [any where b]", "several events are a `sequence`"),
        ("any where child of (any where b)", "an event stands in `[...]`"),
        ("sequence by a any where b, any where c", "an event stands in `[...]`"),
        ("sequence by a [any where b] then [any where b]", "nothing stands between steps"),
        ("sequence by a [any where b] -> [any where b]", "nothing stands between steps"),
        ("sequence by a [any where b] not [any where b]", "must not come is `![...]`"),
        ("sequence by a [any where b] until [any where c] [any where b]", "`until` comes last"),
        ("sequence by a, with maxspan=1s [any where b]", "leave out the `,` before `with`"),
        ("sequence with maxspan=1s by a by b [any where b]", "keys are separated by `,`"),
        ("sequence with maxspan=-1s [any where b]", "expected a number"),
    ],
)
def test_a_slip_is_met_with_its_remedy(text: str, remedy: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse(text)
    assert remedy in raised.value.problem


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("lower", "; write `:`, or a function with `~`, to disregard case"),
        ("Contains", "; write `stringContains(text, part)`"),
        ("IsNull", "; write `field == null`"),
        ("startWith", "; did you mean `startsWith`?"),
        ("substr", "; did you mean `substring`?"),
        ("frobnicate", ""),
    ],
)
def test_a_function_of_another_language_is_met_with_what_does_the_same(
    name: str, remedy: str
) -> None:
    assert hint_of_function(name, ["startsWith", "substring", "length"]) == remedy


def test_a_pattern_with_an_unknown_escape_gives_one_error() -> None:
    with pytest.raises(RuleError) as raised:
        parse(r'any where a regex "\d+"')
    assert 'or `"""..."""` for a text without escapes' in raised.value.problem


def test_a_step_that_nobody_has_named_is_no_misspelt_field(compiled: Callable[..., Rule]) -> None:
    text = "sequence with maxspan=1s [any where true] [any where event0.process.pid == process.pid]"
    (warning,) = compiled(text, schema=SchemaRegistry.ecs()).warnings
    assert warning.problem == "no step before is called `event0`; add `as event0` to one"


def test_a_text_without_quotes_is_recognised(compiled: Callable[..., Rule]) -> None:
    (warning,) = compiled("any where process.name == curl", schema=SchemaRegistry.ecs()).warnings
    assert warning.problem == 'unknown field `curl`; a text stands in quotes: `"curl"`'


def test_patterns_are_not_joined_with_or(refused: Callable[..., list[RuleError]]) -> None:
    (error,) = refused('any where process.name : ("a" or "b")')
    assert error.problem == "patterns in a list are separated by `,`"


def test_null_of_other_languages_is_recognised(compiled: Callable[..., Rule]) -> None:
    (warning,) = compiled("any where process.name == None", schema=SchemaRegistry.ecs()).warnings
    assert warning.problem == "unknown field `None`; did you mean `null`?"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (r'"C:\temp\\x.exe"', r"`\t` is a tab"),
        (r'"C:\\Users\new"', r"`\n` is a line feed"),
        (r'"\\bin\\\r"', r"`\r` is a carriage return"),
        (r'"\fonts\\x.ttf"', r"`\f` is a form feed"),
    ],
)
@pytest.mark.parametrize("operator", ["==", ":"])
def test_a_path_whose_backslash_began_an_escape_is_told_of(
    compiled: Callable[..., Rule], operator: str, text: str, what: str
) -> None:
    (warning,) = compiled(f"any where process.executable {operator} {text}").warnings
    assert warning.problem.startswith(what)


@pytest.mark.parametrize(
    "text", [r'"a\tb"', r'"line\nline"', r'"C:\\temp"', r'"""C:\temp"""', r'"12:\t30"']
)
def test_a_text_that_is_no_path_may_have_escapes(compiled: Callable[..., Rule], text: str) -> None:
    assert compiled(f"any where process.executable == {text}").warnings == ()


@pytest.mark.parametrize("condition", ['like "%curl%"', ': ("sh", "curl%")', 'like~ "%curl"'])
def test_the_wildcard_of_other_languages_is_told_of(
    compiled: Callable[..., Rule], condition: str
) -> None:
    (warning,) = compiled(f"any where process.name {condition}").warnings
    assert warning.problem == "`%` in a pattern stands for itself; any text is `*`"


@pytest.mark.parametrize(
    "condition", ['like "%TEMP%\\\\a"', 'like "%TEMP%*"', ': "50%off"', '== "%curl%"']
)
def test_a_percent_sign_may_be_meant(compiled: Callable[..., Rule], condition: str) -> None:
    assert compiled(f"any where process.name {condition}").warnings == ()
