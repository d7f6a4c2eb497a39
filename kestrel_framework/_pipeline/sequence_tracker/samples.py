"""One sample rule: different events, one for each filter, that agree in their keys."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import attrs

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker.keys import Key, key_values
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework.errors import StateError
from kestrel_framework.event import Event
from kestrel_framework.rule import SampleRule


@attrs.define(eq=False)
class HeldEvents:
    """The events of one key: for each filter, those that satisfy it, in order."""

    key: Key
    choices: list[list[Event]]

    @property
    def entries(self) -> int:
        return sum(map(len, self.choices))

    @property
    def oldest(self) -> int:
        """The timestamp of its oldest event."""
        return min(events[0].timestamp for events in self.choices if events)


@attrs.frozen
class SampleState:
    """Everything one machine holds, the oldest first."""

    held: Sequence[HeldEvents]

    @property
    def entries(self) -> int:
        return sum(held.entries for held in self.held)


class SampleMachine:
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
        self.rule = rule
        self.live = 0
        self._filters = len(body.filters)
        self._key_length = len(body.filters[0].keys)
        self._limits = limits
        self._statistics = statistics
        self._samples_per_key = samples_per_key
        self._most_held = self._filters - 1 + (samples_per_key or 1)
        self._held: OrderedDict[Key, HeldEvents] = OrderedDict()
        self._spent_event: Event | None = None
        self._spent_keys: set[Key] = set()

    def observe(self, step: int, event: Event, keys: Sequence[Key], done: list[Completion]) -> None:
        """Take an event that satisfies the filter `step`; findings are added to `done`."""
        for key in keys:
            if event is self._spent_event and key in self._spent_keys:
                continue
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = HeldEvents(key, [[] for _ in range(self._filters)])
            if len(held.choices[step]) < self._most_held:
                held.choices[step].append(event)
                self.live += 1
                self._statistics.begin()
                if self._samples_per_key is None:
                    self._find(held, step, event, done)
        while self.live > self._limits.per_rule:
            self.evict_oldest()

    def expire(self, watermark: int) -> None:
        """Samples have no time limit: nothing passes."""

    def finish(self, done: list[Completion]) -> None:
        """For a search, find the samples of each key, in the order of the events."""
        if self._samples_per_key is None:
            return
        for held in self._held.values():
            samples = itertools.islice(different_events(held.choices), self._samples_per_key)
            done.extend(self._completion(held, events) for events in samples)

    def oldest(self) -> int | None:
        """Return the timestamp of the oldest event held, or None."""
        first = next(iter(self._held.values()), None)
        return None if first is None else first.oldest

    def evict_oldest(self) -> None:
        """Let go of the key whose samples began first."""
        _, held = self._held.popitem(last=False)
        self._release(held, EndReason.EVICTED)

    def dump(self) -> SampleState:
        """Return everything held, the oldest first."""
        return SampleState(tuple(self._held.values()))

    def clear(self) -> None:
        """Forget everything, as if it had never been."""
        self._held.clear()
        self._statistics.live -= self.live
        self.live = 0

    def check(self, state: object) -> None:
        """See that `state` can be this rule's.

        Raises:
            StateError: it cannot.
        """
        if not isinstance(state, SampleState):
            raise StateError("a sample is a sequence in the snapshot")
        for held in state.held:
            if len(held.key) != self._key_length or len(held.choices) != self._filters:
                raise StateError("a sample in the snapshot does not fit its rule")

    def load(self, state: object) -> None:
        """Go on with what another machine of an equal rule held."""
        assert isinstance(state, SampleState)
        for held in state.held:
            self._held[held.key] = held
            self.live += held.entries
            self._statistics.live += held.entries

    def _find(self, held: HeldEvents, step: int, event: Event, done: list[Completion]) -> None:
        """Look for a sample in which `event` stands for the filter `step`; no other is new."""
        choices = [*held.choices[:step], [event], *held.choices[step + 1 :]]
        for events in itertools.islice(different_events(choices), 1):
            done.append(self._completion(held, events))
            del self._held[held.key]
            self._release(held, EndReason.COMPLETED)
            self._spend(event, held.key)

    def _completion(self, held: HeldEvents, events: tuple[Event, ...]) -> Completion:
        return Completion(self.rule, key_values(held.key), events)

    def _spend(self, event: Event, key: Key) -> None:
        if self._spent_event is not event:
            self._spent_event = event
            self._spent_keys = set()
        self._spent_keys.add(key)

    def _release(self, held: HeldEvents, reason: EndReason) -> None:
        self.live -= held.entries
        self._statistics.end(reason, held.entries)


def different_events(choices: Sequence[Sequence[Event]]) -> Iterator[tuple[Event, ...]]:
    """Yield every way to take an event from each list and none twice, in the order of the lists.

    Cost: polynomial for each result, also where there is none.
    """
    taken: list[Event] = []

    def extended() -> Iterator[tuple[Event, ...]]:
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


def _rest_is_possible(choices: Sequence[Sequence[Event]], taken: Sequence[Event]) -> bool:
    """Say whether each list after those `taken` from can give an event of its own.

    By augmenting paths: a list that finds its events in use asks their users to take others.
    """
    user_of: dict[Event, int] = {}

    def gives(number: int, asked: set[Event]) -> bool:
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
