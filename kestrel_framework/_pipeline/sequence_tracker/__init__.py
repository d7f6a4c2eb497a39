"""The stage that follows sequences, samples and joins from event to event."""

from __future__ import annotations

from kestrel_framework._pipeline.sequence_tracker.keys import key_order
from kestrel_framework._pipeline.sequence_tracker.limits import TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.raw_values import (
    ReadRaw,
    raw_values_of_documents,
)
from kestrel_framework._pipeline.sequence_tracker.statistics import EndReason, TrackerStatistics
from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework._pipeline.sequence_tracker.tracker import SequenceTracker
from kestrel_framework._pipeline.sequence_tracker.under_way import UnderWay

__all__ = [
    "EndReason",
    "ReadRaw",
    "SequenceTracker",
    "StepEvent",
    "TrackerLimits",
    "TrackerStatistics",
    "UnderWay",
    "key_order",
    "raw_values_of_documents",
]
