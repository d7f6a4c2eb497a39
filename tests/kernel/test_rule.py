from __future__ import annotations

import attrs
import pytest

from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
)
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    LoadReport,
    Pipe,
    Program,
    Rollout,
    RolloutMode,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
    errors_in,
)
from kestrel_framework.schema import FieldType

EQUAL = ComparisonOperator.EQUAL
NAME_IS_SH = Comparison(EQUAL, Field("process.name"), Literal("sh"))
PROCESS = frozenset({"process"})


def rule(body: RuleBody, rule_id: str = "r", **metadata: object) -> Rule:
    return Rule(RuleMetadata(rule_id, **metadata), body)  # type: ignore[arg-type]


def test_the_hash_is_of_the_meaning_alone() -> None:
    body = EventRule(PROCESS, NAME_IS_SH)
    named = Rule(
        RuleMetadata("r", name="Shell", version="7"), body, "eql", SourceLocation("a.eql", 3)
    )
    assert named.semantic_hash == rule(body, "other").semantic_hash


@pytest.mark.parametrize(
    "other",
    [
        EventRule(frozenset({"file"}), NAME_IS_SH),
        EventRule(PROCESS, ALWAYS),
        EventRule(PROCESS, attrs.evolve(NAME_IS_SH, fold=True)),
        EventRule(
            PROCESS, Comparison(EQUAL, Field("process.name", FieldType.KEYWORD), Literal("sh"))
        ),
        EventRule(PROCESS, Comparison(EQUAL, Field("process.name"), Literal("SH"))),
        SequenceRule((Step(PROCESS, NAME_IS_SH),)),
        SampleRule((Step(PROCESS, NAME_IS_SH),)),
    ],
)
def test_another_meaning_has_another_hash(other: RuleBody) -> None:
    assert rule(other).semantic_hash != rule(EventRule(PROCESS, NAME_IS_SH)).semantic_hash


def test_numbers_and_booleans_of_one_value_have_different_hashes() -> None:
    hashes = {
        rule(EventRule(PROCESS, Comparison(EQUAL, Field("x"), Literal(value)))).semantic_hash
        for value in (1, 1.0, True, "1")
    }
    assert len(hashes) == 4


def test_sequences_differ_by_every_part() -> None:
    step = Step(PROCESS, NAME_IS_SH)
    keyed = Step(PROCESS, NAME_IS_SH, (JoinKey(Field("host.id")),))
    optional = Step(PROCESS, NAME_IS_SH, (JoinKey(Field("host.id"), optional=True),))
    bodies = [
        SequenceRule((step, step)),
        SequenceRule((step, step), maxspan=1),
        SequenceRule((step, step), until=step),
        SequenceRule((keyed, keyed)),
        SequenceRule((optional, optional)),
        SequenceRule((step, attrs.evolve(step, missing=True)), maxspan=1),
    ]
    assert len({rule(body).semantic_hash for body in bodies}) == len(bodies)


def test_the_name_of_a_step_is_not_its_meaning() -> None:
    named = SequenceRule((Step(PROCESS, NAME_IS_SH, name="event0"),))
    assert (
        rule(named).semantic_hash == rule(SequenceRule((Step(PROCESS, NAME_IS_SH),))).semantic_hash
    )


def test_programs_differ_by_payload_and_fields() -> None:
    bodies = [
        EventRule(PROCESS, Program("lua", b"a", {"x": FieldType.LONG})),
        EventRule(PROCESS, Program("lua", b"b", {"x": FieldType.LONG})),
        EventRule(PROCESS, Program("lua", b"a", {"x": FieldType.KEYWORD})),
        EventRule(PROCESS, Program("wasm", b"a", {"x": FieldType.LONG})),
        EventRule(PROCESS, Program("lua", b"a", {"x": FieldType.LONG}, prefilter=NAME_IS_SH)),
    ]
    assert len({rule(body).semantic_hash for body in bodies}) == len(bodies)


def test_fields_come_from_every_step_key_and_until() -> None:
    def step(path: str, key: str) -> Step:
        return Step(PROCESS, Comparison(EQUAL, Field(path), Literal(1)), (JoinKey(Field(key)),))

    body = SequenceRule((step("a", "k"), step("b", "l")), until=step("c", "k"))
    assert rule(body).fields == ("a", "b", "c", "k", "l")


def test_kinds() -> None:
    step = Step(PROCESS, ALWAYS)
    assert rule(EventRule(PROCESS, ALWAYS)).kind == "event"
    assert rule(SequenceRule((step,))).kind == "sequence"
    assert rule(SampleRule((step,))).kind == "sample"


def test_two_revisions_of_a_rule_stand_side_by_side() -> None:
    old = rule(EventRule(PROCESS, ALWAYS))
    new = Rule(
        RuleMetadata("r", version="2"),
        EventRule(PROCESS, NAME_IS_SH),
        rollout=Rollout(RolloutMode.CANARY, 0.1),
    )
    assert len(RuleSet((old, new))) == 2


def test_the_same_revision_twice_is_refused_and_both_places_named() -> None:
    def at(path: str) -> Rule:
        return Rule(RuleMetadata("r"), EventRule(PROCESS, ALWAYS), location=SourceLocation(path, 1))

    with pytest.raises(RuleError, match=r"^b\.eql:1: .*the first is in a\.eql:1"):
        RuleSet((at("a.eql"), at("b.eql")))


def test_a_rule_with_pipes_cannot_run_on_a_stream() -> None:
    piped = attrs.evolve(rule(EventRule(PROCESS, ALWAYS)), pipes=(Pipe("head", (5,)),))
    with pytest.raises(RuleError, match="head"):
        RuleSet((piped,))


def test_a_generation_is_named_for_what_it_runs() -> None:
    one, two = rule(EventRule(PROCESS, ALWAYS), "a"), rule(EventRule(PROCESS, ALWAYS), "b")
    assert RuleSet((one, two)).generation == RuleSet((one, two)).generation
    shadow = attrs.evolve(two, rollout=Rollout(RolloutMode.SHADOW))
    assert RuleSet((one, two)).generation != RuleSet((one, shadow)).generation


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_rollout_takes_a_fraction(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        Rollout(RolloutMode.CANARY, fraction)


def test_errors_of_nested_groups_come_one_by_one() -> None:
    first, second, third = RuleError("1"), RuleError("2"), RuleError("3")
    inner: ExceptionGroup[RuleError] = ExceptionGroup("step", [second, third])
    group: ExceptionGroup[RuleError] = ExceptionGroup("rule", [first, inner])  # type: ignore[list-item]
    assert list(errors_in(group)) == [first, second, third]
    assert list(errors_in(first)) == [first]


def test_a_report_gives_a_rule_set() -> None:
    assert len(LoadReport(rules=[rule(EventRule(PROCESS, ALWAYS))]).rule_set) == 1
