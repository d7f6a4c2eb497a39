"""From batches to events: nothing odd may vanish unheard, nothing hostile may hurt."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_clock import EventClock
from kestrel_framework._pipeline.event_decoder import (
    MalformedEventError,
    document_of_payload,
    documents_of,
)
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import MatchedBatch, Problem, Target
from kestrel_framework.errors import InputError
from kestrel_framework.event import (
    MAX_PAYLOAD_BYTES,
    Document,
    EventBatch,
    EventSettings,
    TimestampUnit,
)
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import EventType, SchemaRegistry
from kestrel_framework.testing.strategies import documents
from matcher_reference import event_in

TIME = b'"@timestamp":"2020-01-01T00:00:00Z"'
JANUARY = 1_577_836_800_000_000_000
READ_A = Target(0, 0, ANY_EVENT, Comparison(ComparisonOperator.EQUAL, Field("a"), Literal(1)))


def matcher(
    targets: Sequence[Target] = (READ_A,),
    *,
    unit: TimestampUnit = "iso",
    tiebreaker: str | None = None,
    schema: SchemaRegistry | None = None,
) -> EventMatcher:
    settings = EventSettings(timestamp_unit=unit, tiebreaker_field=tiebreaker)
    return EventMatcher(targets, schema or SchemaRegistry(), settings, NativePatternEngine())


def matched(*payloads: bytes) -> MatchedBatch:
    """Return what a matcher says of payloads, of which it reads `a`."""
    batch = EventBatch(payloads=payloads, stream="s", first_offset=10, origin="x.ndjson")
    return matcher().match(batch)


def document_in(payload: bytes) -> tuple[Document, list[tuple[str, str]]]:
    notes: list[tuple[str, str]] = []
    document = document_of_payload(payload, lambda *note: notes.append(note))
    return document, notes


def nested(levels: int, inner: bytes = b"1") -> bytes:
    return b'{"a":' * levels + inner + b"}" * levels


def depth_of(value: object) -> int:
    levels = 0
    while isinstance(value, dict):
        levels, value = levels + 1, value.get("a")
    return levels


class TestPayloads:
    def test_a_plain_event_is_no_problem(self) -> None:
        found = matched(b'{"a":1,"event":{"category":"process"},' + TIME + b"}\r\n")
        assert (found.places, found.times, found.problems) == ([0], [JANUARY], [])
        assert [match.targets for match in found.matches] == [(0,)]

    def test_blank_lines_are_no_events_but_take_places(self) -> None:
        found = matched(b"{" + TIME + b"}", b"", b" \n", b'{"a":1,' + TIME + b"}")
        assert found.places == [0, 3]
        assert found.matches[0].index == 1
        assert found.problems == []

    @pytest.mark.parametrize(
        ("payload", "cause"),
        [
            (b"{", "malformed_json"),
            (b'{"a":1', "malformed_json"),
            (b'{"a":1}{', "malformed_json"),
            (b'{"a":"\xff"', "malformed_json"),
            (b'{"x":tru,"a":1}', "malformed_json"),
            (b"plain text", "malformed_json"),
            (b"\x00", "malformed_json"),
            (b"\xff\xfe{\x00}\x00", "malformed_json"),
            (b"[]", "not_an_object"),
            (b'[{"a":1}]', "not_an_object"),
            (b'"text"', "not_an_object"),
            (b"null", "not_an_object"),
            (b"1", "not_an_object"),
            (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "too_deep"),
            (nested(200_000), "too_deep"),
            (b"[" * 200_000, "too_deep"),
            (b'{"a":"\\ud800","b":' + b"[" * 200_000, "too_deep"),
            (b'{"a":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}', "too_long"),
        ],
        ids=lambda value: value[:20] if isinstance(value, bytes) else value,
    )
    def test_what_cannot_be_read_is_skipped_and_reported(self, payload: bytes, cause: str) -> None:
        found = matched(b"{" + TIME + b"}", payload, b"{" + TIME + b"}")
        assert found.places == [0, 2]
        (problem,) = found.problems
        assert (problem.cause, problem.skipped) == (cause, True)
        assert str(problem).startswith("x.ndjson:12: ")
        with pytest.raises(MalformedEventError) as raised:
            document_in(payload)
        assert raised.value.cause == cause

    @pytest.mark.parametrize(
        ("payload", "value"),
        [
            (b'{"a":"x\\ud800y"}', "x\ufffdy"),
            (b'{"a":"x\xffy"}', "x\ufffdy"),
            (b'{"a":"x\xed\xa0\x80y"}', "x\ufffd\ufffd\ufffdy"),
            (b'{"a":"\\ud83d\\ude00\\ud83d"}', "\U0001f600\ufffd"),
            (b'{"a":NaN}', None),
            (b'{"a":-Infinity}', None),
            (b'{"a":1e400}', math.inf),
            (b'{"a":' + b"9" * 5000 + b"}", math.inf),
            (b'{"x":"\xff","a":1,"y":NaN}', 1),
        ],
        ids=lambda value: value[:16] if isinstance(value, bytes) else None,
    )
    def test_what_json_has_not_does_not_hide_an_event(self, payload: bytes, value: object) -> None:
        document, notes = document_in(payload)
        assert document["a"] == value
        assert [cause for cause, _ in notes] == ["odd_json"]

    def test_odd_json_where_rules_read_is_noted_and_matched(self) -> None:
        for odd in (b'{"a":1,"b":NaN,', b'{"a":"\xff",', b'{"b":{"a":"\xff"},"a":1e400,'):
            found = matched(odd + TIME + b"}")
            assert found.places == [0]
        noted = matched(b'{"a":"\xff",' + TIME + b"}").problems
        assert [(problem.cause, problem.skipped) for problem in noted] == [("odd_json", False)]
        assert noted[0].line == 11

    def test_odd_json_where_no_rule_reads_hides_nothing(self) -> None:
        found = matched(*[b'{"x":"\xff","a":1,' + TIME + b"}"] * 3)
        assert [match.index for match in found.matches] == [0, 1, 2]

    def test_a_hundred_levels_are_fine(self) -> None:
        document, notes = document_in(nested(100))
        assert (depth_of(document), notes) == (100, [])

    @pytest.mark.parametrize(
        "payload",
        [
            nested(101),
            nested(500),
            b'{"a":' * 99 + b'{"a":[[1]]}' + b"}" * 99,
            b'{"' + b"a." * 200 + b'a":{"b":1}}',
        ],
        ids=["just too deep", "much too deep", "lists", "dotted key"],
    )
    def test_what_nests_too_deeply_is_cut_off(self, payload: bytes) -> None:
        with_more = payload[:-1] + b',"z":1}'
        document, ((cause, message),) = document_in(with_more)
        assert cause == "too_deep"
        assert "100" in message
        assert document["z"] == 1
        found = matched(payload[:-1] + b"," + TIME + b"}")
        assert found.places == [0]
        assert not any(problem.skipped for problem in found.problems)

    def test_the_last_of_two_equal_keys_counts(self) -> None:
        assert document_in(b'{"a":1,"a":2}')[0] == {"a": 2}
        assert [len(matched(one).matches) for one in (b'{"a":1,"a":2}', b'{"a":2,"a":1}')] == [0, 1]

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        payload = b'\xef\xbb\xbf{"a":1,' + TIME + b"}"
        found = matched(payload)
        assert (len(found.matches), found.problems) == (1, [])
        assert document_in(payload)[1] == []

    def test_dotted_keys_are_unfolded(self) -> None:
        document, notes = document_in(b'{"process.name":"x","event.category":["process"]}')
        assert document == {"process": {"name": "x"}, "event": {"category": ["process"]}}
        assert notes == []

    @pytest.mark.parametrize("key", [".a", "a.", "a..b", ".", ".."])
    def test_a_key_with_an_empty_part_stays_one_key(self, key: str) -> None:
        assert document_in(json.dumps({key: 1}).encode())[0] == {key: 1}

    def test_another_format_is_an_error(self) -> None:
        with pytest.raises(InputError, match="msgpack"):
            matcher().match(EventBatch(payloads=[b"x"], payload_format="msgpack"))

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"a":[' + b"[]," * 1_000_000 + b"[]]}",
            b"{" + b",".join(b'"a.k%d":1' % n for n in range(100_000)) + b"}",
            b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}",
            b'{"a":[' + b'{"a.b":1},' * 200_000 + b"1]}",
            b'{"a":"\\ud800' + b"x" * 4_000_000 + b'"}',
        ],
        ids=["many lists", "many dotted keys", "many keys", "many dotted objects", "odd text"],
    )
    def test_a_hostile_event_costs_no_more_than_its_size(self, payload: bytes) -> None:
        assert len(payload) < MAX_PAYLOAD_BYTES
        started = time.process_time()
        assert matched(payload).places == [0]
        document_in(payload)
        assert time.process_time() - started < 40

    @given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\u0dN1.ea- '), max_size=30))
    def test_any_bytes_are_an_event_or_a_problem_or_blank(self, payload: bytes | str) -> None:
        raw = payload.encode() if isinstance(payload, str) else payload
        found = matched(raw)
        skipped = [problem for problem in found.problems if problem.skipped]
        assert len(found.places) + len(skipped) == (1 if raw.strip() else 0)
        assert bool(found.places) == (bool(raw.strip()) and event_in(raw) is not None)


KEYS = st.text(st.sampled_from('ab.\\"\u00e9'), max_size=4)
TREES = st.recursive(
    st.integers(0, 9) | st.text(st.sampled_from('a.:"\\{[\ud800'), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


class TestDocuments:
    @given(st.dictionaries(KEYS, TREES, max_size=4), st.booleans(), st.binary(max_size=2))
    def test_payloads_are_read_as_the_reference_reads_them(
        self, document: dict[str, object], ascii_only: bool, odd: bytes
    ) -> None:
        text = json.dumps(document, ensure_ascii=ascii_only)
        payload = text.encode("utf-8", "surrogatepass").replace(b"a", b"a" + odd)
        expected = event_in(payload)
        if expected is None:
            with pytest.raises(MalformedEventError):
                document_in(payload)
        else:
            assert document_in(payload)[0] == expected

    @given(documents(odd=False))
    def test_documents_and_payloads_say_the_same(self, document: dict[str, object]) -> None:
        try:
            payload = json.dumps(document, allow_nan=False).encode()
        except ValueError:
            return
        document = json.loads(payload)
        given, read = matcher(tiebreaker="b"), matcher(tiebreaker="b")
        first = given.match(EventBatch(documents=[document], stream="s", first_offset=3))
        second = read.match(EventBatch(payloads=[payload], stream="s", first_offset=3))
        second.problems = [problem for problem in second.problems if problem.cause != "odd_json"]
        assert [problem.cause for problem in first.problems] == [
            problem.cause for problem in second.problems
        ]
        assert (first.places, first.times, repr(first.tiebreakers)) == (
            second.places,
            second.times,
            repr(second.tiebreakers),
        )
        assert [match.targets for match in first.matches] == [
            match.targets for match in second.matches
        ]

    @pytest.mark.parametrize("document", [[], None, "text", 1, [{"a": 1}]])
    def test_what_is_no_document_is_skipped(self, document: object) -> None:
        found = matcher().match(EventBatch(documents=[document, {"a": 1}]))  # type: ignore[list-item]
        assert found.places == [1]
        problem = found.problems[0]
        assert (problem.cause, problem.skipped, problem.line) == ("not_an_object", True, None)

    def test_a_key_that_is_no_text_is_left_out(self) -> None:
        odd: object = {1: 2, "a": 1, None: 3, "b": {b"a": 1}}
        found = matcher().match(EventBatch(documents=[odd]))  # type: ignore[list-item]
        assert len(found.matches) == 1
        assert [(p.cause, p.skipped) for p in found.problems if p.cause != "missing_timestamp"] == [
            ("bad_key", False)
        ]

    def test_an_endless_document_is_cut_off(self) -> None:
        ring: dict[str, object] = {"a": 1, "event": {"category": "process"}}
        ring["event"] = {"category": ring}
        found = matcher().match(EventBatch(documents=[ring]))
        assert found.places == [0]
        assert "too_deep" in {problem.cause for problem in found.problems}

    def test_whole_documents_of_a_batch(self) -> None:
        problems: list[Problem] = []
        payloads = [b'{"a.b":1}', b" ", b"{", b'{"a":"\xff"}']
        batch = EventBatch(payloads=payloads, first_offset=5, origin="x")
        assert documents_of(batch, problems.append) == [{"a": {"b": 1}}, {"a": "\ufffd"}]
        assert [(problem.cause, problem.line, problem.skipped) for problem in problems] == [
            ("malformed_json", 8, True),
            ("odd_json", 9, False),
        ]


class TestEventTypes:
    KINDS = ("network", "dns", "Process", "process")

    def types_of(self, category: object) -> set[str]:
        schema = SchemaRegistry().extended(
            event_types=[EventType("network"), EventType("dns", ("network",))]
        )
        targets = [
            Target(number, 0, frozenset({kind}), Comparison(ComparisonOperator.EQUAL, *ONE_IS_ONE))
            for number, kind in enumerate(self.KINDS)
        ]
        document: Document = {} if category is None else {"event": {"category": category}}
        found = matcher(targets, schema=schema).match(EventBatch(documents=[document]))
        return {self.KINDS[number] for match in found.matches for number in match.targets}

    def test_all_categories_and_their_ancestors_count(self) -> None:
        assert self.types_of(["dns", "Process", 5, None]) == {"dns", "network", "Process"}
        assert self.types_of("process") == {"process"}
        assert self.types_of([["network"], {"x": "dns"}]) == {"network"}

    def test_an_event_without_category_has_no_type(self) -> None:
        assert self.types_of(None) == set()
        assert self.types_of({"process": 1}) == set()


ONE_IS_ONE = (Literal(1), Literal(1))


class TestTime:
    def test_an_event_without_a_usable_time_takes_the_greatest_seen(self) -> None:
        found = matcher().match(
            EventBatch(
                documents=[
                    {},
                    {"@timestamp": "2020-01-01"},
                    {"@timestamp": "1999-01-01"},
                    {"@timestamp": "soon"},
                    {"@timestamp": None},
                    {"@timestamp": True},
                    {"@timestamp": "9999-01-01"},
                    {"@timestamp": {"a": 1}},
                    {"@timestamp": [None, "2020-01-02T00:00:00.000Z"]},
                ]
            )
        )
        assert [said is None for said in found.times] == [
            True, False, False, True, True, True, True, True, False
        ]  # fmt: skip
        times = EventClock().times(found.times)
        assert times[:2] == [0, JANUARY]
        assert times[3:] == [JANUARY] * 5 + [JANUARY + 86_400 * 10**9]
        assert [problem.cause for problem in found.problems] == [
            "missing_timestamp",
            "bad_timestamp",
            "missing_timestamp",
            "bad_timestamp",
            "bad_timestamp",
            "bad_timestamp",
        ]
        assert not any(problem.skipped for problem in found.problems)

    def test_the_greatest_time_goes_on_from_batch_to_batch(self) -> None:
        clock = EventClock()
        assert clock.times([5, 3]) == [5, 3]
        assert clock.times([None, 4, None]) == [5, 4, 5]
        assert clock.times([]) == []
        assert clock.times([9, None]) == [9, 9]
        assert clock.greatest == 9

    @given(st.lists(st.none() | st.integers(-5, 5), max_size=12), st.integers(1, 5))
    def test_the_cut_into_batches_changes_no_time(self, said: list[int | None], size: int) -> None:
        whole, cut = EventClock(), EventClock()
        times = [
            time
            for begin in range(0, len(said), size)
            for time in cut.times(said[begin : begin + size])
        ]
        assert times == list(whole.times(said))
        assert cut.greatest == whole.greatest

    def test_a_unit_other_than_iso(self) -> None:
        found = matcher(unit="s").match(EventBatch(documents=[{"@timestamp": 1.5}]))
        assert found.times == [1_500_000_000]

    @pytest.mark.parametrize(
        ("value", "tiebreaker"),
        [
            (5, 5),
            ("x", "x"),
            (1.5, 1.5),
            (True, None),
            (float("nan"), None),
            ({}, None),
            ([7, 8], 7),
            ([None, "x"], "x"),
        ],
    )
    def test_the_tiebreaker(self, value: object, tiebreaker: object) -> None:
        found = matcher(tiebreaker="n").match(EventBatch(documents=[{"n": value}]))
        assert found.tiebreakers == [tiebreaker]

    def test_without_a_tiebreaker_field_there_is_none(self) -> None:
        assert matcher().match(EventBatch(documents=[{"n": 1}])).tiebreakers == []
