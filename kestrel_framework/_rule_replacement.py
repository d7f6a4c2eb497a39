"""Going on with other rules: made ready beside a detector at work, then put in its place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from kestrel_framework._generation import Generation
from kestrel_framework._pipeline.event_time import EventTime, WaitingMatch
from kestrel_framework.reload import MOST_DRAINING, CarriedMatches, OnRuleChange, ReloadReport
from kestrel_framework.rule import EventRule, Rule, RuleSet

_FEW: Final = 20
"""How many rules a report names at most."""


@attrs.define(eq=False)
class Handover:
    """What goes from the stages of one rule set to those of the next.

    Attributes:
        previous: The stages of the rules at work.
        generation: Those of the next rules.
        numbers: The targets of the next rules that mean the same, by those of the rules at work.
        comparison: The ids of rules that are added, removed, changed and unchanged.
        is_done: Whether the next rules are at work.
        is_over: Whether nobody can be given them any more.
    """

    previous: Generation
    generation: Generation
    numbers: Mapping[int, int]
    comparison: Sequence[Sequence[str]]
    is_done: bool = False
    is_over: bool = False

    def is_possible_from(self, generation: Generation) -> bool:
        """Say whether some rules at work are those that this was prepared for."""
        return self.previous is generation and not self.is_over

    def carry_out(
        self, event_time: EventTime, untimely: Counter[str], compile_seconds: float
    ) -> ReloadReport:
        """Have the next rules go on with everything that those at work leave.

        Args:
            event_time: Where step matches wait.
            untimely: Counts those that do not any more, as `rule_changed`.
            compile_seconds: For the report.
        """
        started = time.perf_counter()
        generation = self.generation
        ended = generation.tracker.take_over(self.previous.tracker)
        generation.lineage.take_over(self.previous.lineage)
        waiting = event_time.take_out()
        combinations = {match.targets for _, match in waiting}
        renumbered = {targets: self._renumbered(targets) for targets in combinations}
        generation.expect(renumbered.values())
        for number in _one_too_many(generation):
            ended[generation.rules.rules[number].rule_id] += generation.tracker.live_of(number)
            generation.end_rule(number)
            renumbered = {
                before: tuple([n for n in now if generation.targets[n].rule != number])
                for before, now in renumbered.items()
            }
        kept = list(_kept(waiting, renumbered))
        event_time.put_in(kept)
        left_out = len(waiting) - len(kept)
        if left_out:
            untimely["rule_changed"] += left_out
        self.is_done = True
        added, removed, changed, unchanged = self.comparison
        return ReloadReport(
            added,
            removed,
            changed,
            unchanged,
            *_live(generation),
            _carried(ended),
            len(kept),
            left_out,
            compile_seconds,
            time.perf_counter() - started,
        )

    def _renumbered(self, targets: tuple[int, ...]) -> tuple[int, ...]:
        numbers = self.numbers
        return tuple(sorted([numbers[number] for number in targets if number in numbers]))


@attrs.frozen(eq=False)
class PreparedRules:
    """Rules that are compiled, for `Detector.replace` of the detector that prepared them.

    Attributes:
        rules: The rules.
        on_rule_change: What becomes of what is under way of other rules.
        compile_seconds: How long compiling took.
    """

    rules: RuleSet
    on_rule_change: OnRuleChange
    compile_seconds: float
    _handover: Handover = attrs.field(repr=False)

    def release(self) -> None:
        """Let go of the rules that were replaced, or of these if they never were.

        From any thread, best from the one that prepared them; takes some ten milliseconds with a
        thousand rules. Without it, memory is free when Python next looks for cyclic garbage, which
        takes it most of a second then. More than once does no harm.
        """
        handover = self._handover
        if not handover.is_over:
            handover.is_over = True
            (handover.previous if handover.is_done else handover.generation).matcher.dismantle()


def prepared(
    rules: RuleSet,
    on_rule_change: OnRuleChange,
    previous: Generation,
    compiled: Callable[[RuleSet, Generation], Generation],
    announce: Callable[[RuleSet], None] = lambda rules: None,
) -> PreparedRules:
    """Compile rules to take the place of others, which may be at work meanwhile.

    Args:
        rules: The rules.
        on_rule_change: What becomes of what is under way of other rules.
        previous: The stages of the rules at work.
        compiled: Returns the stages of rules.
        announce: Told what is compiled before it is: these rules, and those that drain.

    Raises:
        RuleError: a rule cannot be loaded into its runtime.
    """
    started = time.perf_counter()
    every = rules
    if on_rule_change is OnRuleChange.DRAIN:
        every = RuleSet((*rules, *_to_drain(rules, previous)))
    announce(every)
    generation = compiled(every, previous)
    numbers = previous.step_names.numbers_in(generation.step_names)
    comparison = _compared(previous.rules_at_work, generation.rules_at_work)
    handover = Handover(previous, generation, numbers, comparison)
    return PreparedRules(rules, on_rule_change, time.perf_counter() - started, handover)


def _to_drain(rules: RuleSet, previous: Generation) -> Iterator[Rule]:
    """Yield the revisions that may have something under way then, the oldest first.

    Of those that begin something until they are replaced, nobody knows now.
    """
    going_on = _meanings(rules)
    before = previous.rules.rules
    for number in sorted(range(len(before)), key=lambda number: not _drains(before[number])):
        rule = before[number]
        if isinstance(rule.body, EventRule) or (
            _drains(rule) and not previous.has_under_way(number)
        ):
            continue
        known = going_on.get(rule.rule_id)
        if known is None or rule.semantic_hash not in known:
            yield attrs.evolve(rule, rollout=attrs.evolve(rule.rollout, draining=True))


def _drains(rule: Rule) -> bool:
    return rule.rollout.draining


def _one_too_many(generation: Generation) -> Iterator[int]:
    """Yield the oldest draining revisions of rules that have too many of them."""
    revisions: dict[str, list[int]] = {}
    for number in filter(generation.has_under_way, generation.draining):
        revisions.setdefault(generation.rules.rules[number].rule_id, []).append(number)
    for numbers in revisions.values():
        yield from numbers[:-MOST_DRAINING]


def _kept(
    waiting: Iterable[tuple[str | None, WaitingMatch]],
    renumbered: Mapping[tuple[int, ...], tuple[int, ...]],
) -> Iterator[tuple[str | None, WaitingMatch]]:
    for aside_of, match in waiting:
        targets = renumbered[match.targets]
        if targets == match.targets:
            yield aside_of, match
        elif targets:
            yield aside_of, match._replace(targets=targets)


def _live(generation: Generation) -> tuple[CarriedMatches, CarriedMatches]:
    """Return the partial matches of rules at work, and of those that drain."""
    at_work: Counter[str] = Counter()
    draining: Counter[str] = Counter()
    for number, live in generation.tracker.live().items():
        rule = generation.rules.rules[number]
        (draining if _drains(rule) else at_work)[rule.rule_id] += live
    return _carried(at_work), _carried(draining)


def _carried(counts: Counter[str]) -> CarriedMatches:
    numbers = {rule: number for rule, number in sorted(counts.items()) if number}
    by_rule = numbers if len(numbers) <= _FEW else {}
    return CarriedMatches(sum(numbers.values()), MappingProxyType(by_rule))


def _compared(before: RuleSet, now: RuleSet) -> Sequence[Sequence[str]]:
    """Return the ids of rules that are added, removed, changed and unchanged."""
    old, new = _meanings(before), _meanings(now)
    both = old.keys() & new.keys()
    changed = {rule_id for rule_id in both if old[rule_id] != new[rule_id]}
    return [
        tuple(sorted(ids))
        for ids in (new.keys() - both, old.keys() - both, changed, both - changed)
    ]


def _meanings(rules: RuleSet) -> Mapping[str, set[str]]:
    meanings: dict[str, set[str]] = {}
    for rule in rules:
        meanings.setdefault(rule.rule_id, set()).add(rule.semantic_hash)
    return meanings
