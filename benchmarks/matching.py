"""Measure one cell: some rules on some events. Run by `python -m benchmarks`."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from typing import Final

import attrs

from benchmarks.children import print_result
from benchmarks.rule_sets import first_rules, loaded
from benchmarks.streams import stream
from kestrel_framework import Detector
from kestrel_framework._measuring import (
    StageTimes,
    batches_of,
    most_resident_bytes,
    percentile,
    profile_stages,
    resident_bytes,
    run_passes,
    single_event_times,
    verdict_times,
)
from kestrel_framework.interfaces import PatternEngine

PERCENTILES: Final = ("0.5", "0.99", "0.999")


@attrs.frozen
class Cell:
    """What one process measured; times in CPU seconds, memory in bytes.

    Attributes:
        rules: How many rules there were.
        real_rules: How many of them are no variants.
        events: How many events there were.
        event_bytes: The size of all events.
        build: Making the detector out of compiled rules.
        passes: Each pass over all events in batches, the first one first.
        first_stages: The stages of the first pass.
        stages: The stages of a warm pass.
        values_looked_up: Values that were new to a field, in the first pass.
        cold: For a detector that has seen nothing: percentiles of one event that comes alone.
        warm: The same for a detector that has seen the same events.
        cold_verdict: As `cold`, from bytes to verdict.
        warm_verdict: As `warm`, from bytes to verdict.
        alerts: The alerts of one pass, by rule id; of every rule.
        resident: Memory after all passes, less the events that are held for the measurement.
        most_resident: The most that there was, less the same.
    """

    rules: int
    real_rules: int
    events: int
    event_bytes: int
    build: float
    passes: list[float]
    first_stages: StageTimes
    stages: StageTimes
    values_looked_up: int
    cold: dict[str, float]
    warm: dict[str, float]
    cold_verdict: dict[str, float]
    warm_verdict: dict[str, float]
    alerts: dict[str, int]
    resident: int
    most_resident: int


NATIVE: Final = "native"
HYPERSCAN: Final = "hyperscan"
_PROFILE_ROUNDS: Final = 2


def measured(
    stream_name: str, rule_count: int, events: int, passes: int, singles: int, engine_name: str
) -> Cell:
    """Measure in this process; see `main` for the arguments."""
    engine = _pattern_engine(engine_name)
    before_events = resident_bytes()
    lines = stream(stream_name).first(events)
    held = resident_bytes() - before_events
    batches = batches_of(lines, "bench")
    real = loaded().rules
    rules = first_rules(real, rule_count or len(real))
    gc.collect()
    started = time.process_time()
    detector = Detector(rules, pattern_engine=engine)
    build = time.process_time() - started
    outcome = run_passes(detector, batches, passes + 1)
    resident, most_resident = resident_bytes() - held, most_resident_bytes() - held
    few = batches_of(lines[:singles], "alone")
    warm = single_event_times(detector, few)
    del detector
    gc.collect()
    profile = profile_stages(rules, batches, pattern_engine=engine, rounds=_PROFILE_ROUNDS)
    gc.collect()
    cold = single_event_times(Detector(rules, pattern_engine=engine), few)
    gc.collect()
    cold_verdict, warm_verdict = verdict_times(rules, few, pattern_engine=engine)
    return Cell(
        rules=len(rules),
        real_rules=min(len(real), len(rules)),
        events=len(lines),
        event_bytes=sum(map(len, lines)),
        build=build,
        passes=list(outcome.seconds),
        first_stages=profile.first,
        stages=profile.warm,
        values_looked_up=profile.values_looked_up,
        cold=_percentiles(cold),
        warm=_percentiles(warm),
        cold_verdict=_percentiles(cold_verdict),
        warm_verdict=_percentiles(warm_verdict),
        alerts={rule.rule_id: outcome.alerts.get(rule.rule_id, 0) for rule in rules},
        resident=resident,
        most_resident=most_resident,
    )


def _percentiles(ascending: Sequence[float]) -> dict[str, float]:
    return {share: percentile(ascending, float(share)) for share in PERCENTILES}


def _pattern_engine(name: str) -> PatternEngine | None:
    """Return the engine of that name; None is the detector's own."""
    if name == NATIVE:
        return None
    from kestrel_hyperscan import HyperscanEngine

    return HyperscanEngine(cache=True)


def main() -> None:
    """Measure one cell and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--rules", type=int, required=True, help="0 is all real ones")
    parser.add_argument("--events", type=int, required=True, help="at most so many")
    parser.add_argument("--passes", type=int, required=True, help="warm ones, after the first")
    parser.add_argument("--singles", type=int, required=True, help="events that come alone")
    parser.add_argument("--engine", choices=[NATIVE, HYPERSCAN], default=NATIVE)
    chosen = parser.parse_args()
    print_result(
        measured(
            chosen.stream,
            chosen.rules,
            chosen.events,
            chosen.passes,
            chosen.singles,
            chosen.engine,
        )
    )


if __name__ == "__main__":
    main()
