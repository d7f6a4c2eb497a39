"""The events that cases are searched in, and what their fields are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import attrs

from kestrel_framework.event import Document, EventSettings, read_path, unfold_dotted_keys
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

FILETIME_EPOCH_MILLISECONDS: Final = 11_644_473_600_000


@attrs.frozen
class DataSet:
    """Events that are searched together.

    Attributes:
        files: The data files.
        settings: Which fields say when and what an event is, and what comes first.
        id_field: What the expected ids are.
        definitions: The fields that are more than their values show; `None` where the
            fields are not known, and values have no other types than their own.
        file_time: Whether `@timestamp` is to be worked out from `timestamp`, a FILETIME.
    """

    files: tuple[str, ...]
    settings: EventSettings
    id_field: str
    definitions: tuple[FieldDefinition, ...] | None
    file_time: bool = False


def _of_elasticsearch(
    files: tuple[str, ...],
    id_field: str,
    *definitions: FieldDefinition,
    ordered: bool = True,
    file_time: bool = False,
) -> DataSet:
    common = [_alias("event.category", "event_type")]
    if ordered:
        common += [
            FieldDefinition("@timestamp", FieldType.DATE),
            _alias("event.sequence", id_field),
        ]
    tiebreaker = id_field if ordered else None
    settings = EventSettings(category_field="event_type", tiebreaker_field=tiebreaker)
    return DataSet(files, settings, id_field, (*common, *definitions), file_time)


def _alias(path: str, target: str) -> FieldDefinition:
    return FieldDefinition(path, alias_of=target)


ENDGAME: Final = DataSet(
    ("test_data.json",),
    EventSettings("timestamp", "filetime", "event_type"),
    "serial_event_id",
    None,
)
TEST_DATA: Final = _of_elasticsearch(
    ("test_data.json",),
    "serial_event_id",
    FieldDefinition("source_address", FieldType.IP),
    *(FieldDefinition(path, FieldType.KEYWORD) for path in ("user", "hostname", "file_name")),
    file_time=True,
)
EXTRA: Final = _of_elasticsearch(
    ("extra.json",),
    "sequence",
    FieldDefinition("optional_field_mapping_only", FieldType.KEYWORD),
    FieldDefinition("optional_field_default_null", FieldType.KEYWORD, null_value="NULL"),
    FieldDefinition("version", FieldType.VERSION),
    FieldDefinition("date_tags", FieldType.DATE),
    FieldDefinition("process.pid", FieldType.LONG),
    FieldDefinition("process.entity_id", FieldType.LONG),
)
MISSING_EVENTS: Final = _of_elasticsearch(("missing-events.json",), "sequence")
_SAMPLE_FIELDS: Final = (
    FieldDefinition("ip", FieldType.IP),
    FieldDefinition("host_ip", FieldType.IP),
    FieldDefinition("version", FieldType.VERSION),
    FieldDefinition("@timestamp_pretty", FieldType.DATE, formats=("dd-MM-yyyy", "yyyy-MM-dd")),
    FieldDefinition("date", FieldType.DATE),
)
SAMPLE: Final = _of_elasticsearch(
    ("sample1.json", "sample2.json", "sample3.json"), "id", *_SAMPLE_FIELDS, ordered=False
)
SAMPLE_MULTI: Final = _of_elasticsearch(
    ("sample-multi.json",), "id", *_SAMPLE_FIELDS, ordered=False
)


@attrs.frozen(eq=False)
class Events:
    """A data set that is loaded.

    Attributes:
        data_set: What it is.
        documents: The events.
        schema: What their fields are.
    """

    data_set: DataSet
    documents: tuple[Document, ...]
    schema: SchemaRegistry

    @property
    def ids(self) -> frozenset[object]:
        return frozenset(document[self.data_set.id_field] for document in self.documents)

    @property
    def categories(self) -> frozenset[object]:
        return frozenset(document.get("event_type") for document in self.documents)


@cache
def load(folder: Path, data_set: DataSet) -> Events:
    """Return the events of a set, whose files lie in a folder.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no list of events of this set.
    """
    documents = []
    for name in data_set.files:
        for event in json.loads((folder / name).read_text("utf-8")):
            if data_set.file_time:
                event["@timestamp"] = event["timestamp"] // 10_000 - FILETIME_EPOCH_MILLISECONDS
            documents.append(unfold_dotted_keys(event))
    return Events(data_set, tuple(documents), _schema(documents, data_set.definitions))


def schema_file(schema: SchemaRegistry) -> dict[str, object]:
    """Return a schema as a file for `kestrel query --schema` has it."""
    fields: dict[str, object] = {}
    for path, field in schema.fields.items():
        if field.alias_of is not None:
            fields[path] = {"type": "alias", "path": field.alias_of}
        elif field.type is not None:
            entry: dict[str, object] = {"type": field.type.value}
            if field.formats:
                entry["format"] = list(field.formats)
            if field.null_value is not None:
                entry["null_value"] = field.null_value
            fields[path] = entry
    return {"fields": fields, "strict": schema.strict}


def _schema(
    documents: Sequence[Document], definitions: Sequence[FieldDefinition] | None
) -> SchemaRegistry:
    if definitions is None:
        return SchemaRegistry()
    defined = {definition.path for definition in definitions}
    fields = [
        FieldDefinition(path, kind)
        for path, kind in _kinds(documents).items()
        if path not in defined
    ]
    return SchemaRegistry().extended([*fields, *definitions], strict=True)


def _kinds(documents: Iterable[Document]) -> dict[str, FieldType | None]:
    kinds: dict[str, FieldType | None] = {}
    for document in documents:
        for path in _paths(document, ""):
            values = [None, *read_path(document, path.split("."))]
            kinds[path] = kinds.get(path) or next(filter(None, map(_kind, values)), None)
    return kinds


def _paths(value: Mapping[str, object], prefix: str) -> Iterable[str]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _paths(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _kind(value: object) -> FieldType | None:
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    if isinstance(value, int):
        return FieldType.LONG
    return FieldType.KEYWORD if isinstance(value, str) else None
