"""What the pipes of a search make of results, also of odd ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    StepField,
    Value,
)
from kestrel_framework.query import SearchResult, search
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    Pipe,
    Rule,
    RuleBody,
    RuleMetadata,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry

SETTINGS = EventSettings("t", "ms", "kind", "t")
A, B = Field("a", whole=True), Field("b", whole=True)
EVERY = EventRule(ANY_EVENT, ALWAYS)
TWO = SequenceRule((Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, ALWAYS)))


def piped(
    documents: Sequence[Document], *pipes: Pipe, body: RuleBody = EVERY
) -> list[SearchResult]:
    """Search events that come in their order, with pipes."""
    numbered: list[Document] = [{"t": n, "n": n, **one} for n, one in enumerate(documents)]
    rule = Rule(RuleMetadata("query"), body, pipes=pipes)
    return search(rule, numbered, settings=SETTINGS, schema=SchemaRegistry(), size=None)


def documents_of(results: Sequence[SearchResult]) -> list[dict[str, Any]]:
    """Return the first event of each result, without the time."""
    first = [result.events[0] for result in results]
    return [{key: value for key, value in (one or {}).items() if key != "t"} for one in first]


def numbers(results: Sequence[SearchResult]) -> list[object]:
    return [document["n"] for document in documents_of(results)]


def events(*values: object) -> list[Document]:
    return [{} if value is None else {"a": value} for value in values]


# --- count ---


def test_count_of_nothing_is_a_result() -> None:
    assert documents_of(piped([], Pipe("count"))) == [{"count": 0, "key": "totals"}]
    assert piped([], Pipe("count", (A,))) == []


def test_the_total_tells_the_hosts_there_were() -> None:
    known = [{"hostname": "b"}, {"hostname": "a"}, {}, {"hostname": "b"}, {"hostname": "A"}]
    (total,) = documents_of(piped(known, Pipe("count")))
    assert total == {"count": 5, "key": "totals", "hosts": ["A", "a", "b"], "total_hosts": 3}


@pytest.mark.parametrize(
    ("host", "hosts"),
    [(5, ["5"]), (True, ["true"]), (["x", "w", "x"], ["w", "x"]), ({"x": 1}, None), ([], None)],
)
def test_odd_names_of_hosts(host: object, hosts: object) -> None:
    (total,) = documents_of(piped([{"hostname": host}], Pipe("count")))
    assert total.get("hosts") == hosts


def test_groups_are_counted_without_regard_to_case_and_shown_as_first_seen() -> None:
    for fold in (False, True):
        found = piped(events("b", "Net", "net", "NET", "B", "c"), Pipe("count", (A,), fold=fold))
        assert [(one["key"], one["count"], one["percent"]) for one in documents_of(found)] == [
            ("c", 1, 1 / 6),
            ("b", 2, 2 / 6),
            ("Net", 3, 3 / 6),
        ]


def test_groups_of_one_size_are_in_the_order_of_their_keys() -> None:
    found = piped(events("b", "a", "C", 10, 9, True, None, ["z"]), Pipe("count", (A,), fold=True))
    assert [one["key"] for one in documents_of(found)] == [
        *(None, True, 9, 10),
        *("a", "b", "C", ["z"]),
    ]
    exact = piped(events("b", "a", "C"), Pipe("count", (A,)))
    assert [one["key"] for one in documents_of(exact)] == ["C", "a", "b"]


def test_several_values_are_a_list_and_each_group_has_its_hosts() -> None:
    known: list[Document] = [
        {"a": "x", "b": 1, "hostname": "h2"},
        {"a": "y"},
        {"a": "X", "b": 1.0, "hostname": "h1"},
    ]
    assert documents_of(piped(known, Pipe("count", (A, B)))) == [
        {"count": 1, "key": ["y", None], "percent": 1 / 3},
        {
            "count": 2,
            "key": ["x", 1],
            "percent": 2 / 3,
            "hosts": ["h1", "h2"],
            "total_hosts": 2,
        },
    ]


# --- unique and unique_count ---


def test_unique_count_adds_to_the_first_of_each_group() -> None:
    known: list[Document] = [
        {"a": "x", "hostname": "h2"},
        {"a": "y", "hostname": "h1"},
        {"a": "X", "hostname": "h1"},
        {"a": "x"},
    ]
    assert documents_of(piped(known, Pipe("unique_count", (A,), fold=True))) == [
        {"n": 0, "a": "x", "count": 3, "percent": 0.75, "hosts": ["h1", "h2"], "total_hosts": 2},
        {"n": 1, "a": "y", "count": 1, "percent": 0.25, "hosts": ["h1"], "total_hosts": 1},
    ]
    assert numbers(piped(known, Pipe("unique_count", (A,)))) == [0, 1, 2]


def test_unique_count_goes_on_with_what_was_counted_before() -> None:
    known: list[Document] = [
        {"a": a, "b": b, "hostname": f"{a}{b}"} for a, b in ("x1", "x1", "x2", "y1")
    ]
    pipes = [Pipe("unique_count", (A, B)), Pipe("unique_count", (A,))]
    assert documents_of(piped(known, *pipes)) == [
        {
            **{"n": 0, "a": "x", "b": "1", "count": 3, "percent": 0.75},
            **{"hosts": ["x1", "x2"], "total_hosts": 2},
        },
        {
            **{"n": 3, "a": "y", "b": "1", "count": 1, "percent": 0.25},
            **{"hosts": ["y1"], "total_hosts": 1},
        },
    ]


@pytest.mark.parametrize("count", [0, -5, 1.5, True, "7", [7], None, 10**400])
def test_a_count_that_is_none_counts_as_one(count: object) -> None:
    (result,) = documents_of(piped([{"count": count}, {"count": 3}], Pipe("unique_count", (A,))))
    assert (result["count"], result["percent"]) == (4, 1.0)


def test_the_other_events_of_a_result_stay_what_they_are() -> None:
    known: list[Document] = [{"a": 1, "hostname": "h"}, {"a": 2, "hostname": "h"}]
    (result,) = piped(known, Pipe("unique_count", (A,)), body=TWO)
    assert result.events[1] == {"t": 1, "n": 1, **known[1]}


def test_keys_read_the_other_events_by_their_number() -> None:
    documents = events("x", "y", "y", "z", "y")
    found = piped(documents, Pipe("unique", (StepField(1, "a"),)), body=TWO)
    assert numbers(found) == [0, 2]
    (counted, *_) = piped(documents, Pipe("count", (StepField(1, "a"),)), body=TWO)
    assert counted.events == ({"count": 1, "key": "z", "percent": 0.25},)


def test_kinds_are_never_one_group() -> None:
    assert len(piped(events(1, True, "1", [1], None, "true"), Pipe("unique", (A,)))) == 6
    assert len(piped(events(1, 1.0, [1, "a"], [1.0, "A"]), Pipe("unique", (A,), fold=True))) == 2


# --- head, tail, sort ---


@pytest.mark.parametrize("name", ["head", "tail"])
def test_nothing_and_more_than_there_is(name: str) -> None:
    for documents in ([], events(1, 2, 3)):
        assert piped(documents, Pipe(name, (0,))) == []
        assert len(piped(documents, Pipe(name, (10**30,)))) == len(documents)


def test_sort_by_several_values_is_stable() -> None:
    known: list[Document] = [{"a": a, "b": b} for a, b in ("b2", "a2", "B1", "a2", "A1")]
    assert numbers(piped(known, Pipe("sort", (A, B), fold=True))) == [4, 1, 3, 2, 0]
    assert numbers(piped(known, Pipe("sort", (A, B)))) == [4, 2, 1, 3, 0]


def test_after_a_count_pipes_see_what_it_gave() -> None:
    many = Comparison(ComparisonOperator.GREATER, Field("count"), Literal(1))
    found = piped(events(1, 2, 2), Pipe("count", (A,)), Pipe("filter", (many,)))
    assert documents_of(found) == [{"count": 2, "key": 2, "percent": 2 / 3}]
    pipes = [Pipe("unique_count", (A,)), Pipe("sort", (Field("count"),)), Pipe("tail", (1,))]
    assert numbers(piped(events(1, 2, 2), *pipes)) == [1]


# --- whatever the events ---

ODD: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=2)
    | st.sampled_from(["a", "A", "\ud800", "ſ", "S"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=1), inner),
    max_leaves=4,
)
DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("a", "b", "count", "hostname", "hosts", "percent"), ODD)
    ),
    max_size=12,
)
VALUES: st.SearchStrategy[Value] = st.sampled_from(
    [A, B, Field("a"), Field("count"), Field("hosts"), StepField(1, "a"), Field("key", whole=True)]
)
PIPES = st.builds(
    Pipe,
    st.sampled_from(["count", "sort", "unique", "unique_count"]),
    st.lists(VALUES, min_size=1, max_size=2).map(tuple),
    st.booleans(),
) | st.sampled_from([Pipe("count"), Pipe("head", (3,)), Pipe("tail", (3,))])


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.lists(PIPES, min_size=1, max_size=3), st.sampled_from([EVERY, TWO]))
def test_no_event_stops_a_pipe(
    documents: list[Document], pipes: list[Pipe], body: RuleBody
) -> None:
    results = piped(documents, *pipes, body=body)
    last = pipes[-1]
    if last.name == "count" and last.arguments:
        assert sum(one["percent"] for one in documents_of(results)) == pytest.approx(
            1.0 if results else 0.0
        )
    if last.name == "unique_count":
        assert all(one["count"] >= 1 for one in documents_of(results))
    if last.name == "sort":
        again = piped(documents, *pipes, last, body=body)
        assert repr(again) == repr(results)


WORDS = st.lists(st.sampled_from(["a", "A", "b", "B", "c", 1, None]), max_size=15)


@settings(max_examples=200, deadline=None)
@given(WORDS, st.booleans())
def test_groups_are_those_of_a_slow_count(words: list[object], fold: bool) -> None:
    def same(left: object, right: object, fold: bool) -> bool:
        if fold and isinstance(left, str) and isinstance(right, str):
            return left.lower() == right.lower()
        return left == right

    def groups(fold: bool) -> list[list[int]]:
        firsts = [
            n for n, word in enumerate(words) if not any(same(word, x, fold) for x in words[:n])
        ]
        return [[n for n, x in enumerate(words) if same(words[f], x, fold)] for f in firsts]

    documents = events(*words)
    assert numbers(piped(documents, Pipe("unique", (A,), fold))) == [g[0] for g in groups(fold)]
    counted = documents_of(piped(documents, Pipe("unique_count", (A,), fold)))
    assert [(one["n"], one["count"]) for one in counted] == [(g[0], len(g)) for g in groups(fold)]
    totals = documents_of(piped(documents, Pipe("count", (A,), fold)))
    expected = sorted(((len(g), words[g[0]]) for g in groups(True)), key=repr)
    assert sorted(((one["count"], one["key"]) for one in totals), key=repr) == expected
    assert [one["count"] for one in totals] == sorted(one["count"] for one in totals)
