"""Match events with the `eql` package; run in the package's own environment, without Kestrel.

Takes one JSON object from standard input: `rules`, a list of pairs of a name and a text,
`events`, a list of decoded events, `rounds`, and `check`, whether to leave out rules that fail.
Writes, as JSON: for each rule how often it matched in a round, `null` where the package does not
take it, nothing where it fails; the CPU seconds of each round; and, with several rounds, the CPU
seconds of each event, ascending.

The package hands each event to the rules of its one type. It is set to accept as much as it can.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from typing import Any

import eql
from eql import ast, parser


def engine_of(rules: list[tuple[str, str]], found: Counter[str]) -> tuple[Any, set[str]]:
    """Return an engine with the rules that it takes, and the names of those rules."""
    engine = eql.PythonEngine()
    engine.add_output_hook(lambda output: found.update([output.analytic_id]))
    taken = set()
    with (
        parser.elasticsearch_syntax,
        parser.elastic_endpoint_syntax,
        parser.allow_negation,
        parser.ignore_missing_functions,
    ):
        for name, text in rules:
            with contextlib.suppress(Exception):  # whatever it is, the package does not take it
                query = eql.parse_query(text)
                engine.add_analytic(ast.EqlAnalytic(query=query, metadata={"id": name}))
                taken.add(name)
    return engine, taken


def event_of(document: dict[str, Any]) -> Any:
    """Return an event as the package takes it; its type is its category."""
    return eql.Event(document["event"]["category"], 0, document)


def failing(rules: list[tuple[str, str]], events: list[Any]) -> set[str]:
    """Return the names of rules with which the package fails on some event."""
    found = set()
    for name, text in rules:
        engine, taken = engine_of([(name, text)], Counter())
        try:
            for event in events if taken else ():
                engine.stream_event(event)
        except Exception:  # noqa: BLE001 - whatever it is, the rule cannot be compared
            found.add(name)
    return found


def round_of(engine: Any, events: list[Any]) -> float:
    """Return the CPU seconds that all events take."""
    started = time.process_time()
    for event in events:
        engine.stream_event(event)
    return time.process_time() - started


def event_times(engine: Any, events: list[Any]) -> list[float]:
    """Return the CPU seconds of each event, ascending."""
    times = []
    for event in events:
        started = time.process_time_ns()
        engine.stream_event(event)
        times.append((time.process_time_ns() - started) / 1e9)
    return sorted(times)


def main() -> None:
    """Match the events of standard input."""
    given = json.load(sys.stdin)
    rules = [(name, text) for name, text in given["rules"]]
    events = [event_of(document) for document in given["events"]]
    broken = failing(rules, events) if given["check"] else set()
    kept = [(name, text) for name, text in rules if name not in broken]
    found: Counter[str] = Counter()
    engine, taken = engine_of(kept, found)
    seconds = [round_of(engine, events)]
    matches = {name: found[name] if name in taken else None for name, _ in kept}
    seconds += [round_of(engine, events) for _ in range(given["rounds"] - 1)]
    times = event_times(engine, events) if given["rounds"] > 1 else []
    result = {"matches": matches, "seconds": seconds, "event_seconds": times}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
