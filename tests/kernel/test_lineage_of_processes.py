"""Lineage through a whole detector, against a model that searches all of history each time."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from random import Random
from typing import TypeAlias

import attrs
import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.detector import Detector
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document, EventSettings, read_path
from kestrel_framework.interpreter import entries, holds
from kestrel_framework.predicate import (
    ALWAYS,
    And,
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Or,
    Predicate,
)
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.query import search
from kestrel_framework.rule import ANY_EVENT, EventRule, Rule, RuleMetadata, RuleSet
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings("t", "ns", "kind")
FIELDS = (Field("p"), Field("pp"))
OTHER_FIELDS = (Field("q"), Field("pp"))


Condition: TypeAlias = tuple[frozenset[str], Predicate]


@attrs.define
class History:
    """All events so far. Slow, and obviously what the words mean."""

    kind_field: str
    events: list[Document] = attrs.field(factory=list)

    def satisfies(self, number: int, event_types: frozenset[str], predicate: Predicate) -> bool:
        """Say whether an event satisfied a query when it came."""
        document = self.events[number]
        kinds = {k for k in read_path(document, [self.kind_field]) if isinstance(k, str)}
        if event_types and not event_types & kinds:
            return False
        lineage = [node for node in lineages_of(predicate) if self.related(number, node)]
        return holds(predicate, document, lineage=lineage)

    def related(self, number: int, node: Lineage) -> bool:
        process = process_id(node.process, self.events[number])
        if process is None:
            return False
        match node.relation:
            case LineageRelation.EVENT:
                wanted = {process}
            case LineageRelation.CHILD:
                wanted = self.parents({process}, number, node)
            case LineageRelation.DESCENDANT:
                wanted, known = set(), self.parents({process}, number, node)
                while not known <= wanted:
                    wanted |= known
                    known = self.parents(wanted, number, node)
        return any(
            process_id(node.process, self.events[earlier]) in wanted
            and self.satisfies(earlier, node.event_types, node.predicate)
            for earlier in range(number + 1)
        )

    def parents(self, processes: set[object], number: int, node: Lineage) -> set[object]:
        found = set()
        for process in processes:
            for event in self.events[: number + 1]:
                parent = process_id(node.parent, event)
                if process_id(node.process, event) == process and parent not in (None, process):
                    found.add(parent)
                    break
        return found


def process_id(field: Field, document: Document) -> object:
    """Return the one text or number that a field gives, or None."""
    values = entries(field, document)
    if not values or isinstance(values[0], (bool, Mapping)) or values[0] == "":
        return None
    return values[0] if all(value == values[0] for value in values) else None


def rules_of(conditions: Sequence[Condition]) -> RuleSet:
    return RuleSet(
        tuple(
            Rule(RuleMetadata(f"rule{number}"), EventRule(types, predicate))
            for number, (types, predicate) in enumerate(conditions)
        )
    )


def expected(
    conditions: Sequence[Condition],
    events: Sequence[Document],
    kind_field: str,
) -> list[tuple[str, int]]:
    history = History(kind_field)
    found = []
    for number, document in enumerate(events):
        history.events.append(document)
        found += [
            (f"rule{rule}", number)
            for rule, (types, condition) in enumerate(conditions)
            if history.satisfies(number, types, condition)
        ]
    return found


def detected(
    detector: Detector, events: Sequence[Document], random: Random
) -> list[tuple[str, int]]:
    """Feed the events in batches of any size, to a detector that moves house in between."""
    found = []
    begin = 0
    while begin < len(events):
        size = random.randint(1, len(events))
        found += detector.feed(events[begin : begin + size])
        begin += size
        match random.randint(0, 5):
            case 0:
                detector = pickle.loads(pickle.dumps(detector))
            case 1:
                fresh = Detector(detector.rules, schema=SCHEMA, settings=detector._settings)
                fresh.restore(detector.snapshot())
                detector = fresh
            case 2:
                detector.replace(RuleSet(tuple(detector.rules)))
    return [(alert.rule.rule_id, alert.events[0].identity.offset) for alert in found]


# --- a family of processes --------------------------------------------------------------


def is_x(number: int) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field("x"), Literal(number))


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> Predicate:
    leaves: list[st.SearchStrategy[Predicate]] = [
        st.builds(is_x, st.integers(0, 2)),
        st.just(ALWAYS),
    ]
    if depth:
        lineage = st.builds(
            lambda relation, kinds, inner, fields: Lineage(relation, kinds, inner, *fields),
            st.sampled_from(list(LineageRelation)),
            st.sampled_from([ANY_EVENT, frozenset("a"), frozenset("b")]),
            conditions(depth - 1),
            st.sampled_from([FIELDS, FIELDS, OTHER_FIELDS]),
        )
        leaves += [lineage, lineage, lineage]
    leaf = st.one_of(leaves)
    both = st.tuples(leaf, leaf)
    compound: st.SearchStrategy[Predicate] = st.one_of(
        leaf, leaf, both.map(And), both.map(Or), leaf.map(Not), both.map(And).map(Not)
    )
    return draw(compound)


@st.composite
def families(draw: st.DrawFn) -> list[Document]:
    ids = st.sampled_from(["A", "B", "C", "D", "E", 1, "1"])
    event = st.fixed_dictionaries(
        {"kind": st.sampled_from(["a", "b", "c"]), "x": st.integers(0, 2)},
        optional={"p": ids, "pp": ids, "q": ids},
    )
    with_process = st.builds(lambda one, p: {**one, "p": p}, event, ids)
    return draw(st.lists(with_process | with_process | event, min_size=1, max_size=25))


TYPES = st.sampled_from([ANY_EVENT, ANY_EVENT, frozenset("a"), frozenset("b")])
CONDITIONS = st.lists(st.tuples(TYPES, conditions()), min_size=1, max_size=4, unique=True)


@settings(max_examples=150)
@given(CONDITIONS, families(), st.randoms())
def test_a_detector_decides_as_the_history_says(
    conditions: list[Condition], events: list[Document], random: Random
) -> None:
    detector = Detector(rules_of(conditions), schema=SCHEMA, settings=SETTINGS)
    wanted = expected(conditions, events, "kind")
    note("something is found" if wanted else "nothing is found")
    assert detected(detector, events, random) == wanted


@settings(max_examples=80)
@given(
    st.lists(st.tuples(TYPES, predicates(lineage=2)), min_size=1, max_size=3, unique=True),
    st.lists(documents(), min_size=1, max_size=8),
    st.randoms(),
)
def test_odd_events_and_any_conditions_change_nothing(
    conditions: list[Condition], events: list[Document], random: Random
) -> None:
    settings = EventSettings("t", "ns", "b")
    detector = Detector(rules_of(conditions), schema=SCHEMA, settings=settings)
    assert detected(detector, events, random) == expected(conditions, events, "b")


@settings(max_examples=100)
@given(CONDITIONS, families(), st.randoms())
def test_a_search_sorts_the_events_and_then_finds_the_same(
    conditions: list[Condition], events: list[Document], random: Random
) -> None:
    numbered = [{**document, "t": number, "n": number} for number, document in enumerate(events)]
    types, condition = conditions[0]
    rule = Rule(RuleMetadata("rule0"), EventRule(types, condition))
    wanted = [number for _, number in expected([(types, condition)], numbered, "kind")]
    random.shuffle(numbered)
    results = search(rule, numbered, settings=SETTINGS, schema=SCHEMA, size=None)
    assert [result.events[0]["n"] for result in results] == wanted  # type: ignore[index]


def test_processes_told_apart_by_what_cannot_be_read_of_every_event_are_refused() -> None:
    by_position = Field("p[0]")
    asks = Lineage(LineageRelation.EVENT, frozenset(), ALWAYS, by_position, Field("q"))
    rules = RuleSet((Rule(RuleMetadata("odd"), EventRule(frozenset(), asks)),))
    with pytest.raises(RuleError, match=r"`p\[0\]`"):
        Detector(rules)
