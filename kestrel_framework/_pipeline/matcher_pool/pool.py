"""The pool of workers, seen from the thread of the engine."""

from __future__ import annotations

import os
import selectors
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.matcher_pool import frames
from kestrel_framework._pipeline.matcher_pool.answers import (
    AnswerError,
    check,
    decode_answer,
    encode_request,
)
from kestrel_framework._pipeline.matcher_pool.jobs import Job, Part
from kestrel_framework._pipeline.matcher_pool.nursery import CompileMatcher, Nursery
from kestrel_framework.event import EventBatch
from kestrel_framework.rule import RuleSet

BATCH_SECONDS: Final = 30.0
"""How long a worker may take for a batch before it is taken for hung."""

_PARTS_IN_HAND: Final = 2
_HUNG_TRIES: Final = 2
_START_PATIENCE: Final = 0.2
_START_PAUSE: Final = 1.0
_LONGEST_ANSWER: Final = 1 << 30
_PID_BYTES: Final = 8


@attrs.define
class PoolStatistics:
    """What became of the workers.

    Attributes:
        number: How many there are to be.
        restarts: How many were started in the place of others.
        batches_done_again: Batches, or parts of batches, that were given to another worker.
        memory_bytes: Memory that the workers share with nobody, when it was last looked at.
    """

    number: int
    restarts: int = 0
    batches_done_again: int = 0
    memory_bytes: int = 0


class _Worker:
    """A worker: its connection, and what it has been given, oldest first."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        weakref.finalize(self, connection.close)
        self.pid: int | None = None  # known once it is ready
        self.in_hand: deque[tuple[int, Part]] = deque()
        self.busy_since = 0.0


class _Bell:
    """Ends a wait. May be rung at any time, from any thread, also when nobody waits any more."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def ring(self) -> None:
        os.eventfd_write(self._descriptor, 1)

    def hush(self) -> None:
        os.eventfd_read(self._descriptor)


class MatcherPool:
    """Has batches matched by several processes.

    Not safe for use from two threads at once, but for what says so. Workers ignore the signals
    that ask the main process to stop, and end with it, whatever ends it.

    What a worker says is what the main process would say itself. A worker that dies is
    replaced, and its batch done again; see `Job` for what happens when that goes on. One that
    takes too long is ended. Where no worker can be had, the main process matches.

    Args:
        number: How many workers.
        matcher: The matcher of the main process.
        compile_matcher: Returns the matcher of other rules; called in another process.
        tell: Told in a sentence of what went wrong with workers.
        batch_seconds: How long a worker may take for a batch.

    Raises:
        OSError: the system has no room for another process.
    """

    def __init__(
        self,
        number: int,
        matcher: EventMatcher,
        compile_matcher: CompileMatcher,
        *,
        tell: Callable[[str], None] = lambda sentence: None,
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        self.statistics = PoolStatistics(number)
        self._tell = tell
        self._batch_seconds = batch_seconds
        self._hung_tries = _HUNG_TRIES
        self._nursery: Nursery | None = Nursery(matcher, compile_matcher)
        self._bell = _Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._matcher = matcher
        self._generation = 0
        self._prepared = 0
        self._workers: list[_Worker] = []
        self._waiting: deque[Part] = deque()
        self._next_number = 0
        self._start_at = 0.0
        self._ready_at = time.monotonic()
        self._aborted = False
        for _ in range(number):
            self._start_worker()

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes of the workers that are known to run."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    @property
    def nursery_pid(self) -> int | None:
        """The number of the nursery's process, or None where it is gone."""
        return None if self._nursery is None else self._nursery.pid

    @property
    def in_flight(self) -> int:
        """How many batches, or parts of batches, it takes to keep all workers busy."""
        return self.statistics.number * _PARTS_IN_HAND

    def submit(self, batch: EventBatch) -> Job | None:
        """Have a batch matched; None where the main process has to.

        Never waits. At most `in_flight` jobs should be under way, so that memory is bounded.
        """
        if not batch.payloads or batch.payload_format != "json":
            return None
        self._replace_dead()
        if self._is_too_slow:
            return None
        job = Job(batch.payloads, self._matcher)
        self._waiting.extend(job.parts)
        self._hand_out()
        return job

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a worker says something, `wake` is called, or the time is over."""
        limit = self._time_left()
        if timeout is not None:
            limit = timeout if limit is None else min(limit, timeout)
        for key, _ in self._selector.select(limit):
            if key.fileobj is self._bell:
                self._bell.hush()
            elif isinstance(key.data, _Worker):
                self._hear(key.data)
        if self._aborted:
            self._give_up()
        else:
            self._end_hung()
            if self._is_too_slow:
                self._leave_all()
            self._hand_out()

    def wake(self) -> None:
        """End a `wait`, or the next one. From any thread."""
        self._bell.ring()

    def hurry(self, batch_seconds: float) -> None:
        """Wait no longer than this for any worker, and for none twice. From any thread."""
        self._batch_seconds = min(self._batch_seconds, batch_seconds)
        self._hung_tries = 1
        self.wake()

    def abort(self) -> None:
        """Leave everything that is not matched yet to the main process. From any thread."""
        self._aborted = True
        self.wake()

    def prepare(self, rules: RuleSet) -> None:
        """Have other rules compiled for the workers, while the main process does so itself.

        From any thread, but not while the last ones are switched to.
        """
        self._prepared += 1
        nursery = self._nursery
        if nursery is not None:
            try:
                nursery.prepare(self._prepared, rules)
            except (OSError, ValueError):
                return  # their workers will not start

    def switch(self, matcher: EventMatcher) -> None:
        """Go on with the rules prepared last. Jobs under way are left to the main process.

        Args:
            matcher: The matcher of the main process for them.
        """
        self._leave_all()
        for worker in list(self._workers):
            self._remove(worker)
        self._matcher = matcher
        self._generation = self._prepared
        self._ready_at = time.monotonic()
        for _ in range(self.statistics.number):
            self._start_worker()

    def measure(self) -> None:
        """Look at the memory of the workers."""
        self.statistics.memory_bytes = sum(map(_own_memory, self.pids))

    def close(self, timeout: float) -> None:
        """End all workers, at once after `timeout` seconds. More than once does no harm."""
        self.measure()
        self._give_up()
        if self._nursery is not None:
            self._nursery.close(timeout)
            self._nursery = None
        self._selector.close()

    # --- workers --------------------------------------------------------------------

    @property
    def _is_too_slow(self) -> bool:
        """Whether there has been no worker for some time, so that nobody should wait for one."""
        if self._aborted or self._nursery is None:
            return True
        if any(worker.pid is not None for worker in self._workers):
            return False
        return time.monotonic() - self._ready_at >= _START_PATIENCE

    def _start_worker(self) -> bool:
        if self._nursery is None or self._aborted:
            return False
        try:
            connection = self._nursery.start_worker(self._generation)
        except OSError:
            self._lose_nursery()
            return False
        worker = _Worker(connection)
        self._workers.append(worker)
        self._selector.register(connection, selectors.EVENT_READ, worker)
        return True

    def _lose_nursery(self) -> None:
        """Do without workers: where they came from, there are no more."""
        if self._nursery is not None:
            self._tell("the process that starts matching processes ended: the main one matches")
            self._nursery.close(0)
            self._nursery = None

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.connection)
        worker.connection.close()

    def _hand_out(self) -> None:
        """Give the parts that wait to workers, and start those that are missing for it."""
        while self._waiting:
            self._replace_dead()
            ready = [worker for worker in self._workers if worker.pid is not None]
            if not ready:
                return
            worker = min(ready, key=lambda each: len(each.in_hand))
            part = self._waiting[0]
            # What somebody died of is given to a worker that has nothing else.
            most = 1 if part.deaths else _PARTS_IN_HAND
            if len(worker.in_hand) >= most:
                return
            self._waiting.popleft()
            if not part.job.is_done:
                self._give(worker, part)

    def _replace_dead(self) -> None:
        missing = self.statistics.number - len(self._workers)
        if missing and time.monotonic() >= self._start_at:
            for _ in range(missing):
                if self._start_worker():
                    self.statistics.restarts += 1

    def _give(self, worker: _Worker, part: Part) -> None:
        self._next_number += 1
        try:
            request = encode_request(self._next_number, part.payloads)
        except (TypeError, ValueError):
            part.job.is_left = True
            return
        if not worker.in_hand:
            worker.busy_since = time.monotonic()
        worker.in_hand.append((self._next_number, part))
        try:
            frames.send(worker.connection, request)
        except OSError:
            self._bury(worker)

    def _hear(self, worker: _Worker) -> None:
        """Take one message of a worker."""
        if worker not in self._workers:
            return
        try:
            received = frames.receive(worker.connection, _LONGEST_ANSWER)
            if received is None:
                self._bury(worker)
                return
            message, descriptor = received
            if descriptor is not None:
                os.close(descriptor)
            if worker.pid is None:
                self._introduce(worker, message)
            else:
                self._take(worker, message)
        except (OSError, frames.FrameError, AnswerError):
            self._bury(worker)

    def _introduce(self, worker: _Worker, message: bytes) -> None:
        if len(message) != _PID_BYTES:
            raise AnswerError("the worker does not say who it is")
        worker.pid = int.from_bytes(message)

    def _take(self, worker: _Worker, message: bytes) -> None:
        answer = decode_answer(message)
        if not worker.in_hand or worker.in_hand[0][0] != answer.number:
            raise AnswerError("the worker answers what it was not asked")
        part = worker.in_hand[0][1]
        check(answer, len(part), self._matcher)
        worker.in_hand.popleft()
        worker.busy_since = time.monotonic()
        part.job.answer(part, answer)

    def _bury(self, worker: _Worker, *, hung: bool = False) -> None:
        """Hear that a worker is no use any more, and have its work done again."""
        self._remove(worker)
        if worker.pid is None:
            self._start_at = time.monotonic() + _START_PAUSE
            self._tell("a matching process could not be started")
        else:
            self._ready_at = time.monotonic()
            self._tell(f"a matching process {'hung' if hung else 'died'} and is replaced")
            self._kill(worker.pid)
        again: list[Part] = []
        for place, (_, part) in enumerate(worker.in_hand):
            if part.job.is_done:
                continue
            if place > 0:
                again.append(part)
            elif not hung:
                again += part.job.died(part)
            elif part.job.hung + 1 < self._hung_tries:
                part.job.hung += 1
                again.append(part)
            else:
                part.job.is_left = True
        self.statistics.batches_done_again += len(again)
        self._waiting.extendleft(reversed(again))

    def _kill(self, pid: int) -> None:
        if self._nursery is not None:
            try:
                self._nursery.kill(pid)
            except OSError:
                self._lose_nursery()

    def _end_hung(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.in_hand and now - worker.busy_since >= self._batch_seconds:
                self._bury(worker, hung=True)

    def _time_left(self) -> float | None:
        """Return how long to wait at most until there is something to decide."""
        ends = [
            worker.busy_since + self._batch_seconds for worker in self._workers if worker.in_hand
        ]
        if self._waiting and not ends:
            ends.append(max(self._ready_at + _START_PATIENCE, self._start_at))
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _give_up(self) -> None:
        self._leave_all()
        for worker in list(self._workers):
            self._remove(worker)

    def _leave_all(self) -> None:
        """Leave everything that is under way to the main process."""
        parts = [part for worker in self._workers for _, part in worker.in_hand]
        for part in (*parts, *self._waiting):
            if not part.job.is_done:
                part.job.is_left = True
        self._waiting.clear()
        for worker in self._workers:
            worker.in_hand.clear()


def _own_memory(pid: int) -> int:
    """Return how many bytes of memory a process shares with no other; 0 where nobody says."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
