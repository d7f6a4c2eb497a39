"""Proof that the comparisons can fail: every way to break the index is seen by them.

The index is broken in memory, after it was built and before it sees an event: an elementary
condition is lost, two masks are exchanged, a clause is skipped, a residual is not asked, a
disjunction is not needed. Other
mutations replace a function of the matcher by one that is nearly right. Of each, the same
comparison as in the other tests (`Scene`) must report a difference.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import attrs
import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import _clauses, load_rules
from kestrel_framework._pipeline.event_decoder import views
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target, targets_of
from kestrel_framework._pipeline.over_approximation import expression_of
from kestrel_framework._pipeline.rule_matcher import (
    field_engine,
    value_tests,
)
from kestrel_framework._pipeline.rule_matcher.condition_table import _LeafMeaning
from kestrel_framework._pipeline.rule_matcher.decision_graph import DecisionGraph
from kestrel_framework._pipeline.rule_matcher.field_engine import FieldEngine, FieldState
from kestrel_framework._pipeline.rule_matcher.residuals import HELD
from kestrel_framework._pipeline.rule_matcher.value_tests import OfEventType
from kestrel_framework.predicate import (
    And,
    Cidr,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    TextPart,
    TextTest,
    Wildcard,
    all_of,
)
from kestrel_framework.predicate_traversal import walk
from kestrel_framework.schema import FieldType, SchemaRegistry
from kestrel_framework.values import scalar
from matcher_crowds import SCHEMA, Crowd
from matcher_reference import Scene, Verdicts, targets_for

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RULES = 5

Mutation = Callable[[EventMatcher], None]


# --- a scene in which everything matters -----------------------------------------------------


@attrs.frozen
class Condition:
    """A condition on a field of its own, with a value that satisfies it and some that do not."""

    predicate: Predicate
    field: str
    good: object
    bad: tuple[object, ...]


def conditions(n: int) -> list[Condition]:
    """Return the conditions of rule number `n`: each kind once, no two rules alike."""
    equal, greater = ComparisonOperator.EQUAL, ComparisonOperator.GREATER
    name, code, size = Field("name"), Field("code"), Field("size", FieldType.LONG)
    words = (Literal(f"red{n}"), Literal(f"green{n}"))
    pair = (Wildcard(Field("args"), (f"a{n}*",)), Wildcard(Field("args"), (f"*z{n}",)))
    whole = Comparison(equal, Field("mode", whole=True), Literal(f"m{n}"))
    exception = (Comparison(equal, Field("tool"), Literal(f"t{n}")), boss_is(n))
    is_there, is_null = Not(IsNull(Field(f"some{n}"))), IsNull(Field(f"none{n}"))
    suffix = TextTest(TextPart.SUFFIX, Field("file"), Literal(f".{n}"))
    return [
        Condition(Comparison(equal, name, Literal(f"P{n}"), fold=True), "name", f"p{n}", ("p",)),
        Condition(Comparison(equal, code, Literal(n)), "code", n, (str(n), n == 1)),
        Condition(Membership(Field("color"), words), "color", ["blue", f"green{n}"], (f"Red{n}",)),
        Condition(And(pair), "args", [f"a{n}", f"z{n}"], ([f"a{n}", "z"], ["a", f"z{n}"])),
        Condition(Regex(Field("path"), (f"/{n}[0-9]+",)), "path", f"/{n}7", (f"/{n}",)),
        Condition(Not(Wildcard(Field("line"), (f"*ok{n}*",))), "line", "k", ([f"look{n} "],)),
        Condition(Comparison(greater, size, Literal(n)), "size", n + 1, (n,)),
        Condition(Cidr(Field("ip"), (f"10.{n}.0.0/16",)), "ip", f"10.{n}.7.7", ("10.200.0.1",)),
        Condition(is_null, f"none{n}", [], (0,)),
        Condition(is_there, f"some{n}", {"a": 1}, ([None],)),
        Condition(suffix, "file", f"a.{n}", (n, f".{n}a")),
        Condition(whole, "mode", f"m{n}", ([f"m{n}"],)),
        Condition(Not(And(exception)), "boss", "other", (f"b{n}",)),
        Condition(Comparison(equal, Field("owner"), Field("user")), "owner", f"u{n}", ("other",)),
    ]


def boss_is(n: int) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field("boss"), Literal(f"b{n}"))


def alternatives(n: int) -> list[Condition]:
    """Return conditions of which rule number `n` needs one."""
    return [
        Condition(Wildcard(Field("dll"), (f"lib{n}?.so",)), "dll", f"lib{n}x.so", (f"lib{n}.so",)),
        Condition(Wildcard(Field("host"), (f"h{n}",)), "host", f"H{n}", ("h",)),
    ]


def rule(n: int) -> Target:
    """Return rule number `n`; half of them look at files, half at processes."""
    some = Or(tuple(one.predicate for one in alternatives(n)))
    every = tuple(one.predicate for one in conditions(n))
    return Target(n, 0, frozenset({category(n)}), And((*every, some)))


def category(n: int) -> str:
    return "file" if n % 2 else "process"


def events(n: int) -> Iterator[dict[str, object]]:
    """Yield events that satisfy rule `n`, and events that lack one condition each."""
    needed, some = conditions(n), alternatives(n)
    nothing = {one.field: one.bad[0] for one in some}
    perfect: dict[str, object] = {
        "event": {"category": ["network", category(n)]},
        "user": f"u{n}",
        "tool": f"t{n}",
        **{one.field: one.good for one in needed},
        **nothing,
    }
    for one in some:
        yield {**perfect, one.field: one.good}
    yield {**perfect, some[0].field: some[0].good, "boss": f"b{n}", "tool": "other"}
    yield perfect
    for other in some:
        enough = {**perfect, other.field: other.good}
        yield {**enough, "event": {"category": category(n + 1)}}
        for one in needed:
            for bad in one.bad:
                yield {**enough, one.field: bad}


@cache
def telling_scene() -> tuple[Scene, Verdicts]:
    """Return a scene in which every part of the index matters, and what is right in it."""
    documents = [event for n in range(RULES) for event in events(n)]
    scene = Scene([rule(n) for n in range(RULES)], documents, SCHEMA)
    return scene, scene.expected()


def is_seen(mutation: Mutation) -> bool:
    """Say whether the comparison sees the mutation of the index."""
    scene, expected = telling_scene()
    return attrs.evolve(scene, change=mutation).found() != expected


def test_the_scene_is_right_and_telling() -> None:
    scene, expected = telling_scene()
    scene.check()
    holding = [numbers for numbers in expected if numbers]
    assert len(holding) == RULES * 3
    assert all(len(numbers) == 1 for numbers in holding)
    assert not is_seen(lambda matcher: None)


# --- mutations of the index --------------------------------------------------------------------


def engines(matcher: EventMatcher) -> Sequence[FieldEngine]:
    return matcher._matcher._graph.fields


def graph(matcher: EventMatcher) -> DecisionGraph:
    return matcher._matcher._graph


def clause_count() -> int:
    return len(graph(telling_scene()[0].matcher())._clauses)


def with_leaves(engine: FieldEngine, change: Callable[[int], int]) -> None:
    """Have the engine see other leaves than those that hold."""
    tests = engine._tests
    of_scalar, of_all = tests.of_scalar, tests.of_all
    tests.of_scalar = lambda raw: change(of_scalar(raw))  # type: ignore[method-assign]
    tests.of_all = lambda *seen: change(of_all(*seen))  # type: ignore[method-assign]


def dropped(place: int, leaf: int) -> Mutation:
    return lambda matcher: with_leaves(engines(matcher)[place], lambda mask: mask & ~(1 << leaf))


def always_set(place: int, leaf: int) -> Mutation:
    return lambda matcher: with_leaves(engines(matcher)[place], lambda mask: mask | 1 << leaf)


def leaves() -> list[tuple[int, int]]:
    """Return all elementary conditions: the place of the engine, and the number."""
    found = engines(telling_scene()[0].matcher())
    return [(place, n) for place, engine in enumerate(found) for n in range(len(engine.leaves))]


def test_a_lost_condition_is_seen() -> None:
    found = engines(telling_scene()[0].matcher())
    named = {
        node
        for target in telling_scene()[0].targets
        for node in walk(expression_of(target.condition))
    }
    # What the index asks besides what rules say, to rule them out sooner, changes no answer.
    needed = [
        (place, leaf)
        for place, leaf in leaves()
        if isinstance(found[place].leaves[leaf], OfEventType) or found[place].leaves[leaf] in named
    ]
    assert len(needed) > RULES * 13
    assert [leaf for leaf in needed if not is_seen(dropped(*leaf))] == []


def test_a_condition_that_always_holds_is_seen() -> None:
    assert [leaf for leaf in leaves() if not is_seen(always_set(*leaf))] == []


def are_different(one: _LeafMeaning, other: _LeafMeaning) -> bool:
    # Where both leaves of a conjunction are needed, either leads to what decides it.
    return (one.meets, one.fails) != (other.meets, other.fails)


def test_exchanged_masks_are_seen() -> None:
    pairs = [
        (place, table, leaf)
        for place, engine in enumerate(engines(telling_scene()[0].matcher()))
        for table in ("_clauses", "_parts")
        for leaf in itertools.pairwise(getattr(engine, table)._meanings)
        if are_different(*(getattr(engine, table)._meanings[one] for one in leaf))
    ]
    assert len(pairs) > RULES * 8

    def exchanged(place: int, table: str, leaves: tuple[int, int]) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            meanings = getattr(engines(matcher)[place], table)._meanings
            one, two = leaves
            meanings[one], meanings[two] = meanings[two], meanings[one]

        return change

    assert [pair for pair in pairs if not is_seen(exchanged(*pair))] == []


def test_a_skipped_clause_is_seen() -> None:
    assert clause_count() >= RULES * 2

    def skipped(number: int) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            graph(matcher).root.live &= ~(1 << number)

        return change

    assert [n for n in range(clause_count()) if not is_seen(skipped(n))] == []


def test_a_residual_that_is_not_asked_is_seen() -> None:
    def unasked(number: int) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            known = list(graph(matcher)._clauses)
            pending = known[number].pending._replace(residual=HELD)
            known[number] = attrs.evolve(known[number], pending=pending)
            graph(matcher)._clauses = known

        return change

    known = graph(telling_scene()[0].matcher())._clauses
    numbers = [n for n, clause in enumerate(known) if clause.pending.residual is not HELD]
    assert len(numbers) >= RULES
    assert [n for n in numbers if not is_seen(unasked(n))] == []


def test_a_disjunction_that_is_not_needed_is_seen() -> None:
    def unneeded(number: int) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            known = list(graph(matcher)._clauses)
            pending = known[number].pending._replace(needs=0)
            known[number] = attrs.evolve(known[number], pending=pending)
            graph(matcher)._clauses = known

        return change

    known = graph(telling_scene()[0].matcher())._clauses
    numbers = [n for n, clause in enumerate(known) if clause.pending.needs]
    assert len(numbers) >= RULES
    assert [n for n in numbers if not is_seen(unneeded(n))] == []


def test_a_clause_of_another_target_is_seen() -> None:
    def misnamed(number: int) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            known = list(graph(matcher)._clauses)
            pending = known[number].pending
            pending = pending._replace(target=(pending.target + 1) % RULES)
            known[number] = attrs.evolve(known[number], pending=pending)
            graph(matcher)._clauses = known

        return change

    assert [n for n in range(clause_count()) if not is_seen(misnamed(n))] == []


# --- mutations of the code ----------------------------------------------------------------------


def _first_only(raw: object) -> list[object]:
    found = _flattened(raw)
    return found[:1]


def _state_of_any_number(engine: FieldEngine, kind: type, raw: object) -> FieldState:
    return _state_of_number(engine, object, raw)


_flattened = field_engine._flattened
_state_of_number = field_engine.FieldEngine._state_of_number

CODE: Mapping[str, Sequence[tuple[object, str, object]]] = {
    "only the first of many values counts": [(field_engine, "_flattened", _first_only)],
    "texts are folded to capitals": [(value_tests, "fold_case", str.upper)],
    "values keep their types": [(value_tests, "typed_value", lambda value, *_: scalar(value))],
    "unknown keys are passed over": [(views._Level, "_is_strict", False)],
    "the types of events have no ancestors": [
        (SchemaRegistry, "with_ancestors", lambda self, name: frozenset((name,)))
    ],
    "a disjunction is a conjunction": [(_clauses, "any_of", all_of)],
    "what is no object is one": [(value_tests, "_is_there", lambda field, raw: raw is not None)],
}


@cache
def crowds() -> list[tuple[Scene, Verdicts]]:
    """Return crowds of conditions and events, with what is right."""
    scenes = [
        Scene(crowd.targets, [*crowd.payloads, *crowd.payloads], SCHEMA, batch=5)
        for crowd in map(Crowd, range(15))
    ]
    found = [(scene, scene.expected()) for scene in scenes]
    assert all(scene.found() == right for scene, right in found)
    return found


@pytest.mark.parametrize("name", CODE)
def test_code_that_is_nearly_right_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = crowds()
    for owner, attribute, replacement in CODE[name]:
        monkeypatch.setattr(owner, attribute, replacement)
    assert any(scene.found() != right for scene, right in scenes)


def test_kinds_of_numbers_that_share_a_memo_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    field = Field("n")
    conditions = [
        Comparison(ComparisonOperator.EQUAL, field, Literal(value)) for value in (True, 1, False, 0)
    ]
    events = [{"n": value} for value in (1, True, 1.0, 0, False)]
    scene = Scene(targets_for(conditions), events, SCHEMA)
    assert scene.disagreement() is None
    monkeypatch.setattr(field_engine.FieldEngine, "_state_of_number", _state_of_any_number)
    assert scene.disagreement() is not None


# --- the example rules -------------------------------------------------------------------------


def test_a_skipped_example_rule_is_seen() -> None:
    targets = targets_of(load_rules(EXAMPLES / "rules", compilers=[EqlCompiler()]).rule_set)
    payloads = [
        line
        for path in sorted((EXAMPLES / "captures").glob("*.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    scene = Scene(targets, payloads, SchemaRegistry.ecs(), batch=500)
    expected = scene.expected()
    assert scene.found() == expected
    matched = sorted({target for numbers in expected for target in numbers})
    assert len(matched) > 20
    telling = [number for number, numbers in enumerate(expected) if numbers]
    scene = attrs.evolve(scene, events=[payloads[number] for number in telling])
    expected = [expected[number] for number in telling]

    def skipped(target: int) -> Mutation:
        def change(matcher: EventMatcher) -> None:
            for number, clause in enumerate(graph(matcher)._clauses):
                if clause.pending.target == target:
                    graph(matcher).root.live &= ~(1 << number)

        return change

    for target in matched:
        assert attrs.evolve(scene, change=skipped(target)).found() != expected, targets[target]
