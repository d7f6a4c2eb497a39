"""Explanations: they agree with the interpreter, the search and the tracker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from drawn_rules import SCHEMA, conditions, documents
from hypothesis import given

from kestrel_framework._explanation import Attempt, attempts_of, explained, explained_events
from kestrel_framework._explanation.conditions import ConditionReport
from kestrel_framework.event import Document
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Predicate,
    all_of,
    any_of,
    negation,
)
from kestrel_framework.query import search
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinRule,
    Rule,
    RuleMetadata,
    SampleRule,
    SequenceRule,
)
from kestrel_framework.schema import SchemaRegistry
from timed_events import RULES, SECOND, SETTINGS, event, step, streams


def attempts(body: SequenceRule | SampleRule | JoinRule, *names: str) -> list[Attempt]:
    """Return the attempts of a rule on events a second apart."""
    given_events = [
        event(n, name[0], n * SECOND, int(name[1:] or 0)) for n, name in enumerate(names)
    ]
    return attempts_in(Rule(RuleMetadata("rule"), body), given_events)


def attempts_in(rule: Rule, given_events: Sequence[Document]) -> list[Attempt]:
    problems: list[object] = []
    found = list(attempts_of(rule, given_events, SchemaRegistry(), SETTINGS, problems.append))
    assert not problems
    return found


def shown(found: Sequence[Attempt]) -> list[tuple[list[object], str | None, object]]:
    return [
        (
            [one.event and one.event.document["tie"] for one in attempt.steps],
            attempt.closed and attempt.closed.value,
            attempt.closed_by and attempt.closed_by.document["tie"],
        )
        for attempt in found
    ]


A_B_C = SequenceRule((step("A"), step("B"), step("C")), maxspan=9 * SECOND)


def test_a_sequence_that_is_complete() -> None:
    (attempt,) = attempts(A_B_C, "A", "B", "C")
    assert shown([attempt]) == [([0, 1, 2], "completed", 2)]
    assert attempt.waits_for is None
    assert attempt.key == (0,)


def test_a_sequence_that_still_waits() -> None:
    (attempt,) = attempts(A_B_C, "A", "B", "E")
    assert shown([attempt]) == [([0, 1, None], None, None)]
    assert attempt.waits_for == 3
    assert attempt.last.document["tie"] == 1


def test_a_sequence_that_takes_too_long() -> None:
    names = ["A", *"EEEEEEEEE", "B"]
    assert shown(attempts(A_B_C, *names)) == [([0, None, None], "expired", 10)]


def test_a_sequence_that_something_takes_the_place_of() -> None:
    assert shown(attempts(A_B_C, "A", "A")) == [
        ([0, None, None], "replaced", 1),
        ([1, None, None], None, None),
    ]


def test_a_sequence_that_an_until_ends() -> None:
    body = SequenceRule((step("A"), step("B")), until=step("D"))
    assert shown(attempts(body, "A1", "A2", "D1")) == [
        ([0, None], "until", 2),
        ([1, None], None, None),
    ]


def test_a_sequence_that_an_event_contradicts() -> None:
    body = SequenceRule((step("A"), step("B", missing=True)), maxspan=4 * SECOND)
    assert shown(attempts(body, "A", "B")) == [([0, None], "contradicted", 1)]
    assert shown(attempts(body, "A", *"EEEEEE", "A1")) == [
        ([0, None], "completed", 7),
        ([7, None], "completed", None),
    ]


def test_samples_and_joins_say_what_they_wait_for() -> None:
    for body in (SampleRule((step("A"), step("B"))), JoinRule((step("A"), step("B")))):
        found = attempts(body, "B1", "A2", "B2")
        assert shown(found) == [([1, 2], "completed", 2), ([None, 0], None, None)]
        assert found[1].waits_for == 1


def test_events_are_taken_in_the_order_of_their_times() -> None:
    swapped = [event(0, "B", 5), event(1, "A", 0)]
    rule = Rule(RuleMetadata("rule"), SequenceRule((step("A"), step("B"))))
    assert shown(attempts_in(rule, swapped)) == [([1, 0], "completed", 0)]


@given(streams())
def test_what_is_complete_is_what_a_search_finds(stream: list[Document]) -> None:
    for rule in RULES.rules[1:]:
        found = [one for one in shown(attempts_in(rule, stream)) if one[1] == "completed"]
        results = search(rule, stream, schema=SchemaRegistry(), settings=SETTINGS, size=1000)
        expected = [[one and one["tie"] for one in result.events] for result in results]
        if not isinstance(rule.body, SampleRule):  # a search finds one for each key
            assert Counter(str(one[0]) for one in found) == Counter(map(str, expected))


@given(streams())
def test_every_event_that_begins_something_is_in_an_attempt(stream: list[Document]) -> None:
    rule = RULES.rules[1]
    found = attempts_in(rule, stream)
    begun = [one.steps[0].event for one in found]
    assert Counter(one.document["tie"] for one in begun if one) == Counter(
        document["tie"] for document in stream if document["name"] == "A"
    )


# --- conditions ---------------------------------------------------------------------------


def verdicts(report: ConditionReport) -> bool:
    """Return what the terms of a report say together."""
    if not report.terms:
        return report.holds
    terms = [verdicts(term) for term in report.terms]
    return {"all of": all(terms), "any of": any(terms), "none of": not any(terms)}[report.text]


@given(conditions(lineage=False), documents())
def test_a_report_agrees_with_the_interpreter(condition: Predicate, document: Document) -> None:
    report = explained(condition, document)
    assert report.holds == verdicts(report) == holds(condition, document)
    assert (report.failing == 0) is report.holds


def equal(path: str, value: int) -> Comparison:
    return Comparison(ComparisonOperator.EQUAL, Field(path), Literal(value))


def test_a_report_has_the_values_that_were_seen() -> None:
    condition = all_of([equal("a", 1), negation(any_of([equal("b.c", 2), equal("d", 3)]))])
    report = explained(condition, {"a": [1, 5], "b": {"c": None}})
    one, none = report.terms
    assert (one.text, one.holds, one.values) == ("a == 1", True, {"a": (1, 5)})
    assert (none.text, none.holds) == ("none of", True)
    assert [term.values for term in none.terms[0].terms] == [{"b.c": (None,)}, {"d": ()}]


@pytest.mark.parametrize(
    ("condition", "failing"),
    [
        (equal("a", 1), 1),
        (all_of([equal("a", 1), equal("b", 1), equal("c", 0)]), 2),
        (any_of([all_of([equal("a", 1), equal("b", 1)]), equal("a", 2)]), 1),
        (negation(any_of([equal("a", 0), equal("b", 0)])), 1),
        (equal("a", 0), 0),
    ],
)
def test_how_far_an_event_is(condition: Predicate, failing: int) -> None:
    assert explained(condition, {"a": 0, "b": 0, "c": 0}).failing == failing


# --- events -------------------------------------------------------------------------------


def test_events_that_come_closest_are_shown_first() -> None:
    condition = all_of([equal("a", 1), equal("b", 1)])
    rule = Rule(RuleMetadata("rule"), EventRule(frozenset({"a"}), condition))
    several: list[Document] = [
        {"kind": "a"},
        {"kind": "a", "a": 1},
        {"kind": "b", "a": 1, "b": 1},
        {"kind": "a", "a": 1, "b": 1},
        {"kind": "c", "b": 1},
        {"a": 1, "b": 1},
    ]
    found = explained_events(rule, several, 2, SCHEMA, SETTINGS, lambda problem: None)
    assert (found.of_type, found.matching) == (4, 1)
    assert [one.number for one in found.shown] == [3, 1, 4]
    none = explained_events(rule, several, 0, SCHEMA, SETTINGS, lambda problem: None)
    assert (none.of_type, none.matching, none.shown) == (4, 1, [])


def test_lineage_counts_where_all_else_holds() -> None:
    below = Lineage(LineageRelation.CHILD, ANY_EVENT, equal("x", 1), Field("j"), Field("k"))
    rule = Rule(RuleMetadata("rule"), EventRule(ANY_EVENT, all_of([equal("x", 2), below])))
    several: list[Document] = [
        {"t": 1, "x": 1, "j": "parent"},
        {"t": 2, "x": 2, "j": "child", "k": "parent"},
        {"t": 3, "x": 2, "j": "other", "k": "nobody"},
    ]
    found = explained_events(rule, several, 5, SCHEMA, SETTINGS, lambda problem: None)
    assert [(one.number, one.condition.holds) for one in found.shown] == [
        (1, True), (2, False), (0, False),
    ]  # fmt: skip


def test_a_step_is_no_place_for_a_missing_event_to_wait() -> None:
    body = SequenceRule((step("A"), step("D", missing=True), step("C")), maxspan=6 * SECOND)
    (attempt,) = attempts(body, "A")
    assert [one.number for one in attempt.steps] == [1, 2, 3]
    assert attempt.waits_for == 3
