"""The registry of fields and event types."""

from __future__ import annotations

import pickle

import pytest

from kestrel_framework.errors import ConfigurationError
from kestrel_framework.schema import EventType, FieldDefinition, FieldType, SchemaRegistry

NAME = FieldDefinition("process.name", FieldType.KEYWORD)
ALIAS = FieldDefinition("exe", alias_of="process.name")


def test_extending_leaves_the_registry_as_it_was() -> None:
    empty = SchemaRegistry()
    extended = empty.extended([NAME])
    assert empty.field("process.name") is None
    assert extended.field("process.name") == NAME
    assert extended.extended([NAME]).fields == extended.fields


def test_another_meaning_for_a_known_name_is_refused() -> None:
    schema = SchemaRegistry().extended([NAME], [EventType("process")])
    with pytest.raises(ConfigurationError, match="already defined as keyword, not long"):
        schema.extended([FieldDefinition("process.name", FieldType.LONG)])
    with pytest.raises(ConfigurationError, match="an alias of `x`"):
        schema.extended([FieldDefinition("process.name", alias_of="x")])
    with pytest.raises(ConfigurationError, match="other parents"):
        schema.extended(event_types=[EventType("process", ("process",))])


def test_redefining_replaces() -> None:
    schema = SchemaRegistry().extended([NAME, ALIAS])
    redefined = schema.redefined([FieldDefinition("process.name", FieldType.LONG)], strict=True)
    found = redefined.field("exe")
    assert found is not None
    assert found.type is FieldType.LONG
    assert redefined.strict


def test_aliases_are_followed() -> None:
    schema = SchemaRegistry().extended([NAME, ALIAS, FieldDefinition("image", alias_of="exe")])
    assert schema.field("image") == NAME
    unknown = SchemaRegistry().extended([FieldDefinition("a", alias_of="b")]).field("a")
    assert unknown == FieldDefinition("b")


def test_an_alias_in_a_circle_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="alias of itself"):
        SchemaRegistry().extended(
            [FieldDefinition("a", alias_of="b"), FieldDefinition("b", alias_of="a")]
        )


def test_event_types_descend_from_their_parents() -> None:
    schema = SchemaRegistry().extended(
        event_types=[EventType("a"), EventType("b", ("a",)), EventType("c", ("b",))]
    )
    assert schema.with_ancestors("c") == {"a", "b", "c"}
    assert schema.with_ancestors("a") == {"a"}
    assert schema.with_ancestors("unknown") == {"unknown"}


def test_event_types_that_descend_from_each_other_end() -> None:
    schema = SchemaRegistry().extended(event_types=[EventType("a", ("b",)), EventType("b", ("a",))])
    assert schema.with_ancestors("a") == {"a", "b"}


def test_an_unknown_parent_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown parent `b`"):
        SchemaRegistry().extended(event_types=[EventType("a", ("b",))])


def test_the_nearest_name_is_suggested() -> None:
    schema = SchemaRegistry().extended([NAME], [EventType("process")])
    assert schema.nearest_field("proces.name") == "process.name"
    assert schema.nearest_field("zzz") is None
    assert schema.nearest_event_type("proces") == "process"


def test_the_fingerprint_follows_what_can_change_a_rule() -> None:
    schema = SchemaRegistry().extended([NAME], [EventType("process")])
    described = FieldDefinition("process.name", FieldType.KEYWORD, "the name")
    assert SchemaRegistry().extended([described], [EventType("process")]).fingerprint == (
        schema.fingerprint
    )
    others = [
        schema.extended(strict=True),
        schema.extended([ALIAS]),
        schema.extended(event_types=[EventType("x")]),
        schema.redefined([FieldDefinition("process.name", FieldType.KEYWORD, null_value="NULL")]),
    ]
    assert len({schema.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_registry_pickles() -> None:
    schema = SchemaRegistry().extended([NAME, ALIAS], [EventType("process")])
    schema.with_ancestors("process")
    assert pickle.loads(pickle.dumps(schema)) == schema
