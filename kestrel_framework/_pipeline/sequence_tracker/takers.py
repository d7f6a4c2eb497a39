"""What machines give the tracker: for each step, what takes its events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework.predicate import Lineage

TakeEvent: TypeAlias = Callable[[StepEvent, Key, Collection[Lineage], list[Completion]], None]
"""Takes an event that satisfies a step, and has one key; findings are added to the list.

The collection has the nodes that hold for the event.
"""

TakeEventOfKeys: TypeAlias = Callable[
    [StepEvent, Sequence[Key], Collection[Lineage], list[Completion]], None
]
"""The same for an event with any number of keys."""


Takers: TypeAlias = tuple[TakeEvent, TakeEventOfKeys]


def for_each_key(take: TakeEvent) -> Takers:
    """Return what takes an event under one key after the other."""

    def take_all(
        event: StepEvent,
        keys: Sequence[Key],
        lineage: Collection[Lineage],
        done: list[Completion],
    ) -> None:
        for key in keys:
            take(event, key, lineage, done)

    return take, take_all


def for_all_keys(take_all: Callable[[StepEvent, Sequence[Key], list[Completion]], None]) -> Takers:
    """Return what takes an event under all of its keys together."""

    def take(event: StepEvent, key: Key, _: Collection[Lineage], done: list[Completion]) -> None:
        take_all(event, (key,), done)

    def take_several(
        event: StepEvent, keys: Sequence[Key], _: Collection[Lineage], done: list[Completion]
    ) -> None:
        take_all(event, keys, done)

    return take, take_several
