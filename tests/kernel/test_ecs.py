from __future__ import annotations

import pytest

from kestrel_framework._ecs import EVENT_TYPES, FIELDS
from kestrel_framework.schema import FieldType, SchemaRegistry


@pytest.fixture(scope="module")
def schema() -> SchemaRegistry:
    return SchemaRegistry.ecs()


def test_every_path_is_there_once() -> None:
    paths = [field.path for field in FIELDS]
    assert len(set(paths)) == len(paths)
    assert all(path and ".." not in path and not path.endswith(".") for path in paths)
    assert all(
        part.strip() == part and " " not in part for path in paths for part in path.split(".")
    )


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("@timestamp", FieldType.DATE),
        ("process.pid", FieldType.LONG),
        ("process.parent.args_count", FieldType.LONG),
        ("process.parent.name", FieldType.KEYWORD),
        ("process.code_signature.trusted", FieldType.BOOLEAN),
        ("process.entry_leader.entity_id", FieldType.KEYWORD),
        ("process.Ext.token.integrity_level_name", FieldType.KEYWORD),
        ("Target.process.executable", FieldType.KEYWORD),
        ("Effective_process.name", FieldType.KEYWORD),
        ("file.Ext.entropy", FieldType.DOUBLE),
        ("file.size", FieldType.LONG),
        ("dll.Ext.relative_file_creation_time", FieldType.DOUBLE),
        ("source.ip", FieldType.IP),
        ("destination.port", FieldType.LONG),
        ("host.os.version", FieldType.VERSION),
        ("registry.data.strings", FieldType.KEYWORD),
        ("winlog.event_data.TargetUserName", FieldType.KEYWORD),
        ("container.security_context.privileged", FieldType.BOOLEAN),
        ("dns.resolved_ip", FieldType.IP),
    ],
)
def test_fields_have_the_types_that_rules_rely_on(
    schema: SchemaRegistry, path: str, kind: FieldType
) -> None:
    field = schema.field(path)
    assert field is not None
    assert field.type is kind


def test_a_path_on_the_way_to_a_field_is_an_object_or_unknown(schema: SchemaRegistry) -> None:
    for path in schema.fields:
        parts = path.split(".")
        for length in range(1, len(parts)):
            above = schema.field(".".join(parts[:length]))
            assert above is None or above.type is FieldType.OBJECT, path


def test_a_misspelt_field_finds_its_neighbour(schema: SchemaRegistry) -> None:
    assert schema.nearest_field("proces.name") == "process.name"
    assert schema.nearest_event_type("proces") == "process"


def test_events_of_a_type_are_events_of_its_parents(schema: SchemaRegistry) -> None:
    assert schema.with_ancestors("dns") == {"dns", "network"}
    assert schema.with_ancestors("credential_access") == {"credential_access", "api"}
    assert schema.with_ancestors("process") == {"process"}


def test_every_event_type_says_what_it_is() -> None:
    assert all(kind.description.endswith(".") for kind in EVENT_TYPES)
