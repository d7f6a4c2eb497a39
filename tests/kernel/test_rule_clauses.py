"""Clauses, residuals and the graph over them: each holds exactly where its predicate does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._clauses import (
    MOST_CLAUSES,
    MOST_FIELDS,
    Clause,
    ClauseBuilder,
    IndexedFields,
    path_of,
)
from kestrel_framework._pipeline.event_decoder import EventDecoder, View
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.rule_matcher import MatcherLimits, ReadEvent
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine
from kestrel_framework._pipeline.rule_matcher.memo_budget import Memo, MemoBudget, freed
from kestrel_framework._pipeline.rule_matcher.residuals import HELD, REFUTED, Residual, Residuals
from kestrel_framework.event import EventBatch, EventSettings
from kestrel_framework.functions import Function
from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Call,
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
    Wildcard,
)
from kestrel_framework.predicate_traversal import fields_of, walk
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.strategies import documents, predicates
from matcher_reference import PATTERNS, RefusingEngine, Scene, targets_for

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings()
EQUAL = ComparisonOperator.EQUAL


def equals(path: str, value: object) -> Predicate:
    assert isinstance(value, (int, str))
    return Comparison(EQUAL, Field(path), Literal(value))


def all_indexed(path: str) -> bool:
    return True


def clauses_of(predicate: Predicate, is_indexed: Callable[[str], bool]) -> list[Clause]:
    return list(ClauseBuilder(IndexedFields(is_indexed)).clauses_of(predicate))


def clause_holds(clause: Clause, document: Mapping[str, object]) -> bool:
    return all(holds(one, document) for one in (*clause.conditions.values(), clause.residual))


INDEXED: st.SearchStrategy[Callable[[str], bool]] = st.sampled_from(
    [all_indexed, lambda path: path == "a", lambda path: False]
)
SMALL = st.recursive(
    st.builds(equals, st.sampled_from("abc"), st.integers(0, 1)),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map(lambda terms: And(tuple(terms)))
        | st.lists(inner, min_size=2, max_size=4).map(lambda terms: Or(tuple(terms)))
        | inner.map(Not)
    ),
    max_leaves=25,
)


class TestClauses:
    @settings(max_examples=300)
    @given(predicates(), documents(), INDEXED)
    def test_one_holds_exactly_where_the_predicate_does(
        self, predicate: Predicate, document: dict[str, object], indexed: Callable[[str], bool]
    ) -> None:
        clauses = clauses_of(predicate, indexed)
        assert any(clause_holds(one, document) for one in clauses) == holds(predicate, document)

    @settings(max_examples=300)
    @given(SMALL, st.lists(st.integers(0, 1), min_size=3, max_size=3))
    def test_of_deep_formulas(self, predicate: Predicate, values: list[int]) -> None:
        document = dict(zip("abc", values, strict=True))
        clauses = clauses_of(predicate, all_indexed)
        assert any(clause_holds(one, document) for one in clauses) == holds(predicate, document)

    @settings(max_examples=300)
    @given(predicates(max_leaves=30), INDEXED)
    def test_each_condition_reads_its_field_alone(
        self, predicate: Predicate, indexed: Callable[[str], bool]
    ) -> None:
        for clause in clauses_of(predicate, indexed):
            for path, condition in clause.conditions.items():
                assert indexed(path)
                assert fields_of(condition) == {path}

    def test_what_always_and_never_holds(self) -> None:
        assert clauses_of(ALWAYS, all_indexed) == [Clause({})]
        assert clauses_of(NEVER, all_indexed) == []
        assert clauses_of(Not(Not(ALWAYS)), all_indexed) == [Clause({})]
        assert clauses_of(And((equals("a", 1), NEVER)), all_indexed) == []

    def test_conditions_on_one_field_are_one(self) -> None:
        either = Or((equals("a", 1), equals("a", 2), Not(equals("a", 3))))
        (clause,) = clauses_of(And((either, equals("b", 1))), all_indexed)
        assert clause.conditions.keys() == {"a", "b"}
        assert clause.residual is ALWAYS

    def test_alternatives_are_multiplied_up_to_a_limit(self) -> None:
        def pair(number: int) -> Predicate:
            return Or((equals(f"a{number}", 1), equals(f"b{number}", 1)))

        for number in range(1, 12):
            clauses = clauses_of(And(tuple(map(pair, range(number + 1)))), all_indexed)
            assert len(clauses) == min(2 ** (number + 1), 16)
            assert len(clauses) <= MOST_CLAUSES
            assert (clauses[0].residual is ALWAYS) == (number < 4)

    def test_a_plain_disjunction_is_never_cut(self) -> None:
        many = Or(tuple(equals(f"a{number}", 1) for number in range(MOST_FIELDS - 1)))
        assert len(clauses_of(many, all_indexed)) == MOST_FIELDS - 1
        (clause,) = clauses_of(And((many, equals("b", 1))), all_indexed)
        assert clause.conditions.keys() == {"b"}
        assert clause.residual == many

    def test_what_reads_too_many_fields_is_tested_as_a_whole(self) -> None:
        many = Or(tuple(equals(f"a{number}", 1) for number in range(MOST_FIELDS + 1)))
        assert clauses_of(many, all_indexed) == [Clause({}, many)]
        none_of = And((Not(many), equals("b", 1)))
        events = [{}, {"a7": 1}, {"b": 1}, {f"a{MOST_FIELDS}": 1, "b": 1}, {"a3": [2, 1], "b": 1}]
        Scene(targets_for([many, none_of]), events, SCHEMA).check()

    def test_alternatives_that_rule_out_little_are_not_multiplied(self) -> None:
        exceptions = Not(And((equals("a", 1), equals("b", 1))))
        (clause,) = clauses_of(And((equals("c", 1), exceptions)), all_indexed)
        assert clause.conditions.keys() == {"c"}
        assert clause.residual is not ALWAYS

    def test_the_fields_that_a_dear_leaf_needs_are_conditions(self) -> None:
        same = Comparison(EQUAL, Field("a"), Field("b"))
        element = AnyElement(Field("a"), "e", Comparison(EQUAL, Element("e"), Literal(1)))
        for leaf, paths in ((same, {"a", "b"}), (element, {"a"})):
            (clause,) = clauses_of(leaf, all_indexed)
            assert clause.conditions.keys() == paths
            assert clause.residual == leaf

    @pytest.mark.parametrize(
        ("predicate", "path"),
        [
            (equals("a", 1), "a"),
            (And((equals("a", 1), Wildcard(Field("a"), ("x*",)))), "a"),
            (Not(IsNull(Field("a"))), "a"),
            (And((equals("a", 1), equals("b", 1))), None),
            (Comparison(EQUAL, Field("a"), Field("b")), None),
            (AnyElement(Field("a"), "e", ALWAYS), None),
            (Comparison(EQUAL, Call(Function.LENGTH, (Field("a"),)), Literal(1)), "a"),
            (Comparison(EQUAL, Call(Function.LENGTH, (Field("a", whole=True),)), Literal(1)), None),
            (ALWAYS, None),
        ],
    )
    def test_one_field_decides(self, predicate: Predicate, path: str | None) -> None:
        assert path_of(predicate, all_indexed) == path
        assert path_of(predicate, lambda path: False) is None


class ResidualsOfFields:
    """Residuals over a few fields, with engines as the matcher has them."""

    PATHS = ("a", "b", "c")

    def __init__(self, predicate: Predicate, limits: MatcherLimits | None = None) -> None:
        self.budget = MemoBudget(limits or MatcherLimits())
        wanted = dict.fromkeys((*self.PATHS, *fields_of(predicate)), True)
        self.decoder = EventDecoder(EventSettings("t", "ns", "kind"), wanted)
        held = self.decoder.types.paths
        self.engines = {
            path: FieldEngine(path, SCHEMA.with_ancestors, self.budget) for path in sorted(held)
        }
        numbers = {path: number for number, path in enumerate(self.engines)}
        readers = {path: self.decoder.reader(path) for path in self.engines}
        fields = IndexedFields(self.engines.__contains__)
        self.residuals = Residuals(self.engines, numbers, fields, readers, self.budget)
        self.residual = self.residuals.of(predicate)
        for engine in self.engines.values():
            engine.compile(NativePatternEngine(), 0)

    def view(self, document: Mapping[str, object]) -> View:
        ((_, view),) = self.decoder.views(EventBatch(documents=[document]), [])
        return view

    def decided(self, view: View, order: Sequence[int]) -> Residual:
        """Return what is left after asking the fields in some order."""
        engines = list(self.engines.values())
        left = self.residual
        for number in order:
            engine = engines[number % len(engines)]
            state = engine.state_of(self.decoder.reader(engine.path)(view))
            left = self.residuals.decided(left, number % len(engines), state)
        return left

    def verdict(self, document: Mapping[str, object], order: Sequence[int]) -> bool:
        view = self.view(document)
        left = self.decided(view, [*order, *range(len(self.engines))])
        if left is HELD or left is REFUTED:
            return left is HELD
        event = ReadEvent(view, lambda: self.decoder.document(document))
        return self.residuals.test(left)(event)


class TestResiduals:
    @settings(max_examples=300)
    @given(
        predicates(),
        st.lists(documents(), min_size=1, max_size=3),
        st.lists(st.integers(0, 9), max_size=6),
        st.sampled_from([None, MatcherLimits(entries=1), MatcherLimits(size=1)]),
    )
    def test_decided_field_by_field_they_say_what_the_interpreter_says(
        self,
        predicate: Predicate,
        events: list[dict[str, object]],
        order: list[int],
        limits: MatcherLimits | None,
    ) -> None:
        residuals = ResidualsOfFields(predicate, limits)
        for event in [*events, *events]:
            assert residuals.verdict(event, order) == holds(predicate, event)

    @settings(max_examples=200)
    @given(SMALL, st.lists(st.integers(0, 1), min_size=3, max_size=3), st.permutations(range(5)))
    def test_what_only_single_fields_decide_is_decided_by_them(
        self, predicate: Predicate, values: list[int], order: list[int]
    ) -> None:
        document = dict(zip("abc", values, strict=True))
        residuals = ResidualsOfFields(predicate)
        left = residuals.decided(residuals.view(document), order)
        assert left is (HELD if holds(predicate, document) else REFUTED)

    def test_equal_ones_are_the_same_object(self) -> None:
        either = Or((And((equals("a", 1), equals("b", 1))), And((equals("a", 2), equals("c", 1)))))
        residuals = ResidualsOfFields(either)
        b_is_left = residuals.decided(residuals.view({"a": 1}), [0])
        assert b_is_left is residuals.decided(residuals.view({"a": [1, 3]}), [0])
        assert b_is_left is not residuals.decided(residuals.view({"a": 2}), [0])
        assert residuals.residuals.of(either) is residuals.residual

    def test_each_answer_makes_it_shorter(self) -> None:
        same = Comparison(EQUAL, Field("b"), Field("c"))
        both = And((equals("a", 1), Or((same, equals("a", 2)))))
        residuals = ResidualsOfFields(both)
        left = residuals.decided(residuals.view({"a": 1}), [0])
        assert left.predicate == same
        assert residuals.decided(residuals.view({"a": [1, 2]}), [0]) is HELD
        assert residuals.decided(residuals.view({"a": 3}), [0]) is REFUTED
        assert len(list(walk(left.predicate))) < len(list(walk(both)))


KINDS = ("x", "y", "z", "w")


def kinds_of(number: int) -> Predicate:
    """Return a condition over fields of few values, and one of many."""
    tests: list[Predicate] = [
        Membership(Field(f"k{field}"), (Literal(KINDS[(number >> field) % 4]), Literal("v")))
        for field in range(6)
        if number >> field & 1 or field == number % 6
    ]
    tests.append(Wildcard(Field("name"), (f"*{number % 7}*", f"p{number}")))
    return And(tuple(tests)) if number % 3 else Or((And(tuple(tests[:-1])), tests[-1]))


def kinds_event(number: int) -> dict[str, object]:
    event: dict[str, object] = {
        f"k{field}": KINDS[(number * (field + 3) >> field) % 4]
        for field in range(6)
        if (number + field) % 5
    }
    odd: list[object] = ["", 5, None, ["x", "y"], {"a": 1}, [["z"]], f"{number}" * 40]
    if number % 4 == 0:
        event[f"k{number % 6}"] = odd[number // 4 % len(odd)]
    return {**event, "name": f"p{number % 90}"}


class TestGraph:
    @pytest.mark.parametrize(
        "limits",
        [
            None,
            MatcherLimits(entries=0),
            MatcherLimits(entries=1),
            MatcherLimits(entries=13),
            MatcherLimits(entries=200),
            MatcherLimits(size=0),
            MatcherLimits(size=3_000),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("patterns", [PATTERNS, RefusingEngine()])
    def test_fields_looked_at_together_say_what_they_say_alone(
        self, limits: MatcherLimits | None, patterns: NativePatternEngine | RefusingEngine
    ) -> None:
        targets = targets_for([kinds_of(number) for number in range(60)])
        events = [kinds_event(number) for number in range(250)]
        Scene(targets, [*events, *events], SCHEMA, limits=limits, patterns=patterns).check()

    def test_more_combinations_than_are_kept(self) -> None:
        """Fields of few values each, which together have more than a node leads on from."""
        fields = [f"f{number}" for number in range(7)]
        conditions = [equals(field, f"v{number}") for field in fields for number in range(2)]
        conditions += [
            And(tuple(equals(field, f"v{(number + n) % 4}") for n, field in enumerate(some)))
            for number in range(4)
            for some in (fields[:2], fields[2:5], fields[::3])
        ]
        matcher = matcher_of(conditions)
        events = [
            {field: f"v{number >> 2 * place & 3}" for place, field in enumerate(fields)}
            for number in range(4**7)
        ]
        checked = range(0, len(events), 101)
        for _ in range(2):
            found = targets_found(matcher, events)
            for place in checked:
                assert found.get(place, ()) == tuple(
                    number
                    for number, condition in enumerate(conditions)
                    if holds(condition, events[place])
                )

    def test_a_field_of_few_values_that_gets_many(self) -> None:
        conditions = [And((equals("a", f"{n}"), equals("b", f"{n % 3}"))) for n in range(30)]
        matcher = matcher_of(conditions)
        rounds: list[list[dict[str, object]]] = [
            [{"a": f"{n % 30}", "b": f"{n % 3}"} for n in range(50)],
            [{"a": f"{n}", "b": f"{n % 3}"} for n in range(3000)],
            [{"a": n, "b": f"{n % 3}"} for n in range(3000)],
            [{"a": f"{n % 30}", "b": f"{n % 3}"} for n in range(50)],
        ]
        for events in rounds:
            found = targets_found(matcher, events)
            assert found == {
                place: tuple(n for n, condition in enumerate(conditions) if holds(condition, event))
                for place, event in enumerate(events)
                if any(holds(condition, event) for condition in conditions)
            }


def matcher_of(
    conditions: Sequence[Predicate], limits: MatcherLimits | None = None
) -> EventMatcher:
    targets = [Target(n, 0, ANY_EVENT, condition) for n, condition in enumerate(conditions)]
    return EventMatcher(targets, SCHEMA, SETTINGS, NativePatternEngine(), limits=limits)


def targets_found(
    matcher: EventMatcher, events: Sequence[Mapping[str, object]]
) -> dict[int, tuple[int, ...]]:
    found = matcher.match(EventBatch(documents=events))
    return {match.index: match.targets for match in found.matches}


class TestMemory:
    @pytest.mark.parametrize("limits", [MatcherLimits(entries=50), MatcherLimits(size=20_000)])
    def test_when_it_is_full_all_is_forgotten_and_found_again(self, limits: MatcherLimits) -> None:
        conditions = [kinds_of(number) for number in range(20)]
        events = [kinds_event(number) for number in range(300)]
        small, large = matcher_of(conditions, limits), matcher_of(conditions)
        for _ in range(3):
            assert targets_found(small, events) == targets_found(large, events)
        assert small.statistics.times_emptied > 1
        assert large.statistics.times_emptied == 0
        assert small.statistics.nodes_made > large.statistics.nodes_made

    def test_what_was_seen_is_not_looked_up_again(self) -> None:
        matcher = matcher_of([equals("a", "x")])
        targets_found(matcher, [{"a": f"{number}"} for number in range(100)])
        looked_up = matcher.statistics.values_looked_up
        assert looked_up >= 100
        targets_found(matcher, [{"a": f"{number}"} for number in range(100)] * 3)
        assert matcher.statistics.values_looked_up == looked_up

    @given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 20), st.integers(0, 200))
    def test_combinations_are_forgotten_before_they_are_too_many(
        self, sizes: list[int], entries: int, size: int
    ) -> None:
        budget = MemoBudget(MatcherLimits(entries=entries, size=size))
        known: dict[int, int] = {}
        waste: list[dict[int, int]] = []

        def forget() -> Iterator[object]:
            waste.append(known.copy())
            known.clear()
            return freed(waste[-1])

        budget.share(forget)
        for number, taken in enumerate(sizes):
            forgotten = budget.times_emptied
            full = len(known) >= entries // 2 or sum(known.values()) + taken > size // 2
            budget.take(taken)
            assert (budget.times_emptied > forgotten) == full
            assert not (full and known)
            known[number] = taken
        for _ in range(len(waste) + 1):
            budget.take(0)
        assert not any(waste[:-1])

    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 40)), max_size=80),
        st.integers(0, 100),
        st.sampled_from([0, 1, 50, 2_000]),
    )
    def test_values_asked_for_lately_are_kept_and_never_too_many(
        self, asked: list[tuple[int, int, int]], entries: int, size: int
    ) -> None:
        budget = MemoBudget(MatcherLimits(entries=entries, size=size))
        memos: list[Memo[int, int]] = [Memo(budget) for _ in range(3)]
        for place, key, taken in asked:
            memo = memos[place]
            if key not in memo:
                assert memo.recalled(key) in (None, key)
                memo.keep(key, key, taken)
            assert memo[key] == key
            held = sum(one.entries + one.older_entries for one in memos)
            assert held <= max(entries // 2, 1)
            assert held >= sum(map(len, memos))
            sizes = sum(one.size + one.older_size for one in memos)
            assert sizes <= max(size // 2, 40)  # one entry is always kept

    def test_a_value_survives_as_long_as_it_is_asked_for(self) -> None:
        memo: Memo[int, int] = Memo(MemoBudget(MatcherLimits(entries=320)))
        for number in range(100):
            if 0 not in memo:
                assert number == 0 or memo.recalled(0) == 7
                memo.keep(0, 7, 1)
            memo.keep(number + 1, 0, 1)
        assert memo.recalled(1) is None


def test_a_group_whose_fields_turn_out_to_have_many_values_is_read_on() -> None:
    """Objects that are there after all have a node read its fields anew, whatever they are then."""
    names = [f"o.f{number}" for number in range(6)]
    conditions = [Comparison(ComparisonOperator.EQUAL, Field(name), Literal("x")) for name in names]
    matcher = EventMatcher(
        [Target(0, 0, frozenset(), condition) for condition in conditions],
        SchemaRegistry(),
        EventSettings(),
        NativePatternEngine(),
    )
    for engine in matcher.rule_matcher.graph.fields:
        engine.is_categorical = False
    documents = [{"o": {f"f{n}": f"v{number}" for n in range(6)}} for number in range(20)]
    documents.append({"o": {"f5": "x"}})
    matched = matcher.match(EventBatch(documents=documents))
    assert [(match.index, match.targets) for match in matched.matches] == [(20, (5,))]
