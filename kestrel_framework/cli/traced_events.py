"""Events on their way through the decoder and the matcher, one after another."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import attrs
import msgspec

from kestrel_framework._pipeline.event_decoder import KeysOfObject
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework._pipeline.rule_matcher import ReadEvent
from kestrel_framework._pipeline.rule_matcher.inspection import EventPath, MatcherInspection
from kestrel_framework.event import EventBatch


class DecodingWay(enum.Enum):
    """How an event was decoded."""

    QUICK = "quick"
    LEARNING = "slow once"
    SLOW = "slow"


@attrs.frozen
class TracedEvent:
    """What became of one event.

    Attributes:
        origin: The input it stands in.
        line: Its line there, from 1.
        way: How it was decoded.
        why_slow: For one that is slow each time: what is odd about it.
        learned: Dotted paths of the keys that are passed over from now on.
        path: Its way through the decision graph.
    """

    origin: str
    line: int
    way: DecodingWay
    why_slow: str
    learned: tuple[str, ...]
    path: EventPath


def traced_events(
    batch: EventBatch,
    matcher: EventMatcher,
    inspection: MatcherInspection,
    report: Callable[[Problem], None],
) -> Iterator[TracedEvent]:
    """Yield what becomes of each event of a batch of payloads.

    Args:
        batch: The events; numbered from 0.
        matcher: Remembers and learns as it does when it matches.
        inspection: Of this matcher.
        report: Told of what is odd, and of what cannot be read and is left out.
    """
    for place, payload in enumerate(batch.payloads):
        one = attrs.evolve(batch, payloads=[payload], first_offset=place)
        yield from _traced(one, matcher, inspection, report)


def _traced(
    batch: EventBatch,
    matcher: EventMatcher,
    inspection: MatcherInspection,
    report: Callable[[Problem], None],
) -> Iterator[TracedEvent]:
    types = matcher.decoder.types
    known = set(passed_over(types.keys))
    slow_before = matcher.slow_events
    found = matcher.match(batch)
    for problem in found.problems:
        report(problem)
    if not found.places:
        return
    types.refresh()
    way = DecodingWay.LEARNING if matcher.slow_events > slow_before else DecodingWay.QUICK
    why_slow = ""
    try:
        view = types.decode(batch.payloads[0])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        way = DecodingWay.SLOW
        why_slow = str(error) or "it nests deeply"
        view = types.view_of(matcher.document_reader(batch, 0)())
    learned = sorted(set(passed_over(types.keys)) - known)
    event = ReadEvent(view, matcher.document_reader(batch, 0))
    line = (batch.first_offset or 0) + 1
    path = inspection.path(event)
    yield TracedEvent(batch.origin, line, way, why_slow, tuple(learned), path)


def passed_over(keys: KeysOfObject, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the keys that are known and not read."""
    for key in keys.passed_over:
        yield f"{path}{key}"
    for key, inner in keys.objects.items():
        yield from passed_over(inner, f"{path}{key}.")
