"""Everything that belongs to one rule set: the stages, compiled for it, and how they join."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self

import attrs

from kestrel_framework._pipeline.alert_builder import AlertBuilder
from kestrel_framework._pipeline.candidate_builder import proposed_candidates, waiting_matches
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.event_time import (
    EventTime,
    MatchState,
    Passage,
    StepName,
    WaitingMatch,
)
from kestrel_framework._pipeline.flow import (
    Candidate,
    Completion,
    MatchedBatch,
    Problem,
    Target,
    Targets,
    targets_of,
)
from kestrel_framework._pipeline.key_views import KeyViews
from kestrel_framework._pipeline.predicate_runner import PredicateRunner
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
from kestrel_framework._pipeline.result_filter import ResultFilter
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker, TrackerLimits
from kestrel_framework._step_names import StepNames
from kestrel_framework.event import EventBatch, EventSettings
from kestrel_framework.interfaces import Limits, PatternEngine, PredicateEvaluator
from kestrel_framework.predicate import Lineage
from kestrel_framework.rule import EventRule, RuleSet
from kestrel_framework.schema import SchemaRegistry


def _nothing(targets: Targets) -> frozenset[int]:
    return frozenset()


@attrs.frozen
class Generation:
    """The stages of one rule set.

    Attributes:
        rules: The rule set.
        targets: Its conditions, as they are numbered.
        matcher: What batches say by themselves.
        lineage: What processes did.
        runner: What other runtimes decide.
        tracker: Sequences, samples and joins.
        result_filter: What findings have to pass.
        alert_builder: What makes alerts of them.
        event_targets: The conditions of event rules.
        step_targets: All others.
        decided_at_once: Those that must not wait: other stages see their events as they come.
        draining: The rules that drain, by their numbers, ascending.
        rules_at_work: The others.
        step_names: What the steps are called beyond this rule set.
        awaited: The rules that drain and that a step match may still begin, which waited
            when anybody last looked.
    """

    rules: RuleSet
    targets: tuple[Target, ...]
    matcher: EventMatcher
    lineage: ProcessLineage
    runner: PredicateRunner
    tracker: SequenceTracker
    result_filter: ResultFilter
    alert_builder: AlertBuilder
    event_targets: frozenset[int]
    step_targets: frozenset[int]
    decided_at_once: frozenset[int]
    draining: tuple[int, ...]
    rules_at_work: RuleSet
    step_names: StepNames
    awaited: set[int] = attrs.field(init=False, factory=set)

    @classmethod
    def compiled(
        cls,
        rules: RuleSet,
        schema: SchemaRegistry,
        settings: EventSettings,
        evaluators: Mapping[str, PredicateEvaluator],
        runtime: str,
        pattern_engine: PatternEngine,
        limits: TrackerLimits,
        lineage_processes: int,
        report: Callable[[Problem], None],
        evaluation_failed: Callable[[int, Problem], None],
        previous: Generation | None,
    ) -> Self:
        """Return the stages for a rule set.

        Those of the previous rule set may be at work meanwhile. The new ones share with them
        what rules of both have under way, and are no use before they take over.

        Raises:
            RuleError: a rule cannot be loaded into its runtime.
        """
        targets = targets_of(rules)
        lineage = ProcessLineage(rules, targets, LineageLimits(lineage_processes), report)
        runner = PredicateRunner(targets, evaluators, runtime, schema, Limits(), evaluation_failed)
        asked = lineage.asked | runner.asked
        event_targets = frozenset(
            [
                number
                for number, target in enumerate(targets)
                if isinstance(rules.rules[target.rule].body, EventRule)
            ]
        )
        step_targets = frozenset(range(len(targets))) - event_targets
        queries = range(len(targets), len(targets) + len(lineage.targets))
        draining = tuple(n for n, rule in enumerate(rules) if rule.rollout.draining)
        return cls(
            rules,
            targets,
            event_matcher(targets, lineage, schema, settings, pattern_engine),
            lineage,
            runner,
            SequenceTracker(
                rules,
                targets,
                limits,
                raw_values=KeyViews(settings).raw_values,
                decided_elsewhere=asked,
                previous=None if previous is None else previous.tracker,
            ),
            ResultFilter(rules),
            AlertBuilder(rules),
            event_targets,
            step_targets,
            event_targets | asked | frozenset(queries),
            draining,
            RuleSet(rule for rule in rules if not rule.rollout.draining) if draining else rules,
            StepNames(rules, targets, step_targets),
        )

    # --- events -------------------------------------------------------------------------

    def findings(
        self, batch: EventBatch, matched: MatchedBatch, passage: Passage, time: EventTime
    ) -> Iterator[Completion]:
        """Yield what events are, by themselves and in sequences.

        Those that are complete by themselves come in the order of arrival, and what time completes
        when it has come so far.

        Args:
            batch: The events, numbered.
            matched: What they say by themselves.
            passage: Their way through event time.
            time: The stage of event time.
        """
        matches = passage.in_time(matched.matches, self.step_targets)
        if passage.is_straight:
            idle = _nothing if passage.is_doubtful else self.tracker.idle
            proposed = proposed_candidates(
                batch, matched, matches, passage.times, self.matcher, idle
            )
            yield from self._in_order_of_arrival(
                self._confirmed(batch, matched, proposed), passage, time
            )
            return
        combinations = {match.targets for match in matches}
        patient = {targets for targets in combinations if self.decided_at_once.isdisjoint(targets)}
        at_once = [match for match in matches if match.targets not in patient]
        later = [match for match in matches if match.targets in patient]
        waiting = _Waiting(
            [match.index for match in later],
            waiting_matches(batch, matched, later, passage.times, self.matcher, time.serials),
        )
        proposed = proposed_candidates(
            batch, matched, at_once, passage.times, self.matcher, _nothing
        )
        confirmed = self._confirmed(batch, matched, proposed)
        yield from self._in_order_of_time(confirmed, waiting, passage, time)

    def followed(self, matches: Sequence[WaitingMatch]) -> list[Completion]:
        """Return what step matches complete whose turn it is."""
        idle = self._idle({match.targets for match in matches})
        candidates = [match.candidate() for match in matches if not idle.issuperset(match.targets)]
        return self.tracker.advance(candidates)

    def _idle(self, combinations: set[tuple[int, ...]]) -> frozenset[int]:
        """Return those of some targets that mean nothing for now."""
        if not combinations:
            return frozenset()
        return self.tracker.idle(frozenset(itertools.chain(*combinations)))

    def _confirmed(
        self, batch: EventBatch, matched: MatchedBatch, proposed: list[Candidate]
    ) -> Sequence[Candidate]:
        stream, first = batch.stream or "", batch.first_offset or 0
        related = self.lineage.decide(
            matched.processes, proposed, lambda index: f"{stream}#{first + matched.places[index]}"
        )
        return self.runner.confirm(related)

    def _in_order_of_arrival(
        self, candidates: Sequence[Candidate], passage: Passage, time: EventTime
    ) -> Iterator[Completion]:
        steps: list[Candidate] = []
        is_doubtful, alone = passage.is_doubtful, self.event_targets
        for candidate in candidates:
            by_itself = not alone.isdisjoint(candidate.targets)
            if by_itself or (is_doubtful and passage.has_turn_before(candidate.index)):
                yield from self._advanced(steps, passage)
                steps = []
                yield from self._passed(passage.passed_before(candidate.index), time)
            if by_itself:
                yield from self._complete_alone(candidate)
                if alone.issuperset(candidate.targets):
                    continue
            if is_doubtful and passage.is_aside(candidate.index):
                passage.take(candidate.index, WaitingMatch.of(candidate, next(time.serials)))
            else:
                steps.append(candidate)
        yield from self._advanced(steps, passage)
        yield from self._passed(passage.passed(), time)

    def _advanced(self, steps: Sequence[Candidate], passage: Passage) -> Sequence[Completion]:
        if passage.is_doubtful:
            idle = self._idle({candidate.targets for candidate in steps})
            steps = [candidate for candidate in steps if not idle.issuperset(candidate.targets)]
        return self.tracker.advance(steps)

    def _in_order_of_time(
        self,
        candidates: Sequence[Candidate],
        waiting: _Waiting,
        passage: Passage,
        time: EventTime,
    ) -> Iterator[Completion]:
        for candidate in candidates:
            index = candidate.index
            yield from self._taken(waiting.before(index), passage, time)
            if not self.event_targets.isdisjoint(candidate.targets):
                yield from self._passed(passage.passed_before(index), time)
                yield from self._complete_alone(candidate)
                if self.event_targets.issuperset(candidate.targets):
                    continue
            match = WaitingMatch.of(candidate, next(time.serials))
            yield from self._taken(([index], [match]), passage, time)
        yield from self._taken(waiting.before(len(passage.times)), passage, time)
        yield from self._passed(passage.passed(), time)

    def _taken(
        self,
        matches: tuple[Sequence[int], Sequence[WaitingMatch]],
        passage: Passage,
        time: EventTime,
    ) -> Iterator[Completion]:
        """Have matches wait, given with their indexes, and yield what goes on meanwhile."""
        if not passage.is_doubtful and time.wait_together(matches[1]):
            return
        for index, match in zip(*matches, strict=True):
            if passage.has_turn_before(index):
                yield from self._passed(passage.passed_before(index), time)
            passage.take(index, match)
            if time.is_full:
                yield from self.followed(time.relieve())

    def _passed(self, matches: Sequence[WaitingMatch], time: EventTime) -> Iterator[Completion]:
        yield from self.followed(matches)
        yield from self.tracker.pass_to(time.watermark)

    def _complete_alone(self, candidate: Candidate) -> Iterator[Completion]:
        event = candidate.row.event()
        for number in candidate.targets:
            if number in self.event_targets:
                yield Completion(self.targets[number].rule, (), (event,))

    # --- from one rule set to the next ------------------------------------------------------

    def has_under_way(self, rule: int) -> bool:
        """Say whether a rule, by its number, has anything that is not complete. From any thread.

        Of a rule that drains, this can be wrong for a while: what waited may be gone.
        """
        return self.tracker.live_of(rule) > 0 or rule in self.awaited

    def expect(self, waiting: Iterable[Targets]) -> None:
        """Hear which targets go on waiting, and note which rules that drain they may begin."""
        begins = self.step_names.begins_draining
        self.awaited.clear()
        self.awaited.update(
            self.targets[number].rule for targets in waiting for number in targets if begins(number)
        )

    def end_rule(self, rule: int) -> None:
        """Let go of everything of a rule that drains, by its number."""
        self.tracker.end_rule(rule)
        self.awaited.discard(rule)

    def match_state(self, aside_of: str | None, match: WaitingMatch) -> MatchState:
        """Return a match without the numbers of this rule set."""
        names = self.step_names
        steps: list[StepName] = []
        lineage: list[list[int]] = []
        for number in match.targets:
            if number in self.step_targets:
                steps.append(names.name(number))
                nodes = names.lineages(number)
                lineage.append([i for i, node in enumerate(nodes) if node in match.lineage])
        return MatchState(match, aside_of, steps, lineage)

    def match_of(self, state: MatchState) -> WaitingMatch | None:
        """Return a match with the numbers of this rule set; None if it has none of the steps."""
        names = self.step_names
        targets: list[int] = []
        held: set[Lineage] = set()
        for name, places in zip(state.steps, state.lineage, strict=True):
            number = names.number(name)
            if number is not None:
                targets.append(number)
                nodes = names.lineages(number)
                held.update(nodes[place] for place in places if 0 <= place < len(nodes))
        if not targets:
            return None
        return state.match._replace(targets=tuple(sorted(targets)), lineage=frozenset(held))


def event_matcher(
    targets: tuple[Target, ...],
    lineage: ProcessLineage,
    schema: SchemaRegistry,
    settings: EventSettings,
    pattern_engine: PatternEngine,
) -> EventMatcher:
    """Return what matches batches by themselves."""
    return EventMatcher(
        (*targets, *lineage.targets), schema, settings, pattern_engine, lineage.paths
    )


class _Waiting:
    """The matches of a batch that wait, with the indexes of their events."""

    def __init__(self, indexes: Sequence[int], matches: Sequence[WaitingMatch]) -> None:
        self._indexes = indexes
        self._matches = matches
        self._taken = 0

    def before(self, index: int) -> tuple[Sequence[int], Sequence[WaitingMatch]]:
        """Return those of events before another, each once."""
        start = self._taken
        self._taken = end = bisect_left(self._indexes, index, start)
        return self._indexes[start:end], self._matches[start:end]
