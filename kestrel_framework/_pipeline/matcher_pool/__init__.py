"""Several processes that match batches for the one that follows sequences and writes alerts.

    main process ──▶ nursery ──▶ worker, worker, ...
        ▲  └────── batches ──────▶  │
        └──────── answers ──────────┘

The nursery is forked from the main process before that has threads, with the compiled matcher
in its memory. Workers are forked from the nursery, at the start and whenever one has died.
"""

from kestrel_framework._pipeline.matcher_pool.jobs import Job
from kestrel_framework._pipeline.matcher_pool.lookahead import Lookahead
from kestrel_framework._pipeline.matcher_pool.pool import (
    BATCH_SECONDS,
    MatcherPool,
    PoolStatistics,
)

__all__ = ["BATCH_SECONDS", "Job", "Lookahead", "MatcherPool", "PoolStatistics"]
