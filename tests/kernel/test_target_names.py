"""What people call the conditions of rules."""

from __future__ import annotations

from kestrel_framework._pipeline.flow import targets_of
from kestrel_framework._pipeline.process_lineage import ProcessLineage
from kestrel_framework.cli.target_names import TargetNames
from kestrel_framework.predicate import (
    ALWAYS,
    And,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Lineage,
    LineageRelation,
    StepField,
)
from kestrel_framework.rule import (
    EventRule,
    Program,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)

PROCESS = frozenset({"process"})
ANCESTOR = Lineage(
    LineageRelation.CHILD, PROCESS, IsNull(Field("a")), Field("p.id"), Field("p.parent")
)
SAME_AS_BEFORE = Comparison(ComparisonOperator.EQUAL, Field("a"), StepField(0, "a"))


def names_of(*bodies: RuleBody, name: str = "") -> TargetNames:
    rules = RuleSet(
        [Rule(RuleMetadata(f"r{number}", name), body) for number, body in enumerate(bodies)]
    )
    targets = targets_of(rules)
    return TargetNames(rules, (*targets, *ProcessLineage(rules, targets).targets), len(targets))


def test_a_rule_with_one_condition_is_named_by_itself() -> None:
    assert str(names_of(EventRule(PROCESS, ALWAYS))[0]) == "r0"
    assert str(names_of(EventRule(PROCESS, ALWAYS), name="A rule")[0]) == "r0 (A rule)"
    assert str(names_of(EventRule(PROCESS, ALWAYS), name="r0")[0]) == "r0"
    assert names_of(EventRule(frozenset({"b", "a"}), ALWAYS))[0].event_types == ("a", "b")


def test_parts_of_sequences_are_numbered_from_1() -> None:
    step = Step(PROCESS, ALWAYS)
    names = names_of(SequenceRule((step, step), until=step), name="Two")
    assert [names[number].part for number in range(len(names))] == ["step 1", "step 2", "until"]
    assert str(names[1]) == "r0 (Two), step 2"
    assert names.rules_of([0, 2]) == {0}


def test_what_the_matcher_does_not_decide_is_said() -> None:
    steps = (Step(PROCESS, ALWAYS), Step(PROCESS, And((SAME_AS_BEFORE, ANCESTOR))))
    names = names_of(
        EventRule(PROCESS, ALWAYS),
        EventRule(PROCESS, Program("lua", b"", {})),
        EventRule(PROCESS, ANCESTOR),
        SequenceRule(steps),
    )
    assert [names[number].decided_later for number in range(5)] == [
        "",
        "a program of the runtime lua",
        "what other processes did",
        "",
        "what other processes did and earlier steps",
    ]


def test_conditions_that_lineage_adds_are_told_apart() -> None:
    names = names_of(EventRule(PROCESS, ANCESTOR))
    parts = [names[number].part for number in range(len(names))]
    assert parts == ["", "query about other processes", "without lineage"]
    assert names.rules_of(range(len(names))) == {0}
