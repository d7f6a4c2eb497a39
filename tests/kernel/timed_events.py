"""Events of sequences with a time, and rules of all kinds that look for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st

from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.event import Document, EventSettings, TimeSettings
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    JoinRule,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

SECOND: Final = 1_000_000_000
SETTINGS: Final = EventSettings("t", "ns", "kind", "tie")
KEY: Final = (JoinKey(Field("key")),)


def step(letter: str, *, missing: bool = False) -> Step:
    condition = Comparison(ComparisonOperator.EQUAL, Field("name"), Literal(letter))
    return Step(ANY_EVENT, condition, KEY, missing=missing)


def rule(name: str, body: EventRule | SequenceRule | SampleRule | JoinRule) -> Rule:
    return Rule(RuleMetadata(name), body)


RULES: Final = RuleSet(
    [
        rule("alone", EventRule(ANY_EVENT, step("A").predicate)),
        rule("a-b-c", SequenceRule((step("A"), step("B"), step("C")), maxspan=9 * SECOND)),
        rule("a-b-until-d", SequenceRule((step("A"), step("B")), until=step("D"))),
        rule(
            "a-silence",
            SequenceRule((step("A"), step("B", missing=True)), maxspan=4 * SECOND),
        ),
        rule(
            "a-no-d-c",
            SequenceRule((step("A"), step("D", missing=True), step("C")), maxspan=6 * SECOND),
        ),
        rule("both", SampleRule((step("B"), step("D")))),
        rule("join", JoinRule((step("C"), step("D")))),
    ]
)


def detector(time: TimeSettings | None = None) -> Detector:
    return Detector(RULES, schema=SchemaRegistry(), settings=SETTINGS, time=time)


def event(number: int, name: str, time: int, key: int = 0) -> Document:
    return {"t": time, "name": name, "key": key, "tie": number}


def shown(alerts: Iterable[Alert]) -> list[tuple[str, list[object]]]:
    return [
        (a.rule.rule_id, [e and e.document and e.document["tie"] for e in a.evidence])
        for a in alerts
    ]


@st.composite
def streams(draw: st.DrawFn) -> list[Document]:
    """Draw events in their order."""
    moments = sorted(draw(st.lists(st.integers(0, 60), max_size=40)))
    return [
        event(number, draw(st.sampled_from("ABCDE")), moment * SECOND // 2, draw(st.integers(0, 1)))
        for number, moment in enumerate(moments)
    ]
