"""Measure following sequences: events a second, or the memory of partial matches."""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from benchmarks.children import print_result
from benchmarks.sequence_stream import RULES, sequence_lines, sequence_rule
from kestrel_eql import EqlCompiler
from kestrel_framework import Detector
from kestrel_framework._measuring import (
    StageTimes,
    batches_of,
    profile_stages,
    resident_bytes,
    run_passes,
)
from kestrel_framework.errors import SourceLocation
from kestrel_framework.rule import Rule, RuleMetadata, RuleSet, RuleSource
from kestrel_framework.schema import SchemaRegistry

_START: Final = 1_700_000_000_000


@attrs.frozen
class Speed:
    """What following sequences took; CPU seconds.

    Attributes:
        events: How many events there were.
        rules: How many rules.
        passes: Each pass over all events, the first one first.
        stages: The stages of a warm pass.
        alerts: How many sequences were complete.
        live: How many partial matches were live at the end of the events.
    """

    events: int
    rules: int
    passes: list[float]
    stages: StageTimes
    alerts: int
    live: int


@attrs.frozen
class Memory:
    """What partial matches hold.

    Attributes:
        live: How many there are.
        grown: How many bytes of memory the process has more with them.
    """

    live: int
    grown: int


def speed(events: int, passes: int) -> Speed:
    """Follow the sequences of the generated stream."""
    batches = batches_of(list(sequence_lines(events)), "sequences")
    rules = rules_of(sequence_rule(number) for number in range(RULES))
    detector = Detector(rules)
    outcome = run_passes(detector, batches, passes + 1)
    for batch in batches:
        detector.feed(batch)
    return Speed(
        events=events,
        rules=len(rules),
        passes=list(outcome.seconds),
        stages=profile_stages(rules, batches, rounds=2).warm,
        alerts=sum(outcome.alerts.values()),
        live=detector.partial_matches.live,
    )


def memory(events: int, rules: int) -> Memory:
    """Begin a sequence of each rule with each event, and return what that holds."""
    detector = Detector(beginning_rules(rules))
    for batch in batches_of(list(beginnings(1000, "warm")), "warm"):
        detector.feed(batch)
    before_live = detector.partial_matches.live
    gc.collect()
    before = resident_bytes()
    for start in range(0, events, 1000):
        lines = list(beginnings(min(1000, events - start), f"k{start}-"))
        for batch in batches_of(lines, f"memory-{start}"):
            detector.feed(batch)
    gc.collect()
    return Memory(detector.partial_matches.live - before_live, resident_bytes() - before)


def beginning_rules(number: int) -> RuleSet:
    """Return rules with sequences that one event begins, each for a key of its own."""
    return rules_of(
        "sequence by process.entity_id\n"
        '  [process where process.name == "begins"]\n'
        f'  [file where file.name == "never-{each}"]\n'
        for each in range(number)
    )


def beginnings(number: int, key: str) -> Iterator[bytes]:
    """Yield events that begin sequences of `beginning_rules`."""
    for count in range(number):
        event = {
            "@timestamp": _START,
            "event": {"category": "process", "type": "start"},
            "process": {"name": "begins", "entity_id": f"{key}{count}"},
        }
        yield json.dumps(event).encode()


def rules_of(texts: Iterable[str]) -> RuleSet:
    """Return the rules with these texts in EQL."""
    compiler, schema = EqlCompiler(), SchemaRegistry.ecs()
    rules: list[Rule] = []
    for number, text in enumerate(texts):
        name = f"sequence-{number}"
        location = SourceLocation(name, 1, 1)
        rules.append(
            compiler.compile(RuleSource(RuleMetadata(name), "eql", text, location), schema)
        )
    return RuleSet(rules)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure one of the two and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--rules", type=int, default=1, help="for memory")
    chosen = parser.parse_args(arguments)
    if chosen.what == "speed":
        print_result(speed(chosen.events, chosen.passes))
    else:
        print_result(memory(chosen.events, chosen.rules))


if __name__ == "__main__":
    main()
