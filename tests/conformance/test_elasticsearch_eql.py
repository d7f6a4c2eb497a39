"""The test cases of Elasticsearch, one test each."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from kestrel_framework.event import Document, EventSettings, read_path, unfold_dotted_keys
from kestrel_framework.query import SearchResult
from kestrel_framework.rule import Rule
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry
from kestrel_framework.values import Scalar

DEFAULT_SIZE: Final = 50

FILETIME_EPOCH_MS: Final = 11_644_473_600_000


@attrs.frozen
class DataSet:
    """Events that are searched together.

    Attributes:
        files: The data files.
        id_field: What the expected ids are.
        tiebreaker: The tiebreaker field, if there is one.
        definitions: The fields that are more than their values show.
    """

    files: tuple[str, ...]
    id_field: str
    tiebreaker: str | None
    definitions: tuple[FieldDefinition, ...]

    @property
    def settings(self) -> EventSettings:
        return EventSettings(category_field="event_type", tiebreaker_field=self.tiebreaker)


def _alias(path: str, target: str) -> FieldDefinition:
    return FieldDefinition(path, alias_of=target)


_CATEGORY: Final = _alias("event.category", "event_type")
_TIME: Final = FieldDefinition("@timestamp", FieldType.DATE)

_TEST_DATA: Final = DataSet(
    ("test_data.json",),
    "serial_event_id",
    "serial_event_id",
    (
        _CATEGORY,
        _TIME,
        _alias("event.sequence", "serial_event_id"),
        FieldDefinition("source_address", FieldType.IP),
        *(FieldDefinition(path, FieldType.KEYWORD) for path in ("user", "hostname", "file_name")),
    ),
)
_EXTRA: Final = DataSet(
    ("extra.json",),
    "sequence",
    "sequence",
    (
        _CATEGORY,
        _TIME,
        _alias("event.sequence", "sequence"),
        FieldDefinition("optional_field_mapping_only", FieldType.KEYWORD),
        FieldDefinition("optional_field_default_null", FieldType.KEYWORD, null_value="NULL"),
        FieldDefinition("version", FieldType.VERSION),
        FieldDefinition("date_tags", FieldType.DATE),
        FieldDefinition("process.pid", FieldType.LONG),
        FieldDefinition("process.entity_id", FieldType.LONG),
    ),
)
_MISSING: Final = DataSet(
    ("missing-events.json",),
    "sequence",
    "sequence",
    (_CATEGORY, _TIME, _alias("event.sequence", "sequence")),
)
_SAMPLES: Final = (
    _CATEGORY,
    FieldDefinition("ip", FieldType.IP),
    FieldDefinition("host_ip", FieldType.IP),
    FieldDefinition("version", FieldType.VERSION),
    FieldDefinition("@timestamp_pretty", FieldType.DATE, formats=("dd-MM-yyyy", "yyyy-MM-dd")),
    FieldDefinition("date", FieldType.DATE),
)
_SAMPLE: Final = DataSet(("sample1.json", "sample2.json", "sample3.json"), "id", None, _SAMPLES)
_SAMPLE_MULTI: Final = DataSet(("sample-multi.json",), "id", None, _SAMPLES)

SETS: Final[Mapping[str, DataSet]] = {
    "test_queries": _TEST_DATA,
    "additional_test_queries": _TEST_DATA,
    "test_queries_date": _TEST_DATA,
    "test_extra": _EXTRA,
    "test_missing_events": _MISSING,
    "test_sample": _SAMPLE,
    "test_sample_multi": _SAMPLE_MULTI,
}


@cache
def load(folder: Path, data_set: DataSet) -> tuple[tuple[Document, ...], SchemaRegistry]:
    """Return the events of a set, and the schema that its values and definitions make."""
    documents = []
    for name in data_set.files:
        for event in json.loads((folder / "data" / name).read_text()):
            if data_set is _TEST_DATA:
                event["@timestamp"] = event["timestamp"] // 10_000 - FILETIME_EPOCH_MS
            documents.append(unfold_dotted_keys(event))
    defined = {definition.path for definition in data_set.definitions}
    fields = [
        FieldDefinition(path, kind)
        for path, kind in _kinds(documents).items()
        if path not in defined
    ]
    registry = SchemaRegistry().extended([*fields, *data_set.definitions], strict=True)
    return tuple(documents), registry


def _kinds(documents: Iterable[Document]) -> dict[str, FieldType | None]:
    kinds: dict[str, FieldType | None] = {}
    for document in documents:
        for path in _paths(document, ""):
            kinds.setdefault(path, None)
            for value in read_path(document, path.split(".")):
                kinds[path] = _kind(value)
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


def cases() -> Iterable[Any]:
    folder = os.environ.get("KESTREL_CORPUS")
    for suite in SETS:
        if not folder:
            yield pytest.param(suite, {}, id=suite)
            continue
        file = Path(folder, "eql", "elasticsearch", f"{suite}.toml")
        for case in tomllib.loads(file.read_text())["queries"]:
            yield pytest.param(suite, case, id=f"{suite}:{case['name']}")


@pytest.mark.parametrize(("suite", "case"), list(cases()))
def test_case(
    suite: str,
    case: Mapping[str, Any],
    corpus: Path,
    run_search: Callable[..., tuple[Rule, list[SearchResult]]],
) -> None:
    data_set = SETS[suite]
    documents, schema = load(corpus / "eql" / "elasticsearch", data_set)
    _, results = run_search(
        case["query"],
        documents,
        schema,
        data_set.settings,
        case.get("size", DEFAULT_SIZE),
        {"dialect": "elastic"},
        case.get("max_samples_per_key", 1),
    )
    found = [
        -1 if event is None else event[data_set.id_field]
        for result in results
        for event in result.events
    ]
    expected = case["expected_event_ids"]
    if expected and isinstance(expected[0], list):
        assert found in expected
    else:
        assert found == expected
    if "join_keys" in case:
        keys = [as_text(part) for result in results for part in result.join_keys]
        assert keys == case["join_keys"]


def test_every_known_failure_is_a_case(
    corpus: Path, known_failures: Mapping[str, Mapping[str, str]]
) -> None:
    listed = set(known_failures.get("elasticsearch_eql", {}))
    assert listed <= {case.id for case in cases()}


def as_text(part: Scalar | None) -> str:
    """Return a join key as the cases write it."""
    if part is None:
        return "null"
    return str(part).lower() if isinstance(part, bool) else str(part)
