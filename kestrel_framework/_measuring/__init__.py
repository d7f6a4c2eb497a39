"""Measuring a detector: for `kestrel bench` and the benchmarks of the project."""

from kestrel_framework._measuring.memory import most_resident_bytes, resident_bytes
from kestrel_framework._measuring.native_modules import native_modules
from kestrel_framework._measuring.passes import (
    Passes,
    UnequalPassesError,
    batches_of,
    percentile,
    run_passes,
    single_event_times,
)
from kestrel_framework._measuring.stages import (
    StageProfile,
    StageTimes,
    profile_stages,
    verdict_times,
)

__all__ = [
    "Passes",
    "StageProfile",
    "StageTimes",
    "UnequalPassesError",
    "batches_of",
    "most_resident_bytes",
    "native_modules",
    "percentile",
    "profile_stages",
    "resident_bytes",
    "run_passes",
    "single_event_times",
    "verdict_times",
]
