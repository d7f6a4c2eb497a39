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
