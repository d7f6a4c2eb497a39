"""What people call the conditions of rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from kestrel_framework._pipeline.flow import QUERY, UNTIL, Target
from kestrel_framework.predicate import StepField
from kestrel_framework.predicate_traversal import lineages_of, walk
from kestrel_framework.rule import EventRule, Program, RuleSet


@attrs.frozen
class TargetName:
    """The name of one condition.

    Attributes:
        rule_id: Its rule.
        rule_name: What people call the rule, or "".
        part: Which part of the rule: `step 2`, or "" where the rule has one condition.
        event_types: As in `EventRule`, sorted.
        decided_later: What decides whether it really holds, where the matcher alone does not.
    """

    rule_id: str
    rule_name: str
    part: str
    event_types: tuple[str, ...]
    decided_later: str

    def __str__(self) -> str:
        return f"{self.rule}, {self.part}" if self.part else self.rule

    @property
    def rule(self) -> str:
        """Id and name of the rule."""
        has_name = self.rule_name not in ("", self.rule_id)
        return f"{self.rule_id} ({self.rule_name})" if has_name else self.rule_id


class TargetNames:
    """Names the conditions of a rule set.

    Args:
        rules: The rules.
        targets: Their conditions, as `targets_of` numbers them, then those for lineage.
        of_rules: How many of them are conditions of rules.
    """

    def __init__(self, rules: RuleSet, targets: Sequence[Target], of_rules: int) -> None:
        self._targets = targets
        self._names = [
            _name(rules, target, for_lineage=number >= of_rules)
            for number, target in enumerate(targets)
        ]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, target: int) -> TargetName:
        return self._names[target]

    def rules_of(self, targets: Iterable[int]) -> frozenset[int]:
        """Return the numbers of the rules that some of these conditions belong to."""
        return frozenset(self._targets[target].rule for target in targets)


def _name(rules: RuleSet, target: Target, *, for_lineage: bool) -> TargetName:
    rule = rules.rules[target.rule]
    if target.step == QUERY:
        part = "query about other processes"
    elif target.step == UNTIL:
        part = "until"
    elif isinstance(rule.body, EventRule):
        part = ""
    else:
        part = f"step {target.step + 1}"
    if for_lineage and target.step != QUERY:
        part = f"{part}, without lineage".removeprefix(", ")
    types = tuple(sorted(target.event_types))
    return TargetName(rule.rule_id, rule.metadata.name, part, types, _decided_later(target))


def _decided_later(target: Target) -> str:
    condition = target.condition
    if isinstance(condition, Program):
        return f"a program of the runtime {condition.runtime}"
    others = []
    if lineages_of(condition):
        others.append("what other processes did")
    if any(isinstance(node, StepField) for node in walk(condition)):
        others.append("earlier steps")
    return " and ".join(others)
