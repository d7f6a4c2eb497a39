"""Views hold what rules read, whatever the shape of the event, and learn which keys to skip."""

from __future__ import annotations

import gc
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.candidate_builder import proposed_candidates
from kestrel_framework._pipeline.event_decoder import EventDecoder, View, ViewTypes
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Problem, Row, Target
from kestrel_framework.detector import Detector
from kestrel_framework.event import Document, EventBatch, EventSettings, read_path
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import (
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Predicate,
)
from kestrel_framework.rule import ANY_EVENT, EventRule, Rule, RuleMetadata, RuleSet
from kestrel_framework.schema import SchemaRegistry
from matcher_reference import event_in, event_of

PATHS = {"a": False, "p.name": False, "p.args": False, "p.parent.name": False, "o": True}
SETTINGS = EventSettings("t", "ns", "kind")
MOST_KEYS_LEARNED = 64


def decoder(paths: Mapping[str, bool] = MappingProxyType(PATHS)) -> EventDecoder:
    return EventDecoder(SETTINGS, {**paths})


def views(reads: EventDecoder, *events: bytes | object) -> list[View]:
    """Return the views of events, each in a batch of its own."""
    problems: list[Problem] = []
    found = []
    for event in events:
        batch = (
            EventBatch(payloads=[event])
            if isinstance(event, bytes)
            else EventBatch(documents=[event])  # type: ignore[list-item]
        )
        found += [view for _, view in reads.views(batch, problems)]
    assert not any(problem.skipped for problem in problems)
    return found


def payload(document: object) -> bytes:
    return json.dumps(document).encode()


def values(raw: object) -> list[object]:
    """Return what stands at a path: the values of all lists, objects as `{}`."""
    if isinstance(raw, (list, tuple)):
        return [value for inner in raw for value in values(inner)]
    if raw is msgspec.UNSET or raw is None:
        return []
    return ["{}" if isinstance(raw, (Mapping, msgspec.Struct)) else raw]


def read(reads: EventDecoder, event: bytes | object) -> dict[str, list[object]]:
    """Return the values that a view of an event has at each path."""
    (view,) = views(reads, event)
    return {path: values(reads.reader(path)(view)) for path in PATHS}


def expected(event: bytes | object) -> dict[str, list[object]]:
    document = event_in(event) if isinstance(event, bytes) else event_of(event)
    assert document is not None
    found = {}
    for path, may_be_object in PATHS.items():
        at = values(list(read_path(document, split_path(path))))
        found[path] = at if may_be_object else [value for value in at if value != "{}"]
    return found


def scalars(found: dict[str, list[object]]) -> dict[str, list[object]]:
    return {
        path: [one for one in some if PATHS[path] or one != "{}"] for path, some in found.items()
    }


class TestWhatIsRead:
    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"a": 1},
            {"a": [1, [2, None], "x"]},
            {"p": {"name": "n", "args": ["x", "y"], "parent": {"name": "m"}}},
            {"p": [{"name": "n"}, {"name": "m"}, None, 5, [{"name": ["l"]}]]},
            {"p": {"name": "n", "parent": [{"name": "m"}, {"name": "l"}]}},
            {"p.name": "n"},
            {"p.name": "n", "p": {"name": "m", "args": "x"}},
            {"p": {"parent.name": "n"}, "p.parent": {"name": "m"}},
            {"p.parent.name": "n", "p.name": "m"},
            {"p": [{"parent.name": "n"}], "p.args": ["x"]},
            {"p": "text"},
            {"p": None},
            {"p": 5, "p.name": "n"},
            {"p": {"parent": "text"}},
            {"p": {"parent": ["text", {"name": "n"}]}},
            {"a": {"b": 1}},
            {"p": {"name": {"first": "n"}}},
            {"p": {"name": [{"first": "n"}, "m"]}},
            {"o": {"x": 1}},
            {"o": {}},
            {"o": []},
            {"o": [{}, 1]},
            {"o.x": 1},
            {"o.x.y": 1, "o": 2},
            {".a": 1, "a.": 2, "p..name": 3},
            {"": {"a": 1}, "p": {"": 1, "name": "n"}},
        ],
        ids=str,
    )
    def test_any_shape_as_payload_and_document(self, event: Document) -> None:
        for one in (payload(event), event):
            reads = decoder()
            for _ in range(3):
                assert scalars(read(reads, one)) == expected(one)

    @pytest.mark.parametrize(
        "event",
        [
            b'{"p\\u002ename":"n"}',
            b'{"\\u0070.name":"n","p":{"name":"m"}}',
            b'{"p":{"parent\\u002ename":"n"}}',
            b'{"p":{"na\\u006de":"n"}}',
            b'{"o\\u002ex":1}',
            b'{"p":{"name":"n"},"p":{"args":"x"}}',
        ],
    )
    def test_escaped_keys_are_the_same_keys(self, event: bytes) -> None:
        reads = decoder()
        for _ in range(3):
            assert scalars(read(reads, event)) == expected(event)

    @settings(max_examples=400)
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["a", "p", "o", "x", "p.name", "p.parent", "o.x", "x.y", "."]),
                st.recursive(
                    st.none() | st.integers(0, 3) | st.sampled_from(["", "n"]),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(
                            st.sampled_from(["name", "args", "parent", "x", "parent.name", "é"]),
                            inner,
                            max_size=4,
                        )
                    ),
                    max_leaves=8,
                ),
                max_size=5,
            ),
            min_size=1,
            max_size=6,
        )
    )
    def test_any_events_one_after_the_other(self, events: list[dict[str, object]]) -> None:
        by_payload, by_document = decoder(), decoder()
        for event in [*events, *events]:
            assert scalars(read(by_payload, payload(event))) == expected(payload(event))
            assert scalars(read(by_document, event)) == expected(event)

    def test_mappings_of_other_types(self) -> None:
        class Own(Mapping[str, Any]):
            def __init__(self, inner: dict[str, Any]) -> None:
                self.inner = inner

            def __getitem__(self, key: str) -> Any:
                return self.inner[key]

            def __iter__(self) -> Any:
                return iter(self.inner)

            def __len__(self) -> int:
                return len(self.inner)

        plain = {"a": 1, "p": {"name": "n", "parent": {"name": "m"}}, "o": {"x": 1}}
        reads = decoder()
        for kind in (Own, MappingProxyType, OrderedDict):
            outside = kind(plain)
            inside = {**plain, "p": kind({"name": "n", "parent": kind({"name": "m"})})}
            object_inside = {**plain, "o": kind({"x": 1})}
            for event in (outside, inside, object_inside):
                assert read(reads, event) == expected(plain)


class TestLearning:
    def test_an_unknown_key_is_looked_at_once(self) -> None:
        reads = decoder()
        views(reads, b'{"x":1,"p":{"y":2}}')
        assert reads.statistics.slow == 1
        views(reads, *[b'{"x":[{"z":1}],"p":{"y":{"z":2},"name":"n"}}'] * 10)
        assert reads.statistics.slow == 1
        views(reads, b'{"x":1,"z":1}')
        assert reads.statistics.slow == 2

    def test_known_keys_are_quick_from_the_start(self) -> None:
        reads = decoder()
        event = {"a": 1, "t": 5, "kind": "x", "p": {"name": "n", "args": ["x"]}, "o": 1}
        views(reads, payload(event), event)
        assert reads.statistics.slow == 0

    def test_what_payloads_taught_is_known_of_documents_too(self) -> None:
        reads = decoder()
        views(reads, b'{"x":1}', {"x": 1})
        assert reads.statistics.slow == 1

    def test_dotted_keys_are_never_passed_over(self) -> None:
        reads = decoder()
        for _ in range(3):
            assert read(reads, b'{"p.name":"n"}')["p.name"] == ["n"]
            assert read(reads, b'{"x.y":1,"a":2}')["a"] == [2]
        assert reads.statistics.slow == 6

    def test_a_key_learned_does_not_hide_a_dotted_one(self) -> None:
        reads = decoder()
        for event in (b'{"x":1,"y":2}', b'{"x":1}', b'{"x":1,"p.name":"n","y":2}'):
            assert scalars(read(reads, event)) == expected(event)

    def test_a_bounded_number_of_keys_is_learned(self) -> None:
        reads = decoder()
        for number in range(3 * MOST_KEYS_LEARNED):
            event = payload({f"k{number}": 1, "p": {f"k{number}": 2, "name": "n"}})
            assert read(reads, event)["p.name"] == ["n"]
        root = reads.types.keys
        assert len(root.passed_over) == MOST_KEYS_LEARNED
        assert len(root.objects["p"].passed_over) == MOST_KEYS_LEARNED
        slow = reads.statistics.slow
        views(reads, b'{"k0":1}', b'{"k190":1}')
        assert reads.statistics.slow == slow + 1

    def test_many_keys_at_once_are_learned_up_to_the_limit(self) -> None:
        reads = decoder()
        event = payload({**{f"k{number}": 1 for number in range(1000)}, "a": 1})
        for _ in range(3):
            assert read(reads, event)["a"] == [1]
        assert len(reads.types.keys.passed_over) == MOST_KEYS_LEARNED

    def test_keys_of_objects_that_no_rule_reads_are_not_learned(self) -> None:
        flat, nested = decoder({"a": False}), decoder()
        for reads, slow in ((flat, 0), (nested, 1)):
            views(reads, *[payload({"y": {f"z{number}": 1}}) for number in range(200)])
            assert reads.statistics.slow == slow

    @pytest.mark.parametrize("key", ["", 'a"b', "a\\b", "a\nb", "\u200b", "x.y", "é", "f0", "i0"])
    def test_odd_keys_hurt_nothing(self, key: str) -> None:
        reads = decoder()
        event = {key: 1, "a": 2, "p": {key: 3, "name": "n"}}
        for one in (payload(event), event, payload(event), event):
            found = read(reads, one)
            assert (found["a"], found["p.name"]) == ([2], ["n"])


class TestPaths:
    def test_where_a_path_goes_on_from_another_only_the_longer_one_is_held(self) -> None:
        types = ViewTypes({"p": False, "p.name": False, "q": True})
        assert types.paths == {"p.name", "q"}

    def test_a_path_that_is_always_held_goes_before_longer_ones(self) -> None:
        types = ViewTypes({"t.x": False, "a": False}, always=["t"])
        assert types.paths == {"t", "a"}
        assert EventDecoder(SETTINGS, {"t.x": False, "kind.x": False}).types.paths == {"t", "kind"}

    @pytest.mark.parametrize(
        "path", ["a[0]", "a[0].b", 'a"b', "a\\b", "a\nb", ".".join("d" * 33), "x." * 200 + "x"]
    )
    def test_what_views_cannot_hold_is_left_to_documents(self, path: str) -> None:
        types = ViewTypes({path: False, "b": False})
        assert types.paths == {"b"}

    def test_the_deepest_path_is_held(self) -> None:
        path = ".".join(["d"] * 32)
        reads = EventDecoder(SETTINGS, {path: False})
        document: object = "x"
        for _ in range(32):
            document = {"d": document}
        for event in (document, payload(document), payload({path: "x"})):
            (view,) = views(reads, event)
            assert reads.reader(path)(view) == "x"

    @pytest.mark.parametrize("name", ["f0", "class", "__init__", "é", "名", "a b", "'", "{}", "%s"])
    def test_any_name_is_read(self, name: str) -> None:
        path = f"{name}.{name}"
        reads = EventDecoder(SETTINGS, {path: False, "f1": False})
        for event in ({name: {name: "x"}, "f1": 1}, payload({name: {name: "x"}, "f1": 1})):
            (view,) = views(reads, event)
            assert (reads.reader(path)(view), reads.reader("f1")(view)) == ("x", 1)

    def test_several_paths_are_read_together(self) -> None:
        reads = decoder()
        (view,) = views(reads, b'{"a":1,"p":{"name":"n"}}')
        assert reads.reader_of_all(["p.name", "a"])(view) == ("n", 1)
        assert reads.reader_of_all(["a"])(view) == (1,)
        assert reads.reader_of_all(["a", "unknown"])(view) == (1, msgspec.UNSET)


def matcher_of(*conditions: Predicate) -> EventMatcher:
    targets = [Target(n, 0, ANY_EVENT, condition) for n, condition in enumerate(conditions)]
    return EventMatcher(targets, SchemaRegistry(), SETTINGS, NativePatternEngine())


A_IS_1 = Comparison(ComparisonOperator.EQUAL, Field("a"), Literal(1))


def _further_up_the_stack(calls: int, read: Callable[[], Document]) -> Document:
    return read() if calls == 0 else _further_up_the_stack(calls - 1, read)


class TestDocumentsOfWhatMatched:
    @pytest.mark.parametrize("odd", [b"1", b'"\xff"'])
    def test_where_the_rest_cannot_be_decoded_it_is_what_the_view_holds_or_nothing(
        self, odd: bytes
    ) -> None:
        matcher = matcher_of(A_IS_1)
        teach = b'{"x":1,"y":1,"a":2,"t":1}'
        found = []
        for levels in range(700, 1010):
            lists = b"[" * levels + b"]" * levels
            deep = b'{"y":' + odd + b',"a":1,"t":7,"x":' + lists + b"}"
            batch = EventBatch(payloads=[teach, deep])
            matched = matcher.match(batch)
            if matched.places == [0, 1]:
                assert [match.index for match in matched.matches] == [1]
                read = matcher.document_reader(batch, 1)
                found.append(tuple(_further_up_the_stack(5, read)))
            else:
                assert [problem.cause for problem in matched.problems] == ["too_deep"]
        # The whole event; then the deeper it nests, the less of it.
        assert found[0] == ("y", "a", "t", "x")
        assert set(found[1:]) <= {("y", "a", "t", "x"), ("t", "a"), ("a", "t"), ()}
        assert found == sorted(found, key=len, reverse=True)
        assert len(found[-1]) < 4

    def test_a_detector_survives_any_depth(self) -> None:
        rule = Rule(RuleMetadata("rule"), EventRule(ANY_EVENT, A_IS_1))
        detector = Detector(RuleSet([rule]), settings=SETTINGS)
        for levels in range(700, 1010):
            lists = b"[" * levels + b"]" * levels
            event = b'{"a":1,"t":7,"x":' + lists + b"}"
            alerts = detector.feed(EventBatch(payloads=[event]))
            assert len(alerts) + detector.statistics.skipped.pop("too_deep", 0) == 1

    def test_whole_events_are_read_with_what_no_rule_reads(self) -> None:
        matcher = matcher_of(A_IS_1)
        documents: list[Document] = [{"a": 1, "rest": {"x.y": [1]}}, {"a.": 0, "a": [1]}]
        for batch in (
            EventBatch(documents=documents),
            EventBatch(payloads=[*map(payload, documents)]),
        ):
            read_all = [matcher.document_reader(batch, place)() for place in (0, 1)]
            assert read_all == [{"a": 1, "rest": {"x": {"y": [1]}}}, {"a.": 0, "a": [1]}]


class Counted:
    """Reads a document, and counts how often."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.calls = 0

    def __call__(self, given: bytes | Document) -> Document:
        self.calls += 1
        return self.document


class TestRows:
    def test_the_document_is_read_once_and_when_asked_for(self) -> None:
        reader = Counted({"a": 1})
        row = Row(reader, b"{}", 0, "s", 0)
        assert reader.calls == 0
        assert row.event().document == row.document == {"a": 1}
        assert reader.calls == 1

    def test_a_row_lets_go_of_what_it_has_read(self) -> None:
        reader = Counted({"a": 1})
        row = Row(reader, b"{}", 0, "s", 0)
        before = sys.getrefcount(reader)
        assert row.document == {"a": 1}
        assert sys.getrefcount(reader) == before - 1

    def test_candidates_hold_their_own_events_and_not_the_batch(self) -> None:
        matcher = matcher_of(A_IS_1)
        large = [payload({"a": number % 2, "x": "y" * 10_000}) for number in range(4)]
        batch = EventBatch(payloads=large, stream="s", first_offset=100)
        matched = matcher.match(batch)

        def nothing(targets: Iterable[int]) -> frozenset[int]:
            return frozenset()

        rows = [
            one.row
            for one in proposed_candidates(
                batch, matched, matched.matches, [5, 6, 7, 8], matcher, nothing
            )
        ]
        assert [(row.offset, row.timestamp) for row in rows] == [(101, 6), (103, 8)]
        unmatched = large[0]
        counted = sys.getrefcount(unmatched)
        del large, batch, matched
        gc.collect()
        assert sys.getrefcount(unmatched) < counted
        assert [row.document["a"] for row in rows] == [1, 1]

    def test_idle_targets_are_left_out_and_events_of_no_other(self) -> None:
        matcher = matcher_of(A_IS_1, Comparison(ComparisonOperator.EQUAL, Field("b"), Literal(1)))
        batch = EventBatch(
            documents=[{"a": 1}, {"b": 1}, {"a": 1, "b": 1}], stream="s", first_offset=0
        )
        matched = matcher.match(batch)
        asked: list[frozenset[int]] = []

        def second(targets: Iterable[int]) -> frozenset[int]:
            asked.append(frozenset(targets))
            return frozenset({1})

        found = proposed_candidates(batch, matched, matched.matches, [0, 0, 0], matcher, second)
        assert asked == [{0, 1}]
        assert [(one.row.offset, one.targets, one.index) for one in found] == [
            (0, (0,), 0),
            (2, (0,), 2),
        ]
