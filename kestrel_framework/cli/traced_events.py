"""Events on their way through the decoder and the matcher, one after another."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from functools import partial

import attrs
import msgspec

from kestrel_framework._pipeline.event_decoder import KeysOfObject
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework._pipeline.rule_matcher import ReadEvent
from kestrel_framework._pipeline.rule_matcher.inspection import EventPath, MatcherInspection
from kestrel_framework.event import MAX_PAYLOAD_BYTES, EventBatch


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
    decoder = matcher.decoder
    known = set(passed_over(decoder.types.keys))
    slow_before = matcher.slow_events
    decoded = decoder.decode(batch)
    for _, problem in decoded.problems:
        report(problem)
    way, why_slow = DecodingWay.QUICK, ""
    if matcher.slow_events > slow_before:
        decoder.types.refresh()
        why_slow = _why_slow(batch.payloads[0], decoder.types.decode)
        way = DecodingWay.SLOW if why_slow else DecodingWay.LEARNING
    learned = sorted(set(passed_over(decoder.types.keys)) - known)
    for view in decoded.views:
        event = ReadEvent(view, partial(decoder.document, batch, 0, view))
        line = (batch.first_offset or 0) + 1
        path = inspection.path(event)
        yield TracedEvent(batch.origin, line, way, why_slow, tuple(learned), path)


def _why_slow(payload: bytes, decode: Callable[[bytes], object]) -> str:
    """Return what makes an event slow also when its keys are known, or ""."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return f"it has more than {MAX_PAYLOAD_BYTES} bytes"
    try:
        decode(payload)
    except RecursionError:
        return "it nests too deeply"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    return ""


def passed_over(keys: KeysOfObject, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the keys that are known and not read."""
    for key in keys.passed_over:
        yield f"{path}{key}"
    for key, inner in keys.objects.items():
        yield from passed_over(inner, f"{path}{key}.")
