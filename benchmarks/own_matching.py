"""Match events with Kestrel, or with a naive loop, as `peer_matching.py` does with the package.

Takes and writes what `peer_matching.py` does. The naive loop asks the reference interpreter
about each event and each rule of the event's types, one after the other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence

import attrs
import msgspec

from benchmarks.children import print_result
from kestrel_eql import EqlCompiler
from kestrel_framework import Detector
from kestrel_framework._measuring import batches_of, run_passes, single_event_times
from kestrel_framework.errors import SourceLocation
from kestrel_framework.event import Document
from kestrel_framework.interpreter import holds
from kestrel_framework.rule import EventRule, Program, Rule, RuleMetadata, RuleSet, RuleSource
from kestrel_framework.schema import SchemaRegistry


@attrs.frozen
class Given:
    """What is matched."""

    rules: list[tuple[str, str]]
    events: list[dict[str, object]]
    rounds: int
    check: bool = False


@attrs.frozen
class Matched:
    """What came of it; see `peer_matching.py`."""

    matches: dict[str, int | None]
    seconds: list[float]
    event_seconds: list[float]


def compiled(texts: Sequence[tuple[str, str]]) -> list[Rule]:
    """Compile rules, each from its name and text."""
    compiler, schema = EqlCompiler(), SchemaRegistry.ecs()
    return [
        compiler.compile(
            RuleSource(RuleMetadata(name), "eql", text, SourceLocation(name, 1, 1)), schema
        )
        for name, text in texts
    ]


def by_kestrel(given: Given) -> Matched:
    """Match with a detector, from bytes to alerts."""
    payloads = [json.dumps(document).encode() for document in given.events]
    batches = batches_of(payloads, "comparison")
    rules = compiled(given.rules)
    detector = Detector(RuleSet(rules))
    outcome = run_passes(detector, batches, given.rounds)
    matches: dict[str, int | None] = {
        rule.rule_id: outcome.alerts.get(rule.rule_id, 0) for rule in rules
    }
    times = single_event_times(detector, batches) if given.rounds > 1 else []
    return Matched(matches, list(outcome.seconds), times)


def by_naive_loop(given: Given) -> Matched:
    """Match by asking about every rule: a loop anyone would write first."""
    rules = compiled(given.rules)
    found = Counter({rule.rule_id: 0 for rule in rules})
    seconds = []
    for number in range(given.rounds):
        started = time.process_time()
        matched = [rule_id for event in given.events for rule_id in _matching(rules, event)]
        seconds.append(time.process_time() - started)
        if number == 0:
            found.update(matched)
    return Matched(dict(found), seconds, [])


def _matching(rules: Sequence[Rule], document: Document) -> list[str]:
    event = document.get("event")
    category = event.get("category") if isinstance(event, dict) else None
    matching = []
    for rule in rules:
        body = rule.body
        assert isinstance(body, EventRule)
        assert not isinstance(body.predicate, Program)
        if (not body.event_types or category in body.event_types) and holds(
            body.predicate, document
        ):
            matching.append(rule.rule_id)
    return matching


def main() -> None:
    """Match the events of standard input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["kestrel", "naive"])
    side = parser.parse_args().side
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Given)
    print_result(by_kestrel(given) if side == "kestrel" else by_naive_loop(given))


if __name__ == "__main__":
    main()
