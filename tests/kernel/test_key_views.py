"""Join keys read from the bytes of an event are those that its document has."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.event_decoder import EventDecoder
from kestrel_framework._pipeline.flow import Row
from kestrel_framework._pipeline.key_views import KeyViews
from kestrel_framework._pipeline.sequence_tracker import TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.keys import KeyReader
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.predicate import Field
from kestrel_framework.rule import JoinKey
from kestrel_framework.testing.strategies import documents
from matcher_crowds import spelled

SETTINGS = EventSettings()
DECODER = EventDecoder(SETTINGS, {})
PATHS = (
    "a", "b", "a.b", "host.id", "host.name", "process.name", "process.pid", "process.args", "host",
    "@timestamp", "event.category.x", "x[0].y", ".".join("a" * 40),
)  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(["a", "A", "", "1", None, True, 0, 1.0, 2**63, "\ud800", "ß"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "b", "a.b", ""]), inner, max_size=2)
    ),
    max_leaves=6,
)
EVENTS = documents() | st.dictionaries(
    st.sampled_from(["a", "b", "host", "process", "host.id", "a.b", "@timestamp"]), VALUES
)
SOME_KEYS = st.lists(
    st.builds(JoinKey, st.builds(Field, st.sampled_from(PATHS)), optional=st.booleans()),
    min_size=1,
    max_size=3,
).map(tuple)


def row_of(payload: bytes, *, with_payload: bool) -> Row:
    given = payload if with_payload else DECODER.document(payload)
    return Row(DECODER.document, given, 0, "s", 0)


@settings(max_examples=600)
@given(
    st.lists(SOME_KEYS, min_size=1, max_size=3),
    st.lists(EVENTS, min_size=1, max_size=4),
    st.integers(0, 99),
)
def test_they_are_those_of_the_document(
    rules: list[tuple[JoinKey, ...]], events: list[dict[str, object]], seed: int
) -> None:
    views = KeyViews(SETTINGS)
    statistics = TrackerStatistics()
    from_views = [KeyReader(keys, 99, statistics, views.raw_values) for keys in rules]
    from_documents = [KeyReader(keys, 99, statistics) for keys in rules]
    payloads = [spelled(event, random.Random(seed)) for event in events]
    for payload in [*payloads, *payloads]:
        if DECODER.view(payload) is None:
            continue
        row, other = row_of(payload, with_payload=True), row_of(payload, with_payload=False)
        for quick, slow in zip(from_views, from_documents, strict=True):
            assert quick.read(row) == slow.read(other)
            assert quick.keys(row) == slow.keys(other)


def test_the_document_is_not_needed() -> None:
    def never(given: bytes | Document) -> Document:
        raise AssertionError("the document is not needed")

    reader = KeyReader(
        (JoinKey(Field("host.id")), JoinKey(Field("user"))),
        9,
        TrackerStatistics(),
        KeyViews(SETTINGS).raw_values,
    )
    for number in range(3):
        payload = b'{"host":{"id":"h%d","ip":[]},"user":"u","rest.of":{"it":{}}}' % number
        assert reader.read(Row(never, payload, 0, "s", number)) == (f"h{number}", "u")


def test_what_cannot_be_read_anew_is_read_from_the_document() -> None:
    reader = KeyReader(
        (JoinKey(Field("a")),), 9, TrackerStatistics(), KeyViews(SETTINGS).raw_values
    )
    row = Row(lambda given: {"a": "x"}, b"{", 0, "s", 0)
    assert reader.read(row) == "x"


def test_a_row_lets_go_of_its_bytes_with_its_document() -> None:
    row = row_of(b'{"a":"x"}', with_payload=True)
    assert row.document == {"a": "x"}
    assert not isinstance(row.given, bytes)
