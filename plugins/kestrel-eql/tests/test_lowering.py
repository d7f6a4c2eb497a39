"""What EQL means: expected predicate trees, and what documents they hold for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_eql.problems import MAX_PROBLEMS
from kestrel_framework.errors import RuleError
from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Element,
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Wildcard,
)
from kestrel_framework.predicate_traversal import to_data
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Pipe,
    Rule,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import EventType, FieldDefinition, FieldType, SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]
Refused: TypeAlias = Callable[..., list[RuleError]]

EQUAL = ComparisonOperator.EQUAL
A, B = Field("a"), Field("b")
ONE = Literal(1)
A_IS_1 = Comparison(EQUAL, A, ONE)

SCHEMA = SchemaRegistry().extended(
    [
        FieldDefinition("process.name", FieldType.KEYWORD),
        FieldDefinition("process.pid", FieldType.LONG),
        FieldDefinition("source.ip", FieldType.IP),
        FieldDefinition("@timestamp", FieldType.DATE),
        FieldDefinition("package.version", FieldType.VERSION),
        FieldDefinition("process.trusted", FieldType.BOOLEAN),
        FieldDefinition("pid", alias_of="process.pid"),
        FieldDefinition("process.threads.name", FieldType.KEYWORD),
        FieldDefinition("process.threads", FieldType.OBJECT),
    ],
    [EventType("process"), EventType("network")],
)


@pytest.fixture
def condition(compiled: Compiled) -> Callable[..., Predicate]:
    """Return the predicate of `any where ...`."""

    def lower(text: str, **options: object) -> Predicate:
        body = compiled(f"any where {text}", **options).body
        assert isinstance(body, EventRule)
        return body.predicate  # type: ignore[return-value]

    return lower


Condition: TypeAlias = Callable[..., Predicate]


# --- trees, elastic -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("true", ALWAYS),
        ("false", NEVER),
        ("null", NEVER),
        ("not false and true", ALWAYS),
        ("a == 1", A_IS_1),
        ("1 == a", Comparison(EQUAL, ONE, A)),
        ("a != 1", Not(A_IS_1)),
        ("not a == 1", Not(A_IS_1)),
        ("not not a == 1", A_IS_1),
        ("not a != 1", A_IS_1),
        ("a < 1", Comparison(ComparisonOperator.LESS, A, ONE)),
        ("not a < 1", Not(Comparison(ComparisonOperator.LESS, A, ONE))),
        ("a >= -1.5", Comparison(ComparisonOperator.GREATER_OR_EQUAL, A, Literal(-1.5))),
        ("a == b", Comparison(EQUAL, A, B)),
        ("a == null", IsNull(A)),
        ("null == a", IsNull(A)),
        ("a != null", Not(IsNull(A))),
        ("a", Comparison(EQUAL, A, Literal(True))),
        ("not ?a", Not(Comparison(EQUAL, A, Literal(True)))),
        ("a == 1 and b == 1 and a == 1", And((A_IS_1, Comparison(EQUAL, B, ONE)))),
        ("a == 1 or (a == b or false)", Or((A_IS_1, Comparison(EQUAL, A, B)))),
        ('a in ("x", 2)', Membership(A, (Literal("x"), Literal(2)))),
        ('a in~ ("x")', Membership(A, (Literal("x"),), fold=True)),
        ('a not in ("x")', Not(Membership(A, (Literal("x"),)))),
        ('a in (b, "x")', Or((Membership(A, (Literal("x"),)), Comparison(EQUAL, A, B)))),
        ('a : "x*"', Wildcard(A, ("x*",), fold=True)),
        ('a : ("x", "y?", "x")', Wildcard(A, ("x", "y?"), fold=True)),
        ("a : 5", Wildcard(A, ("5",), fold=True)),
        ('a like "x*"', Wildcard(A, ("x*",), fold=False)),
        ('a like~ "x*"', Wildcard(A, ("x*",), fold=True)),
        ('a regex "x.*"', Regex(A, ("x.*",), fold=False)),
        ('a regex~ ("x", "y")', Regex(A, ("x", "y"), fold=True)),
        ('startsWith(a, "x")', TextTest(TextPart.PREFIX, A, Literal("x"))),
        ('ENDSWITH~(a, "x")', TextTest(TextPart.SUFFIX, A, Literal("x"), fold=True)),
        ('stringcontains(a, "b")', TextTest(TextPart.SUBSTRING, A, Literal("b"))),
        ('cidrmatch(a, "10.1.2.3/8", "fe80::1/10")', Cidr(A, ("10.0.0.0/8", "fe80::/10"))),
        (
            "length(a) + 1 > b * 2",
            Comparison(
                ComparisonOperator.GREATER,
                Arithmetic(ArithmeticOperator.ADD, Call(Function.LENGTH, (A,)), ONE),
                Arithmetic(ArithmeticOperator.MULTIPLY, B, Literal(2)),
            ),
        ),
        (
            "-a == modulo(b, 1)",
            Comparison(
                EQUAL,
                Arithmetic(ArithmeticOperator.SUBTRACT, Literal(0), A),
                Arithmetic(ArithmeticOperator.MODULO, B, ONE),
            ),
        ),
        (
            'indexOf~(a, "x") == 1',
            Comparison(EQUAL, Call(Function.INDEX_OF, (A, Literal("x")), fold=True), ONE),
        ),
        (
            "_arraysearch(a, $x, $x.b == 1 or not $x)",
            AnyElement(
                A,
                "x",
                Or(
                    (
                        Comparison(EQUAL, Element("x", "b"), ONE),
                        Not(Comparison(EQUAL, Element("x"), Literal(True))),
                    )
                ),
            ),
        ),
        (
            "_arraysearch(a, $x, _arraysearch($x.b, $y, $y.c == $x.d))",
            AnyElement(
                A,
                "x",
                AnyElement(
                    Element("x", "b"),
                    "y",
                    Comparison(EQUAL, Element("y", "c"), Element("x", "d")),
                ),
            ),
        ),
    ],
)
def test_elastic(condition: Condition, text: str, tree: Predicate) -> None:
    assert to_data(condition(text)) == to_data(tree)


def test_a_condition_compared_with_true_or_false_is_a_condition(condition: Condition) -> None:
    plain = condition('cidrMatch(a, "10.0.0.0/8")')
    assert condition('cidrMatch(a, "10.0.0.0/8") == true') == plain
    assert condition('true == cidrMatch(a, "10.0.0.0/8")') == plain
    assert condition('cidrMatch(a, "10.0.0.0/8") == false') == Not(plain)
    assert condition('cidrMatch(a, "10.0.0.0/8") != true') == Not(plain)
    assert condition('false != cidrMatch(a, "10.0.0.0/8")') == plain
    assert condition('(not cidrMatch(a, "10.0.0.0/8")) == false') == plain


def test_a_condition_is_null_where_an_operand_is(condition: Condition) -> None:
    assert condition("null == (a > 1)") == IsNull(A)
    assert condition("(a > b) != null") == Not(Or((IsNull(A), IsNull(B))))


def test_a_condition_as_a_value_keeps_its_third_value(condition: Condition) -> None:
    found = condition('string(a > 1) == "true"')
    above = Comparison(ComparisonOperator.GREATER, A, ONE)
    truth = Truth(above, And((Not(above), Not(IsNull(A)))))
    assert found == Comparison(EQUAL, Call(Function.STRING, (truth,)), Literal("true"))


@pytest.mark.parametrize("option", ["insensitive", "sensitive"])
def test_case_is_an_option(condition: Condition, option: str) -> None:
    fold = option == "insensitive"
    assert condition('a == "X"', case=option) == Comparison(EQUAL, A, Literal("X"), fold)
    assert condition('startsWith(a, "X")', case=option) == TextTest(
        TextPart.PREFIX, A, Literal("X"), fold
    )
    assert condition('a like "X"', case=option) == Wildcard(A, ("X",), fold)


# --- what elastic's two-valued logic means ----------------------------------------


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ("not a == 1", {}, True),
        ("a != 1", {}, True),
        ("not (a > 1)", {}, True),
        ("not (not a == 1)", {}, False),
        ("a == null", {}, True),
        ("a == null", {"a": []}, True),
        ("a == 1", {"a": [3, 1]}, True),
        ("a != 1", {"a": [3, 1]}, False),
        ("a == 2 and a == 1", {"a": [2, 1]}, True),
        ("null == (a > 1)", {}, True),
        ("null == (a > 1)", {"a": 5}, False),
        ("(a > 1) == false", {}, True),
        ("(a > 1) != false", {}, False),
        ("a == false", {}, False),
        ("(a > 1) == false", {"a": 1}, True),
        ("(a > 1) == (b > 1)", {"a": 0, "b": 1}, True),
        ("(a > 1) == (b > 1)", {"a": 2}, False),
        ('a : "1*"', {"a": 12}, True),
        ('a : "X?Z"', {"a": "xyz"}, True),
        ('a like "X?Z"', {"a": "xyz"}, False),
        ('a == "x*"', {"a": "x*"}, True),
        ('a == "x*"', {"a": "xy"}, False),
        ("a / 2 == 41", {"a": 83}, True),
        ("a / 2.0 == 41", {"a": 83}, False),
        ("a % 0 == null", {"a": 1}, True),
        ("_arraysearch(a, $x, $x.b == 1 and $x.c == 1)", {"a": [{"b": 1}, {"c": 1}]}, False),
        ("_arraysearch(a, $x, $x.b == 1 and $x.c == 1)", {"a": {"b": 1, "c": 1}}, True),
        ('number("0x1f", 16) == a', {"a": 31}, True),
        ("number(a, null) == 17", {"a": "17"}, True),
        ("number(a) == 17", {"a": " 17\t"}, True),
        ('concat(a, ":", b) == null', {"a": 1}, True),
        ('indexOf(a, "x", null) == null', {"a": "x"}, True),
        ('between(a, "x", "z", null) == null', {"a": "xyz"}, True),
        ('substring(a, 1, null) == "yz"', {"a": "xyz"}, True),
        ('cidrMatch(a, "10.0.0.0/8", null) == null', {"a": "10.0.0.1"}, True),
        ('stringContains(a, "")', {"a": "x"}, False),
        ("stringContains(a, b)", {"a": "x", "b": ""}, False),
        ("stringContains(a, b)", {"a": "xy", "b": ["", "y"]}, True),
        ("stringContains(a, b) == null", {"a": "x", "b": ""}, False),
        ("?a == ?b", {}, True),
        ("?a == ?b", {"a": 1}, False),
        ("?a == ?b", {"a": 1, "b": [2, 1]}, True),
        ("?a != ?b", {}, False),
        ("a == b", {}, False),
    ],
)
def test_elastic_logic(
    condition: Condition, text: str, document: dict[str, object], expected: bool
) -> None:
    assert holds(condition(text), document) is expected


# --- the endgame dialect -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "document", "expected"),
    [
        ("a = 1", {"a": 1}, True),
        ('a == "X"', {"a": "x"}, True),
        ('a == "x*z"', {"a": "XYZ"}, True),
        ('a == "x*?"', {"a": "xy?"}, True),
        ('a == "x*?"', {"a": "xyz"}, False),
        ('a != "x*z"', {"a": "abc"}, True),
        ('a != "x*z"', {}, False),
        ('not (a == "*")', {}, False),
        ("not (a > 1)", {}, False),
        ("not (a > 1)", {"a": 0}, True),
        ("not (a > 1 or b > 1)", {"a": 0}, False),
        ("not (a > 1 and b > 1)", {"a": 0}, True),
        ("a > 1 or b > 1", {"b": 2}, True),
        ("null == (a > 1)", {}, True),
        ("a == null", {}, True),
        ("a != null", {"a": 1}, True),
        ("a == 1", {"a": [1, 2]}, False),
        ("a", {"a": "text"}, True),
        ("a", {"a": ""}, False),
        ("a", {"a": 0}, False),
        ("not a", {"a": 0}, True),
        ("not a", {}, False),
        ("arrayContains(a, 1)", {"a": [1, 2]}, True),
        ('arraySearch(a, x, x.b == "C")', {"a": [{"b": "c"}, {"b": "d"}]}, True),
        ("arraySearch(a, x, arraySearch(x.b, y, y == x.d))", {"a": {"b": [2, 1], "d": 1}}, True),
        ("safe(a / b) == 2", {"a": 4, "b": 2}, True),
        ("safe(a > b)", {"a": 4, "b": 2}, True),
        ('wildcard(a, "X*", "y*")', {"a": "xyz"}, True),
        (r"match(a, ?'\w+ x')", {"a": "abc X"}, True),
        ('a in ("X", b)', {"a": "x"}, True),
        ('a not in ("X", "y")', {}, False),
    ],
)  # fmt: skip
def test_endgame_logic(
    condition: Condition, text: str, document: dict[str, object], expected: bool
) -> None:
    assert holds(condition(text, dialect="endgame"), document) is expected


# --- a schema ----------------------------------------------------------------------


def test_literals_take_the_type_of_the_field_beside_them(condition: Condition) -> None:
    assert condition('process.pid == "4"', schema=SCHEMA) == Comparison(
        EQUAL, Field("process.pid", FieldType.LONG), Literal(4)
    )
    assert condition("process.name in (4)", schema=SCHEMA) == Membership(
        Field("process.name", FieldType.KEYWORD), (Literal("4"),)
    )


def test_an_alias_is_the_field_it_stands_for(condition: Condition) -> None:
    assert condition("pid == 4", schema=SCHEMA) == condition("process.pid == 4", schema=SCHEMA)


def test_dates_addresses_and_versions(condition: Condition) -> None:
    day = condition('@timestamp < "1970-01-02T00:00:00Z"', schema=SCHEMA)
    assert holds(day, {"@timestamp": "1970-01-01T12:00:00Z"})
    assert not holds(day, {"@timestamp": "1970-01-03T12:00:00Z"})
    assert holds(condition('source.ip == "::1"', schema=SCHEMA), {"source": {"ip": "0:0:0::1"}})
    newer = condition('package.version > "1.5.0"', schema=SCHEMA)
    assert holds(newer, {"package": {"version": "1.11.3"}})


@pytest.mark.parametrize(
    ("text", "sentence", "column"),
    [
        ('process.pid == "four"', "can never hold", 23),
        ('process.pid in (1, "four")', "can never match", 30),
        ('source.ip == "nowhere"', "is not an ip address", 21),
        ('source.ip == "10.0.0.0/8"', "a network is asked for by `cidrMatch`", 21),
        ("process.pid", "a field of type `long` is no condition", 11),
    ],
)
def test_a_literal_that_is_no_value_of_the_field(
    refused: Refused, text: str, sentence: str, column: int
) -> None:
    (error,) = refused(f"any where {text}", schema=SCHEMA)
    assert sentence in error.problem
    assert error.location is not None
    assert error.location.column == column


def test_a_constant_in_capitals_is_a_field_and_a_warning(
    compiled: Compiled, refused: Refused
) -> None:
    (warning,) = compiled("any where a == NULL").warnings
    assert warning.problem == "`NULL` is read as a field; did you mean `null`?"
    (error,) = refused("any where process.pid == NULL", schema=SCHEMA.extended(strict=True))
    assert error.problem == "unknown field `NULL`; did you mean `null`?"


def test_an_unknown_field_is_a_warning(compiled: Compiled) -> None:
    (warning,) = compiled("process where proces.name == null", schema=SCHEMA).warnings
    assert warning.problem == "unknown field `proces.name`; did you mean `process.name`?"
    assert str(warning.location) == "rule.eql:1:15"


def test_an_unknown_field_is_an_error_under_a_strict_schema(
    compiled: Compiled, refused: Refused
) -> None:
    strict = SCHEMA.extended(strict=True)
    text = "process where proces.name == null and process.nme == null"
    assert len(refused(text, schema=strict)) == 2
    assert not compiled("process where ?proces.name == null", schema=strict).warnings


def test_an_unknown_category_is_a_warning(compiled: Compiled) -> None:
    (warning,) = compiled("proces where true", schema=SCHEMA).warnings
    assert warning.problem == "unknown event category `proces`; did you mean `process`?"


# --- sequences and samples ---------------------------------------------------------------


def test_sequence(compiled: Compiled) -> None:
    body = compiled(
        "sequence by a, ?b with maxspan=2s [process where c == 1] by d "
        "![any where true] by e [file where false] by f until [x where true] by g"
    ).body

    def keys(last: str) -> tuple[JoinKey, ...]:
        return (JoinKey(A), JoinKey(B, optional=True), JoinKey(Field(last)))

    assert body == SequenceRule(
        steps=(
            Step(frozenset({"process"}), Comparison(EQUAL, Field("c"), ONE), keys("d")),
            Step(ANY_EVENT, ALWAYS, keys("e"), missing=True),
            Step(frozenset({"file"}), NEVER, keys("f")),
        ),
        maxspan=2 * 10**9,
        until=Step(frozenset({"x"}), ALWAYS, keys("g")),
    )


def test_runs_are_written_out_and_names_count_them(compiled: Compiled) -> None:
    body = compiled(
        "sequence with maxspan=1s [a where true] with runs=2 [b where true] as e1"
        " [c where startsWith(x, e1.y.z) and e1 == 1]"
    ).body
    assert isinstance(body, SequenceRule)
    assert [step.name for step in body.steps] == ["", "", "e1", ""]
    assert body.steps[0] == body.steps[1]
    assert body.steps[3].predicate == And(
        (
            TextTest(TextPart.PREFIX, Field("x"), StepField(2, "y.z")),
            Comparison(EQUAL, Field("e1"), ONE),
        )
    )


def test_one_step_with_runs_is_a_sequence(compiled: Compiled) -> None:
    body = compiled("sequence by a with maxspan=1s [b where true] with runs=3").body
    assert isinstance(body, SequenceRule)
    assert len(body.steps) == 3


def test_a_step_name_is_known_in_later_steps_only(compiled: Compiled) -> None:
    body = compiled("sequence with maxspan=1s [a where e.x == 1] as e [b where e.x == 1]").body
    assert isinstance(body, SequenceRule)
    first, second = body.steps
    assert first.predicate == Comparison(EQUAL, Field("e.x"), ONE)
    assert second.predicate == Comparison(EQUAL, StepField(0, "x"), ONE)


def test_sample(compiled: Compiled) -> None:
    body = compiled("sample by a [b where true] by c [d where true] by ?e").body
    assert body == SampleRule(
        (
            Step(frozenset({"b"}), ALWAYS, (JoinKey(A), JoinKey(Field("c")))),
            Step(frozenset({"d"}), ALWAYS, (JoinKey(A), JoinKey(Field("e"), optional=True))),
        )
    )


def test_join_keys_of_endgame_may_be_computed_and_null(compiled: Compiled) -> None:
    text = "sequence with maxspan=1s [a where true] by length(x) [b where true] by y"
    body = compiled(text, dialect="endgame").body
    assert isinstance(body, SequenceRule)
    (key,) = body.steps[0].keys
    assert key == JoinKey(Call(Function.LENGTH, (Field("x", whole=True),)), optional=True)
    assert body.steps[1].keys == (JoinKey(Field("y"), optional=True),)


def test_pipes(compiled: Compiled) -> None:
    assert compiled("a where true | head 5 | tail 2").pipes == (
        Pipe("head", (5,)),
        Pipe("tail", (2,)),
    )
    rule = compiled(
        "sequence with maxspan=1s [a where true] [b where true] "
        "| unique x | filter events[1].y == 1 | count",
        dialect="endgame",
        case="sensitive",
    )
    assert rule.pipes == (
        Pipe("unique", (Field("x", whole=True),)),
        Pipe("filter", (Comparison(EQUAL, StepField(1, "y"), ONE),)),
        Pipe("count"),
    )


# --- errors and warnings --------------------------------------------------------------------


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
        ("any where $a == 1", "`$a` is not bound", 11),
        ("any where descendant of [any where true]", "`descendant of` is not supported yet", 11),
        ("any where a[0] == 1", "reading one position of a list is not supported yet", 11),
        ("join by a [b where true] [c where true]", "`join` is not supported yet", 1),
        ("sequence [a where true] fork [b where true]", "`fork` is not supported yet", 10),
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
        ("any where arrayCount(a, x, true) == 1", "`arrayCount` is not supported yet"),
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
        (r'any where a regex """\d+"""', r"not every Elasticsearch knows `\d`"),
        ('any where a regex "^x$"', "`^` is no anchor"),
    ],
)
def test_warnings(compiled: Compiled, text: str, sentence: str) -> None:
    warnings = compiled(text).warnings
    assert any(sentence in warning.problem for warning in warnings)


def test_conditions_as_values_nest_to_a_limit(compiled: Compiled, refused: Refused) -> None:
    def nested(levels: int) -> str:
        text = "a > 1"
        for _ in range(levels):
            text = f"(b == ({text}))"
        return f"any where {text}"

    assert compiled(nested(4))
    assert "nest deeper than 4 levels" in refused(nested(5))[0].problem


def test_a_sequence_has_a_limit_of_steps(refused: Refused) -> None:
    text = "sequence with maxspan=1s " + "[a where true] with runs=100 " * 6
    assert "at most 500 steps" in refused(text)[0].problem


def test_a_rule_of_errors_is_told_quickly_and_to_a_limit(refused: Refused) -> None:
    begin = time.process_time()
    text = " or ".join(f"process.nme{number} == foo{number}(1)" for number in range(2_000))
    assert len(refused(f"any where {text}", schema=SchemaRegistry.ecs())) == MAX_PROBLEMS
    assert time.process_time() - begin < 10
