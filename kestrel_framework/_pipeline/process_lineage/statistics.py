"""What is counted of the processes of all trees."""

from __future__ import annotations

import attrs


@attrs.define
class LineageStatistics:
    """The counters of a stage, kept over snapshots and rule sets. All but `live` only grow.

    Attributes:
        live: Processes remembered now.
        evicted_unmarked: Processes forgotten at the limit, with nothing but their parent.
        evicted_marked: Processes forgotten at the limit, with what they or their ancestors did.
        long_ids: Ids in events that were so long that a digest stands for them; that
            loses nothing.
        cut_walks: Decisions about processes with more ancestors than `LineageLimits.generations`
            that were made without looking at all of them.
    """

    live: int = 0
    evicted_unmarked: int = 0
    evicted_marked: int = 0
    long_ids: int = 0
    cut_walks: int = 0
