"""How close events come to a rule that one event decides."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

import attrs

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._candidates_in_order import SEARCHED, candidates_in_order
from kestrel_framework._explanation.conditions import ConditionReport, explained
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Problem, targets_of
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
from kestrel_framework.event import Document, EventBatch, EventSettings, read_path
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import Lineage
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import ANY_EVENT, Program, Rule, RuleSet
from kestrel_framework.schema import SchemaRegistry


@attrs.frozen
class EventReport:
    """One event and the condition of a rule.

    Attributes:
        number: Which of the events, from 0.
        document: The event.
        condition: What holds of the condition.
    """

    number: int
    document: Document
    condition: ConditionReport


@attrs.frozen
class RuleReport:
    """What a rule finds among some events.

    Attributes:
        of_type: How many events have a type that the rule looks at.
        matching: How many of these satisfy it.
        shown: Those that satisfy it, then those that come closest, in the order of closeness.
    """

    of_type: int
    matching: int
    shown: Sequence[EventReport]


def explained_events(
    rule: Rule,
    documents: Sequence[Document],
    most: int,
    schema: SchemaRegistry,
    settings: EventSettings,
    report: Callable[[Problem], None],
) -> RuleReport:
    """Return how close events come to an event rule.

    What other processes did is known of events for which all else of the condition holds; of the
    others, it counts as not holding.

    Cost: the interpreter looks at each event of the rule's types.

    Args:
        rule: An event rule whose condition is an expression.
        documents: The events.
        most: How many of each are shown: of those that satisfy it, and of the others.
        schema: What the rule was compiled with.
        settings: Which fields say when and what an event is.
        report: Told of oddities of the events.
    """
    (step,) = rule.steps
    condition = step.predicate
    assert not isinstance(condition, Program)
    category = split_path(settings.category_field)
    lineage = _lineage(rule, documents, schema, settings, report)
    of_type = matching = 0
    found: list[EventReport] = []
    close: list[tuple[int, int, EventReport]] = []
    for number, document in enumerate(documents):
        if step.event_types != ANY_EVENT:
            types = (schema.with_ancestors(str(name)) for name in read_path(document, category))
            if all(step.event_types.isdisjoint(names) for names in types):
                continue
        of_type += 1
        held = lineage.get(number, frozenset())
        one = EventReport(number, document, explained(condition, document, held))
        if one.condition.holds:
            matching += 1
            if len(found) < most:
                found.append(one)
            continue
        entry = (-one.condition.failing, -number, one)
        if len(close) < most:
            heapq.heappush(close, entry)
        elif most:
            heapq.heappushpop(close, entry)
    closest = [one for *_, one in sorted(close, key=lambda entry: entry[:2], reverse=True)]
    return RuleReport(of_type, matching, [*found, *closest])


def _lineage(
    rule: Rule,
    documents: Sequence[Document],
    schema: SchemaRegistry,
    settings: EventSettings,
    report: Callable[[Problem], None],
) -> Mapping[int, frozenset[Lineage]]:
    """Return the `Lineage` nodes that hold for events that satisfy a rule, by their numbers."""
    (step,) = rule.steps
    if isinstance(step.predicate, Program) or not lineages_of(step.predicate):
        return {}
    rules = RuleSet([attrs.evolve(rule, pipes=())])
    targets = targets_of(rules)
    lineage = ProcessLineage(rules, targets, LineageLimits.unlimited(), report)
    matcher = EventMatcher(
        (*targets, *lineage.targets), schema, settings, NativePatternEngine(), lineage.paths
    )
    batch = EventBatch(documents=documents, stream=SEARCHED, first_offset=0)
    return {
        candidate.row.offset: candidate.lineage
        for candidate in candidates_in_order(lineage, matcher, batch, report)
    }
