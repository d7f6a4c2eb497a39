"""What an inspection says of a matcher is what the matcher does."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.rule_matcher import ReadEvent
from kestrel_framework._pipeline.rule_matcher.inspection import (
    ConditionKind,
    Dearness,
    EventPath,
    MatcherInspection,
)
from kestrel_framework._pipeline.rule_matcher.residual_kinds import ResidualKind
from kestrel_framework._pipeline.rule_matcher.value_tests import OfEventType
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    And,
    AnyElement,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Element,
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Truth,
    Wildcard,
)
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates

CATEGORY = "event.category"
PROCESS = frozenset({"process"})
A, B, TYPE = Field("a"), Field("b"), Field("event.type")


def equal(left: Field | Call | Truth, right: Literal | Field) -> Comparison:
    return Comparison(ComparisonOperator.EQUAL, left, right)


A_IS_X = equal(A, Literal("x"))
B_IS_Y = equal(B, Literal("y"))


class Inspected:
    """A matcher of some conditions, with the inspection of it."""

    def __init__(self, *conditions: Predicate | tuple[frozenset[str], Predicate]) -> None:
        pairs = [one if isinstance(one, tuple) else (ANY_EVENT, one) for one in conditions]
        targets = [Target(number, 0, *pair) for number, pair in enumerate(pairs)]
        self.matcher = EventMatcher(
            targets, SchemaRegistry(), EventSettings(), NativePatternEngine()
        )
        types = self.matcher.decoder.types
        self.inspection = MatcherInspection(self.matcher.rule_matcher, targets, types, CATEGORY)

    def path(self, document: Document) -> EventPath:
        view = self.matcher.decoder.types.view_of(document)
        return self.inspection.path(ReadEvent(view, lambda: document))

    def dear(self) -> dict[int, Dearness]:
        return {one.inspected.target: one.dearness for one in self.inspection.dear_clauses()}

    def kinds(self) -> Mapping[str, Mapping[ConditionKind, int]]:
        return {field.path: field.kinds for field in self.inspection.fields()}

    def residuals(self) -> set[ResidualKind]:
        return set(self.inspection.residuals())


@settings(max_examples=150, deadline=None)
@given(st.lists(predicates(), min_size=1, max_size=4), documents())
def test_the_path_of_an_event_is_what_the_matcher_does(
    conditions: list[Predicate], document: dict[str, object]
) -> None:
    inspected = Inspected(*conditions)
    path = inspected.path(document)
    (batch,) = [EventBatch(documents=[document], stream="s", first_offset=0)]
    matches = inspected.matcher.match(batch).matches
    assert list(path.targets) == (list(matches[0].targets) if matches else [])
    assert len({(look.path, look.for_residuals) for look in path.looks}) == len(path.looks)
    live = set(range(len(inspected.inspection.clauses)))
    for look in path.looks:
        assert set(look.before) == live
        assert set(look.after) <= live
        live = set(look.after)
        for leaf in look.satisfied:
            assert not isinstance(leaf, OfEventType)
            assert holds(leaf, document)
    for clause, verdict in path.residuals:
        assert clause.number in live
        assert verdict == holds(clause.clause.residual, document)


def test_each_look_says_what_it_ruled_out_and_what_the_value_satisfied() -> None:
    inspected = Inspected((PROCESS, And((A_IS_X, B_IS_Y))), (frozenset({"file"}), A_IS_X))
    path = inspected.path({"event": {"category": ["process"]}, "a": "x"})
    looks = {look.path: look for look in path.looks}
    assert {path: look.value for path, look in looks.items()} == {
        CATEGORY: ("process",),
        "a": "x",
        "b": msgspec.UNSET,
    }
    assert set(looks[CATEGORY].before) - set(looks[CATEGORY].after) == {1}
    assert looks["a"].before == looks["a"].after
    assert set(looks["b"].before) - set(looks["b"].after) == {0}
    assert looks[CATEGORY].satisfied == (OfEventType(PROCESS),)
    assert (looks["a"].satisfied, looks["b"].satisfied) == ((A_IS_X,), ())
    assert path.looks[0].before == (0, 1)
    assert path.looks[-1].after == path.targets == ()


def test_looks_are_numbered_by_the_nodes_of_the_graph() -> None:
    patterns = Wildcard(B, tuple(f"*{number}*" for number in range(100)))
    inspected = Inspected(*[And((A_IS_X, Wildcard(B, (f"*{n}*",)))) for n in range(100)], patterns)
    nodes = [look.node for look in inspected.path({"a": "x", "b": "7"}).looks]
    assert nodes == [1, 2]


def test_conditions_that_no_live_clause_asks_for_are_not_told() -> None:
    any_letter = Wildcard(A, ("?",))
    inspected = Inspected(
        (PROCESS, A_IS_X), *[(frozenset({"file"}), And((any_letter, B_IS_Y)))] * 3
    )
    path = inspected.path({"event": {"category": "process"}, "a": "x"})
    assert [look.satisfied for look in path.looks if look.path == "a"] == [(A_IS_X,)]
    assert path.targets == (0,)


def test_residuals_are_told_with_their_verdicts() -> None:
    inspected = Inspected(And((A_IS_X, equal(B, Field("c")))), And((A_IS_X, Not(equal(B, A)))))
    path = inspected.path({"a": "x", "b": "x", "c": "x"})
    assert [(one.target, verdict) for one, verdict in path.residuals] == [(0, True), (1, False)]
    assert path.targets == (0,)


def test_what_residuals_ask_of_fields_is_looked_at_last() -> None:
    either = Or((Not(A_IS_X), Not(B_IS_Y)))
    inspected = Inspected(And((equal(Field("c"), Literal("z")), either)))
    path = inspected.path({"a": "x", "b": "n", "c": "z"})
    looks = {look.path: look for look in path.looks}
    assert [look.for_residuals for look in path.looks] == [False, True, True]
    assert looks["a"].satisfied == (A_IS_X,)
    assert looks["b"].satisfied == ()
    assert looks["a"].before == looks["b"].after == (0,)
    assert [verdict for _, verdict in path.residuals] == [True]
    assert (path.targets, path.tested) == ((0,), frozenset())


def test_what_fields_do_not_decide_is_tested_for_each_event() -> None:
    inspected = Inspected(A_IS_X, Comparison(ComparisonOperator.LESS, A, B))
    path = inspected.path({"a": "x", "b": "z"})
    assert (path.targets, path.tested) == ((0, 1), frozenset({1}))


def test_a_matcher_without_conditions_looks_at_nothing() -> None:
    inspected = Inspected()
    assert inspected.inspection.fields() == []
    assert list(inspected.inspection.bare_events()) == []
    assert inspected.path({"a": 1}) == EventPath((), (), frozenset(), ())


@pytest.mark.parametrize(
    ("condition", "dearness"),
    [
        (A_IS_X, None),
        (And((Not(A_IS_X), B_IS_Y)), None),
        (ALWAYS, Dearness.NOTHING),
        (equal(TYPE, Literal("start")), Dearness.NOTHING),
        (equal(Field("event.action"), Literal("exec")), Dearness.NOTHING),
        (equal(Field("event.action"), Literal("launch_daemon")), None),
        (Not(A_IS_X), Dearness.EXCLUSIONS),
        (And((equal(TYPE, Literal("start")), Not(A_IS_X))), Dearness.EXCLUSIONS),
        (equal(A, B), Dearness.RESIDUAL),
        (And((equal(A, B), equal(TYPE, Literal("start")))), Dearness.RESIDUAL),
        (And((equal(A, B), A_IS_X)), None),
        (Comparison(ComparisonOperator.LESS, A, B), Dearness.RESIDUAL),
    ],
)
def test_dear_is_what_most_events_go_through(
    condition: Predicate, dearness: Dearness | None
) -> None:
    expected = {} if dearness is None else {0: dearness}
    assert Inspected((PROCESS, condition)).dear() == expected
    assert Inspected(condition).dear() == expected


def test_elementary_conditions_are_counted_by_how_they_are_decided() -> None:
    whole = Comparison(ComparisonOperator.EQUAL, attrs.evolve(A, whole=True), Literal("x"))
    conditions = And(
        (
            Membership(A, (Literal("x"), Literal("y"))),
            Wildcard(A, ("*z*",)),
            Comparison(ComparisonOperator.LESS, A, Literal("m")),
            Cidr(A, ("10.0.0.0/8",)),
            Not(IsNull(A)),
            whole,
        )
    )
    kinds = Inspected((PROCESS, Or((conditions, A_IS_X)))).kinds()
    assert kinds[CATEGORY] == {ConditionKind.EVENT_TYPE: 1}
    assert kinds["a"] == {
        ConditionKind.EXACT: 2,
        ConditionKind.PATTERN: 1,
        ConditionKind.ORDER: 1,
        ConditionKind.NETWORK: 1,
        ConditionKind.NULL: 1,
        ConditionKind.INTERPRETED: 1,
    }


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        (equal(A, B), ResidualKind.SEVERAL_FIELDS),
        (AnyElement(A, "x", IsNull(Element("x"))), ResidualKind.ELEMENTS),
        (equal(Truth(A_IS_X, B_IS_Y), Literal(True)), ResidualKind.THREE_VALUED),
        (
            equal(Call(Function.LENGTH, (Field("a", whole=True),)), Literal(2)),
            ResidualKind.LENGTH,
        ),
        (equal(Field("a[0]"), Literal("x")), ResidualKind.POSITION),
        (And((IsNull(Field("c")), IsNull(Field("c.d")))), ResidualKind.OBJECT),
        (And((A_IS_X, Or((Not(A_IS_X), Not(B_IS_Y))))), ResidualKind.ALTERNATIVES),
        (Comparison(ComparisonOperator.LESS, Literal(1), Literal(2)), ResidualKind.NO_FIELD),
    ],
)
def test_each_residual_has_its_reason(condition: Predicate, kind: ResidualKind) -> None:
    assert kind in Inspected(condition).residuals()


def test_fields_come_in_the_order_in_which_they_are_looked_at_first() -> None:
    rare = And((A_IS_X, B_IS_Y))
    inspected = Inspected(rare, B_IS_Y, And((B_IS_Y, Not(A_IS_X))))
    overviews = inspected.inspection.fields()
    assert [(one.path, one.clauses, one.selective) for one in overviews] == [
        ("b", 3, 3),
        ("a", 2, 1),
    ]
    assert inspected.path({}).looks[0].path == overviews[0].path


def test_a_bare_event_has_nothing_but_its_type() -> None:
    inspected = Inspected((PROCESS, A_IS_X), (frozenset({"file"}), Not(B_IS_Y)))
    paths = dict(inspected.inspection.bare_events())
    assert list(paths) == ["file", "process"]
    assert paths["file"].targets == (1,)
    assert paths["process"].targets == ()
