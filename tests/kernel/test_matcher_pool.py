"""Several processes find what one does, and nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._matched_feed import MatchedFeed
from kestrel_framework._pipeline.matcher_pool import MatcherPool, nursery
from kestrel_framework.detector import Detector
from kestrel_framework.event import MAX_PAYLOAD_BYTES, EventBatch
from pool_streams import (
    ODD_LINES,
    OTHER_RULES,
    RULES,
    Collector,
    Dangerous,
    batches,
    detector_of,
    files_named,
    found_alone,
    found_together,
    lines,
    pool_of,
)

PATIENCE = 20.0
Start = Callable[..., MatcherPool]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start pools that are closed with the test."""
    pools: list[MatcherPool] = []

    def started(detector: Detector, number: int = 2, seconds: float = 30.0) -> MatcherPool:
        pools.append(pool_of(detector, number, seconds))
        return pools[-1]

    yield started
    for pool in pools:
        pool.close(PATIENCE)


def wait_until_ready(pool: MatcherPool) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(pool.pids) < pool.statistics.number:
        assert time.monotonic() < deadline, "the workers did not start"
        pool.wait(0.1)


def exists(pid: int) -> bool:
    """Say whether a process runs; one that has died and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(map(exists, pids)):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.01)


def kill_one(pid: int) -> None:
    """Kill a worker that may be dead already, without the pool having heard of it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class TestTheSameIsFound:
    @pytest.mark.parametrize(("workers", "size"), [(1, 17), (2, 1), (2, 400), (3, 17)])
    def test_whatever_the_number_of_workers_and_the_size_of_batches(
        self, start: Start, workers: int, size: int
    ) -> None:
        stream = batches(lines(size, 800), size)
        expected = found_alone(stream)
        assert len(expected.alerts) > 200
        assert {"odd_json", "malformed_json", "bad_timestamp"} <= {
            problem.cause for problem in expected.problems
        }
        detector = detector_of()
        pool = start(detector, workers)
        wait_until_ready(pool)
        assert found_together(stream, pool, detector) == expected
        assert pool.statistics.restarts == 0

    def test_of_each_odd_line(self, start: Start) -> None:
        stream = [EventBatch(payloads=[line]) for line in ODD_LINES]
        stream += [EventBatch(payloads=[line]) for line in reversed(ODD_LINES)]
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        assert found_together(stream, pool, detector) == found_alone(stream)

    def test_of_lines_of_the_greatest_size(self, start: Start) -> None:
        huge = b'{"file": {"path": "' + b"x" * (MAX_PAYLOAD_BYTES - 40) + b'evil"}}'
        lists = b'{"process": {"name": [' + b'"sh",' * 1_000_000 + b'"sh"]}}'
        stream = [EventBatch(payloads=[huge, b"{", huge + b" " * 100, lists])] * 3
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        assert found_together(stream, pool, detector) == found_alone(stream)

    @settings(max_examples=10)
    @given(st.lists(st.lists(st.binary(max_size=60) | st.sampled_from(ODD_LINES)), max_size=6))
    def test_of_any_bytes(self, given_lines: list[list[bytes]]) -> None:
        stream = [EventBatch(payloads=some) for some in given_lines]
        detector = detector_of()
        pool = pool_of(detector, 1)
        try:
            wait_until_ready(pool)
            assert found_together(stream, pool, detector) == found_alone(stream)
        finally:
            pool.close(PATIENCE)

    def test_before_the_workers_are_ready(self, start: Start) -> None:
        stream = batches(lines(1, 300), 10)
        detector = detector_of()
        assert found_together(stream, start(detector), detector) == found_alone(stream)


class TestDying:
    @pytest.mark.parametrize(
        ("seed", "number"),
        [
            (0, 1500),
            *[pytest.param(seed, 10_000, marks=pytest.mark.slow) for seed in range(1, 7)],
        ],
    )
    def test_workers_that_are_killed_at_any_time_change_nothing(
        self, start: Start, seed: int, number: int
    ) -> None:
        stream = batches(lines(seed, number), 20)
        random = Random(seed)
        detector = detector_of()
        pool = start(detector, 3)
        wait_until_ready(pool)

        def kill(number: int) -> None:
            if random.random() < 0.4 and pool.pids:
                kill_one(random.choice(pool.pids))

        assert found_together(stream, pool, detector, kill) == found_alone(stream)
        assert pool.statistics.restarts > 10
        assert pool.statistics.batches_done_again > 0

    def test_workers_that_die_idle_are_replaced_when_they_are_needed(self, start: Start) -> None:
        stream = batches(lines(1, 2000), 20)
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        before = pool.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert_gone(before)
        pool.wait(0.01)
        time.sleep(0.5)
        assert found_together(stream, pool, detector) == found_alone(stream)
        wait_until_ready(pool)
        assert not set(before) & set(pool.pids)
        assert pool.statistics.restarts == 2

    def test_the_loss_of_the_nursery_changes_nothing(self, start: Start) -> None:
        stream = batches(lines(1, 2000), 20)
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        workers, nursery = pool.pids, pool.nursery_pid
        assert nursery is not None

        def kill(number: int) -> None:
            if number == 30:
                os.kill(nursery, signal.SIGKILL)

        assert found_together(stream, pool, detector, kill) == found_alone(stream)
        assert_gone([nursery, *workers])

    def test_an_event_that_kills_is_given_up_alone(self, start: Start) -> None:
        paths = [f"/tmp/evil{number}" for number in range(200)]
        paths[77] = "/tmp/deadly evil"
        stream = [EventBatch(payloads=list(files_named(paths)), stream="s", first_offset=0)]
        detector = Detector(RULES, pattern_engine=Dangerous(deadly="deadly"))
        pool = start(detector)
        wait_until_ready(pool)
        found = found_together(stream, pool, detector)
        expected = found_alone(stream, Detector(RULES))
        assert len(found.alerts) == len(expected.alerts) - 1 == 199
        assert found.statistics["events"] == 199
        assert found.statistics["lost"] == {"killed_workers": 1}
        assert pool.statistics.restarts < 40

    def test_a_batch_of_nothing_else_ends(self, start: Start) -> None:
        paths = [f"/tmp/deadly{number}" for number in range(500)]
        stream = [
            EventBatch(payloads=list(files_named(paths)), stream="s", first_offset=0),
            EventBatch(payloads=list(files_named(["evil"])), stream="s", first_offset=500),
        ]
        detector = Detector(RULES, pattern_engine=Dangerous(deadly="deadly"))
        pool = start(detector)
        wait_until_ready(pool)
        found = found_together(stream, pool, detector)
        assert found.statistics["lost"] == {"killed_workers": 500}
        assert len(found.alerts) == 1
        assert pool.statistics.restarts <= 150


class TestHanging:
    def test_a_stopped_worker_is_replaced(self, start: Start) -> None:
        stream = batches(lines(1, 1000), 20)
        detector = detector_of()
        pool = start(detector, seconds=0.5)
        wait_until_ready(pool)
        stopped = pool.pids[0]
        os.kill(stopped, signal.SIGSTOP)
        assert found_together(stream, pool, detector) == found_alone(stream)
        assert pool.statistics.restarts >= 1
        assert_gone([stopped])

    def test_a_batch_without_end_is_matched_by_the_main_process(self, start: Start) -> None:
        stream = [EventBatch(payloads=list(files_named(["endless evil", "evil"])))]
        detector = Detector(RULES, pattern_engine=Dangerous(endless="endless"))
        pool = start(detector, seconds=0.3)
        wait_until_ready(pool)
        assert found_together(stream, pool, detector) == found_alone(stream, Detector(RULES))
        assert pool.statistics.restarts >= 1

    def test_a_stopped_nursery_does_not_stop_the_rest(self, start: Start) -> None:
        stream = batches(lines(1, 1000), 20)
        detector = detector_of()
        pool = start(detector, seconds=1.0)
        wait_until_ready(pool)
        assert pool.nursery_pid is not None
        os.kill(pool.nursery_pid, signal.SIGSTOP)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert found_together(stream, pool, detector) == found_alone(stream)
        pool.close(0.1)

    def test_waiting_can_be_given_up(self, start: Start) -> None:
        detector = Detector(RULES, pattern_engine=Dangerous(endless="endless"))
        pool = start(detector)
        wait_until_ready(pool)
        pids = pool.pids
        job = pool.submit(EventBatch(payloads=list(files_named(["endless"]))))
        assert job is not None
        aborter = threading.Timer(0.1, pool.abort)
        aborter.start()
        while not job.is_done:
            pool.wait()
        aborter.join()
        assert job.is_left
        pool.close(PATIENCE)
        assert_gone(pids)


class TestOtherRules:
    def test_are_in_force_from_the_next_batch_on(self, start: Start) -> None:
        stream = batches(lines(1, 1000), 20)
        alone = detector_of()
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        before = found_together(stream[:20], pool, detector)
        assert before == found_alone(stream[:20], alone)
        pool.prepare(OTHER_RULES)
        detector.replace(OTHER_RULES)
        alone.replace(OTHER_RULES)
        pool.switch(MatchedFeed(detector).matcher)
        wait_until_ready(pool)
        assert found_together(stream[20:], pool, detector) == found_alone(stream[20:], alone)
        assert pool.statistics.restarts == 0

    def test_are_in_force_for_batches_that_are_under_way(self, start: Start) -> None:
        first, second = batches(lines(1, 40), 20)[::2]
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        done = pool.submit(first)
        assert done is not None
        while not done.is_done:
            pool.wait()
        under_way = pool.submit(second)
        assert under_way is not None
        pool.prepare(OTHER_RULES)
        detector.replace(OTHER_RULES)
        pool.switch(MatchedFeed(detector).matcher)
        assert under_way.is_done
        collector = Collector(detector)
        feed = MatchedFeed(detector)
        for batch, job in ((first, done), (second, under_way)):
            collector.take(feed.feed(batch, partial(job.matched, matcher=feed.matcher)))
        assert collector.found() == found_alone([first, second], detector_of(OTHER_RULES))

    def test_faster_than_they_can_be_compiled_hold_nothing_up(self, start: Start) -> None:
        stream = batches(lines(1, 400), 20)
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        assert pool.nursery_pid is not None
        os.kill(pool.nursery_pid, signal.SIGSTOP)
        for _ in range(3):  # as many as it takes orders without looking at them
            pool.prepare(OTHER_RULES)
            pool.switch(MatchedFeed(detector).matcher)
        pool.switch(MatchedFeed(detector).matcher)
        os.kill(pool.nursery_pid, signal.SIGCONT)
        pool.prepare(OTHER_RULES)
        detector.replace(OTHER_RULES)
        pool.switch(MatchedFeed(detector).matcher)
        deadline = time.monotonic() + PATIENCE
        while len(pool.pids) < 2:
            assert time.monotonic() < deadline, "the workers did not begin"
            pool.submit(stream[0])
            pool.wait(0.01)
        assert found_together(stream, pool, detector) == found_alone(
            stream, detector_of(OTHER_RULES)
        )

    def test_that_nobody_takes_orders_for_hold_nothing_up(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nursery, "_ORDER_PATIENCE", 0.01)
        stream = batches(lines(1, 400), 20)
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        assert pool.nursery_pid is not None
        os.kill(pool.nursery_pid, signal.SIGSTOP)
        detector.replace(OTHER_RULES)
        for _ in range(50):
            pool.prepare(OTHER_RULES)
            pool.switch(MatchedFeed(detector).matcher)
        assert found_together(stream, pool, detector) == found_alone(
            stream, detector_of(OTHER_RULES)
        )
        pool.close(0.1)

    def test_leave_nothing_in_the_nursery(self, start: Start) -> None:
        detector = detector_of()
        pool = start(detector)
        sizes = []
        for number in range(30):
            pool.prepare(OTHER_RULES)
            pool.switch(MatchedFeed(detector).matcher)
            wait_until_ready(pool)
            if number % 10 == 9:
                sizes.append(resident_bytes(pool.nursery_pid or 0))
        assert sizes[-1] - sizes[0] < 500_000

    def test_that_were_refused_change_nothing(self, start: Start) -> None:
        stream = batches(lines(1, 400), 20)
        detector = detector_of()
        pool = start(detector)
        pool.prepare(OTHER_RULES)
        wait_until_ready(pool)
        os.kill(pool.pids[0], signal.SIGKILL)
        assert found_together(stream, pool, detector) == found_alone(stream)


class TestTheEnd:
    def test_nothing_is_left(self, start: Start) -> None:
        pool = start(detector_of(), 3)
        wait_until_ready(pool)
        pids = [*pool.pids, pool.nursery_pid or 0]
        assert all(map(exists, pids))
        pool.measure()
        assert 0 < pool.statistics.memory_bytes < 1 << 30
        pool.close(PATIENCE)
        assert_gone(pids)
        pool.close(PATIENCE)
        pool.wake()
        pool.abort()

    def test_of_a_pool_that_nobody_closes(self) -> None:
        pool = pool_of(detector_of(), 2)
        wait_until_ready(pool)
        pids = [*pool.pids, pool.nursery_pid or 0]
        del pool
        assert_gone(pids)

    def test_a_stopped_nursery_is_not_waited_for(self, start: Start) -> None:
        pool = start(detector_of())
        wait_until_ready(pool)
        pids = [*pool.pids, pool.nursery_pid or 0]
        os.kill(pids[-1], signal.SIGSTOP)
        pool.close(0.1)
        assert_gone(pids)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_signals_to_all_processes_are_those_of_the_main_one(
        self, start: Start, number: signal.Signals
    ) -> None:
        stream = batches(lines(1, 400), 20)
        detector = detector_of()
        pool = start(detector)
        wait_until_ready(pool)
        for pid in (*pool.pids, pool.nursery_pid or 0):
            os.kill(pid, number)
        assert found_together(stream, pool, detector) == found_alone(stream)
        assert pool.statistics.restarts == 0

    def test_no_descriptor_is_left(self, start: Start) -> None:
        before = open_descriptors()
        for _ in range(3):
            detector = detector_of()
            pool = pool_of(detector, 2)
            wait_until_ready(pool)
            os.kill(pool.pids[0], signal.SIGKILL)
            found_together(batches(lines(1, 400), 20), pool, detector)
            pool.close(PATIENCE)
            del pool
        assert open_descriptors() <= before
