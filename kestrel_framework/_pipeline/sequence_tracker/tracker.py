"""The tracker: step matches in, completed sequences, samples and joins out."""

from __future__ import annotations

import heapq
import operator
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.flow import UNTIL, Candidate, Completion, Target, Targets
from kestrel_framework._pipeline.sequence_tracker.encoding import (
    MachineState,
    TrackerState,
    decode,
    encode,
)
from kestrel_framework._pipeline.sequence_tracker.evidence_budget import EvidenceBudget
from kestrel_framework._pipeline.sequence_tracker.idleness import Idleness
from kestrel_framework._pipeline.sequence_tracker.joins import JoinMachine
from kestrel_framework._pipeline.sequence_tracker.keys import Key, KeyReader, OwnsKey, ReadKey
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.machine import SequenceMachine
from kestrel_framework._pipeline.sequence_tracker.partials import referring_condition
from kestrel_framework._pipeline.sequence_tracker.raw_values import (
    RawValues,
    raw_values_of_documents,
)
from kestrel_framework._pipeline.sequence_tracker.samples import SampleMachine
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework._pipeline.sequence_tracker.takers import TakeEvent, TakeEventOfKeys
from kestrel_framework._pipeline.sequence_tracker.under_way import UnderWay
from kestrel_framework._pipeline.sequence_tracker.waiting_room import END_OF_TIME, WaitingRoom
from kestrel_framework.errors import RuleError, StateError
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    JoinRule,
    Rule,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)

_BEFORE_ALL_STEPS: Final = -sys.maxsize
_AFTER_ALL_STEPS: Final = 1
_MOST_REMEMBERED: Final = 4096
_TURN: Final = operator.attrgetter("turn")

_Machine: TypeAlias = SequenceMachine | SampleMachine | JoinMachine


@attrs.frozen
class _Route:
    """Where a target's events go.

    Attributes:
        turn: What sorts the routes of one event: rules in order, then `_place_in_rule`.
        reader: Reads their keys.
        read: Its quick way.
        take: Takes an event with one key.
        take_keys: Takes an event with any number of keys.
    """

    turn: tuple[int, int]
    reader: KeyReader
    read: ReadKey
    take: TakeEvent
    take_keys: TakeEventOfKeys


class SequenceTracker:
    """Follows every sequence, sample and join of a rule set.

    A pure state machine: no clock, no I/O. Events are given in their order
    (`kestrel_framework._pipeline.flow.ordinal`); the same events give the same
    completions in the same order, however they are cut into calls.

    Args:
        rules: The rule set.
        targets: Its conditions, as `targets_of` numbers them. Those of event rules are ignored.
        limits: How much to remember.
        samples_per_key: For searches: how many samples a key gives. `None`, for streams, lets a
            key begin anew after each sample.
        raw_values: Where the values of join keys come from, if not from the documents of events;
            for events that are given, not for those of a snapshot.
        decided_elsewhere: The targets whose events other stages have to see in any case.
        owns: Which keys are followed, of events that have several; None for all.
        previous: The tracker of the rule set before, with the same limits; see `take_over`. It
            may be at work, in another thread, while this one is made.

    Raises:
        RuleError: a sequence, sample or join makes no sense.
    """

    def __init__(
        self,
        rules: RuleSet,
        targets: Sequence[Target],
        limits: TrackerLimits | None = None,
        samples_per_key: int | None = None,
        raw_values: RawValues = raw_values_of_documents,
        decided_elsewhere: frozenset[int] = frozenset(),
        owns: OwnsKey | None = None,
        previous: SequenceTracker | None = None,
    ) -> None:
        self.statistics: TrackerStatistics = (
            TrackerStatistics() if previous is None else previous.statistics
        )
        self._limits = limits or TrackerLimits()
        self._budget: EvidenceBudget = (
            EvidenceBudget(self._limits) if previous is None else previous._budget
        )
        self._waiting_room: WaitingRoom = (
            WaitingRoom() if previous is None else previous._waiting_room
        )
        self._rules = rules.rules
        self._machines: dict[int, _Machine] = {}
        known = {} if previous is None else previous._named_machines()
        for number, rule in enumerate(rules):
            machine = known.get(self._name(number)) if known else None
            machine = machine or self._machine(number, rule, samples_per_key)
            if machine is not None:
                self._machines[number] = machine
        self._idleness = Idleness(self._machines, targets, decided_elsewhere)
        self._routes = self._routes_to(targets, raw_values, owns)
        self._routes_in_turn: dict[tuple[int, ...], tuple[_Route, ...]] = {}

    def advance(self, candidates: Sequence[Candidate]) -> list[Completion]:
        """Take events, in order, and return what they complete, in the order of completion.

        Whatever waited for an event that did not come by the time of one of these is
        completed before it.
        """
        done: list[Completion] = []
        routes = self._routes
        turns = self._waiting_room.turns
        statistics, most = self.statistics, self._limits.total
        for candidate in candidates:
            targets = candidate.targets
            if len(targets) > 1:
                self._take_several(candidate, done)
                continue
            route = routes[targets[0]]
            if route is None:
                continue
            event = candidate.row
            if turns:
                self._waiting_room.release(event.timestamp, done)
            key = route.read(event)
            if isinstance(key, list):
                route.take_keys(event, key, candidate.lineage, done)
            else:
                route.take(event, key, candidate.lineage, done)
            if statistics.live > most:
                self._make_room(event.timestamp)
        if self._budget.come(candidates):
            self._make_lighter(candidates[-1].row.timestamp)
        return done

    def idle(self, targets: Targets) -> frozenset[int]:
        """Return those of some targets that mean nothing to events that satisfy only these.

        They are later steps of sequences that have not begun, and that none of these begins,
        and no other stage decides about them.
        """
        if self._waiting_room.turns:
            return frozenset()
        return self._idleness.idle(targets)

    def expire(self, watermark: int) -> list[Completion]:
        """Hear that no event older than `watermark` will come, and return what that completes."""
        done: list[Completion] = []
        self._waiting_room.release(watermark, done)
        for machine in self._machines.values():
            machine.expire(watermark)
        return done

    def pass_to(self, watermark: int) -> list[Completion]:
        """Complete whatever waited for an event that did not come before `watermark`.

        As `expire`, but what has expired stays until somebody comes to it.
        """
        done: list[Completion] = []
        if self._waiting_room.turns:
            self._waiting_room.release(watermark, done)
        return done

    def finish(self) -> list[Completion]:
        """Hear that no event at all will come, and return what that completes."""
        done = self.expire(END_OF_TIME)
        for machine in self._machines.values():
            if isinstance(machine, SampleMachine):
                machine.finish(done)
        return done

    def keys_of(self, target: int, event: StepEvent) -> Sequence[Key]:
        """Return the different keys under which a target takes an event."""
        route = self._routes[target]
        if route is None:
            return ()
        key = route.read(event)
        return key if isinstance(key, list) else (key,)

    def under_way(self, rule: int) -> list[UnderWay]:
        """Return the partial matches of a rule, by its number; it must be no event rule."""
        return self._machines[rule].under_way()

    def snapshot(self) -> bytes:
        """Return the state (not the rules) in the encoding that `restore` reads.

        Raises:
            StateError: an event holds what is no JSON value.
        """
        ended = {reason.value: number for reason, number in self.statistics.ended.items()}
        return encode(TrackerState(self._dump(), ended, self.statistics.keys_left_out))

    def restore(self, snapshot: bytes) -> None:
        """Take over a state, instead of the present one.

        What belongs to rules that this set has, with the same id and meaning, goes on;
        the rest is counted as `rule_changed`.

        Raises:
            StateError: the snapshot is damaged, or of another version. Nothing has changed.
        """
        state = decode(snapshot)
        try:
            ended = {EndReason(name): number for name, number in state.ended.items()}
        except ValueError as error:
            raise StateError(f"the snapshot of the sequences is damaged: {error}") from error
        named = self._named_machines() if state.machines else {}
        for name, remembered in state.machines.items():
            if name in named:
                named[name].check(remembered)
        self._waiting_room.clear()
        for machine in self._machines.values():
            machine.clear()
        self.statistics.ended.clear()
        self.statistics.ended.update(ended)
        self.statistics.keys_left_out = state.keys_left_out
        self._load(state.machines)
        self._budget.restore(len(snapshot))

    def take_over(self, previous: SequenceTracker) -> Counter[str]:
        """Go on instead of the tracker that this one was made after, which ends with that.

        What belongs to rules of both sets goes on. The rest ends as `rule_changed`, and so do
        the remembered events of a leading `![...]` of rules that drain. Cost: a look at each
        rule, and at what ends or waits whether a forbidden event comes.

        Returns:
            How many entries ended, by rule id.
        """
        ended: Counter[str] = Counter()
        numbers = {id(machine): number for number, machine in self._machines.items()}
        for before, machine in previous._machines.items():
            number = numbers.get(id(machine))
            live = machine.live
            if number is None:
                machine.end_all(EndReason.RULE_CHANGED)
            elif self._rules[number].rollout.draining and isinstance(machine, SequenceMachine):
                machine.memory.end_leading(EndReason.RULE_CHANGED)
            if live > machine.live:
                ended[previous._rules[before].rule_id] += live - machine.live
        self._waiting_room.renumber(
            {
                before: numbers[id(machine)]
                for before, machine in previous._machines.items()
                if id(machine) in numbers
            }
        )
        for number, machine in self._machines.items():
            machine.rule = number
        return ended

    def live(self) -> dict[int, int]:
        """Return how many entries there are of each rule that has any, by its number."""
        return {
            number: live for number, machine in self._machines.items() if (live := machine.live)
        }

    def live_of(self, rule: int) -> int:
        """Return how many entries a rule has, by its number."""
        machine = self._machines.get(rule)
        return 0 if machine is None else machine.live

    def end_rule(self, rule: int) -> None:
        """Let go of everything of a rule, by its number, as `rule_changed`."""
        if rule in self._machines:
            self._machines[rule].end_all(EndReason.RULE_CHANGED)

    # --- events --------------------------------------------------------------------

    def _take_several(self, candidate: Candidate, done: list[Completion]) -> None:
        """Take an event that satisfies several targets."""
        routes = self._routes_in_turn.get(candidate.targets)
        if routes is None:
            routes = self._sorted_routes(candidate.targets)
        if not routes:
            return
        event = candidate.row
        self._waiting_room.release(event.timestamp, done)
        known: dict[KeyReader, Key | list[Key]] = {}
        for route in routes:
            if route.reader in known:
                key = known[route.reader]
            else:
                key = known[route.reader] = route.read(event)
            if isinstance(key, list):
                route.take_keys(event, key, candidate.lineage, done)
            else:
                route.take(event, key, candidate.lineage, done)
        if self.statistics.live > self._limits.total:
            self._make_room(event.timestamp)

    def _sorted_routes(self, targets: tuple[int, ...]) -> tuple[_Route, ...]:
        """Return the routes of several targets in their order, and remember them."""
        routes = [route for number in targets if (route := self._routes[number]) is not None]
        routes.sort(key=_TURN)
        if len(self._routes_in_turn) >= _MOST_REMEMBERED:
            self._routes_in_turn.clear()
        in_turn = self._routes_in_turn[targets] = tuple(routes)
        return in_turn

    def _make_room(self, now: int) -> None:
        """Let go of what has expired, then of the oldest entries of all rules."""
        for machine in self._machines.values():
            machine.expire(now)
        if self.statistics.live <= self._limits.total:
            return
        wanted = self._limits.total - self._limits.total // 64
        ages = [
            (oldest, machine.rule, machine)
            for machine in self._machines.values()
            if (oldest := machine.oldest()) is not None
        ]
        heapq.heapify(ages)
        while self.statistics.live > wanted:
            _, rule, machine = heapq.heappop(ages)
            machine.evict_oldest()
            oldest = machine.oldest()
            if oldest is not None:
                heapq.heappush(ages, (oldest, rule, machine))

    def _make_lighter(self, now: int) -> None:
        """Let go of what has expired, then of the oldest entries where events take too much."""
        machines = [*self._machines.values()]
        for machine in machines:
            machine.expire(now)
        self._budget.obey(machines)

    # --- rules ----------------------------------------------------------------------

    def _routes_to(
        self, targets: Sequence[Target], raw_values: RawValues, owns: OwnsKey | None
    ) -> list[_Route | None]:
        """Return the route of each target."""
        readers: dict[tuple[JoinKey, ...], KeyReader] = {}
        routes: list[_Route | None] = []
        for target in targets:
            machine = self._machines.get(target.rule)
            if machine is None:
                routes.append(None)
                continue
            rule = self._rules[target.rule]
            join_keys = _step(rule, target.step).keys
            reader = readers.get(join_keys)
            if reader is None:
                limit = self._limits.keys_per_event
                reader = KeyReader(join_keys, limit, self.statistics, raw_values, owns)
                readers[join_keys] = reader
            turn = (target.rule, _place_in_rule(rule, target.step))
            takers = machine.takers(target.step, begins=target.begins)
            routes.append(_Route(turn, reader, reader.read, *takers))
        return routes

    # --- state ----------------------------------------------------------------------

    def _machine(self, number: int, rule: Rule, samples_per_key: int | None) -> _Machine | None:
        problem = _problem(rule)
        if problem:
            raise RuleError(problem, rule.location, rule_id=rule.rule_id)
        if isinstance(rule.body, SequenceRule):
            return SequenceMachine(
                number, rule.body, self._limits, self.statistics, self._waiting_room
            )
        if isinstance(rule.body, SampleRule):
            return SampleMachine(number, rule.body, self._limits, self.statistics, samples_per_key)
        if isinstance(rule.body, JoinRule):
            return JoinMachine(number, rule.body, self._limits, self.statistics)
        return None

    def _dump(self) -> dict[tuple[str, str], MachineState]:
        return {
            self._name(number): machine.dump()
            for number, machine in self._machines.items()
            if machine.live
        }

    def _load(self, states: Mapping[tuple[str, str], MachineState]) -> None:
        machines = self._named_machines() if states else {}
        for name, state in states.items():
            machine = machines.get(name)
            if machine is None:
                self.statistics.ended[EndReason.RULE_CHANGED] += state.entries
                continue
            machine.load(state)
            if self._rules[machine.rule].rollout.draining and isinstance(machine, SequenceMachine):
                machine.memory.end_leading(EndReason.RULE_CHANGED)

    def _named_machines(self) -> dict[tuple[str, str], _Machine]:
        return {self._name(number): machine for number, machine in self._machines.items()}

    def _name(self, number: int) -> tuple[str, str]:
        """Return what a rule is called in a state: digests take time, so only there."""
        rule = self._rules[number]
        return rule.rule_id, rule.semantic_hash


def _step(rule: Rule, number: int) -> Step:
    if number != UNTIL:
        return rule.steps[number]
    assert rule.until is not None
    return rule.until


def _place_in_rule(rule: Rule, step: int) -> int:
    """Return what sorts the steps of a rule, and its `until` (`UNTIL`), that one event satisfies.

    Steps of a sequence come from the last to the first, filters of a join in their order.
    """
    if not isinstance(rule.body, SequenceRule):
        return _BEFORE_ALL_STEPS if step == UNTIL else step
    if step != UNTIL:
        return -step
    return _BEFORE_ALL_STEPS if rule.body.until_first else _AFTER_ALL_STEPS


def _problem(rule: Rule) -> str | None:
    """Say why a sequence, sample or join makes no sense, or return None."""
    if isinstance(rule.body, EventRule):
        return None
    steps = rule.steps
    if not steps or all(step.missing for step in steps):
        return f"a {rule.kind} needs a step that waits for an event"
    every = (*steps, *((rule.until,) if rule.until else ()))
    if any(len(step.keys) != len(steps[0].keys) for step in every):
        return f"all steps of a {rule.kind} have the same number of join keys"
    if len({tuple(key.fold for key in step.keys) for step in every}) > 1:
        return f"all steps of a {rule.kind} regard the case of a join key, or none does"
    missing = any(step.missing for step in steps)
    if not isinstance(rule.body, SequenceRule):
        if missing:
            return f"a {rule.kind} has no missing events"
        if any(referring_condition(step) is not None for step in every):
            return f"a {rule.kind} has no order: its filters cannot refer to each other's events"
    elif missing and rule.body.maxspan is None:
        return "a sequence with missing events needs a maxspan"
    return None
