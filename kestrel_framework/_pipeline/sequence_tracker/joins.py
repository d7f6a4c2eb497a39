"""One join rule: the first event for each filter, in any order, that agree in their keys."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from kestrel_framework._pipeline.flow import UNTIL, Completion
from kestrel_framework._pipeline.sequence_tracker.held_events import HeldEvents, HoldingMachine
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework._pipeline.sequence_tracker.takers import Takers, for_all_keys
from kestrel_framework.rule import JoinRule

_EVENTS_PER_FILTER: Final = 1


class JoinMachine(HoldingMachine):
    """The joins of one rule under way.

    Each key has a slot for each filter, which keeps the first event that satisfies it; one
    event can be in several. As soon as all are full, they are a finding and the key begins
    anew, where a later filter may take the same event again.

    For one event, `until` comes first, then the filters in their order.
    """

    def __init__(
        self, rule: int, body: JoinRule, limits: TrackerLimits, statistics: TrackerStatistics
    ) -> None:
        super().__init__(rule, body.filters, _EVENTS_PER_FILTER, limits, statistics)

    def takers(self, step: int, *, begins: bool = True) -> Takers:
        """Return what takes the events that satisfy a filter, or `UNTIL`."""
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
            if step == UNTIL:
                self._forget(key)
                continue
            held = self._hold(step, event, key, begins=begins)
            if held is not None:
                self._complete(held, done)
        self._obey_limit()

    def _complete(self, held: HeldEvents, done: list[Completion]) -> None:
        """Make a finding of what a key has if every filter has its event."""
        if all(held.choices):
            events = tuple([first for (first,) in held.choices])
            done.append(self._completion(held, events))
            self._let_go(held, EndReason.COMPLETED)

    def _forget(self, key: Key) -> None:
        held = self._held.get(key)
        if held is not None:
            self._let_go(held, EndReason.UNTIL)

    def _fits(self, held: HeldEvents) -> bool:
        return super()._fits(held) and not all(held.choices)
