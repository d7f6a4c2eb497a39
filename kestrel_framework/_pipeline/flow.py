"""What the stages of the pipeline hand to each other. Private: the form may change with every measurement."""

from __future__ import annotations

from typing import Final

import attrs

from kestrel_framework.event import Document, Event, EventIdentity
from kestrel_framework.rule import Condition
from kestrel_framework.values import Scalar

UNTIL: Final = -1
"""The step number of a sequence's `until`."""


@attrs.define(eq=False)
class Row:
    """One event as the matcher reads it."""

    document: Document
    event_types: frozenset[str]
    timestamp: int
    stream: str
    offset: int
    tiebreaker: int | float | str | None = None

    def event(self) -> Event:
        """Return the public view, for a row that matched."""
        identity = EventIdentity(self.stream, self.offset)
        return Event(identity, self.timestamp, self.document, self.tiebreaker)


@attrs.frozen
class Target:
    """One condition to match: an event rule, a step, a filter, or an `until` (`UNTIL`).

    `rule` counts in the rule set. All targets of a rule set are numbered, and
    compiled, together.
    """

    rule: int
    step: int
    event_types: frozenset[str]
    condition: Condition


@attrs.define(eq=False)
class Candidate:
    """A row and the numbers of the targets it satisfies, ascending."""

    row: Row
    targets: list[int]


@attrs.frozen
class StepMatch:
    """An event that satisfies some steps of one sequence or sample, under one join key.

    `steps` are descending, with `UNTIL` apart from them in `until`.
    """

    sequence: int
    key: tuple[Scalar | None, ...]
    steps: tuple[int, ...]
    until: bool
    event: Event


@attrs.frozen
class Completion:
    """A sequence or sample that is complete; `None` stands for a missing event."""

    sequence: int
    key: tuple[Scalar | None, ...]
    events: tuple[Event | None, ...]


@attrs.frozen
class Problem:
    """Something of the input that could not be taken as it is.

    Attributes:
        cause: A short constant name to count by, such as `malformed_json`.
        message: The sentence for people.
        origin: The input it stands in, such as a file name.
        line: Its line there, from 1, or None where there are no lines.
        skipped: Whether the event is left out.
    """

    cause: str
    message: str
    origin: str = ""
    line: int | None = None
    skipped: bool = True

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.origin, self.line) if part not in ("", None))
        return f"{place}: {self.message}" if place else self.message
