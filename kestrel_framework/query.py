"""Search finished files of events with one rule.

A search uses the stages of the detector; what it adds is that all events are there:
they are sorted first, and results come in the order of the rule's language, pass its
pipes, and are cut to a size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._candidates_in_order import SEARCHED, candidates_in_order
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import (
    Candidate,
    Completion,
    Problem,
    ordinal,
    targets_of,
)
from kestrel_framework._pipeline.process_lineage import LineageLimits, ProcessLineage
from kestrel_framework._pipeline.sequence_tracker import (
    SequenceTracker,
    TrackerLimits,
    key_order,
)
from kestrel_framework._query_pipes import Result, piped
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document, Event, EventBatch, EventSettings
from kestrel_framework.predicate import Field
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import EventRule, Program, Rule, RuleSet, SampleRule
from kestrel_framework.schema import FieldType, SchemaRegistry
from kestrel_framework.values import Scalar, format_timestamp


@attrs.frozen
class SearchResult:
    """One result of a search.

    Attributes:
        events: One document for each step; `None` where a step holds because no event came.
        join_keys: The values that the events share; empty where the rule names none. A date
            is a text in ISO 8601 for a sequence or join, and milliseconds since 1970 for a
            sample, as Elasticsearch shows them.
    """

    events: tuple[Document | None, ...]
    join_keys: tuple[Scalar | None, ...] = ()


def search(
    rule: Rule,
    documents: Iterable[Document],
    *,
    settings: EventSettings | None = None,
    schema: SchemaRegistry | None = None,
    size: int | None = 10,
    max_samples_per_key: int = 1,
    report: Callable[[Problem], None] | None = None,
) -> list[SearchResult]:
    """Return what `rule` finds in `documents`.

    Events are sorted by timestamp, then tiebreaker; equal ones keep their order. A sample
    has no order in time, and takes the events as they are given, except that lineage is always
    known from the events before. Events, sequences and joins are found in the order of their
    last events, those that end with the same event in the order of their keys; samples in
    ascending order of their keys, null first. They pass the pipes of the rule from left to
    right; `size` comes last.

    Holds all documents in memory, and whatever unfinished sequences need.

    Args:
        rule: A compiled rule; its pipes are obeyed.
        documents: The events, in any order. Keys with dots are unfolded.
        settings: Which fields say when and what an event is.
        schema: What the rule was compiled with; the Elastic Common Schema if left out.
        size: The most results, or `None` for all of them.
        max_samples_per_key: The most samples with the same join keys.
        report: Told of each oddity of the events, such as a missing timestamp.

    Raises:
        RuleError: the rule has a program (a search runs expressions only), a pipe that no
            search knows or that asks for lineage, or makes no sense.
        ValueError: a limit is below zero.
    """
    if size is not None and size < 0:
        raise ValueError(f"`size` is a number of results, not {size}")
    if max_samples_per_key < 1:
        raise ValueError(f"`max_samples_per_key` is at least 1, not {max_samples_per_key}")
    if any(isinstance(condition, Program) for condition in rule.body.conditions):
        problem = "a search runs expressions; this rule has a program written by hand"
        raise RuleError(problem, rule.location, rule_id=rule.rule_id)
    for pipe in rule.pipes:
        if any(not isinstance(part, int) and lineages_of(part) for part in pipe.arguments):
            problem = f"the pipe `{pipe.name}` cannot ask for lineage; the condition can"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id)
    completions = _completions(
        rule,
        documents,
        settings or EventSettings(),
        schema or SchemaRegistry.ecs(),
        max_samples_per_key,
        report or (lambda problem: None),
    )
    types = _key_types(rule)
    found = [
        Result(tuple(map(_document, completion.events)), _shown(completion.key, types, rule))
        for completion in _ordered(rule, completions, types)
    ]
    results = piped(found, rule.pipes, rule)[:size]
    return [SearchResult(result.events, result.join_keys) for result in results]


def _completions(
    rule: Rule,
    documents: Iterable[Document],
    settings: EventSettings,
    schema: SchemaRegistry,
    samples_per_key: int,
    report: Callable[[Problem], None],
) -> list[Completion]:
    rules = RuleSet([attrs.evolve(rule, pipes=())])
    targets = targets_of(rules)
    lineage = ProcessLineage(rules, targets, LineageLimits.unlimited(), report)
    matcher = EventMatcher(
        (*targets, *lineage.targets), schema, settings, NativePatternEngine(), lineage.paths
    )
    batch = EventBatch(documents=list(documents), stream=SEARCHED, first_offset=0)
    candidates = candidates_in_order(lineage, matcher, batch, report)
    if isinstance(rule.body, SampleRule):
        candidates.sort(key=lambda candidate: candidate.row.offset)
    if isinstance(rule.body, EventRule):
        return [_single(candidate) for candidate in candidates]
    tracker = SequenceTracker(rules, targets, TrackerLimits.unlimited(), samples_per_key)
    return [*tracker.advance(candidates), *tracker.finish()]


def _document(event: Event | None) -> Document | None:
    return None if event is None else event.document


def _single(candidate: Candidate) -> Completion:
    return Completion(0, (), (candidate.row.event(),))


def _key_types(rule: Rule) -> list[FieldType | None]:
    values = [key.value for key in rule.steps[0].keys]
    return [value.type if isinstance(value, Field) else None for value in values]


def _ordered(
    rule: Rule, completions: list[Completion], types: Sequence[FieldType | None]
) -> list[Completion]:
    if isinstance(rule.body, SampleRule):
        return sorted(completions, key=lambda completion: key_order(completion.key, types))
    return sorted(
        completions,
        key=lambda completion: (
            max(ordinal(event) for event in completion.events if event),
            key_order(completion.key, types),
        ),
    )


def _shown(
    key: tuple[Scalar | None, ...], types: Sequence[FieldType | None], rule: Rule
) -> tuple[Scalar | None, ...]:
    """Return a key as people write its values."""
    as_date = _milliseconds if isinstance(rule.body, SampleRule) else format_timestamp
    shown: list[Scalar | None] = []
    for value, field_type in zip(key, types, strict=True):
        if field_type is FieldType.DATE and isinstance(value, int):
            shown.append(as_date(value))
        elif field_type is FieldType.DOUBLE and isinstance(value, int):
            shown.append(float(value))
        else:
            shown.append(value)
    return tuple(shown)


def _milliseconds(nanoseconds: int) -> int:
    return nanoseconds // 1_000_000
