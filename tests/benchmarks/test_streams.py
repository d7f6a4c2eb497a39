from __future__ import annotations

import hashlib
import json

from benchmarks.generated_stream import generated_lines
from benchmarks.sequence_stream import RULES, sequence_lines, sequence_rule
from benchmarks.sequences import memory, speed


def test_generated_events_are_the_same_everywhere() -> None:
    # Written down: other events make old figures incomparable.
    lines = list(generated_lines(1000))
    assert hashlib.sha256(b"\n".join(lines)).hexdigest()[:16] == "41ff3bdddaee8f3b"
    assert lines == list(generated_lines(1000))


def test_two_in_five_events_are_a_step_of_a_sequence() -> None:
    events = [json.loads(line) for line in sequence_lines(5000)]
    steps = [
        event
        for event in events
        if event["process"]["name"].startswith("tool-")
        or event.get("file", {}).get("extension", "").startswith("x")
        or event.get("destination", {}).get("port", 0) >= 10_000
    ]
    assert 0.35 < len(steps) / len(events) < 0.45
    assert list(sequence_lines(50)) == list(sequence_lines(5000))[:50]


def test_every_rule_is_another() -> None:
    assert len({sequence_rule(number) for number in range(RULES)}) == RULES


def test_some_sequences_are_complete_and_many_wait() -> None:
    found = speed(events=6000, passes=1)
    assert found.rules == RULES
    assert 0 < found.alerts < 100
    assert found.live > 500
    assert len(found.passes) == 2


def test_each_event_begins_a_sequence_of_each_rule() -> None:
    found = memory(events=500, rules=3)
    assert found.live == 1500
