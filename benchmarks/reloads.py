"""Measure changes of rules during a stream: how long they hold it up, and that nothing is lost."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

from benchmarks.children import print_result
from benchmarks.rule_sets import loaded
from benchmarks.sequence_stream import RULES, sequence_lines, sequence_rule
from benchmarks.sequences import rules_of
from kestrel_framework import Detector
from kestrel_framework._measuring import batches_of
from kestrel_framework.alert import Alert
from kestrel_framework.event import EventBatch
from kestrel_framework.rule import RuleSet

_BATCHES: Final = 3
_LATER: Final = 2
"""In which part after its beginning a sequence of the rule that changes is complete."""

_Found: TypeAlias = Counter[tuple[str, tuple[tuple[str, int] | None, ...]]]


@attrs.frozen
class Reloaded:
    """What changes of rules took; seconds by the clock on the wall.

    Attributes:
        rules: How many rules there were.
        events: How many events.
        compile: Preparing each change, beside nothing else.
        pauses: Each change itself, until the next event can be looked at.
        first: Each batch of events that came next.
        later: Each batch after that one.
        alerts: How many alerts there were.
        lost: How many there were only without changes.
        doubled: How many there were only with them.
    """

    rules: int
    events: int
    compile: list[float]
    pauses: list[float]
    first: list[float]
    later: list[float]
    alerts: int
    lost: int
    doubled: int


def measured(changes: int, batch: int, *, real: bool) -> Reloaded:
    """Change rules so many times, each time one of them to another revision that finds the same.

    Args:
        real: Whether all real rules are there beside the sequences.
        changes: How often.
        batch: How many events a batch has; there are three between two changes.
    """
    others = loaded().rules if real else ()
    fixed = (*others, *rules_of(sequence_rule(number) for number in range(RULES)))
    parts = list(_parts(changes, batch * _BATCHES))
    detector = Detector(RuleSet((*fixed, *_revision(0))))
    found: _Found = Counter()
    compiling: list[float] = []
    pauses: list[float] = []
    first: list[float] = []
    later: list[float] = []
    for number, lines in enumerate(parts):
        for place, events in enumerate(batches_of(lines, f"part-{number}", batch)):
            alerts, took = _fed(detector, events)
            found.update(alerts)
            (later if place else first).append(took)
        prepared = detector.prepare(RuleSet((*fixed, *_revision(number + 1))))
        compiling.append(prepared.compile_seconds)
        started = time.perf_counter()
        detector.replace(prepared)
        pauses.append(time.perf_counter() - started)
        prepared.release()
    expected: _Found = Counter()
    alone = Detector(RuleSet((*fixed, *_revision(0))))
    for number, lines in enumerate(parts):
        for events in batches_of(lines, f"part-{number}", batch):
            expected.update(_fed(alone, events)[0])
    return Reloaded(
        rules=len(fixed) + 1,
        events=sum(map(len, parts)),
        compile=compiling,
        pauses=pauses,
        first=first,
        later=later,
        alerts=found.total(),
        lost=(expected - found).total(),
        doubled=(found - expected).total(),
    )


def _revision(number: int) -> RuleSet:
    """Return a sequence that finds the same for each number, and means something else."""
    text = (
        "sequence by process.entity_id\n"
        '  [process where process.name == "begins"]\n'
        f'  [process where process.name == "ends" and process.pid != {-1 - number}]\n'
    )
    (rule,) = rules_of([text])
    return RuleSet([attrs.evolve(rule, metadata=attrs.evolve(rule.metadata, rule_id="changes"))])


def _parts(number: int, events: int) -> Iterator[list[bytes]]:
    """Yield the events between two changes: of the rule that changes, one begins and one ends."""
    lines = list(sequence_lines(number * events))
    for part in range(number):
        inside = lines[part * events : (part + 1) * events]
        inside[0] = _with_process(inside[0], "begins", part)
        inside[-1] = _with_process(inside[-1], "ends", part - _LATER)
        yield inside


def _with_process(line: bytes, name: str, key: int) -> bytes:
    event = {
        "@timestamp": json.loads(line)["@timestamp"],
        "event": {"category": "process", "type": "start"},
        "process": {"name": name, "entity_id": f"only-{key}", "pid": 1},
    }
    return json.dumps(event).encode()


def _fed(detector: Detector, batch: EventBatch) -> tuple[_Found, float]:
    started = time.perf_counter()
    alerts = detector.feed(batch)
    return Counter(map(_found, alerts)), time.perf_counter() - started


def _found(alert: Alert) -> tuple[str, tuple[tuple[str, int] | None, ...]]:
    return alert.rule.rule_id, tuple(
        None if item is None else (item.identity.stream, item.identity.offset)
        for item in alert.evidence
    )


def main() -> None:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="with all real rules")
    parser.add_argument("--changes", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True, help="events of a batch")
    chosen = parser.parse_args()
    print_result(measured(chosen.changes, chosen.batch, real=chosen.real))


if __name__ == "__main__":
    main()
