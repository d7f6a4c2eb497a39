"""What fields and event types exist, and what a field's values are.

The registry is immutable: plugins extend it while the engine is built, and
every compiled rule refers to one finished registry.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Self

import attrs

from kestrel_framework._nearest_name import NearestName
from kestrel_framework.errors import ConfigurationError


class FieldType(enum.Enum):
    """How the values of a field are compared.

    A value of another JSON type is brought to the field's type where that is
    without doubt (the number 445 in a keyword field is "445"), and otherwise
    does not take part in a comparison; see `kestrel_framework.values`.
    """

    KEYWORD = "keyword"
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    IP = "ip"
    VERSION = "version"
    OBJECT = "object"


@attrs.frozen
class FieldDefinition:
    """One field.

    Attributes:
        path: The dotted path, such as `process.parent.name`.
        type: How its values are compared; `None` keeps each value's own type.
        description: A sentence for the reference and for editors.
        formats: For a date: the patterns its texts may have (`dd-MM-yyyy`),
            tried before ISO 8601 and milliseconds since 1970.
        null_value: What an explicit JSON null stands for, if not for absence.
        alias_of: The path this name is only another name for.
    """

    path: str
    type: FieldType | None = None
    description: str = ""
    formats: tuple[str, ...] = ()
    null_value: str | int | float | bool | None = None
    alias_of: str | None = None


@attrs.frozen
class EventType:
    """A category of events, such as `process`.

    An event of a type is also one of each of its `parents`: a rule for
    `network` sees `dns` events where `dns` has the parent `network`.
    """

    name: str
    parents: tuple[str, ...] = ()
    description: str = ""


@attrs.frozen(slots=False)
class SchemaRegistry:
    """The known fields and event types.

    Safe to share between threads, picklable; all look-ups are dictionary
    accesses except `nearest_field` and `nearest_event_type`, which search.

    Attributes:
        strict: Whether rules may only use known fields.
    """

    fields: Mapping[str, FieldDefinition] = attrs.field(factory=dict)
    event_types: Mapping[str, EventType] = attrs.field(factory=dict)
    strict: bool = False

    @classmethod
    def ecs(cls) -> Self:
        """Return the Elastic Common Schema as endpoint rules use it."""
        from kestrel_framework._ecs import EVENT_TYPES, FIELDS

        return cls().extended(FIELDS, EVENT_TYPES)

    def extended(
        self,
        fields: Iterable[FieldDefinition] = (),
        event_types: Iterable[EventType] = (),
        *,
        strict: bool | None = None,
    ) -> Self:
        """Return a registry that also knows `fields` and `event_types`.

        Saying again what is known is fine.

        Raises:
            ConfigurationError: a name is known with another meaning, an alias
                leads nowhere or in a circle, or a parent is unknown.
        """
        all_fields = dict(self.fields)
        for field in fields:
            known = all_fields.setdefault(field.path, field)
            if (known.type, known.alias_of) != (field.type, field.alias_of):
                raise ConfigurationError(
                    f"field `{field.path}` is already defined as {_kind(known)}, not {_kind(field)}"
                )
        all_types = dict(self.event_types)
        for event_type in event_types:
            known_type = all_types.setdefault(event_type.name, event_type)
            if known_type.parents != event_type.parents:
                raise ConfigurationError(
                    f"event type `{event_type.name}` is already defined with other parents"
                )
        registry = type(self)(all_fields, all_types, self.strict if strict is None else strict)
        registry._check_references()
        return registry

    def redefined(self, fields: Iterable[FieldDefinition], *, strict: bool | None = None) -> Self:
        """Return a registry in which `fields` replace what was known of their paths.

        For one search with a schema of its own, not for plugins.

        Raises:
            ConfigurationError: an alias leads nowhere or in a circle.
        """
        replaced = {field.path: field for field in fields}
        kept = {path: field for path, field in self.fields.items() if path not in replaced}
        return type(self)({}, self.event_types).extended(
            [*kept.values(), *replaced.values()],
            strict=self.strict if strict is None else strict,
        )

    def field(self, path: str) -> FieldDefinition | None:
        """Return the definition of `path` with aliases followed, or None."""
        definition = self.fields.get(path)
        while definition is not None and definition.alias_of is not None:
            target = definition.alias_of
            definition = self.fields.get(target) or FieldDefinition(target)
        return definition

    def with_ancestors(self, event_type: str) -> frozenset[str]:
        """Return `event_type` and all it descends from (known or not)."""
        return self._ancestry.get(event_type) or frozenset((event_type,))

    def nearest_field(self, path: str) -> str | None:
        """Return the known field whose name is most like `path`, if one is alike."""
        return self._field_names.find(path)

    def nearest_event_type(self, name: str) -> str | None:
        """Return the known event type whose name is most like `name`, if one is alike."""
        return self._event_type_names.find(name)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything in the registry that can change a compiled rule."""
        lines = sorted(
            repr((f.path, f.type and f.type.value, f.formats, f.null_value, f.alias_of))
            for f in self.fields.values()
        )
        lines += sorted(repr((t.name, t.parents)) for t in self.event_types.values())
        lines.append(repr(self.strict))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def _field_names(self) -> NearestName:
        return NearestName(self.fields, cutoff=0.75)

    @cached_property
    def _event_type_names(self) -> NearestName:
        return NearestName(self.event_types, cutoff=0.6)

    @cached_property
    def _ancestry(self) -> dict[str, frozenset[str]]:
        ancestry: dict[str, frozenset[str]] = {}
        for name in self.event_types:
            found: set[str] = set()
            waiting = [name]
            while waiting:
                current = waiting.pop()
                if current not in found:
                    found.add(current)
                    known = self.event_types.get(current)
                    waiting.extend(known.parents if known else ())
            ancestry[name] = frozenset(found)
        return ancestry

    def _check_references(self) -> None:
        for field in self.fields.values():
            seen = {field.path}
            target = field.alias_of
            while target is not None:
                if target in seen:
                    raise ConfigurationError(f"field `{field.path}` is an alias of itself")
                seen.add(target)
                following = self.fields.get(target)
                target = following.alias_of if following else None
        for event_type in self.event_types.values():
            for parent in event_type.parents:
                if parent not in self.event_types:
                    raise ConfigurationError(
                        f"event type `{event_type.name}` names the unknown parent `{parent}`"
                    )


def _kind(field: FieldDefinition) -> str:
    if field.alias_of is not None:
        return f"an alias of `{field.alias_of}`"
    return field.type.value if field.type else "of any type"
