"""Pipes in rules on a stream: filters work, and the others say why they cannot."""

from __future__ import annotations

import attrs
import pytest

from kestrel_framework.detector import Detector
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import (
    ALWAYS,
    AnyElement,
    Comparison,
    ComparisonOperator,
    Element,
    Field,
    IsNull,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Predicate,
    StepField,
)
from kestrel_framework.query import search
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    JoinRule,
    Pipe,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings("t", "ms", "kind", "tie")
KEY = JoinKey(Field("key"))
PAIR = (Step(frozenset("a"), ALWAYS, (KEY,)), Step(frozenset("b"), ALWAYS, (KEY,)))


def equal(left: Field | StepField | Element, right: str | int) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, left, Literal(right))


def filtered(body: RuleBody, *conditions: Predicate) -> Rule:
    pipes = tuple(Pipe("filter", (condition,)) for condition in conditions)
    return Rule(RuleMetadata("rule"), body, pipes=pipes)


def detector_for(rule: Rule) -> Detector:
    return Detector(RuleSet([rule]), schema=SCHEMA, settings=SETTINGS)


EVENTS: list[Document] = [
    {"t": n, "kind": "ab"[n % 2], "key": n // 2, "n": n, "list": [{"x": n}]} for n in range(8)
]

CASES: dict[str, tuple[RuleBody, tuple[Predicate, ...]]] = {
    "events": (EventRule(ANY_EVENT, ALWAYS), (equal(Field("n"), 3),)),
    "each of two": (EventRule(ANY_EVENT, ALWAYS), (equal(Field("kind"), "a"), IsNull(Field("z")))),
    "the first event of a sequence": (SequenceRule(PAIR), (equal(Field("n"), 2),)),
    "another event of a sequence": (SequenceRule(PAIR), (equal(StepField(1, "n"), 5),)),
    "a missing event has no fields": (
        SequenceRule((*PAIR, attrs.evolve(PAIR[0], missing=True)), 1_000_000),
        (IsNull(StepField(2, "n")), equal(Field("n"), 4)),
    ),
    "a sample": (SampleRule(PAIR), (Not(equal(StepField(1, "n"), 3)),)),
    "a join": (JoinRule(PAIR), (equal(Field("key"), 1), equal(StepField(0, "key"), 1))),
    "elements": (
        EventRule(ANY_EVENT, ALWAYS),
        (AnyElement(Field("list"), "e", equal(Element("e", "x"), 6)),),
    ),
    "nothing passes": (SequenceRule(PAIR), (equal(StepField(9, "n"), 5),)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_detector_drops_what_a_search_filters(name: str) -> None:
    body, conditions = CASES[name]
    rule = filtered(body, *conditions)
    detector = detector_for(rule)
    alerts = [*detector.feed(EVENTS), *detector.finish()]
    detected = [[one and one.document["n"] for one in alert.evidence] for alert in alerts]
    searched = [
        [event and event["n"] for event in result.events]
        for result in search(rule, EVENTS, settings=SETTINGS, schema=SCHEMA, size=None)
    ]
    every = search(attrs.evolve(rule, pipes=()), EVENTS, settings=SETTINGS, schema=SCHEMA)
    assert detected == searched
    assert len(detected) < len(every)
    assert bool(detected) is (name != "nothing passes")
    assert detector.statistics.alerts["rule"] == len(detected)


def test_evidence_has_the_fields_that_filters_read() -> None:
    rule = filtered(
        SequenceRule(PAIR), Not(IsNull(Field("n"))), Not(equal(StepField(1, "list.x"), 0))
    )
    (alert, *_) = detector_for(rule).feed(EVENTS)
    assert [dict(item.fields) for item in alert.events] == [
        {"key": 0, "n": 0},
        {"key": 0, "list.x": 1},
    ]
    assert rule.fields == ("key", "n")


def test_a_filter_is_part_of_what_a_rule_means() -> None:
    body = EventRule(ANY_EVENT, ALWAYS)
    rules = [filtered(body), filtered(body, equal(Field("n"), 3)), filtered(body, ALWAYS)]
    assert len({rule.semantic_hash for rule in rules}) == 3
    assert len(RuleSet(rules)) == 3
    folded = attrs.evolve(rules[1], pipes=(Pipe("filter", (equal(Field("n"), 3),), fold=True),))
    assert folded.semantic_hash != rules[1].semantic_hash


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("count", "it waits for all results"),
        ("head", "it would fall silent after its first results"),
        ("sort", "it waits for all results"),
        ("tail", "it waits for the last result"),
        ("unique", "it would have to remember every value"),
        ("unique_count", "it would have to remember every value, and waits for all results"),
        ("shuffle", "only `filter` looks at one result alone"),
    ],
)
def test_a_pipe_that_does_not_work_on_a_stream_says_why(name: str, why: str) -> None:
    rule = attrs.evolve(
        filtered(EventRule(ANY_EVENT, ALWAYS), ALWAYS), location=SourceLocation("rules/a.eql", 7)
    )
    rule = attrs.evolve(rule, pipes=(*rule.pipes, Pipe(name, (5,))))
    with pytest.raises(RuleError) as caught:
        RuleSet([rule])
    assert str(caught.value) == (
        f"rules/a.eql:7: the pipe `{name}` does not work on a stream: {why}; "
        "leave it out, or search with `kestrel query`"
    )


LINEAGE = Lineage(
    LineageRelation.DESCENDANT, ANY_EVENT, ALWAYS, Field("process.id"), Field("process.parent")
)


@pytest.mark.parametrize(
    ("pipe", "problem"),
    [
        (Pipe("filter"), "takes one condition"),
        (Pipe("filter", (5,)), "takes one condition"),
        (Pipe("filter", (Field("x"),)), "takes one condition"),
        (Pipe("filter", (ALWAYS, ALWAYS)), "takes one condition"),
        (Pipe("filter", (Not(LINEAGE),)), "cannot ask for lineage"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_everywhere(pipe: Pipe, problem: str) -> None:
    rule = Rule(RuleMetadata("rule"), EventRule(ANY_EVENT, ALWAYS), pipes=(pipe,))
    with pytest.raises(RuleError, match=f"the pipe `filter` {problem}"):
        RuleSet([rule])
    with pytest.raises(RuleError, match=f"the pipe `filter` {problem}"):
        search(rule, EVENTS, settings=SETTINGS, schema=SCHEMA)
