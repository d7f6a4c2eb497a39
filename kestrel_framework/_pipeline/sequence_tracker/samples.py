"""One sample rule: different events, one for each filter, that agree in their keys."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker.held_events import HeldEvents, HoldingMachine
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework._pipeline.sequence_tracker.takers import Takers, for_all_keys
from kestrel_framework.rule import SampleRule

_AnyT = TypeVar("_AnyT")


class SampleMachine(HoldingMachine):
    """The samples of one rule under way.

    On a stream, a key gives a sample as soon as there is one, and begins anew, without the
    events it had. A search instead asks for up to `samples_per_key` different samples of
    each key, which may share events, when all events are there.

    It is enough to hold, for each filter, the first so many events: one for each
    filter, and one more for each further sample.
    """

    def __init__(
        self,
        rule: int,
        body: SampleRule,
        limits: TrackerLimits,
        statistics: TrackerStatistics,
        samples_per_key: int | None = None,
    ) -> None:
        most_held = len(body.filters) - 1 + (samples_per_key or 1)
        super().__init__(rule, body.filters, most_held, limits, statistics)
        self._samples_per_key = samples_per_key
        self._spent_event: StepEvent | None = None
        self._spent_keys: set[Key] = set()

    def takers(self, step: int, *, begins: bool = True) -> Takers:
        """Return what takes the events that satisfy a filter."""
        return for_all_keys(functools.partial(self._take, step, begins))

    def _take(
        self,
        step: int,
        begins: bool,
        event: StepEvent,
        keys: Sequence[Key],
        done: list[Completion],
    ) -> None:
        for key in keys:
            if event is self._spent_event and key in self._spent_keys:
                continue
            held = self._hold(step, event, key, begins=begins)
            if held is not None and self._samples_per_key is None:
                self._find(held, step, event, done)
        self._obey_limit()

    def finish(self, done: list[Completion]) -> None:
        """For a search, find the samples of each key, in the order of the events."""
        if self._samples_per_key is None:
            return
        for held in self._held.values():
            samples = itertools.islice(different_events(held.choices), self._samples_per_key)
            done.extend(self._completion(held, events) for events in samples)

    def _find(self, held: HeldEvents, step: int, event: StepEvent, done: list[Completion]) -> None:
        """Look for a sample in which `event` stands for the filter `step`; no other is new."""
        choices = [*held.choices[:step], [event], *held.choices[step + 1 :]]
        for events in itertools.islice(different_events(choices), 1):
            done.append(self._completion(held, events))
            self._let_go(held, EndReason.COMPLETED)
            self._spend(event, held.key)

    def _spend(self, event: StepEvent, key: Key) -> None:
        if self._spent_event is not event:
            self._spent_event = event
            self._spent_keys = set()
        self._spent_keys.add(key)


def different_events(choices: Sequence[Sequence[_AnyT]]) -> Iterator[tuple[_AnyT, ...]]:
    """Yield every way to take an event from each list and none twice, in the order of the lists.

    Cost: polynomial for each result, also where there is none.
    """
    taken: list[_AnyT] = []

    def extended() -> Iterator[tuple[_AnyT, ...]]:
        if len(taken) == len(choices):
            yield tuple(taken)
            return
        for event in choices[len(taken)]:
            if event not in taken:
                taken.append(event)
                if _rest_is_possible(choices, taken):
                    yield from extended()
                taken.pop()

    return extended()


def _rest_is_possible(choices: Sequence[Sequence[_AnyT]], taken: Sequence[_AnyT]) -> bool:
    """Say whether each list after those `taken` from can give an event of its own.

    By augmenting paths: a list that finds its events in use asks their users to take others.
    """
    user_of: dict[_AnyT, int] = {}

    def gives(number: int, asked: set[_AnyT]) -> bool:
        for event in choices[number]:
            if event in asked or event in taken:
                continue
            asked.add(event)
            user = user_of.get(event)
            if user is None or gives(user, asked):
                user_of[event] = number
                return True
        return False

    return all(gives(number, set()) for number in range(len(taken), len(choices)))
