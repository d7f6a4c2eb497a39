"""What the steps of a sequence do with events that are plain: most of them.

A step is plain if it forbids nothing, refers to no earlier event and goes on with no copy,
in a sequence that forbids nothing either. These functions do what
`SequenceMachine` does for any step, but look up beforehand what is known beforehand: calls and
attributes are most of what a step match costs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._pipeline.sequence_tracker.partials import Partial
from kestrel_framework._pipeline.sequence_tracker.sequence_memory import SequenceMemory
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent, precedes
from kestrel_framework._pipeline.sequence_tracker.takers import TakeEvent
from kestrel_framework.predicate import Lineage

Complete: TypeAlias = Callable[[Partial, list[Completion]], None]


def plain_start(memory: SequenceMemory) -> TakeEvent:
    """Return the first step of a sequence that has more."""
    pending = memory.pending[0]
    waiting_for_key = pending.get
    maxspan = memory.maxspan
    ages = memory.ages
    queue = ages.queue
    count = memory.statistics

    def take(
        event: StepEvent, key: Key, lineage: Collection[Lineage], done: list[Completion]
    ) -> None:
        timestamp = event.timestamp
        if queue and queue[0].first.timestamp < timestamp - maxspan:
            memory.expire(timestamp)
        replaced = waiting_for_key(key)
        if replaced is None:
            partial = Partial(key, event, event)
            memory.live += 1
            count.live += 1
        else:
            partial = Partial(replaced.key, event, event)
            replaced.clear()
            count.ended[EndReason.REPLACED] += 1
        pending[key] = partial
        queue.append(partial)
        if len(queue) > ages.most:
            ages.tidy()
        if memory.live > memory.most:
            memory.obey_limit()

    return take


def plain_step(memory: SequenceMemory, stage: int, complete: Complete) -> TakeEvent:
    """Return a later step."""
    before = memory.pending[stage - 1]
    waiting_for_key = before.get
    after = memory.pending[stage] if stage < memory.last_stage else None
    maxspan = memory.maxspan
    follows_first = stage == 1

    def take(
        event: StepEvent, key: Key, lineage: Collection[Lineage], done: list[Completion]
    ) -> None:
        partial = waiting_for_key(key)
        if partial is None:
            return
        timestamp = event.timestamp
        if partial.last.timestamp >= timestamp and not precedes(partial.last, event):
            return
        if timestamp - partial.first.timestamp > maxspan:
            memory.remove(partial, EndReason.EXPIRED)
            return
        del before[key]
        if follows_first:
            partial.last = event
        else:
            partial.add(event)
        if after is None:
            complete(partial, done)
            return
        replaced = after.get(key)
        if replaced is not None:
            memory.end(replaced, EndReason.REPLACED)
        after[partial.key] = partial

    return take
