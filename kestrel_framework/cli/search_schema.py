"""The schema of a search: a JSON file that says what some fields are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kestrel_framework.errors import ConfigurationError
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

_TYPE_NAMES: Final[Mapping[str, FieldType]] = {
    **{field_type.value: field_type for field_type in FieldType},
    "text": FieldType.KEYWORD,
    "wildcard": FieldType.KEYWORD,
    "constant_keyword": FieldType.KEYWORD,
    "byte": FieldType.LONG,
    "short": FieldType.LONG,
    "integer": FieldType.LONG,
    "unsigned_long": FieldType.LONG,
    "float": FieldType.DOUBLE,
    "half_float": FieldType.DOUBLE,
    "scaled_float": FieldType.DOUBLE,
    "date_nanos": FieldType.DATE,
    "nested": FieldType.OBJECT,
}
_ALIAS: Final = "alias"
_FIELD_KEYS: Final = ("type", "format", "null_value", "path", "description")
_FORMAT_SEPARATOR: Final = "||"


def search_schema(file: Path | None) -> SchemaRegistry:
    """Return the schema that a file describes; an empty one without a file.

    It does not begin with the Elastic Common Schema: a field that the file does not
    name keeps the type that each value has, whatever the field is called.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is wrong; its
            `errors` are all that is.
    """
    if file is None:
        return SchemaRegistry()
    try:
        data = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{file}: is not valid JSON: {error}") from error
    fields, problems = _definitions(data)
    if problems:
        errors = [ConfigurationError(f"{file}: {problem}") for problem in problems]
        raise ConfigurationError("\n".join(map(str, errors)), errors=errors)
    return SchemaRegistry().redefined(fields, strict=data.get("strict", False))


def _definitions(data: object) -> tuple[list[FieldDefinition], list[str]]:
    if not isinstance(data, dict):
        return [], ["expected an object with `fields`"]
    problems = [
        f"unknown key `{key}`; there are `fields` and `strict`"
        for key in data
        if key not in ("fields", "strict")
    ]
    if not isinstance(data.get("strict", False), bool):
        problems.append("strict: expected true or false")
    entries = data.get("fields", {})
    if not isinstance(entries, dict):
        return [], [*problems, "fields: expected an object"]
    found = []
    for path, entry in entries.items():
        definition = _definition(path, entry)
        if isinstance(definition, str):
            problems.append(f"fields.{path}: {definition}")
        else:
            found.append(definition)
    return found, problems


def _definition(path: str, entry: object) -> FieldDefinition | str:
    """Return the definition of a field, or what is wrong with it."""
    if not isinstance(entry, dict):
        return "expected an object"
    unknown = [key for key in entry if key not in _FIELD_KEYS]
    if unknown:
        return f"unknown key `{unknown[0]}`; there are {', '.join(_FIELD_KEYS)}"
    name = entry.get("type")
    if name == _ALIAS:
        target = entry.get("path")
        if not isinstance(target, str) or not target:
            return "an alias has the `path` of the field it stands for"
        return FieldDefinition(path, alias_of=target)
    if not isinstance(name, str) or name not in _TYPE_NAMES:
        return f"`type` is one of {', '.join(sorted([*_TYPE_NAMES, _ALIAS]))}"
    formats = entry.get("format", [])
    if isinstance(formats, str):
        formats = formats.split(_FORMAT_SEPARATOR)
    if not isinstance(formats, list) or not all(isinstance(one, str) for one in formats):
        return "`format` is a text or a list of texts"
    null_value = entry.get("null_value")
    if null_value is not None and not isinstance(null_value, (str, int, float, bool)):
        return "`null_value` is a single value"
    return FieldDefinition(
        path,
        _TYPE_NAMES[name],
        str(entry.get("description", "")),
        tuple(formats),
        null_value,
    )
