"""What a schema changes: types, aliases, unknown names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.errors import RuleError
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Membership,
    Predicate,
)
from kestrel_framework.rule import (
    Rule,
)
from kestrel_framework.schema import EventType, FieldDefinition, FieldType, SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]
Condition: TypeAlias = Callable[..., Predicate]
Refused: TypeAlias = Callable[..., list[RuleError]]

EQUAL = ComparisonOperator.EQUAL

SCHEMA = SchemaRegistry().extended(
    [
        FieldDefinition("process.name", FieldType.KEYWORD),
        FieldDefinition("process.pid", FieldType.LONG),
        FieldDefinition("source.ip", FieldType.IP),
        FieldDefinition("@timestamp", FieldType.DATE),
        FieldDefinition("event.end", FieldType.DATE),
        FieldDefinition("cpu.share", FieldType.DOUBLE),
        FieldDefinition("user.name", FieldType.KEYWORD),
        FieldDefinition("package.version", FieldType.VERSION),
        FieldDefinition("process.trusted", FieldType.BOOLEAN),
        FieldDefinition("pid", alias_of="process.pid"),
        FieldDefinition("process.threads.name", FieldType.KEYWORD),
        FieldDefinition("process.threads", FieldType.OBJECT),
    ],
    [EventType("process"), EventType("network")],
)


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
        ('@timestamp == "today"', 'write it in ISO 8601, as in `"2020-01-31T12:00:00Z"`', 22),
        ('@timestamp > "now-1d"', "there are no calculated dates such as `now-1d`", 22),
        ('@timestamp > "2020-01-01||/d"', "there are no calculated dates", 22),
        ('@timestamp in ("now/d")', "there are no calculated dates", 26),
        ("process.trusted == 1", "is not a boolean value", 27),
        ('source.ip in ("::1", "10.0.0.0/8")', "a network is asked for by `cidrMatch`", 32),
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


# --- what no event could pass --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence", "column"),
    [
        ("process.pid", "a field of type `long` is no condition", 11),
        ("source.ip", "a field of type `ip` is no condition", 11),
        ("process.threads", "a field of type `object` is no condition", 11),
        # field against field
        ("process.pid == process.name", "can never hold: `process.pid` is of type `long`", 23),
        ("process.pid == process.name", "write `string(process.pid)`", 23),
        ("user.name in (process.pid)", "can never hold", 25),
        ("process.trusted == user.name", "`process.trusted` is of type `boolean`", 27),
        ("@timestamp > process.pid", "compares a date with a number", 22),
        ("@timestamp == process.pid + 1", "compares a date with a number", 22),
        # what functions give
        ('length(user.name) == "5"', '`length` gives a number and "5" is a text', 29),
        ('length(user.name) == "5"', "write the number without quotes", 29),
        ("string(process.pid) == 4", 'write "4"', 31),
        ("concat(user.name) in (4)", "`concat` gives a text and 4 is a number", 33),
        ('process.pid + 1 == "2"', "this is a number", 27),
        ("length(user.name) == process.name", "can never hold", 29),
        ("(process.pid > 1) < (process.pid > 2)", "true and false have no order", 29),
        # the order of booleans
        ("process.trusted < process.trusted", "true and false have no order", 27),
        # arguments
        ('startsWith(process.pid, "4")', "`startsWith` wants a text here", 22),
        ('startsWith(process.pid, "4")', "write `string(process.pid)`", 22),
        ("endsWith(user.name, 4)", "4 is a number, and `endsWith` wants a text", 31),
        ("stringContains(process.trusted, user.name)", "is of type `boolean`", 26),
        ("length(process.pid) > 3", "`length` wants a text here", 18),
        ("indexOf(user.name, 3) == 1", "`indexOf` wants a text here", 30),
        ('indexOf(user.name, "a", "b") == 1', "`indexOf` wants a number here", 35),
        ('substring(user.name, "a") == "b"', '"a" is a text', 32),
        ('substring(user.name, 1.5) == "b"', "a whole number here, not 1.5", 32),
        ('substring(user.name, user.name) == "b"', "write `number(user.name)`", 32),
        ('between(@timestamp, "a", "b") == "c"', "`@timestamp` is of type `date`", 19),
        ('between(user.name, "a", "b", "c") == "d"', "wants a boolean here", 40),
        ("number(process.trusted) == 1", "`number` wants a text here", 18),
        ('cidrMatch(process.pid, "10.0.0.0/8")', "`cidrMatch` wants an address", 21),
        ('cidrMatch(length(user.name), "10.0.0.0/8")', "`length` gives a number", 21),
        # arithmetic
        ("process.name + 1 > 2", "`process.name` is of type `keyword`, and arithmetic wants", 11),
        ("process.name + 1 > 2", "write `number(process.name)`", 11),
        ("-source.ip == 1", "arithmetic wants a number", 12),
        ("concat(user.name) * 2 > 1", "`concat` gives a text", 11),
        ("@timestamp + 1 > 2", "is a date, which nothing can be added to", 11),
        ("add(process.trusted, 1) == 2", "arithmetic wants a number", 15),
        # patterns
        ('@timestamp : "2020*"', "is a date, which no pattern matches; write `>=` and `<`", 22),
        ('@timestamp regex "2020.*"', "is a date, which no pattern matches", 22),
        ('process.trusted : "yes"', "is of type `boolean`, and no pattern here matches", 27),
        ('process.pid : ("a*", "b")', "is of type `long`, and no pattern here matches", 23),
        ('cpu.share like "a*"', "compare it with a number", 21),
        ('source.ip : "host*"', "is of type `ip`, and no pattern here matches", 21),
        ('source.ip : "10.0.0.0/8"', "write `cidrMatch`", 21),
        # beyond 64 bits
        ("process.pid == 9223372036854775808", "integers have 64 bits", 26),
    ],
)
def test_what_can_never_hold_is_refused(
    refused: Refused, text: str, sentence: str, column: int
) -> None:
    (error,) = refused(f"any where {text}", schema=SCHEMA)
    assert sentence in error.problem
    assert error.location is not None
    assert error.location.column == column


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("process.name", "`process.name` is a text, and holds only where it is `true`"),
        ("process.name > 5", "this compares texts"),
        ('package.version > "latest"', "`latest` is no version, and every version is less"),
        ('source.ip : "10.*"', "write `cidrMatch(source.ip, ...)` for a network"),
        ('source.ip : "0:0::1"', "write `::1`"),
    ],
)
def test_what_was_hardly_meant_is_a_warning(compiled: Compiled, text: str, sentence: str) -> None:
    (warning,) = compiled(f"any where {text}", schema=SCHEMA).warnings
    assert sentence in warning.problem


@pytest.mark.parametrize(
    "text",
    [
        "process.pid == cpu.share",
        "@timestamp <= event.end",
        "@timestamp > 1500000000000",
        "process.name == package.version",
        "source.ip == process.name",
        "package.version == source.ip",
        'process.name > "5"',
        'package.version > "1.5"',
        'process.pid : "44*"',
        'process.trusted : "tr*"',
        'source.ip : ("::1", "*")',
        'process.pid regex "4.*"',
        "string(process.pid) == process.name",
        "number(process.pid) == 4",
        "concat(process.pid, process.trusted, @timestamp) != null",
        'startsWith(package.version, "1.")',
        'cidrMatch(process.name, "10.0.0.0/8")',
        "process.pid == -9223372036854775808",
        "process.pid == null and length(null) == null",
        "process.threads != null",
        'unknown : "x" or length(unknown) > 1 or unknown + 1 > 2',
    ],
)
def test_what_some_event_can_pass_is_not_remarked_on(compiled: Compiled, text: str) -> None:
    warnings = compiled(f"any where {text}", schema=SCHEMA).warnings
    assert [w.problem for w in warnings if "unknown field" not in w.problem] == []


def test_types_are_known_in_elements_and_earlier_events(
    refused: Refused, compiled: Compiled
) -> None:
    searched = "_arraysearch(process.threads, $thread, $thread.name + 1 > 2)"
    (error,) = refused(f"any where {searched}", schema=SCHEMA)
    assert "`$thread.name` is of type `keyword`" in error.problem
    steps = "[any where true] as e1 [any where process.pid == e1.process.name]"
    (error,) = refused(f"sequence with maxspan=1s {steps}", schema=SCHEMA)
    assert "`e1.process.name` is of type `keyword`" in error.problem


def test_the_length_of_a_list_of_numbers_is_asked_for_in_endgame(compiled: Compiled) -> None:
    text = "any where length(process.pid) > 1"
    assert compiled(text, dialect="endgame", schema=SCHEMA).warnings == ()


@pytest.mark.parametrize(
    ("text", "holds_for_all"),
    [
        ('?gone : "x"', False),
        ('not ?gone : "x"', False),
        ("not not ?gone > 1", False),
        ('?gone not in ("x")', False),
        ('startsWith(?gone, "x") == false', False),
        ("not length(?gone) == 1", False),
        ("not -?gone < 1", False),
        ("not ?gone", False),
        ("not null", False),
        # These ask whether the other side is null, which is known.
        ('?gone == "x"', False),
        ('?gone != "x"', True),
        ('not ?gone == "x"', True),
        ("?gone == null", True),
        ("?gone == ?lost", True),
        # The other term decides.
        ('not (?gone : "x" and process.name : "y")', True),
    ],
)
def test_an_optional_field_that_no_event_can_have_is_null(
    condition: Condition, text: str, holds_for_all: bool
) -> None:
    strict = SCHEMA.extended(strict=True)
    assert holds(condition(text, schema=strict), {}) is holds_for_all


def test_an_optional_field_that_events_may_have_is_false_where_it_is_missing(
    condition: Condition, compiled: Compiled
) -> None:
    for schema in (SCHEMA, SCHEMA.extended(strict=True)):
        assert holds(condition('not ?process.name : "x"', schema=schema), {})
    assert holds(condition('not ?gone : "x"', schema=SCHEMA), {})
    assert compiled('any where not ?gone : "x"', schema=SCHEMA).warnings == ()
    assert not holds(condition('not ?gone : "x"', dialect="endgame", schema=SCHEMA), {})


def test_a_step_named_like_a_field_hides_it_with_a_warning(compiled: Compiled) -> None:
    text = "sequence with maxspan=1s [any where true] as {0} [any where {0}.pid == 1]"
    rule = compiled(text.format("process"), schema=SCHEMA)
    (warning,) = [w for w in rule.warnings if "unknown field" not in w.problem]
    assert "`process` names a step here, which hides the fields" in warning.problem
    assert "choose a name such as `event0`" in warning.problem
    fine = compiled(text.format("event0"), schema=SCHEMA)
    assert "names a step" not in " ".join(w.problem for w in fine.warnings)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("sequence with maxspan=1s {a} by process.pid {b} by user.name", 78),
        ("sequence by user.name with maxspan=1s {a} by process.pid {b} by source.ip", 91),
        (
            "sequence with maxspan=1s {a} by source.ip {b} by user.name until {a} by process.pid",
            112,
        ),
        ("sample {a} by process.trusted {b} by process.pid", 64),
    ],
)
def test_join_keys_that_are_never_equal(refused: Refused, text: str, column: int) -> None:
    (error,) = refused(text.format(a="[any where true]", b="[any where true]"), schema=SCHEMA)
    assert "they are never equal; join by fields of one type" in error.problem
    assert error.location is not None
    assert error.location.column == column


def test_join_keys_of_one_kind_are_fine(compiled: Compiled) -> None:
    steps = "[any where true] by process.pid, user.name [any where true] by cpu.share, source.ip"
    assert compiled(f"sequence with maxspan=1s {steps}", schema=SCHEMA).warnings == ()
    keys = "[any where true] by process.pid * 2 [any where true] by length(user.name)"
    assert compiled(f"join {keys}", schema=SCHEMA, dialect="endgame").warnings == ()


def test_two_steps_cannot_have_one_name(refused: Refused) -> None:
    (error,) = refused("sequence with maxspan=1s [a where true] as x [b where true] as x")
    assert "two steps have the name `x`" in error.problem
