"""Searching documents with one rule, without any rule language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kestrel_framework._pipeline.flow import Problem
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Predicate,
    StepField,
)
from kestrel_framework.query import SearchResult, search
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Pipe,
    Program,
    Rule,
    RuleBody,
    RuleMetadata,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldType, SchemaRegistry

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings("t", "ms", "kind", "tie")
KEY = JoinKey(Field("key"), optional=True)


def equal(left: Field | StepField, value: str | int) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, left, Literal(value))


def step(name: str, *, missing: bool = False) -> Step:
    return Step(frozenset({name}), ALWAYS, (KEY,), missing=missing)


def event(time: int, kind: str = "a", **more: Any) -> Document:
    return {"t": time, "n": time, "kind": kind, "key": 1, **more}


def run(
    body: RuleBody, documents: Sequence[Document], pipes: Sequence[Pipe] = (), **options: Any
) -> list[SearchResult]:
    rule = Rule(RuleMetadata("query"), body, pipes=tuple(pipes))
    return search(rule, documents, settings=SETTINGS, schema=SCHEMA, **options)


def numbers(results: Sequence[SearchResult]) -> list[list[object]]:
    return [[item["n"] if item else None for item in result.events] for result in results]


EVERY = EventRule(ANY_EVENT, ALWAYS)


def test_events_come_in_the_order_of_time_and_tiebreaker() -> None:
    documents = [event(3), event(1), event(2, tie=2, n=5), event(2, tie=1, n=6), event(2, n=7)]
    assert numbers(run(EVERY, documents)) == [[1], [6], [5], [7], [3]]


def test_equal_events_keep_their_order() -> None:
    assert numbers(run(EVERY, [event(1, n=2), event(1, n=1)])) == [[2], [1]]


def test_only_what_satisfies_the_condition_is_found() -> None:
    body = EventRule(frozenset({"a"}), equal(Field("n"), 2))
    results = run(body, [event(1), event(2), event(2, "b")])
    assert results == [SearchResult((event(2),))]


@pytest.mark.parametrize(("size", "expected"), [(0, 0), (1, 1), (None, 12)])
def test_size_bounds_the_results(size: int | None, expected: int) -> None:
    assert len(run(EVERY, [event(n) for n in range(12)], size=size)) == expected


def test_the_default_size_is_ten() -> None:
    assert len(run(EVERY, [event(n) for n in range(12)])) == 10


@pytest.mark.parametrize("options", [{"size": -1}, {"max_samples_per_key": 0}])
def test_limits_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        run(EVERY, [], **options)


def test_a_sequence_has_its_join_keys_and_its_empty_places() -> None:
    body = SequenceRule((step("a"), step("c", missing=True), step("b")), 10_000_000)
    results = run(body, [event(2, "b"), event(1)])
    assert results == [SearchResult((event(1), None, event(2, "b")), (1,))]


def test_sequences_come_in_the_order_of_their_last_events() -> None:
    body = SequenceRule((step("a"), step("b"), step("c", missing=True)), 100_000_000)
    documents = [event(1, key=1), event(2, key=2), event(3, "b", key=2), event(4, "b", key=1)]
    assert numbers(run(body, documents)) == [[2, 3, None], [1, 4, None]]


def test_sequences_that_end_with_one_event_come_in_the_order_of_their_keys() -> None:
    body = SequenceRule((step("a"), step("b")))
    documents = [event(1, key=["z", "y", 10, 9]), event(2, "b", key=["z", 10, "y", 9])]
    assert [result.join_keys[0] for result in run(body, documents)] == [9, 10, "y", "z"]


def test_samples_come_in_the_order_of_their_keys_null_first() -> None:
    body = SampleRule((step("a"), step("b")))
    keys = ["x", 2, 10, True, None]
    documents = [event(n, kind, key=key) for n, key in enumerate(keys) for kind in "ab"]
    assert [result.join_keys[0] for result in run(body, documents)] == [None, True, 2, 10, "x"]


def test_samples_of_a_key_are_bounded() -> None:
    body = SampleRule((step("a"), step("b")))
    documents = [event(1), event(2), event(3), event(4, "b")]
    assert numbers(run(body, documents)) == [[1, 4]]
    assert numbers(run(body, documents, max_samples_per_key=2)) == [[1, 4], [2, 4]]


def test_an_event_without_a_time_is_reported_and_found() -> None:
    problems: list[Problem] = []
    assert len(run(EVERY, [{"n": 1}], report=problems.append)) == 1
    assert [problem.skipped for problem in problems] == [False]


def test_dotted_keys_are_paths() -> None:
    body = EventRule(ANY_EVENT, equal(Field("process.pid"), 4))
    assert len(run(body, [{"t": 1, "process.pid": 4}])) == 1


def test_a_program_is_refused() -> None:
    body = EventRule(ANY_EVENT, Program("lua", b"", {}))
    with pytest.raises(RuleError, match="expressions"):
        run(body, [])


# --- pipes ---


def piped(documents: Sequence[Document], *pipes: Pipe) -> list[list[object]]:
    return numbers(run(EVERY, documents, pipes))


FIVE = [event(n, name="bA"[n % 2], group=n // 2) for n in range(5)]


def test_pipes_work_from_left_to_right() -> None:
    assert piped(FIVE, Pipe("head", (4,)), Pipe("tail", (2,))) == [[2], [3]]
    assert piped(FIVE, Pipe("tail", (2,)), Pipe("head", (4,))) == [[3], [4]]
    assert piped(FIVE, Pipe("head", (0,))) == []
    assert piped(FIVE, Pipe("tail", (0,))) == []
    assert piped(FIVE, Pipe("tail", (9,))) == [[0], [1], [2], [3], [4]]


def test_the_size_comes_after_the_pipes() -> None:
    assert numbers(run(EVERY, FIVE, [Pipe("tail", (3,))], size=1)) == [[2]]


def test_filter_looks_at_every_event_of_a_result() -> None:
    body = SequenceRule((step("a"), step("b")))
    documents = [event(1), event(2, "b"), event(3), event(4, "b")]
    assert numbers(run(body, documents, [Pipe("filter", (equal(Field("n"), 3),))])) == [[3, 4]]
    assert numbers(run(body, documents, [Pipe("filter", (equal(StepField(1, "n"), 2),))])) == [
        [1, 2]
    ]


def test_sort_is_stable_with_null_first() -> None:
    assert piped([*FIVE, event(7)], Pipe("sort", (Field("name"),))) == [
        *([7], [1], [3], [0], [2], [4])
    ]
    folded = Pipe("sort", (Field("name"),), fold=True)
    assert piped([event(0, name="B"), event(1, name="a")], folded) == [[1], [0]]


def test_unique_keeps_the_first_of_each_group() -> None:
    assert piped(FIVE, Pipe("unique", (Field("group"),))) == [[0], [2], [4]]
    documents = [event(0, name="a"), event(1, name="A"), event(2)]
    assert piped(documents, Pipe("unique", (Field("name"),))) == [[0], [1], [2]]
    assert piped(documents, Pipe("unique", (Field("name"),), fold=True)) == [[0], [2]]


def test_unique_count_says_how_many_there_were() -> None:
    pipes = [Pipe("unique_count", (Field("group"),)), Pipe("filter", (equal(Field("count"), 1),))]
    (result,) = run(EVERY, FIVE, pipes)
    assert result.events == ({**FIVE[4], "count": 1, "percent": 0.2},)


def test_count() -> None:
    (total,) = run(EVERY, FIVE, [Pipe("count")])
    assert total.events == ({"count": 5, "key": "totals"},)
    groups = run(EVERY, FIVE, [Pipe("count", (Field("group"),))])
    assert [result.events[0] for result in groups] == [
        {"count": 1, "percent": 0.2, "key": 2},
        {"count": 2, "percent": 0.4, "key": 0},
        {"count": 2, "percent": 0.4, "key": 1},
    ]


@pytest.mark.parametrize(
    "pipe",
    [
        Pipe("head"),
        Pipe("head", (-1,)),
        Pipe("tail", (Field("x"),)),
        Pipe("filter", (5,)),
        Pipe("filter", (Field("x"),)),
        Pipe("sort"),
        Pipe("unique", (ALWAYS,)),
        Pipe("fork"),
    ],
)
def test_a_pipe_that_makes_no_sense_is_refused(pipe: Pipe) -> None:
    with pytest.raises(RuleError, match=f"pipe `{pipe.name}`"):
        piped(FIVE, pipe)


def pair(kind: FieldType | None, *keys: object) -> list[SearchResult]:
    """Search samples of two events for each key."""
    key = JoinKey(Field("key", kind), optional=True)
    body = SampleRule((Step(frozenset("a"), ALWAYS, (key,)), Step(frozenset("b"), ALWAYS, (key,))))
    return run(body, [event(n, name, key=key) for n, key in enumerate(keys) for name in "ab"])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (FieldType.IP, ["::1", "10.0.0.2", "10.0.0.11", "fe80::1"]),
        (FieldType.VERSION, ["1.2.0-rc1", "1.2.0", "1.11.0", "none"]),
        (FieldType.KEYWORD, ["1.11.0", "1.2.0"]),
        (FieldType.LONG, [-5, 2, 11]),
        (None, [None, False, True, -1, 2.5, 11, "", "10"]),
    ],
)
def test_samples_come_in_the_order_that_the_type_of_their_key_has(
    kind: FieldType | None, keys: list[object]
) -> None:
    results = pair(kind, *reversed(keys))
    assert [result.join_keys for result in results] == [(key,) for key in keys]


def test_a_date_among_the_keys_is_a_text_in_a_sequence_and_milliseconds_in_a_sample() -> None:
    moment = "2024-02-29T01:02:03.004+01:00"
    (sample,) = pair(FieldType.DATE, moment)
    assert sample.join_keys == (1_709_164_923_004,)
    key = (JoinKey(Field("key", FieldType.DATE)), JoinKey(Field("none"), optional=True))
    steps = tuple(Step(frozenset(name), ALWAYS, key) for name in "ab")
    (result,) = run(SequenceRule(steps), [event(n, "ab"[n], key=moment) for n in (0, 1)])
    assert result.join_keys == ("2024-02-29T00:02:03.004Z", None)


def test_a_double_among_the_keys_stays_one() -> None:
    (sample,) = pair(FieldType.DOUBLE, 5)
    assert [repr(key) for key in sample.join_keys] == ["5.0"]
