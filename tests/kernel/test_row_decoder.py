"""From batches to rows: nothing odd may vanish unheard, nothing hostile may hurt."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Problem, Row
from kestrel_framework._pipeline.row_decoder import RowDecoder
from kestrel_framework.errors import InputError
from kestrel_framework.event import MAX_PAYLOAD_BYTES, EventBatch, EventSettings, TimestampUnit
from kestrel_framework.schema import EventType, SchemaRegistry
from kestrel_framework.testing.strategies import documents

TIME = b'"@timestamp":"2020-01-01T00:00:00Z"'
JANUARY = 1_577_836_800_000_000_000


def decoder(
    problems: list[Problem],
    *,
    unit: TimestampUnit = "iso",
    tiebreaker: str | None = None,
    schema: SchemaRegistry | None = None,
) -> RowDecoder:
    settings = EventSettings(timestamp_unit=unit, tiebreaker_field=tiebreaker)
    return RowDecoder(settings, schema or SchemaRegistry(), problems.append)


def decoded(*payloads: bytes) -> tuple[list[Row], list[Problem]]:
    problems: list[Problem] = []
    batch = EventBatch(payloads=payloads, stream="s", first_offset=10, origin="x.ndjson")
    return decoder(problems).rows(batch), problems


class TestPayloads:
    def test_a_row_knows_its_event(self) -> None:
        (row,), problems = decoded(b'{"a":1,"event":{"category":"process"},' + TIME + b"}\r\n")
        assert row.document["a"] == 1
        assert row.event_types == {"process"}
        assert row.timestamp == JANUARY
        assert (row.stream, row.offset) == ("s", 10)
        assert problems == []

    def test_blank_lines_are_no_events_but_take_offsets(self) -> None:
        rows, problems = decoded(b"{" + TIME + b"}", b"", b" \n", b"{" + TIME + b"}")
        assert [row.offset for row in rows] == [10, 13]
        assert problems == []

    @pytest.mark.parametrize(
        ("payload", "cause"),
        [
            (b"{", "malformed_json"),
            (b'{"a":1', "malformed_json"),
            (b'{"a":1}{', "malformed_json"),
            (b"plain text", "malformed_json"),
            (b"\x00", "malformed_json"),
            (b'{"a":"\xff"}', "invalid_utf8"),
            (b'{"a":"\xed\xa0\x80"}', "invalid_utf8"),
            (b'{"a":NaN,"b":"\xff"}', "invalid_utf8"),
            (b"[]", "not_an_object"),
            (b'"text"', "not_an_object"),
            (b"null", "not_an_object"),
            (b"1", "not_an_object"),
            (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "too_deep"),
            (b"[" * 200_000, "too_deep"),
            (b'{"a":' * 101 + b"1" + b"}" * 101, "too_deep"),
            (b'{"' + b"a." * 200 + b'a":1}', "too_deep"),
            (b'{"a":"\\ud800","b":' + b"[" * 200_000, "too_deep"),
            (b'{"a":"' + b"x" * 100_000_000 + b'"}', "too_long"),
        ],
        ids=lambda value: value[:20] if isinstance(value, bytes) else value,
    )
    def test_what_cannot_be_read_is_skipped_and_reported(self, payload: bytes, cause: str) -> None:
        rows, problems = decoded(b"{" + TIME + b"}", payload, b"{" + TIME + b"}")
        assert [row.offset for row in rows] == [10, 12]
        (problem,) = problems
        assert (problem.cause, problem.skipped) == (cause, True)
        assert str(problem).startswith("x.ndjson:12: ")

    def test_a_hundred_levels_are_fine(self) -> None:
        rows, _ = decoded(b'{"a":' * 100 + b"1" + b"}" * 100)
        assert len(rows) == 1

    @pytest.mark.parametrize(
        ("payload", "value"),
        [
            (b'{"a":"x\\ud800y",' + TIME + b"}", "x\ufffdy"),
            (b'{"a":NaN,' + TIME + b"}", None),
            (b'{"a":1e400,' + TIME + b"}", float("inf")),
            (b'{"a":' + b"9" * 5000 + b"," + TIME + b"}", float("inf")),
        ],
        ids=["lone surrogate", "NaN", "great float", "great integer"],
    )
    def test_what_json_has_not_does_not_hide_an_event(self, payload: bytes, value: object) -> None:
        rows, (problem,) = decoded(payload)
        assert rows[0].document["a"] == value
        assert (problem.cause, problem.skipped) == ("odd_json", False)

    def test_the_last_of_two_equal_keys_counts(self) -> None:
        rows, _ = decoded(b'{"a":1,"a":2,' + TIME + b"}")
        assert rows[0].document["a"] == 2

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        rows, problems = decoded(b"\xef\xbb\xbf{" + TIME + b"}")
        assert (len(rows), problems) == (1, [])

    def test_dotted_keys_are_unfolded(self) -> None:
        rows, _ = decoded(b'{"process.name":"x","event.category":["process"],' + TIME + b"}")
        assert rows[0].document["process"] == {"name": "x"}
        assert rows[0].event_types == {"process"}

    def test_another_format_is_an_error(self) -> None:
        with pytest.raises(InputError, match="msgpack"):
            decoder([]).rows(EventBatch(payloads=[b"x"], payload_format="msgpack"))

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"a":[' + b"[]," * 1_000_000 + b"[]]}",
            b"{" + b",".join(b'"a.k%d":1' % n for n in range(100_000)) + b"}",
            b'{"a":[' + b'{"a.b":1},' * 200_000 + b"1]}",
            b'{"a":"\\ud800' + b"x" * 4_000_000 + b'"}',
        ],
        ids=["many lists", "many dotted keys", "many dotted objects", "long odd text"],
    )
    def test_a_hostile_event_costs_no_more_than_its_size(self, payload: bytes) -> None:
        assert len(payload) < MAX_PAYLOAD_BYTES
        started = time.process_time()
        rows, _ = decoded(payload)
        assert len(rows) == 1
        assert time.process_time() - started < 10

    @given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\u0dN1.e- '), max_size=30))
    def test_any_bytes_are_a_row_or_a_problem_or_blank(self, payload: bytes | str) -> None:
        raw = payload.encode() if isinstance(payload, str) else payload
        rows, problems = decoded(raw)
        assert rows or any(problem.skipped for problem in problems) or not raw.strip()


class TestDocuments:
    @given(documents(odd=False))
    def test_documents_and_payloads_give_the_same_rows(self, document: dict[str, object]) -> None:
        try:
            payload = json.dumps(document).encode()
            document = json.loads(payload)
        except ValueError:
            return
        problems: list[Problem] = []
        first, second = decoder([]), decoder(problems)
        (row,) = first.rows(EventBatch(documents=[document], stream="s", first_offset=3))
        (same,) = second.rows(EventBatch(payloads=[payload], stream="s", first_offset=3))
        assert (row.event_types, row.timestamp, row.stream, row.offset, row.tiebreaker) == (
            same.event_types,
            same.timestamp,
            same.stream,
            same.offset,
            same.tiebreaker,
        )
        if all(problem.cause != "odd_json" for problem in problems):
            assert row.document == same.document

    @pytest.mark.parametrize(
        ("document", "cause"), [([], "not_an_object"), (None, "not_an_object"), ({1: 2}, "bad_key")]
    )
    def test_what_is_no_document_is_reported(self, document: object, cause: str) -> None:
        problems: list[Problem] = []
        assert decoder(problems).rows(EventBatch(documents=[document])) == []  # type: ignore[list-item]
        assert [problem.cause for problem in problems] == [cause]
        assert problems[0].line is None


class TestEventTypes:
    def test_all_categories_and_their_ancestors_count(self) -> None:
        schema = SchemaRegistry().extended(
            event_types=[EventType("network"), EventType("dns", ("network",))]
        )
        rows = decoder([], schema=schema).rows(
            EventBatch(documents=[{"event": {"category": ["dns", "Process", 5, None]}}])
        )
        assert rows[0].event_types == {"dns", "network", "Process"}

    def test_an_event_without_category_has_no_type(self) -> None:
        assert decoder([]).rows(EventBatch(documents=[{}]))[0].event_types == frozenset()


class TestTime:
    def test_an_event_without_a_usable_time_takes_the_greatest_seen(self) -> None:
        problems: list[Problem] = []
        rows = decoder(problems).rows(
            EventBatch(
                documents=[
                    {},
                    {"@timestamp": "2020-01-01"},
                    {"@timestamp": "1999-01-01"},
                    {"@timestamp": "soon"},
                    {"@timestamp": None},
                    {"@timestamp": True},
                    {"@timestamp": "9999-01-01"},
                ]
            )
        )
        times = [row.timestamp for row in rows]
        assert times[:2] == [0, JANUARY]
        assert times[3:] == [JANUARY] * 4
        assert [problem.cause for problem in problems] == [
            "missing_timestamp",
            "bad_timestamp",
            "missing_timestamp",
            "bad_timestamp",
            "bad_timestamp",
        ]
        assert not any(problem.skipped for problem in problems)

    def test_the_greatest_time_is_part_of_a_snapshot(self) -> None:
        first, second = decoder([]), decoder([])
        first.rows(EventBatch(documents=[{"@timestamp": "2020-01-01"}]))
        second.restore(first.snapshot())
        assert second.rows(EventBatch(documents=[{}]))[0].timestamp == JANUARY

    def test_a_unit_other_than_iso(self) -> None:
        rows = decoder([], unit="s").rows(EventBatch(documents=[{"@timestamp": 1.5}]))
        assert rows[0].timestamp == 1_500_000_000

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
        ],
    )
    def test_the_tiebreaker(self, value: object, tiebreaker: object) -> None:
        rows = decoder([], tiebreaker="n").rows(EventBatch(documents=[{"n": value}]))
        assert rows[0].tiebreaker == tiebreaker


KEYS = st.text(st.sampled_from('ab.\\"\u00e9'), max_size=4)
TREES = st.recursive(
    st.integers(0, 9) | st.text(st.sampled_from('a.:"\\{['), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, TREES, max_size=4), st.booleans())
def test_payloads_give_the_documents_that_documents_give(
    document: dict[str, object], ascii_only: bool
) -> None:
    payload = json.dumps(document, ensure_ascii=ascii_only).encode()
    ((by_payload,), _) = decoded(payload)
    (by_document,) = decoder([]).rows(EventBatch(documents=[document], stream="s"))
    assert by_payload.document == by_document.document
