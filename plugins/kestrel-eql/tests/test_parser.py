"""The grammar of all dialects, and what is said of a text that is not EQL."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_eql import syntax as eql
from kestrel_eql.parser import MAX_CHARACTERS, MAX_NESTING, parse
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import errors_in

OUR_RULES = (
    'process where event.type == "start" and process.name : ("nc", "ncat*") and not user.id == "0"',
    "sequence by host.id, process.entity_id with maxspan = 1m\n"
    '  [process where process.name == "curl"] by process.parent.pid as fetched\n'
    "  ![file where file.extension in~ (\"sh\", 'py')] by process.pid // nothing written\n"
    "  [network where destination.port >= 1024 and not cidrMatch(destination.ip, "
    '"10.0.0.0/8")] by process.pid with runs=3\n'
    'until [process where event.type == "end"] by process.pid',
    "sample by host.id [any where ?a.b == null] by x [file where true] by y",
    "join by user.name [process where opcode = 1] [file where length(file_name) * 2 > -3] | head 5",
    'api where _arraysearch(call_stack, $frame, $frame.symbol regex~ """.*\\bVirtual.*""" or '
    "$frame.pages[0] == null) | unique a, b",
    "process where descendant of [process where child of [any where `odd name`.`x``y` like~ '*']]",
)


def condition(text: str) -> eql.Expression:
    body = parse(f"any where {text}").body
    assert isinstance(body, eql.EventQuery)
    return body.condition


def sequence(text: str) -> eql.SequenceQuery:
    body = parse(f"sequence {text}").body
    assert isinstance(body, eql.SequenceQuery)
    return body


def problems(text: str) -> list[RuleError]:
    with pytest.raises((RuleError, ExceptionGroup)) as raised:
        parse(text, path="r.eql")
    assert isinstance(raised.value, (RuleError, ExceptionGroup))
    return list(errors_in(raised.value))


def problem(text: str) -> RuleError:
    (only,) = problems(text)
    return only


def name(path: str) -> eql.Field:
    return eql.Field(tuple(path.split(".")))


# --- precedence -------------------------------------------------------------


def test_or_is_looser_than_and_is_looser_than_not() -> None:
    a, b, c, d = (name(letter) for letter in "abcd")
    assert condition("a or b and not c or d") == eql.Or((a, eql.And((b, eql.Not(c))), d))


def test_not_is_looser_than_a_comparison() -> None:
    one = eql.Literal(1)
    assert condition("not a == 1") == eql.Not(eql.Comparison("==", name("a"), one))


def test_products_before_sums_before_comparisons_and_all_to_the_left() -> None:
    tree = condition("a - b - c * -d < 1")
    minus = eql.Arithmetic("-", name("a"), name("b"))
    product = eql.Arithmetic("*", name("c"), eql.Sign("-", name("d")))
    assert tree == eql.Comparison("<", eql.Arithmetic("-", minus, product), eql.Literal(1))


def test_a_number_may_begin_with_its_point_after_a_key_word() -> None:
    assert condition("a == 1 and .5 < b") == condition("a == 1 and 0.5 < b")
    assert condition("p . q == 1") == condition("p.q == 1")


def test_comparisons_do_not_chain() -> None:
    assert problem("any where a == b == c").problem.startswith("unexpected `==`")


def test_brackets_keep_what_is_inside_together() -> None:
    a, b, c = (name(letter) for letter in "abc")
    assert condition("(a or b) and c") == eql.And((eql.Or((a, b)), c))


# --- operators ----------------------------------------------------------------


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "="])
def test_comparison(operator: str) -> None:
    assert condition(f"a{operator}b") == eql.Comparison(operator, name("a"), name("b"))


@pytest.mark.parametrize(
    ("text", "fold", "negated"),
    [("in", False, False), ("in~", True, False), ("not in", False, True), ("not in~", True, True)],
)
def test_membership(text: str, fold: bool, negated: bool) -> None:
    expected = eql.Membership(name("a"), (eql.Literal("x"), name("b")), fold, negated)
    assert condition(f'a {text} ("x", b)') == expected


@pytest.mark.parametrize("operator", [":", "like", "like~", "regex", "regex~"])
def test_match_takes_one_pattern_or_a_list(operator: str) -> None:
    one = eql.Match(operator, name("a"), (eql.Literal("x*"),))
    assert condition(f'a {operator} "x*"') == one
    assert condition(f'a {operator} ("x*")') == one
    two = eql.Match(operator, name("a"), (eql.Literal("x"), eql.Literal("y")))
    assert condition(f'a {operator} ("x", "y")') == two


def test_match_needs_no_space() -> None:
    assert condition('a:"x"') == eql.Match(":", name("a"), (eql.Literal("x"),))


def test_calls() -> None:
    expected = eql.Call("startsWith", (name("a"), eql.Call("length", ())), fold=True)
    assert condition("startsWith~(a, length())") == expected


@pytest.mark.parametrize("relation", ["descendant", "child", "event"])
def test_lineage(relation: str) -> None:
    expected = eql.Lineage(relation, eql.EventQuery("process", eql.Literal(True)))
    assert condition(f"{relation} of [process where true]") == expected


def test_lineage_of_another_kind() -> None:
    assert "`cousin of` is unknown" in problem("any where cousin of [any where true]").problem


# --- names and literals -----------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["source.as.number", "event.sequence", "file.name", "a.by.with.until.in.like.where.of.not"],
)
def test_a_key_word_in_a_path_is_a_name(path: str) -> None:
    assert condition(f"{path} == 1") == eql.Comparison("==", name(path), eql.Literal(1))


@pytest.mark.parametrize("word", ["by", "with", "as", "sequence", "join", "until", "where", "fork"])
def test_a_key_word_that_cannot_stand_in_a_condition_is_a_name(word: str) -> None:
    assert condition(f"{word} == 1") == eql.Comparison("==", name(word), eql.Literal(1))


@pytest.mark.parametrize("word", ["not", "true", "null", "in", "and"])
def test_backticks_make_any_text_a_name(word: str) -> None:
    assert condition(f"`{word}`") == eql.Field((word,))


def test_names() -> None:
    assert condition("`a``b`.`c d`.e") == eql.Field(("a`b", "c d", "e"))
    assert condition("@timestamp") == eql.Field(("@timestamp",))
    assert condition("?a.b") == eql.Field(("a", "b"), optional=True)
    assert condition("a[0].b[12]") == eql.Field(("a", 0, "b", 12))
    assert condition("process . name") == eql.Field(("process", "name"))
    assert condition("$x.y.z") == eql.Variable("x", ("y", "z"))
    assert eql.Field(("a", 0, "b")).path == "a[0].b"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a b"', "a b"),
        ("'it is \"so\"'", 'it is "so"'),
        (r'"\n\r\t\b\f\\\"\'"', "\n\r\t\b\f\\\"'"),
        (r'"\u{41}\u{1F600}\u{0000e9}"', "A\U0001f600é"),
        (r'"C:\\Windows\\*"', r"C:\Windows\*"),
        (r'"""C:\Windows\*"""', r"C:\Windows\*"),
        ('""""quoted"""""', '"quoted""'),
        ('""', ""),
        ('""""""', ""),
        (r'?"\d+"', r"\d+"),
        (r"?'\w \''", r"\w '"),
        (r'?"\" \\"', r'" \\'),
        (r"""?'\"'""", r"\""),
        ("7", 7),
        ("-7", -7),
        ("- -7", 7),
        ("+7", 7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.5", 1.5),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        ("-1.5E-1", -0.15),
        ("true", True),
        ("false", False),
        ("null", None),
    ],
)
def test_literals(text: str, value: object) -> None:
    assert condition(text) == eql.Literal(value)  # type: ignore[arg-type]


def test_one_is_not_true() -> None:
    assert eql.Literal(1) != eql.Literal(True)
    assert eql.Literal(1) != eql.Literal(1.0)


def test_categories() -> None:
    assert parse('"my-cat" where true').body == eql.EventQuery("my-cat", eql.Literal(True))
    assert parse('"""my cat""" where true').body == eql.EventQuery("my cat", eql.Literal(True))
    assert parse("event where true").body == eql.EventQuery("event", eql.Literal(True))


def test_comments_and_line_ends_stand_anywhere() -> None:
    text = "/* a */sequence//b\r\nby/**/a // c\n[any where/* ] */true]\n\t[any where true]//"
    assert len(sequence(text.removeprefix("/* a */sequence")).terms) == 2
    assert parse(text).body == sequence("by a [any where true] [any where true]")


# --- sequences, samples, joins, pipes --------------------------------------------------


def test_by_and_maxspan_in_both_orders() -> None:
    terms = "[any where true] [any where true]"
    first = sequence(f"by a, ?b.c with maxspan=5m {terms}")
    assert first == sequence(f"with maxspan = 5 m by a, ?b.c {terms}")
    assert first.keys == (name("a"), eql.Field(("b", "c"), optional=True))
    assert first.maxspan == 5 * 60 * 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1ms", 10**6),
        ("30s", 30 * 10**9),
        ("30", 30 * 10**9),
        ("1.5h", 5400 * 10**9),
        ("2d", 172_800 * 10**9),
    ],
)
def test_units_of_time(text: str, nanoseconds: int) -> None:
    query = sequence(f"with maxspan={text} [a where true] [b where true]")
    assert query.maxspan == nanoseconds


def test_everything_that_follows_a_step() -> None:
    query = sequence(
        "[a where true] fork by x, length(y) with runs=3 as first ![b where true] by z, 1"
        " [c where true] fork=false until [d where true] by q"
    )
    a, b, c = query.terms
    assert (a.fork, a.runs, a.name, a.missing) == (True, 3, "first", False)
    assert a.keys == (name("x"), eql.Call("length", (name("y"),)))
    assert b.missing
    assert not c.fork
    assert query.until == eql.Term(eql.EventQuery("d", eql.Literal(True)), keys=(name("q"),))


def test_samples_and_joins() -> None:
    sample = parse("sample by a [b where true] [c where true]").body
    assert isinstance(sample, eql.SampleQuery)
    assert sample.keys == (name("a"),)
    join = parse("join [b where true] by a [c where true] by d until [e where true] by f").body
    assert isinstance(join, eql.JoinQuery)
    assert join.until is not None


def test_pipes() -> None:
    pipes = parse("a where true | head 5 | unique b c | sort b, c | filter x == 1 | count").pipes
    assert pipes == (
        eql.Pipe("head", (eql.Literal(5),)),
        eql.Pipe("unique", (name("b"), name("c"))),
        eql.Pipe("sort", (name("b"), name("c"))),
        eql.Pipe("filter", (eql.Comparison("==", name("x"), eql.Literal(1)),)),
        eql.Pipe("count"),
    )


@pytest.mark.parametrize("text", OUR_RULES)
def test_our_rules_parse(text: str) -> None:
    assert parse(text)


# --- errors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence", "line", "column"),
    [
        ("", "the rule is empty", 1, 1),
        (" \n// nothing\n", "the rule ends too early", 2, 11),
        ("process", "the rule ends too early: expected `where`", 1, 8),
        ("process were a", "expected `where`; did you mean `where`?", 1, 9),
        ("any where", "the rule ends too early: expected a value or `(`", 1, 10),
        ("any where a ==", "the rule ends too early", 1, 15),
        ("any where\n (a\n  or b", "`(` is never closed", 2, 2),
        ("any where a)", "unexpected `)`", 1, 12),
        ("any where a && b", "unexpected `&&`: write `and`", 1, 13),
        ("any where a AND b", "key words are in lower case: `and`", 1, 13),
        ("any where a contains b", 'write `field : "*text*"`', 1, 13),
        ('any where a == "b', 'the text that begins with `"` is never closed', 1, 16),
        ("any where a == 'b\n'", "the text that begins with `'` is never closed", 1, 16),
        ('any where a == """b\n"""', "is never closed on its line", 1, 16),
        ("any where /* a", "the comment `/*` is never closed", 1, 11),
        ("any where a /* a", "the comment `/*` is never closed", 1, 14),
        ("any where `a == 1", "the name that begins with a backtick is never closed", 1, 11),
        ("any where a \0", "unexpected `U+0000`", 1, 13),
        ("any where é == 1", "unexpected `é`", 1, 11),
        ('any where a not like "x"', "expected `in` or `in~`; `not` stands before", 1, 17),
        ('any where a not : "x"', "`not field : ...`", 1, 17),
        ('any where a !: "x"', "unexpected `!:`: write `not field : pattern`", 1, 13),
        ("any where a || b", "unexpected `||`: write `or`", 1, 13),
        ("any where !(a == 1)", "unexpected `!`: write `not`", 1, 11),
        ("any where a <> 1", "unexpected `<>`: write `!=`", 1, 13),
        ("any where a === 1", "unexpected `===`: write `==`", 1, 13),
        ('any where a =~ "x"', "unexpected `=~`: write `:` or `regex~`", 1, 13),
        ("any where a is null", "unexpected `is`: write `==`", 1, 13),
        ("any where 1 < a < 3", "comparisons do not chain", 1, 17),
        ('any where a in "x"', 'unexpected `"x"`: expected `(`; a list stands in', 1, 16),
        ('any where a in ["x"]', "a list stands in brackets", 1, 16),
        ("any where and a == 1", "`and` stands between two conditions", 1, 15),
        ("any where a # b", "a comment begins with `//`", 1, 13),
        ("any where a;", "unexpected `;`: leave it out", 1, 12),
        ("any where a == “x”", "straight quotes", 1, 16),
        ("any where a == 0x1f", "unexpected `x1f`: ", 1, 17),
        ("any where a == 0x1f", "write the number in decimal", 1, 17),
        ("any where a by b", "only sequences, their steps, and samples have `by`", 1, 13),
        ("a == 1", "a rule begins with `category where`", 1, 3),
        ("where a == 1", "a rule begins with `category where`", 1, 7),
        ("sequence maxspan=1m [a where b] [a where b]", "write `with maxspan=...`", 1, 10),
        ("sequence [a where b], [a where b]", "nothing stands between steps", 1, 21),
        ("sequence [a where b] [a where b] with maxspan=1m", "stands at the beginning", 1, 34),
        ("sample by a with maxspan=1m [a where b]", "a sample has no `with`", 1, 13),
        ("sample by a [a where b] until [a where b]", "a sample has no `until`", 1, 25),
        ("5", "expected an event category, `sequence`, `join` or `sample`", 1, 1),
        ("sequence by [a where true]", "unexpected `[`", 1, 13),
        ("any where a in ()", "unexpected `)`", 1, 17),
        (r'any where a == "\q"', r"unknown escape `\q`", 1, 17),
        (r'any where a == "\u{110000}"', "is no character", 1, 17),
        (r'any where a == "\u{d800}"', "is no character", 1, 17),
        ("any where a == 9223372036854775809", "the number is too large", 1, 16),
        ("any where a == 1e999", "the number is too large", 1, 16),
        ("any where a[9999999999]", "the index is too large", 1, 11),
        ("sequence with maxspan=5x [a where b] [a where b]", "unknown unit `x`", 1, 10),
        ("sequence with maxspan=0s [a where b] [a where b]", "maxspan must be above 0", 1, 10),
        ("sequence with maxpan=1s [a where b] [a where b]", "unknown option `maxpan`", 1, 10),
        ("sequence [a where b] with runs=101 [a where b]", "from 1 to 100", 1, 22),
        ("sequence [a where b] with runs=1.5 [a where b]", "from 1 to 100", 1, 22),
        ("sequence [a where b] with run=2 [a where b]", "unknown option `run`", 1, 22),
        ("sequence [a where b] as x.y [a where b]", "has no dots", 1, 22),
    ],
)
def test_error_says_what_and_where(text: str, sentence: str, line: int, column: int) -> None:
    error = problem(text)
    assert sentence in error.problem
    assert error.location is not None
    assert (error.location.path, error.location.line, error.location.column) == (
        "r.eql",
        line,
        column,
    )


def test_caret_stands_under_the_place() -> None:
    error = problem('any where\n\ta == "\\q"')
    assert error.location is not None
    assert error.location.caret() == '\ta == "\\q"\n\t      ^'


def test_several_errors_come_together_in_order() -> None:
    found = problems(r'sequence with maxspan=1y [a where x == "\q"] [b where y == "\w"]')
    assert [error.problem.split("`")[1] for error in found] == ["y", r"\q", r"\w"]


# --- limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "any where " + "(" * 10_000 + "a" + ")" * 10_000,
        "any where " + "(" * 30_000,
        "any where " + "length(" * 10_000,
        "any where " + "not " * 9_000 + "a",
        "any where a == " + "- " * 9_000 + "b",
        "any where a == 1" + "+1" * 4_500,
        "any where " + "child of [any where " * 3_000 + "true",
        "[" * 50_000,
    ],
    ids=["brackets", "open", "calls", "not", "signs", "sums", "lineage", "squares"],
)
def test_deep_nesting_is_refused_quickly(text: str) -> None:
    begin = time.process_time()
    assert "nest" in problem(text).problem
    assert time.process_time() - begin < 30


def test_nesting_within_the_limit_is_fine() -> None:
    depth = MAX_NESTING - 1
    assert parse("any where " + "(" * depth + "a" + ")" * depth)


def test_a_long_disjunction_does_not_nest() -> None:
    assert condition(" or ".join(f"a == {number}" for number in range(2_000)))


def test_brackets_in_texts_and_comments_do_not_nest() -> None:
    assert condition(f'a == "{"(" * 500}" /* {"[" * 500} */ // {"(" * 500}')


def test_a_text_that_is_too_long_is_refused() -> None:
    text = "any where a == " + '"' + "x" * MAX_CHARACTERS + '"'
    assert "the limit is 100,000" in problem(text).problem


# --- whatever the text, a tree or an error ---------------------------------------------------

TOKENS = (
    *"()[]!,.:=<>+-*/%|~?$\"'`\\\n\0",
    "sequence", "join", "sample", "by", "with", "maxspan", "runs", "=", "until", "as", "fork",
    "where", "and", "or", "not", "in", "in~", "like", "regex~", "true", "null", "any", "head",
    "of", "descendant", "a", "a.b", "`x`", "?y", "$z", "f(", '"t"', "'t'", '"""', "/*", "*/",
    "//", "1", "1.5", "5m", "==", "!=", "![", "\\u{0}", "é",
)  # fmt: skip


def parses_or_explains(text: str) -> None:
    try:
        parse(text)
    except (RuleError, ExceptionGroup) as error:
        for single in errors_in(error):
            assert isinstance(single, RuleError)
            assert single.problem
            assert single.location is not None
            assert single.location.line is not None


@settings(max_examples=150, deadline=2_000)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    parses_or_explains(text)
    parses_or_explains(f"any where {text}")


@settings(max_examples=250, deadline=2_000)
@given(st.lists(st.sampled_from(TOKENS), max_size=30))
def test_token_soup(tokens: list[str]) -> None:
    parses_or_explains(" ".join(tokens))


@settings(max_examples=250, deadline=2_000)
@given(
    st.sampled_from(OUR_RULES),
    st.integers(0, 400),
    st.integers(0, 20),
    st.sampled_from(TOKENS) | st.text(max_size=3),
)
def test_mutated_rules(rule: str, at: int, cut: int, put: str) -> None:
    parses_or_explains(rule[:at] + put + rule[at + cut :])
