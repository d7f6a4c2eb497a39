"""The events of steps, as far as the tracker looks at them."""

from __future__ import annotations

from typing import Final, Protocol

from kestrel_framework._pipeline.flow import Ordinal, ordinal_of
from kestrel_framework.event import Document, Event, EventIdentity


class StepEvent(Protocol):
    """An event that satisfies a step: a row, or what was a row before a restart.

    What a tracker remembers holds it as it is, and asks for the document or the public view
    only where a rule or a finding needs it.
    """

    @property
    def timestamp(self) -> int:
        """Event time in nanoseconds since 1970."""

    @property
    def stream(self) -> str:
        """The name of the numbering that `offset` belongs to."""

    @property
    def offset(self) -> int:
        """Which event of the stream."""

    @property
    def tiebreaker(self) -> int | float | str | None:
        """What orders events of one timestamp."""

    @property
    def document(self) -> Document:
        """The whole event."""

    @property
    def given(self) -> bytes | Document:
        """The event as it came, in bytes for example, or its document."""

    def event(self) -> Event:
        """Return the public view."""


class RestoredEvent:
    """An event from a snapshot."""

    __slots__ = ("_event", "document", "given", "offset", "stream", "tiebreaker", "timestamp")

    def __init__(self, event: Event) -> None:
        self._event = event
        self.timestamp = event.timestamp
        self.stream = event.identity.stream
        self.offset = event.identity.offset
        self.tiebreaker = event.tiebreaker
        self.document = event.document
        self.given = event.document

    def event(self) -> Event:
        """Return the public view."""
        return self._event


LONG_AGO: Final = -(1 << 102)
"""A time so long before every timestamp that no maxspan reaches so far."""

GONE: Final[StepEvent] = RestoredEvent(Event(EventIdentity("", 0), LONG_AGO, {}))
"""What stands in the place of the events of a partial match that has ended."""


def place_in_order(event: StepEvent) -> Ordinal:
    """Return the place of an event in the order of events, without a look at its document."""
    return ordinal_of(event.timestamp, event.tiebreaker, event.stream, event.offset)


def precedes(first: StepEvent, second: StepEvent) -> bool:
    """Say whether `first` comes before `second` in the order of events."""
    if first.timestamp != second.timestamp:
        return first.timestamp < second.timestamp
    return place_in_order(first) < place_in_order(second)
