"""Keeps the tree of processes, and decides what conditions ask of it."""

from kestrel_framework._pipeline.process_lineage.encoding import LineageState, decode, encode
from kestrel_framework._pipeline.process_lineage.limits import DEFAULT_PROCESSES, LineageLimits
from kestrel_framework._pipeline.process_lineage.lineage import ProcessLineage
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics

__all__ = [
    "DEFAULT_PROCESSES",
    "LineageLimits",
    "LineageState",
    "LineageStatistics",
    "ProcessLineage",
    "decode",
    "encode",
]
