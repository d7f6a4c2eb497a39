"""What the steps of a rule set are called beyond it: their numbers are its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from kestrel_framework._pipeline.event_time import StepName
from kestrel_framework._pipeline.flow import UNTIL, Target
from kestrel_framework.predicate import NEVER, Lineage
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import Program, Rule, RuleSet, SequenceRule


class StepNames:
    """The names of targets that are steps, and the targets of such names.

    A filter of a rule that drains is two targets; the one that begins nothing has, in its name, the
    number that follows those of all filters. Where the rule is at work again, both mean the filter.

    Args:
        rules: The rule set.
        targets: Its conditions, as they are numbered.
        steps: Which of these are steps.
    """

    def __init__(self, rules: RuleSet, targets: Sequence[Target], steps: Collection[int]) -> None:
        self._rules = rules.rules
        self._targets = targets
        self._steps = sorted(steps)
        self._known: Mapping[StepName, int] | None = None

    def name(self, number: int) -> StepName:
        """Return the name of a target."""
        target = self._targets[number]
        rule = self._rules[target.rule]
        step = target.step if target.begins else target.step + len(rule.steps)
        return rule.rule_id, rule.semantic_hash, step

    def number(self, name: StepName) -> int | None:
        """Return the target that has a name; None if there is none, or it means nothing now."""
        if self._known is None:
            self._known = dict(self._named())
        return self._known.get(name)

    def numbers_in(self, others: StepNames) -> dict[int, int]:
        """Return the targets of another rule set that mean the same, by those of this one."""
        return {
            number: other
            for number in self._steps
            if (other := others.number(self.name(number))) is not None
        }

    def begins_draining(self, number: int) -> bool:
        """Say whether a target is of a rule that drains, and a waiting match may begin it."""
        target = self._targets[number]
        return target.condition is NEVER and self._rules[target.rule].rollout.draining

    def lineages(self, number: int) -> Sequence[Lineage]:
        """Return what the condition of a target asks of lineage."""
        target = self._targets[number]
        rule = self._rules[target.rule]
        step = rule.until if target.step == UNTIL else rule.steps[target.step]
        assert step is not None
        condition = step.predicate
        return () if isinstance(condition, Program) else tuple(lineages_of(condition))

    def _named(self) -> Iterator[tuple[StepName, int]]:
        for number in self._steps:
            target = self._targets[number]
            rule = self._rules[target.rule]
            if self.begins_draining(number) and _is_led(rule):
                continue  # nobody looks any more for what forbids it
            rule_id, semantic_hash, step = self.name(number)
            yield (rule_id, semantic_hash, step), number
            if target.step != UNTIL and not rule.rollout.draining:
                yield (rule_id, semantic_hash, step + len(rule.steps)), number


def _is_led(rule: Rule) -> bool:
    """Say whether a rule begins with an event that must not come."""
    return isinstance(rule.body, SequenceRule) and rule.body.steps[0].missing
