"""Rules and events as hypothesis draws them, for tests of whole pipelines."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

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
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    JoinRule,
    RuleBody,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import EventType, SchemaRegistry

SCHEMA = SchemaRegistry().extended(
    event_types=(EventType("a"), EventType("b"), EventType("c", parents=("a",)))
)
SETTINGS = EventSettings("t", "ns", "kind", "tie")

EVENT_TYPES = st.sampled_from([ANY_EVENT, *map(frozenset, ("a", "b", "c", "ab"))])
NUMBERS = st.integers(0, 2)


@st.composite
def conditions(draw: st.DrawFn, earlier: Sequence[int] = (), *, lineage: bool = True) -> Predicate:
    value = Literal(draw(NUMBERS))
    choices: list[Predicate] = [
        ALWAYS,
        Comparison(ComparisonOperator.EQUAL, Field("x"), value),
        negation(Comparison(ComparisonOperator.LESS, Field("x"), value)),
        *(
            Comparison(ComparisonOperator.EQUAL, Field("x"), StepField(number, "x"))
            for number in earlier
        ),
    ]
    if lineage:
        relation = draw(st.sampled_from(list(LineageRelation)))
        choices.append(Lineage(relation, draw(EVENT_TYPES), choices[1], Field("j"), Field("k")))
    return all_of(draw(st.lists(st.sampled_from(choices), max_size=2)))


@st.composite
def bodies(draw: st.DrawFn) -> RuleBody:
    if draw(st.integers(0, 9)) == 0:
        return EventRule(draw(EVENT_TYPES), draw(conditions()))
    fold = draw(st.booleans())
    keys = tuple(
        JoinKey(Field(name), draw(st.booleans()), fold)
        for name in draw(st.sampled_from(["", "k", "k", "kj"]))
    )
    plain = st.builds(Step, EVENT_TYPES, conditions(), st.just(keys))
    until = draw(st.none() | plain)
    if draw(st.integers(0, 4)) == 0:
        return JoinRule(tuple(draw(st.lists(plain, min_size=1, max_size=3))), until)
    waits = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=1, max_size=4))
    if not any(waits):
        waits.append(True)
    steps: list[Step] = []
    earlier: list[int] = []
    for number, wait in enumerate(waits):
        condition = draw(conditions(earlier))
        fork = wait and draw(st.booleans())
        steps.append(Step(draw(EVENT_TYPES), condition, keys, missing=not wait, fork=fork))
        if wait:
            earlier.append(number)
    spans = st.integers(0, 9)
    maxspan = draw(st.none() | spans) if all(waits) else draw(spans)
    return SequenceRule(tuple(steps), maxspan, until, draw(st.booleans()))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    possible: dict[str, st.SearchStrategy[object]] = {
        "tie": st.none() | NUMBERS | st.sampled_from(["", "1"]),
        "kind": st.sampled_from(["a", "b", "c", ["a", "b"]]),
        "x": NUMBERS | st.lists(NUMBERS, max_size=2),
        "k": st.sampled_from([1, 1, "a", "A", "1", True, None, [1, None, "A"], []]),
        "j": st.sampled_from([1, 1.0, 2, [2, 1]]),
    }
    present = draw(st.sets(st.sampled_from(sorted(possible)), min_size=3))
    return {"t": draw(st.integers(0, 20)), **{key: draw(possible[key]) for key in sorted(present)}}


def in_order(given_order: Sequence[Document]) -> list[Document]:
    """Sort as a source with an order would deliver: by time, then tiebreaker, absent last."""

    def place(document: Document) -> tuple[object, ...]:
        tie = document.get("tie")
        return document["t"], tie is None, isinstance(tie, str), tie if tie is not None else 0

    return sorted(given_order, key=place)
