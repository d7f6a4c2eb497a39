"""A search and a detector find the same, whatever the rule and the events."""

from __future__ import annotations

from drawn_rules import SCHEMA, SETTINGS, bodies, conditions, documents, in_order
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.detector import Detector
from kestrel_framework.event import Document
from kestrel_framework.predicate import Predicate
from kestrel_framework.query import search
from kestrel_framework.rule import Pipe, Rule, RuleBody, RuleMetadata, RuleSet


@settings(max_examples=250, deadline=None)
@given(
    bodies(),
    st.lists(conditions([0, 1], lineage=False), max_size=1),
    st.lists(documents(), min_size=3, max_size=25),
    st.integers(1, 6),
)
def test_a_search_finds_what_a_detector_finds_in_the_sorted_events(
    body: RuleBody, filters: list[Predicate], unsorted: list[Document], size: int
) -> None:
    numbered: list[Document] = [{**document, "n": n} for n, document in enumerate(unsorted)]
    pipes = tuple(Pipe("filter", (condition,)) for condition in filters)
    rule = Rule(RuleMetadata("rule"), body, pipes=pipes)
    searched = [
        ([event and event["n"] for event in result.events], repr(result.join_keys))
        for result in search(rule, numbered, settings=SETTINGS, schema=SCHEMA, size=None)
    ]
    detector = Detector(RuleSet([rule]), schema=SCHEMA, settings=SETTINGS)
    stream = in_order(numbered)
    alerts = []
    for begin in range(0, len(stream), size):
        alerts += detector.feed(stream[begin : begin + size])
    alerts += detector.finish()
    detected = [
        ([one and one.document["n"] for one in alert.evidence], repr(alert.join_keys))
        for alert in alerts
    ]
    note("found something" if searched else "found nothing")
    assert sorted(searched, key=repr) == sorted(detected, key=repr)
