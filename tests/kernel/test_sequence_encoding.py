"""The snapshot of a tracker: what survives it, and what damaged bytes give."""

from __future__ import annotations

import datetime
import zlib
from collections.abc import Sequence
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Candidate, targets_of
from kestrel_framework._pipeline.sequence_tracker import EndReason, SequenceTracker
from kestrel_framework.errors import StateError
from kestrel_framework.event import Document
from kestrel_framework.predicate import ALWAYS, Field
from kestrel_framework.rule import (
    ANY_EVENT,
    JoinKey,
    JoinRule,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from sequence_shapes import row_of

STEP = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key")),))
MISSING = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key")),), missing=True)
TWO_STEPS = SequenceRule((STEP, STEP))
WATCHED = SequenceRule((MISSING, STEP, STEP, MISSING), 100)
SAMPLE = SampleRule((STEP, STEP))
JOIN = JoinRule((STEP, STEP))
FOLDED_STEP = Step(ANY_EVENT, ALWAYS, (JoinKey(Field("key"), fold=True),))
FOLDED = SequenceRule((FOLDED_STEP, FOLDED_STEP))
BUSY = (TWO_STEPS, WATCHED, SAMPLE, JOIN)


def rules_with(*bodies: RuleBody) -> RuleSet:
    return RuleSet([Rule(RuleMetadata(f"rule {n}"), body) for n, body in enumerate(bodies)])


def tracker_with(*bodies: RuleBody) -> SequenceTracker:
    rules = rules_with(*bodies)
    return SequenceTracker(rules, targets_of(rules))


def candidate(
    document: Document, targets: Sequence[int], time: int = 0, offset: int = 0
) -> Candidate:
    return Candidate(row_of(document, time, offset, "tie"), tuple(targets))


def busy_tracker() -> SequenceTracker:
    tracker = tracker_with(*BUSY)
    document = {"key": [True, 1, "one", 1.5], "more": {"nested": [None, {}]}}
    tracker.advance([candidate(document, [0, 2, 6, 8])])
    tracker.advance([candidate(document, [3], 1, 1), candidate(document, [4], 2, 2)])
    assert tracker.statistics.live == 20
    return tracker


def test_everything_survives() -> None:
    tracker = busy_tracker()
    following = tracker_with(*BUSY)
    following.restore(tracker.snapshot())
    assert following.statistics == tracker.statistics
    last = candidate({"key": [1, 1.5, "one", True]}, [1, 7, 9], 3, 3)
    found = [following.advance([last]), following.finish()]
    expected = [tracker.advance([last]), tracker.finish()]
    assert repr(found) == repr(expected)
    assert len(found[0]) == 12
    assert len(found[1]) == 4
    first = found[0][0].events[0]
    assert first is not None
    assert (first.tiebreaker, first.identity.stream) == ("tie", "s")


def test_an_event_is_stored_once() -> None:
    tracker = tracker_with(*[SequenceRule((STEP, STEP), span) for span in range(50)])
    document = {"key": 1, "text": "x" * 10_000}
    tracker.advance([candidate(document, list(range(0, 100, 2)))])
    assert tracker.statistics.live == 50
    assert len(tracker.snapshot()) < 20_000


@pytest.mark.parametrize(
    "value",
    ["\ud800", 2**70, -(2**70), float("inf"), "\x00", "é😀", {"a": [None, True, 1.5]}],
)
def test_no_event_makes_the_state_unreadable(value: object) -> None:
    for document in ({"key": value}, {"key": "k", "x": value}):
        tracker = tracker_with(TWO_STEPS, SAMPLE, JOIN, FOLDED)
        tracker.advance([candidate(document, [0, 2, 4, 6], 2**66)])
        following = tracker_with(TWO_STEPS, SAMPLE, JOIN, FOLDED)
        following.restore(tracker.snapshot())
        last = candidate({"key": document["key"]}, [1, 3, 5, 7], 2**66, 1)
        expected, found = tracker.advance([last]), following.advance([last])
        assert repr(found) == repr(expected)


def test_documents_may_be_any_mapping() -> None:
    tracker = tracker_with(TWO_STEPS)
    tracker.advance([candidate(MappingProxyType({"key": 1, "x": MappingProxyType({})}), [0])])
    following = tracker_with(TWO_STEPS)
    following.restore(tracker.snapshot())
    assert len(following.advance([candidate({"key": 1}, [1], 1, 1)])) == 1


def test_a_document_with_what_is_no_json_value_is_named() -> None:
    tracker = tracker_with(TWO_STEPS)
    document = {"key": 1, "x": object(), "when": datetime.timedelta}
    tracker.advance([candidate(document, [0])])
    with pytest.raises(StateError, match="no JSON value"):
        tracker.snapshot()


def test_only_rules_that_mean_the_same_go_on() -> None:
    snapshot = busy_tracker().snapshot()
    following = tracker_with(TWO_STEPS, SequenceRule((STEP, STEP), 5))
    following.restore(snapshot)
    assert following.statistics.live == 4
    assert following.statistics.ended == {EndReason.RULE_CHANGED: 16}

    rules = rules_with(TWO_STEPS)
    tracker = busy_tracker()
    successor = SequenceTracker(rules, targets_of(rules), previous=tracker)
    assert sum(successor.take_over(tracker).values()) == 16
    assert successor.statistics == following.statistics


def test_restoring_replaces_what_there_was() -> None:
    snapshot = busy_tracker().snapshot()
    tracker = busy_tracker()
    tracker.advance([candidate({"key": "other"}, [0, 2, 6, 8], 9, 9)])
    tracker.restore(snapshot)
    assert tracker.snapshot() == snapshot
    assert tracker.statistics.live == 20
    assert len(tracker.finish()) == 4


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "version", "name", "text", "checksum"])
def test_damaged_bytes_are_refused_and_change_nothing(damage: str) -> None:
    tracker = busy_tracker()
    snapshot = tracker.snapshot()
    name, version, checksum, content = msgspec.msgpack.decode(snapshot)
    damaged, message = {
        "cut": (snapshot[:-1], "damaged"),
        "empty": (b"", "damaged"),
        "flip": (snapshot[:-9] + bytes([snapshot[-9] ^ 1]) + snapshot[-8:], "damaged"),
        "version": (msgspec.msgpack.encode([name, 2, checksum, content]), "version 2"),
        "name": (msgspec.msgpack.encode(["x", version, checksum, content]), "no snapshot"),
        "text": (snapshot.replace(b"kestrel", b"kestre\xff"), "damaged"),
        "checksum": (msgspec.msgpack.encode([name, version, 0, content]), "checksum"),
    }[damage]
    with pytest.raises(StateError, match=message):
        tracker.restore(damaged)
    assert tracker.snapshot() == snapshot


SNAPSHOT = busy_tracker().snapshot()


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_forged_bytes_are_refused_or_fit(data: st.DataObject) -> None:
    """Whoever can write the state can compute the checksum too."""
    name, version, _, content = msgspec.msgpack.decode(SNAPSHOT)
    forged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(forged) - 1))
        forged[place] = data.draw(st.integers(0, 255))
    whole = msgspec.msgpack.encode([name, version, zlib.crc32(forged), bytes(forged)])
    tracker = tracker_with(*BUSY)
    try:
        tracker.restore(whole)
    except StateError:
        assert tracker.statistics.live == 0
        return
    tracker.advance([candidate({"key": [1, "one"]}, list(range(10)), 3, 3)])
    tracker.finish()


def test_a_rule_of_another_kind_is_refused() -> None:
    snapshot = busy_tracker().snapshot()
    content = msgspec.msgpack.decode(msgspec.msgpack.decode(snapshot)[3])
    machines = {machine[0]: machine for machine in content[1]}
    machines["rule 0"][4], machines["rule 2"][4] = machines["rule 2"][4], None
    forged = msgspec.msgpack.encode(content)
    envelope = msgspec.msgpack.encode(["kestrel-sequences", 1, zlib.crc32(forged), forged])
    with pytest.raises(StateError, match="is something else in the snapshot"):
        tracker_with(*BUSY).restore(envelope)
