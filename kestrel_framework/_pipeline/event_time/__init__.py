"""The stage that brings step matches into the order of event time, source by source."""

from __future__ import annotations

from kestrel_framework._pipeline.event_time.encoding import (
    MatchState,
    StepName,
    TimeState,
    decode_time,
    encode_time,
)
from kestrel_framework._pipeline.event_time.event_time import EventTime
from kestrel_framework._pipeline.event_time.passage import Passage
from kestrel_framework._pipeline.event_time.source_clock import SourceClock
from kestrel_framework._pipeline.event_time.waiting_matches import WaitingMatch

__all__ = [
    "EventTime",
    "MatchState",
    "Passage",
    "SourceClock",
    "StepName",
    "TimeState",
    "WaitingMatch",
    "decode_time",
    "encode_time",
]
