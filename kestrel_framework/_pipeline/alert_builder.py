"""From findings to alerts: the evidence, and what was lost in its time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.event import Event, read_path
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import Field, FieldLike, Lineage, Node, Predicate, StepField
from kestrel_framework.predicate_traversal import children, fields_of, walk
from kestrel_framework.rule import JoinKey, Program, RolloutMode, Rule, RuleSet, Step
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Scalar, fold_case, format_timestamp

_FieldsOfStep: TypeAlias = tuple[tuple[str, tuple[str | int, ...]], ...]
"""Paths and their parts."""


class AlertBuilder:
    """Builds the alerts of one rule set. Pure; costs something only when a rule matched."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules.rules
        self._dates = [[_is_date(key) for key in rule.steps[0].keys] for rule in rules]
        self._known_fields: dict[int, Sequence[_FieldsOfStep]] = {}

    def alert(
        self,
        rule_index: int,
        events: Sequence[Event | None],
        join_keys: tuple[Scalar | None, ...],
        lost: Mapping[str, int],
    ) -> Alert:
        """Return the alert for `events`: one for each step, `None` for a missing event."""
        rule = self._rules[rule_index]
        evidence = tuple(
            None if event is None else _evidence(event, fields)
            for event, fields in zip(events, self._fields(rule_index), strict=True)
        )
        return Alert(
            rule=rule.metadata,
            revision=rule.revision,
            semantic_hash=rule.semantic_hash,
            evidence=evidence,
            join_keys=tuple(
                format_timestamp(key) if is_date and isinstance(key, int) else key
                for key, is_date in zip(join_keys, self._dates[rule_index], strict=True)
            ),
            lost=lost,
            shadow=not _counts(rule, events, join_keys),
        )

    def _fields(self, rule_index: int) -> Sequence[_FieldsOfStep]:
        """Return the fields that each step of a rule reads; most rules are never asked."""
        known = self._known_fields.get(rule_index)
        if known is None:
            rule = self._rules[rule_index]
            parts = zip(rule.steps, _filtered(rule), strict=True)
            known = self._known_fields[rule_index] = [_fields_of_step(*part) for part in parts]
        return known


def _filtered(rule: Rule) -> list[set[str]]:
    """Return, for each step of a rule, the paths that its filters read in that step's event."""
    paths: list[set[str]] = [set() for _ in rule.steps]
    for pipe in rule.pipes:
        first = next(number for number, step in enumerate(rule.steps) if not step.missing)
        for node in walk(pipe.condition):
            if isinstance(node, Field):
                paths[first].add(node.path)
            elif isinstance(node, StepField) and 0 <= node.step < len(paths):
                paths[node.step].add(node.path)
    return paths


def _fields_of_step(step: Step, filtered: set[str]) -> _FieldsOfStep:
    condition = step.predicate
    if isinstance(condition, Program):
        paths = filtered | set(condition.fields)
        if condition.prefilter is not None:
            paths |= _fields_of_event(condition.prefilter)
    else:
        paths = filtered | _fields_of_event(condition)
    for key in step.keys:
        paths |= fields_of(key.value)
    return tuple((path, split_path(path)) for path in sorted(paths))


def _fields_of_event(predicate: Predicate) -> set[str]:
    """Return the paths read of the event itself, not of those that lineage leads to."""
    found = set()
    waiting: list[Node] = [predicate]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Field):
            found.add(node.path)
        of_event = (node.process, node.parent) if isinstance(node, Lineage) else children(node)
        waiting.extend(of_event)
    return found


def _is_date(key: JoinKey) -> bool:
    return isinstance(key.value, FieldLike) and key.value.type is FieldType.DATE


def _evidence(event: Event, fields: Sequence[tuple[str, Sequence[str | int]]]) -> Evidence:
    seen: dict[str, object] = {}
    for path, parts in fields:
        values = list(read_path(event.document, parts))
        if values:
            seen[path] = values[0] if len(values) == 1 else values
    return Evidence(event.identity, event.timestamp, seen, event.document)


def _counts(
    rule: Rule, events: Sequence[Event | None], join_keys: tuple[Scalar | None, ...]
) -> bool:
    """Say whether the rollout of the rule's revision lets this finding count."""
    rollout = rule.rollout
    if rollout.mode is not RolloutMode.CANARY:
        return rollout.mode is RolloutMode.LIVE
    routed_by: object = tuple(
        fold_case(value) if key.fold and isinstance(value, str) else value
        for key, value in zip(rule.steps[0].keys, join_keys, strict=True)
    )
    if not join_keys:
        first = next(event for event in events if event is not None)
        routed_by = list(read_path(first.document, ("host", "id")))
    digest = hashlib.sha256(repr((rule.rule_id, routed_by)).encode()).digest()
    return int.from_bytes(digest[:8], "big") < rollout.fraction * 2**64
