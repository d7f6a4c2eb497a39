"""What rules of several events become: sequences, samples, joins, and pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Call,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    StepField,
    TextPart,
    TextTest,
)
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    JoinRule,
    Pipe,
    Rule,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldDefinition, SchemaRegistry

Compiled: TypeAlias = Callable[..., Rule]

EQUAL = ComparisonOperator.EQUAL
A, B = Field("a"), Field("b")
ONE = Literal(1)


def test_sequence(compiled: Compiled) -> None:
    body = compiled(
        "sequence by a, ?b with maxspan=2s [process where c == 1] by d "
        "![any where true] by e [file where false] by f until [x where true] by g"
    ).body

    def keys(last: str) -> tuple[JoinKey, ...]:
        return (JoinKey(A), JoinKey(B, optional=True), JoinKey(Field(last)))

    assert body == SequenceRule(
        steps=(
            Step(frozenset({"process"}), Comparison(EQUAL, Field("c"), ONE), keys("d")),
            Step(ANY_EVENT, ALWAYS, keys("e"), missing=True),
            Step(frozenset({"file"}), NEVER, keys("f")),
        ),
        maxspan=2 * 10**9,
        until=Step(frozenset({"x"}), ALWAYS, keys("g")),
    )


def test_runs_are_written_out_and_names_count_them(compiled: Compiled) -> None:
    body = compiled(
        "sequence with maxspan=1s [a where true] with runs=2 [b where true] as e1"
        " [c where startsWith(x, e1.y.z) and e1 == 1]"
    ).body
    assert isinstance(body, SequenceRule)
    assert [step.name for step in body.steps] == ["", "", "e1", ""]
    assert body.steps[0] == body.steps[1]
    assert body.steps[3].predicate == And(
        (
            TextTest(TextPart.PREFIX, Field("x"), StepField(2, "y.z")),
            Comparison(EQUAL, Field("e1"), ONE),
        )
    )


def test_one_step_with_runs_is_a_sequence(compiled: Compiled) -> None:
    body = compiled("sequence by a with maxspan=1s [b where true] with runs=3").body
    assert isinstance(body, SequenceRule)
    assert len(body.steps) == 3


def test_a_step_name_is_known_in_later_steps_only(compiled: Compiled) -> None:
    body = compiled("sequence with maxspan=1s [a where e.x == 1] as e [b where e.x == 1]").body
    assert isinstance(body, SequenceRule)
    first, second = body.steps
    assert first.predicate == Comparison(EQUAL, Field("e.x"), ONE)
    assert second.predicate == Comparison(EQUAL, StepField(0, "x"), ONE)


def test_sample(compiled: Compiled) -> None:
    body = compiled("sample by a [b where true] by c [d where true] by ?e").body
    assert body == SampleRule(
        (
            Step(frozenset({"b"}), ALWAYS, (JoinKey(A), JoinKey(Field("c")))),
            Step(frozenset({"d"}), ALWAYS, (JoinKey(A), JoinKey(Field("e"), optional=True))),
        )
    )


def test_join_keys_of_endgame_may_be_computed_and_null(compiled: Compiled) -> None:
    text = "sequence with maxspan=1s [a where true] by length(x) [b where true] by y"
    body = compiled(text, dialect="endgame").body
    assert isinstance(body, SequenceRule)
    (key,) = body.steps[0].keys
    length = Call(Function.LENGTH, (Field("x", whole=True),))
    assert key == JoinKey(length, optional=True, fold=True)
    assert body.steps[1].keys == (JoinKey(Field("y"), optional=True, fold=True),)
    assert body.until_first


@pytest.mark.parametrize(("case", "fold"), [("insensitive", True), ("sensitive", False)])
def test_join(compiled: Compiled, case: str, fold: bool) -> None:
    body = compiled(
        "join by a [x where true] by b [any where true] by c until [y where true] by d",
        dialect="endgame",
        case=case,
    ).body

    def keys(last: str) -> tuple[JoinKey, ...]:
        return (JoinKey(A, True, fold), JoinKey(Field(last), True, fold))

    assert body == JoinRule(
        (Step(frozenset({"x"}), ALWAYS, keys("b")), Step(ANY_EVENT, ALWAYS, keys("c"))),
        until=Step(frozenset({"y"}), ALWAYS, keys("d")),
    )


def test_pipes_know_the_events_of_a_join(compiled: Compiled) -> None:
    text = "join [a where true] [b where true] | unique events[1].x"
    (pipe,) = compiled(text, dialect="endgame").pipes
    assert pipe.arguments == (StepField(1, "x"),)


@pytest.mark.parametrize(
    ("written", "fork"), [("fork", True), ("fork=true", True), ("fork=false", False)]
)
def test_a_step_that_forks(compiled: Compiled, written: str, fork: bool) -> None:
    text = f"sequence [a where true] [b where true] {written} [c where true]"
    body = compiled(text, dialect="endgame").body
    assert isinstance(body, SequenceRule)
    assert [step.fork for step in body.steps] == [False, fork, False]


def test_the_name_of_a_step_that_runs_is_its_last_event(compiled: Compiled) -> None:
    body = compiled(
        "sequence with maxspan=1s [a where true] with runs=3 as e1 [b where x == e1.y]"
    ).body
    assert isinstance(body, SequenceRule)
    assert [step.name for step in body.steps] == ["", "", "e1", ""]
    assert body.steps[3].predicate == Comparison(EQUAL, Field("x"), StepField(2, "y"))


def test_until_can_refer_to_steps(compiled: Compiled) -> None:
    body = compiled("sequence [a where true] as e1 [b where true] until [c where x == e1.y]").body
    assert isinstance(body, SequenceRule)
    assert body.until is not None
    assert body.until.predicate == Comparison(EQUAL, Field("x"), StepField(0, "y"))


def test_keys_that_may_be_null_are_told_apart_by_their_place(compiled: Compiled) -> None:
    text = "sequence by ?a with maxspan=1s [x where true] by ?c, d [y where true] by e, ?f"
    body = compiled(text).body
    assert isinstance(body, SequenceRule)
    assert [[key.optional for key in step.keys] for step in body.steps] == [
        [True, True, False],
        [True, False, True],
    ]


def test_several_missing_events_at_the_ends(compiled: Compiled) -> None:
    body = compiled(
        "sequence with maxspan=1s ![a where true] ![b where true] [c where true] ![d where true]"
        " ![e where true]"
    ).body
    assert isinstance(body, SequenceRule)
    assert [step.missing for step in body.steps] == [True, True, False, True, True]


def test_a_missing_event_that_runs_is_written_out(compiled: Compiled) -> None:
    text = "sequence with maxspan=1s [a where true] ![b where true] with runs=2 [c where true]"
    body = compiled(text).body
    assert isinstance(body, SequenceRule)
    assert [step.missing for step in body.steps] == [False, True, True, False]


def test_pipes(compiled: Compiled) -> None:
    assert compiled("a where true | head 5 | tail 2").pipes == (
        Pipe("head", (5,)),
        Pipe("tail", (2,)),
    )
    rule = compiled(
        "sequence with maxspan=1s [a where true] [b where true] "
        "| unique x | filter events[1].y == 1 | count",
        dialect="endgame",
        case="sensitive",
    )
    assert rule.pipes == (
        Pipe("unique", (Field("x", whole=True),)),
        Pipe("filter", (Comparison(EQUAL, StepField(1, "y"), ONE),)),
        Pipe("count"),
    )


def test_pipes_know_the_fields_that_pipes_add(compiled: Compiled) -> None:
    schema = SchemaRegistry().extended([FieldDefinition("x")], strict=True)
    rule = compiled(
        "any where true | unique_count x | filter count > 1 and total_hosts > 1 | sort hosts",
        schema=schema,
        dialect="endgame",
    )
    assert rule.warnings == ()
