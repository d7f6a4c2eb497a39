"""Running the same events through a detector several times, and taking the time.

Times are CPU time of the process, so that other work on the machine counts little. Before it
measures, everything that is in memory is left out of garbage collections for good, as
`kestrel run` does once the rules are loaded.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from math import ceil
from statistics import median
from typing import Final, TypeAlias

import attrs

from kestrel_framework.detector import Detector
from kestrel_framework.event import EventBatch

EVENTS_PER_BATCH: Final = 1000
_CLOCK_READINGS: Final = 1001

_Found: TypeAlias = list[tuple[str, str]]
"""The rule id and the id of each alert, in order."""


@attrs.frozen
class Passes:
    """What several passes over the same events took, and found.

    Attributes:
        seconds: The CPU seconds of each pass. The first one sees every value for the first time.
        alerts: The alerts of one pass, by rule id; those of all passes are equal.
    """

    seconds: tuple[float, ...]
    alerts: Mapping[str, int]

    @property
    def warm(self) -> tuple[float, ...]:
        """The seconds of the passes after the first; of the first, if it is the only one."""
        return self.seconds[1:] or self.seconds


class UnequalPassesError(Exception):
    """Two passes over the same events found different alerts: a fault in Kestrel."""


def batches_of(
    payloads: Sequence[bytes], stream: str, size: int = EVENTS_PER_BATCH
) -> list[EventBatch]:
    """Return events in batches, numbered from 0 in a stream."""
    return [
        EventBatch(payloads=payloads[start : start + size], stream=stream, first_offset=start)
        for start in range(0, len(payloads), size)
    ]


def run_passes(detector: Detector, batches: Sequence[EventBatch], number: int) -> Passes:
    """Feed all batches `number` times; unfinished sequences end with each pass.

    Afterwards the detector has the state that it had before, and is warm.

    Raises:
        UnequalPassesError: the alerts of the passes differ.
    """
    gc.freeze()
    before = detector.snapshot()
    seconds: list[float] = []
    first: _Found = []
    for count in range(number):
        found: _Found = []
        started = time.process_time()
        for batch in batches:
            found += [(alert.rule.rule_id, alert.alert_id) for alert in detector.feed(batch)]
        found += [(alert.rule.rule_id, alert.alert_id) for alert in detector.finish()]
        seconds.append(time.process_time() - started)
        detector.restore(before)
        if count == 0:
            first = found
        elif found != first:
            raise UnequalPassesError(
                "two passes over the same events found different alerts, "
                f"of the rule {_differing_rule(first, found)}"
            )
    return Passes(tuple(seconds), Counter(rule_id for rule_id, _ in first))


def single_event_times(detector: Detector, batches: Sequence[EventBatch]) -> list[float]:
    """Return the CPU seconds that each event takes when it comes alone, ascending.

    What reading the clock takes is left out. Afterwards the detector has the state that it
    had before.
    """
    before = detector.snapshot()
    times = times_one_by_one(detector.feed, batches)
    detector.restore(before)
    return times


def times_one_by_one(
    take: Callable[[EventBatch], object], batches: Sequence[EventBatch]
) -> list[float]:
    """Return the CPU seconds that `take` needs for each event in a batch of its own, ascending."""
    clock = _clock_seconds()
    alone = [each for batch in batches for each in _one_by_one(batch)]
    times = []
    gc.freeze()
    for batch in alone:
        started = time.process_time_ns()
        take(batch)
        times.append((time.process_time_ns() - started) / 1e9)
    return sorted(max(0.0, taken - clock) for taken in times)


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed: the nearest rank."""
    rank = ceil(share * len(ascending) - 1e-9)  # so that 0.999 of 1,000 is the 999th
    return ascending[min(len(ascending), max(1, rank)) - 1]


def _one_by_one(batch: EventBatch) -> Iterator[EventBatch]:
    for number, payload in enumerate(batch.payloads):
        yield EventBatch(
            payloads=(payload,),
            stream=batch.stream,
            first_offset=(batch.first_offset or 0) + number,
        )


def _clock_seconds() -> float:
    """Return what two readings of the clock, one after the other, are apart."""
    readings = []
    for _ in range(_CLOCK_READINGS):
        started = time.process_time_ns()
        readings.append(time.process_time_ns() - started)
    return median(readings) / 1e9


def _differing_rule(first: _Found, second: _Found) -> str:
    """Return the id of a rule whose alerts are not the same."""
    pairs = zip_longest(first, second)
    one, other = next((one, other) for one, other in pairs if one != other)
    return (one or other)[0]
