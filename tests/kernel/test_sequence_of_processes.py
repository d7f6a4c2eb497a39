"""Sequences and joins that ask for lineage, through detectors and searches."""

from __future__ import annotations

import pytest

from kestrel_framework.detector import Detector
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Predicate,
    StepField,
    all_of,
    negation,
)
from kestrel_framework.query import search
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinRule,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings("t", "ms", "kind")


def equal(left: Field, right: StepField | Literal) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, left, right)


UNDER_A_SHELL = Lineage(
    LineageRelation.DESCENDANT,
    ANY_EVENT,
    equal(Field("name"), Literal("sh")),
    Field("pid"),
    Field("ppid"),
)
SAME_USER = equal(Field("user"), StepField(0, "user"))
LOGIN = Step(frozenset({"login"}), ALWAYS)


def process(condition: Predicate, *, missing: bool = False, fork: bool = False) -> Step:
    return Step(frozenset({"process"}), condition, missing=missing, fork=fork)


# Process 1 is a shell and 2 and 3 are under it; 9 is not.
EVENTS: list[Document] = [
    {"t": 0, "n": 0, "kind": "process", "pid": 1, "ppid": 0, "name": "sh", "user": "a"},
    {"t": 1, "n": 1, "kind": "login", "user": "b"},
    {"t": 2, "n": 2, "kind": "process", "pid": 2, "ppid": 1, "name": "x", "user": "a"},
    {"t": 3, "n": 3, "kind": "process", "pid": 9, "ppid": 0, "name": "x", "user": "b"},
    {"t": 4, "n": 4, "kind": "process", "pid": 3, "ppid": 2, "name": "x", "user": "b"},
    {"t": 5, "n": 5, "kind": "process", "pid": 3, "ppid": 2, "name": "y", "user": "b"},
]


def found(body: RuleBody) -> list[list[object]]:
    """Return what a search finds; a detector finds the same, also restarted after each event."""
    rule = Rule(RuleMetadata("rule"), body)
    results = search(rule, EVENTS, settings=SETTINGS, schema=SCHEMA)
    searched = [[event and event["n"] for event in result.events] for result in results]
    detector = Detector(RuleSet([rule]), schema=SCHEMA, settings=SETTINGS)
    alerts = []
    for event in EVENTS:
        following = Detector(RuleSet([rule]), schema=SCHEMA, settings=SETTINGS)
        following.restore(detector.snapshot())
        detector = following
        alerts += detector.feed([event])
    alerts += detector.finish()
    assert [[one and one.document["n"] for one in alert.evidence] for alert in alerts] == searched
    return searched


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (all_of([SAME_USER, UNDER_A_SHELL]), [[1, 4]]),
        (all_of([SAME_USER, negation(UNDER_A_SHELL)]), [[1, 3]]),
        (all_of([negation(SAME_USER), UNDER_A_SHELL]), [[1, 2]]),
        (UNDER_A_SHELL, [[1, 2]]),
    ],
)
def test_a_step_asks_for_lineage_and_for_an_earlier_step(
    condition: Predicate, expected: object
) -> None:
    assert found(SequenceRule((LOGIN, process(condition)))) == expected


def test_a_fork_asks_each_time() -> None:
    condition = all_of([SAME_USER, UNDER_A_SHELL])
    assert found(SequenceRule((LOGIN, process(condition, fork=True)))) == [[1, 4], [1, 5]]


def test_a_missing_step_asks_too() -> None:
    last = process(equal(Field("name"), Literal("y")))
    for condition, expected in (
        (all_of([SAME_USER, UNDER_A_SHELL]), []),
        (all_of([SAME_USER, equal(Field("name"), Literal("z")), UNDER_A_SHELL]), [[1, None, 5]]),
    ):
        missing = process(condition, missing=True)
        assert found(SequenceRule((LOGIN, missing, last), 10_000_000_000)) == expected


def test_an_until_asks_too() -> None:
    last = process(equal(Field("name"), Literal("y")))
    until = process(all_of([SAME_USER, UNDER_A_SHELL]))
    assert found(SequenceRule((LOGIN, last), until=until)) == []
    never = process(all_of([SAME_USER, equal(Field("pid"), Literal(9)), UNDER_A_SHELL]))
    assert found(SequenceRule((LOGIN, last), until=never)) == [[1, 5]]


def test_the_filters_of_a_join_ask_for_lineage() -> None:
    filters = (process(UNDER_A_SHELL), process(negation(UNDER_A_SHELL)), LOGIN)
    assert found(JoinRule(filters)) == [[2, 0, 1]]
    assert found(JoinRule(filters, until=process(UNDER_A_SHELL))) == []
