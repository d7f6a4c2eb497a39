"""What this plugin offers to Kestrel."""

from __future__ import annotations

from typing import Final

from kestrel_ebpf.source import ProcEventsConfig, ProcEventsSource
from kestrel_framework.hookspecs import EventSourceOffers, SchemaExtension, hookimpl
from kestrel_framework.interfaces import Offer
from kestrel_framework.schema import FieldDefinition, FieldType

KESTREL_API: Final = "1.0"

_FIELDS: Final = (
    FieldDefinition("container.id", FieldType.KEYWORD),
    FieldDefinition("event.dataset", FieldType.KEYWORD),
    FieldDefinition("group.id", FieldType.KEYWORD),
    FieldDefinition("group.name", FieldType.KEYWORD),
    FieldDefinition("process.args_count", FieldType.LONG),
    FieldDefinition("process.interactive", FieldType.BOOLEAN),
    FieldDefinition("process.parent.user.id", FieldType.KEYWORD),
    FieldDefinition("process.parent.user.name", FieldType.KEYWORD),
    FieldDefinition("process.real_group.id", FieldType.KEYWORD),
    FieldDefinition("process.real_group.name", FieldType.KEYWORD),
    FieldDefinition("process.real_user.id", FieldType.KEYWORD),
    FieldDefinition("process.real_user.name", FieldType.KEYWORD),
    FieldDefinition("process.thread.name", FieldType.KEYWORD),
    FieldDefinition("process.tty.char_device.major", FieldType.LONG),
    FieldDefinition("process.tty.char_device.minor", FieldType.LONG),
)


@hookimpl
def kestrel_event_sources() -> EventSourceOffers:
    """Offer `proc-events`."""
    return {"proc-events": Offer(ProcEventsSource, ProcEventsConfig)}


@hookimpl
def kestrel_schema() -> SchemaExtension:
    """Name the fields of process events that only Linux has."""
    return SchemaExtension(fields=_FIELDS)
