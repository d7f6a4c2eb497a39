"""What sources hand over, in order, while workers match what comes next."""

from __future__ import annotations

from collections import deque

from kestrel_framework._pipeline.bounded_queue import BoundedQueue, QueueClosedError
from kestrel_framework._pipeline.matcher_pool.jobs import Job
from kestrel_framework._pipeline.matcher_pool.pool import MatcherPool
from kestrel_framework._pipeline.source_reader import Delivery, FromSource


class Lookahead:
    """Takes items out of the inbox early, to have their batches matched, and gives them in order.

    Args:
        inbox: Where items come from. It has to call the pool's `wake` when one is there.
        pool: What matches.
    """

    def __init__(self, inbox: BoundedQueue[FromSource], pool: MatcherPool) -> None:
        self._inbox = inbox
        self._pool = pool
        self._taken: deque[tuple[FromSource, Job | None]] = deque()

    def next(self) -> tuple[FromSource, Job | None]:
        """Return the next item, and what workers found where it is a batch that they matched.

        Raises:
            QueueClosedError: the inbox is closed, and nothing is left.
        """
        while True:
            self._look_ahead()
            if self._taken and (self._taken[0][1] is None or self._taken[0][1].is_done):
                return self._taken.popleft()
            self._pool.wait()

    def _look_ahead(self) -> None:
        while len(self._taken) <= self._pool.in_flight:
            try:
                item = self._inbox.get(timeout=0)
            except QueueClosedError:
                if self._taken:
                    return
                raise
            if item is None:
                return
            job = self._pool.submit(item.batch) if isinstance(item, Delivery) else None
            self._taken.append((item, job))
