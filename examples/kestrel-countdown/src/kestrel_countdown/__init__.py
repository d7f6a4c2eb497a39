"""A Kestrel plugin with one event source: it counts down to zero."""

from __future__ import annotations

import attrs

from kestrel_framework import (
    EventSource,
    EventType,
    FieldDefinition,
    FieldType,
    Offer,
    PluginContext,
    SchemaExtension,
    hookimpl,
    source_from_iterable,
)

KESTREL_API = "1.0"


@attrs.frozen
class CountdownConfig:
    """How far to count."""

    start: int = attrs.field(default=10, metadata={"help": "The number to begin with."})


def countdown(config: CountdownConfig, context: PluginContext) -> EventSource:
    """Return a source of one event for each second that is left."""
    return source_from_iterable(
        {
            "@timestamp": 1000 * (config.start - left),
            "event": {"category": "countdown"},
            "countdown": {"left": left},
        }
        for left in range(config.start, -1, -1)
    )


@hookimpl
def kestrel_event_sources() -> dict[str, Offer[CountdownConfig, EventSource]]:
    """Offer the source under the name that configurations use."""
    return {"countdown": Offer(countdown, CountdownConfig)}


@hookimpl
def kestrel_schema() -> SchemaExtension:
    """Say which fields and event types the events have."""
    left = FieldDefinition("countdown.left", FieldType.LONG, "How many seconds are left.")
    return SchemaExtension(fields=(left,), event_types=(EventType("countdown"),))
