"""What became of the partial matches of one rule: how far each came, and what closed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import attrs

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._candidates_in_order import SEARCHED, candidates_in_order
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import UNTIL, Candidate, Completion, Problem, targets_of
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
from kestrel_framework._pipeline.sequence_tracker import (
    EndReason,
    SequenceTracker,
    TrackerLimits,
    UnderWay,
)
from kestrel_framework.event import Document, Event, EventBatch, EventIdentity, EventSettings
from kestrel_framework.rule import Rule, RuleSet, SequenceRule
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.values import Scalar


@attrs.frozen
class StepSeen:
    """One step of a rule, and the event that satisfied it.

    Attributes:
        number: Which step, from 1.
        event: Its event; None where there is none.
        is_missing: Whether it is satisfied by no event coming.
    """

    number: int
    event: Event | None
    is_missing: bool = False


@attrs.frozen
class Attempt:
    """A partial match, from its first event to its end.

    Attributes:
        key: The values that its events share.
        steps: All steps.
        closed: What ended it; None where it still waits when the events are over.
        closed_by: The event at which it ended; None at the end of the events.
    """

    key: tuple[Scalar | None, ...]
    steps: Sequence[StepSeen]
    closed: EndReason | None
    closed_by: Event | None

    @property
    def waits_for(self) -> int | None:
        """The number of the step that has, or had, no event yet; None where all have.

        Then it may wait still, or have waited, for a missing event not to come.
        """
        waiting = [step for step in self.steps if step.event is None and not step.is_missing]
        return waiting[0].number if waiting else None

    @property
    def last(self) -> Event:
        """The event since which it waits."""
        events = [step.event for step in self.steps if step.event is not None]
        return max(events, key=lambda event: (event.timestamp, event.identity.offset))


def attempts_of(
    rule: Rule,
    documents: Sequence[Document],
    schema: SchemaRegistry,
    settings: EventSettings,
    report: Callable[[Problem], None],
) -> Iterator[Attempt]:
    """Yield what became of each partial match of a rule, in the order in which they ended.

    Events are taken in the order of their times, whatever their order in the file.

    Cost: for each event that satisfies a step, a look at all partial matches.

    Args:
        rule: A sequence, sample or join.
        documents: The events.
        schema: What the rule was compiled with.
        settings: Which fields say when and what an event is.
        report: Told of oddities of the events.
    """
    rules = RuleSet([attrs.evolve(rule, pipes=())])
    targets = targets_of(rules)
    lineage = ProcessLineage(rules, targets, LineageLimits.unlimited(), report)
    matcher = EventMatcher(
        (*targets, *lineage.targets), schema, settings, NativePatternEngine(), lineage.paths
    )
    batch = EventBatch(documents=documents, stream=SEARCHED, first_offset=0)
    watcher = _Watcher(rule, SequenceTracker(rules, targets, TrackerLimits()))
    until = frozenset([n for n, target in enumerate(targets) if target.step == UNTIL])
    for candidate in candidates_in_order(lineage, matcher, batch, report):
        yield from watcher.take(candidate, not until.isdisjoint(candidate.targets))
    yield from watcher.rest()


class _Watcher:
    """Compares what is under way before and after each event."""

    def __init__(self, rule: Rule, tracker: SequenceTracker) -> None:
        self._rule = rule
        self._tracker = tracker
        self._known: dict[int, UnderWay] = {}

    def take(self, candidate: Candidate, is_until: bool) -> Iterator[Attempt]:
        ended_before = Counter(self._tracker.statistics.ended)
        done = self._tracker.advance([candidate])
        reasons = Counter(self._tracker.statistics.ended) - ended_before
        now = self._under_way()
        event = candidate.row.event()
        ended = [one for number, one in self._known.items() if number not in now]
        self._known = now
        for completion in done:
            yield self._completed(completion, event)
            reasons[EndReason.COMPLETED] -= 1
            complete = next((one for one in ended if _is_part(one, completion)), None)
            if complete is not None:
                ended.remove(complete)
        for one in ended:
            reason = self._reason(one, event, +reasons, is_until)
            reasons[reason] -= 1
            yield self._attempt(one, reason, event)

    def rest(self) -> Iterator[Attempt]:
        """Yield what the end of the events completes, then what still waits."""
        known, self._known = self._known, {}
        done = self._tracker.finish()
        for completion in done:
            yield self._completed(completion, None)
        for one in known.values():
            if not any(_is_part(one, completion) for completion in done):
                yield self._attempt(one, None, None)

    def _under_way(self) -> dict[int, UnderWay]:
        return {id(one.match): one for one in self._tracker.under_way(0)}

    def _completed(self, completion: Completion, event: Event | None) -> Attempt:
        return Attempt(completion.key, self._steps(completion.events), EndReason.COMPLETED, event)

    def _attempt(self, one: UnderWay, closed: EndReason | None, by: Event | None) -> Attempt:
        events = [None if event is None else event.event() for event in one.events]
        return Attempt(one.key, self._steps(events), closed, by)

    def _steps(self, events: Sequence[Event | None]) -> list[StepSeen]:
        return [
            StepSeen(number, event, step.missing)
            for number, (step, event) in enumerate(zip(self._rule.steps, events, strict=True), 1)
        ]

    def _reason(
        self, one: UnderWay, event: Event, reasons: Counter[EndReason], is_until: bool
    ) -> EndReason:
        """Return why a partial match ended, of the reasons that were counted."""
        maxspan = self._rule.body.maxspan if isinstance(self._rule.body, SequenceRule) else None
        first = min(each.timestamp for each in one.events if each is not None)
        likely = {
            EndReason.EXPIRED: maxspan is not None and event.timestamp - first > maxspan,
            EndReason.UNTIL: is_until,
            EndReason.CONTRADICTED: True,
            EndReason.REPLACED: True,
        }
        for reason, fits in likely.items():
            if fits and reasons[reason]:
                return reason
        return next(iter(reasons), EndReason.EVICTED)


def _is_part(one: UnderWay, completion: Completion) -> bool:
    identities = {event.identity for event in completion.events if event is not None}
    return all(
        event is None or EventIdentity(event.stream, event.offset) in identities
        for event in one.events
    )
