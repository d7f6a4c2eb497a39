"""The way of batches from the sources' inbox into the detector, with or without workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from kestrel_framework._matched_feed import MatchedFeed
from kestrel_framework._pipeline.bounded_queue import BoundedQueue
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework._pipeline.matcher_pool import Job, Lookahead, MatcherPool, PoolStatistics
from kestrel_framework._pipeline.source_reader import FromSource
from kestrel_framework._rule_replacement import PreparedRules
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.errors import KestrelError
from kestrel_framework.event import EventBatch
from kestrel_framework.reload import ReloadReport
from kestrel_framework.rule import RuleSet

_WORKERS: Final = "workers"
_KILLED_WORKERS: Final = "killed_workers"


class BatchFeed:
    """Hands over what comes next, and feeds the detector.

    With several workers, batches that wait are matched by them ahead; the alerts are the same.
    Their processes are forked from this one here. For the thread of the engine, but for
    `hurry`, `abort` and the inbox.

    Args:
        detector: The detector.
        workers: How many processes match; 1 is the main process alone.
        capacity: How many items may wait in the inbox.
        log: Told of what goes wrong with workers.

    Attributes:
        inbox: Where sources put what they have.

    Raises:
        KestrelError: the system has no room for another process.
    """

    def __init__(
        self, detector: Detector, workers: int, capacity: int, log: Callable[[Problem], None]
    ) -> None:
        self._detector = detector
        self._matched = MatchedFeed(detector)
        self._log = log
        self._pool = None if workers == 1 else self._started_pool(workers)
        if self._pool is None:
            self.inbox: BoundedQueue[FromSource] = BoundedQueue(capacity)
            self._lookahead = None
        else:
            self.inbox = BoundedQueue(capacity, self._pool.wake)
            self._lookahead = Lookahead(self.inbox, self._pool)

    @property
    def pool(self) -> MatcherPool | None:
        """The workers."""
        return self._pool

    @property
    def statistics(self) -> PoolStatistics:
        """What became of the workers. From any thread."""
        return PoolStatistics(1) if self._pool is None else self._pool.statistics

    def next(self) -> tuple[FromSource | None, Job | None]:
        """Wait for what sources hand over next; the job is for `feed`.

        Raises:
            QueueClosedError: the inbox is closed, and nothing is left.
        """
        if self._lookahead is None:
            return self.inbox.get(), None
        return self._lookahead.next()

    def feed(self, batch: EventBatch, job: Job | None) -> list[Alert]:
        """Return the alerts that a batch completes."""
        if job is None:
            return self._detector.feed(batch)
        if job.given_up:
            lost = Counter(batch.lost) + Counter({_KILLED_WORKERS: job.given_up})
            batch = attrs.evolve(batch, lost=lost)
            problem = f"{job.given_up} events are given up: matching processes die of them"
            self._log(Problem(_KILLED_WORKERS, problem, batch.origin))
        return self._matched.feed(batch, partial(job.matched, matcher=self._matched.matcher))

    def prepare_rules(self, rules: RuleSet) -> PreparedRules:
        """Compile other rules, here and for workers. In any thread, but one at a time.

        Raises:
            RuleError: a rule cannot be loaded.
        """
        announce = _nobody if self._pool is None else self._pool.prepare
        return self._matched.prepare(rules, announce)

    def replace_rules(self, rules: PreparedRules) -> ReloadReport:
        """Go on with the rules prepared last from the next batch on, and return what that did."""
        report = self._detector.replace(rules)
        if self._pool is not None:
            self._pool.switch(self._matched.matcher)
        return report

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for any worker. From any thread."""
        if self._pool is not None:
            self._pool.hurry(seconds)

    def abort(self) -> None:
        """Wait for no worker any more, and take nothing more in. From any thread."""
        if self._pool is not None:
            self._pool.abort()
        self.inbox.close()

    def close(self, timeout: float) -> None:
        """Close the inbox, and end the workers, at once after `timeout` seconds."""
        self.inbox.close()
        if self._pool is not None:
            self._pool.close(timeout)

    def _started_pool(self, workers: int) -> MatcherPool:
        try:
            return MatcherPool(
                workers,
                self._matched.matcher,
                self._matched.matcher_of,
                tell=lambda sentence: self._log(Problem(_WORKERS, sentence)),
            )
        except OSError as error:
            raise KestrelError(f"no matching process can be started: {error}") from error


def _nobody(rules: RuleSet) -> None:
    """Where there are no workers, nobody else has to know of rules."""
