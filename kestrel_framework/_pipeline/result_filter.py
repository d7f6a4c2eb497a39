"""Lets findings pass the filters of their rules, or not."""

from __future__ import annotations

from collections.abc import Sequence

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework.event import Document
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Predicate
from kestrel_framework.rule import RuleSet


class ResultFilter:
    """The filters of one rule set. Costs something only when a rule that has one matched.

    Args:
        rules: The rule set; the pipes of its rules are filters.
    """

    def __init__(self, rules: RuleSet) -> None:
        self._conditions = {
            number: tuple(pipe.condition for pipe in rule.pipes)
            for number, rule in enumerate(rules)
            if rule.pipes
        }

    def passes(self, finding: Completion) -> bool:
        """Say whether a finding passes all filters of its rule."""
        conditions = self._conditions.get(finding.rule)
        if conditions is None:
            return True
        events = [None if event is None else event.document for event in finding.events]
        return all(lets_pass(condition, events) for condition in conditions)


def lets_pass(condition: Predicate, events: Sequence[Document | None]) -> bool:
    """Say whether the condition of a filter holds: of the first event, beside all of them."""
    first = next((event for event in events if event is not None), {})
    return holds(condition, first, events)
