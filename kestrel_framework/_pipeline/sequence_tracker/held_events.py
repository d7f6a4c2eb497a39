"""What the rules without an order hold: for each key, the events of each filter."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import attrs

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker.keys import Key, KeyReader, key_values
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework._pipeline.sequence_tracker.under_way import UnderWay
from kestrel_framework.errors import StateError
from kestrel_framework.rule import Step


@attrs.define(eq=False)
class HeldEvents:
    """The events of one key: for each filter, those that satisfy it, in order."""

    key: Key
    choices: list[list[StepEvent]]

    @property
    def entries(self) -> int:
        return sum(map(len, self.choices))

    @property
    def oldest(self) -> int:
        """The timestamp of its oldest event."""
        return min(events[0].timestamp for events in self.choices if events)


@attrs.frozen
class HeldState:
    """Everything one machine holds, the oldest first."""

    held: Sequence[HeldEvents]

    @property
    def entries(self) -> int:
        return sum(held.entries for held in self.held)


class HoldingMachine:
    """What samples and joins have in common: holding events by key, within limits.

    Args:
        rule: The number of the rule in its set.
        filters: Its filters.
        most_held: How many events of one filter a key holds.
        limits: How much to remember.
        statistics: Where to count; shared.
    """

    def __init__(
        self,
        rule: int,
        filters: Sequence[Step],
        most_held: int,
        limits: TrackerLimits,
        statistics: TrackerStatistics,
    ) -> None:
        self.rule = rule
        self.live = 0
        self._filters = len(filters)
        self._most_held = most_held
        self._key_length = len(filters[0].keys)
        self._first_reader = KeyReader(filters[0].keys, limits.keys_per_event, statistics)
        self._limits = limits
        self._statistics = statistics
        self._held: OrderedDict[Key, HeldEvents] = OrderedDict()

    def expire(self, watermark: int) -> None:
        """What has no time limit does not pass."""

    def oldest(self) -> int | None:
        """Return the timestamp of the oldest event of the key that began first, or None."""
        first = next(iter(self._held.values()), None)
        return None if first is None else first.oldest

    def held(self) -> Iterator[list[StepEvent]]:
        """Yield the events of each key, that which began first before all others."""
        return (list(itertools.chain(*held.choices)) for held in self._held.values())

    def evict_oldest(self) -> None:
        """Let go of the key that began first."""
        _, held = self._held.popitem(last=False)
        self._release(held, EndReason.EVICTED)

    def end_all(self, reason: EndReason) -> None:
        """Let go of all keys."""
        while self._held:
            _, held = self._held.popitem()
            self._release(held, reason)

    def under_way(self) -> list[UnderWay]:
        """Return what each key holds, the oldest first: of each filter the first event."""
        return [
            UnderWay(
                held,
                key_values(held.key),
                tuple([events[0] if events else None for events in held.choices]),
            )
            for held in self._held.values()
        ]

    def dump(self) -> HeldState:
        """Return everything held, the oldest first."""
        return HeldState(tuple(self._held.values()))

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
        if not isinstance(state, HeldState):
            raise StateError("a sample or join is a sequence in the snapshot")
        keys = set()
        for held in state.held:
            if not self._fits(held) or held.key in keys:
                raise StateError("the events held in the snapshot do not fit their rule")
            keys.add(held.key)

    def load(self, state: object) -> None:
        """Go on with what another machine of an equal rule held."""
        assert isinstance(state, HeldState)
        for held in state.held:
            self._held[held.key] = held
            self.live += held.entries
            self._statistics.live += held.entries

    def _fits(self, held: HeldEvents) -> bool:
        return (
            len(key_values(held.key)) == self._key_length
            and len(held.choices) == self._filters
            and held.entries > 0
            and all(len(events) <= self._most_held for events in held.choices)
        )

    def _hold(self, step: int, event: StepEvent, key: Key, *, begins: bool) -> HeldEvents | None:
        """Hold an event under a key, and return what the key has; None if it is not wanted.

        A key that has enough wants no more; one that has nothing begins only if it may.
        """
        held = self._held.get(key)
        if held is None:
            if not begins:
                return None
            held = self._held[key] = HeldEvents(key, [[] for _ in range(self._filters)])
        events = held.choices[step]
        if len(events) >= self._most_held:
            return None
        events.append(event)
        self.live += 1
        self._statistics.begin()
        return held

    def _obey_limit(self) -> None:
        while self.live > self._limits.per_rule:
            self.evict_oldest()

    def _completion(self, held: HeldEvents, events: tuple[StepEvent, ...]) -> Completion:
        key = self._first_reader.shown(held.key, events[0])
        return Completion(self.rule, key, tuple([event.event() for event in events]))

    def _let_go(self, held: HeldEvents, reason: EndReason) -> None:
        del self._held[held.key]
        self._release(held, reason)

    def _release(self, held: HeldEvents, reason: EndReason) -> None:
        self.live -= held.entries
        self._statistics.end(reason, held.entries)
