from __future__ import annotations

import json
import pickle
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._pipeline.flow import Problem
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector, PartialMatches
from kestrel_framework.errors import StateError
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.reload import OnRuleChange
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    Rollout,
    RolloutMode,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.values import parse_timestamp

SECOND = 1_000_000_000
PROCESS = frozenset({"process"})
HOST = (JoinKey(Field("host.id")),)


def named(name: str) -> Comparison:
    return Comparison(ComparisonOperator.EQUAL, Field("process.name"), Literal(name))


def rule(rule_id: str, body: RuleBody, **changes: object) -> Rule:
    return attrs.evolve(Rule(RuleMetadata(rule_id), body), **changes)  # type: ignore[arg-type]


def step(name: str, **changes: object) -> Step:
    return attrs.evolve(Step(PROCESS, named(name), HOST), **changes)  # type: ignore[arg-type]


SHELL = rule("shell", EventRule(PROCESS, named("sh")))
DOWNLOAD_AND_RUN = rule(
    "download-and-run", SequenceRule((step("curl"), step("sh")), maxspan=60 * SECOND)
)


def event(name: str, seconds: int = 0, host: str = "h1") -> Document:
    return {
        "@timestamp": f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}Z",
        "event": {"category": ["process"]},
        "process": {"name": name},
        "host": {"id": host},
    }


def found(alerts: Sequence[Alert]) -> list[tuple[str, list[int | None]]]:
    return [
        (a.rule.rule_id, [e.identity.offset if e else None for e in a.evidence]) for a in alerts
    ]


def test_an_event_rule_finds_its_events() -> None:
    detector = Detector(RuleSet((SHELL,)))
    alerts = detector.feed([event("ls"), event("sh"), {"event": {"category": "file"}}])
    assert found(alerts) == [("shell", [1])]
    assert alerts[0].events[0].fields == {"process.name": "sh"}
    assert alerts[0].events[0].document["host"] == {"id": "h1"}
    assert detector.statistics.events == 3
    assert detector.statistics.alerts == {"shell": 1}


def test_a_condition_on_the_category_counts_beside_the_event_types() -> None:
    of_file = Comparison(ComparisonOperator.EQUAL, Field("event.category"), Literal("file"))
    detector = Detector(RuleSet((rule("both", EventRule(PROCESS, of_file)),)))
    categories = [["process"], ["file"], ["file", "process"], []]
    alerts = detector.feed([{"event": {"category": names}} for names in categories])
    assert found(alerts) == [("both", [2])]


def test_documents_without_a_stream_are_numbered_on() -> None:
    detector = Detector(RuleSet((SHELL,)))
    first = detector.feed([event("sh")])
    second = detector.feed([event("sh")])
    assert found(first + second) == [("shell", [0]), ("shell", [1])]
    assert first[0].alert_id != second[0].alert_id


def test_a_sequence_joins_its_steps() -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN,)))
    events = [event("curl", 0), event("sh", 1, host="h2"), event("sh", 2)]
    alerts = detector.feed(events)
    assert found(alerts) == [("download-and-run", [0, 2])]
    assert alerts[0].join_keys == ("h1",)


def test_a_date_among_the_join_keys_reads_as_a_date() -> None:
    day = (JoinKey(Field("day", FieldType.DATE)),)
    body = SequenceRule((step("curl", keys=day), step("sh", keys=day)))
    events = [{**event(name), "day": "2026-01-02"} for name in ("curl", "sh")]
    (alert,) = Detector(RuleSet((rule("same-day", body),))).feed(events)
    assert alert.join_keys == ("2026-01-02T00:00:00.000Z",)


def test_findings_come_in_the_order_of_the_events_that_complete_them() -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN, SHELL)))
    events = [event("curl", 0), event("sh", 1), event("sh", 2), event("curl", 3), event("sh", 4)]
    assert found(detector.feed(events)) == [
        ("shell", [1]),
        ("download-and-run", [0, 1]),
        ("shell", [2]),
        ("shell", [4]),
        ("download-and-run", [3, 4]),
    ]


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from(["curl", "sh", "ls"]),
        st.integers(0, 200),
        st.sampled_from(["h1", "h2"]),
    ),
    max_size=30,
)


@given(EVENTS, st.integers(1, 7), st.integers(0, 30))
def test_batches_pickling_and_snapshots_change_nothing(
    events: list[Document], size: int, broken_at: int
) -> None:
    rules = RuleSet((SHELL, DOWNLOAD_AND_RUN))
    at_once = Detector(rules).feed(events)

    detector = Detector(rules)
    alerts = []
    for begin in range(0, len(events), size):
        alerts += detector.feed(events[begin : begin + size])
    assert alerts == at_once

    pickled = Detector(rules)
    alerts = pickled.feed(events[:broken_at])
    pickled = pickle.loads(pickle.dumps(pickled))
    assert alerts + pickled.feed(events[broken_at:]) == at_once
    assert sum(pickled.statistics.alerts.values()) == len(at_once)

    detector = Detector(rules)
    alerts = detector.feed(events[:broken_at])
    restored = Detector(rules)
    restored.restore(detector.snapshot())
    assert alerts + restored.feed(events[broken_at:]) == at_once


def test_payloads_and_documents_give_the_same_alerts() -> None:
    events = [event("curl", 0), event("sh", 1)]
    lines = [json.dumps(document).encode() for document in events]
    rules = RuleSet((DOWNLOAD_AND_RUN,))
    assert Detector(rules).feed(EventBatch(payloads=lines)) == Detector(rules).feed(events)


def test_unfinished_sequences_of_unchanged_rules_survive_a_replacement() -> None:
    changed = rule("changed", SequenceRule((step("curl"), step("sh")), maxspan=1 * SECOND))
    rules = RuleSet((DOWNLOAD_AND_RUN, changed))
    detector = Detector(rules, on_rule_change=OnRuleChange.DROP)
    detector.feed([event("curl", 0)])
    now_changed = attrs.evolve(changed, body=SequenceRule((step("curl"), step("sh"))))
    renamed = attrs.evolve(DOWNLOAD_AND_RUN, metadata=RuleMetadata("download-and-run", name="New"))
    detector.replace(RuleSet((now_changed, renamed)))
    assert found(detector.feed([event("sh", 1)])) == [("download-and-run", [0, 1])]


def test_an_alert_tells_what_was_lost_in_its_time() -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN, SHELL)))
    detector.feed([event("curl", 0)])
    alerts = detector.feed(
        EventBatch(documents=[event("ls", 5), event("sh", 6)], lost={"ring_full": 7})
    )
    assert {a.rule.rule_id: dict(a.lost) for a in alerts} == {
        "download-and-run": {"ring_full": 7},
        "shell": {},
    }
    assert detector.statistics.lost == {"ring_full": 7}


def test_a_sequence_that_waits_for_nothing_fires_when_time_has_passed() -> None:
    silent = rule(
        "silent", SequenceRule((step("curl"), step("sh", missing=True)), maxspan=10 * SECOND)
    )
    detector = Detector(RuleSet((silent,)))
    assert detector.feed([event("curl", 0)]) == []
    start = 1767225600 * SECOND
    assert detector.advance(start + 9 * SECOND) == []
    assert found(detector.advance(start + 11 * SECOND)) == [("silent", [0, None])]
    assert detector.finish() == []


def test_the_end_of_input_ends_all_waiting() -> None:
    silent = rule(
        "silent", SequenceRule((step("curl"), step("sh", missing=True)), maxspan=10 * SECOND)
    )
    detector = Detector(RuleSet((silent,)))
    detector.feed([event("curl", 0)])
    assert found(detector.finish()) == [("silent", [0, None])]


def test_unreadable_events_are_counted_and_reported_and_the_rest_matched() -> None:
    problems: list[Problem] = []
    detector = Detector(RuleSet((SHELL,)), on_problem=problems.append)
    payloads = [b'{"broken', b"[1]", json.dumps(event("sh")).encode()]
    alerts = detector.feed(EventBatch(payloads=payloads, origin="a.ndjson", first_offset=4))
    assert len(alerts) == 1
    assert [(p.origin, p.line) for p in problems] == [("a.ndjson", 5), ("a.ndjson", 6)]
    assert sum(detector.statistics.skipped.values()) == 2
    assert detector.statistics.events == 1


def test_a_shadow_revision_is_counted_apart() -> None:
    shadow = attrs.evolve(SHELL, rollout=Rollout(RolloutMode.SHADOW))
    detector = Detector(RuleSet((shadow,)))
    (alert,) = detector.feed([event("sh")])
    assert alert.shadow
    assert (detector.statistics.alerts, detector.statistics.shadow_alerts) == ({}, {"shell": 1})


def test_a_canary_counts_for_a_stable_part_of_the_keys() -> None:
    canary = attrs.evolve(SHELL, rollout=Rollout(RolloutMode.CANARY, 0.25))
    events = [event("sh", host=f"h{number % 400}") for number in range(800)]
    alerts = Detector(RuleSet((canary,))).feed(events)
    live = [not alert.shadow for alert in alerts]
    assert 50 < sum(live[:400]) < 150
    assert live[:400] == live[400:]


@pytest.mark.parametrize("damaged", [b"", b"\x80", b"nonsense", b"\x81\xa7version\x63"])
def test_a_damaged_snapshot_is_refused_and_changes_nothing(damaged: bytes) -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN,)))
    detector.feed([event("curl", 0)])
    with pytest.raises(StateError):
        detector.restore(damaged)
    assert found(detector.feed([event("sh", 1)])) == [("download-and-run", [0, 1])]


@given(st.data())
def test_any_cut_or_flipped_snapshot_is_refused_or_read(data: st.DataObject) -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN,)))
    detector.feed([event("curl", 0)])
    snapshot = bytearray(detector.snapshot())
    position = data.draw(st.integers(0, len(snapshot) - 1))
    snapshot[position] ^= data.draw(st.integers(1, 255))
    fresh = Detector(RuleSet((DOWNLOAD_AND_RUN,)))
    try:
        fresh.restore(bytes(snapshot[: data.draw(st.integers(position, len(snapshot)))]))
    except StateError:
        return
    fresh.feed([event("sh", 1)])


def test_what_becomes_of_partial_matches_is_counted() -> None:
    detector = Detector(RuleSet((DOWNLOAD_AND_RUN,)))
    assert detector.partial_matches == PartialMatches(0, {}, 0)
    detector.feed([event("curl"), event("sh", 1), event("curl", 2, "h2"), event("curl", 3, "h3")])
    assert detector.partial_matches == PartialMatches(2, {"completed": 1}, 0)
    detector.advance(detector_time(200))
    assert detector.partial_matches == PartialMatches(0, {"completed": 1, "expired": 2}, 0)
    many = {**event("curl", 300), "host": {"id": [f"h{number}" for number in range(300)]}}
    detector.feed([many])
    assert detector.partial_matches.live == 256
    assert detector.partial_matches.keys_left_out == 44


def detector_time(seconds: int) -> int:
    return parse_timestamp(event("any", seconds)["@timestamp"])
