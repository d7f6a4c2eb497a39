from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from kestrel_framework._pipeline.bounded_queue import BoundedQueue, QueueClosedError


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    return thread, results


def test_items_come_out_in_order() -> None:
    queue: BoundedQueue[int] = BoundedQueue(10)
    assert queue.put_many([1, 2, 3]) == 3
    assert queue.get() == 1
    assert queue.get_many(10) == [2, 3]
    assert queue.get(timeout=0.0) is None


def test_whoever_puts_into_a_full_queue_waits_for_space() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    thread, results = in_thread(lambda: queue.put_many(range(5)))
    taken = [queue.get(timeout=10) for _ in range(5)]
    thread.join(timeout=10)
    assert taken == [0, 1, 2, 3, 4]
    assert results == [5]


def test_a_full_queue_takes_nothing_at_once() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    assert queue.put_now(1)
    assert not queue.put_now(2)
    assert queue.get() == 1


def test_closing_frees_whoever_waits_for_space() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.put(1)
    thread, results = in_thread(lambda: queue.put(2))
    queue.close()
    thread.join(timeout=10)
    assert results == [False]


def test_closing_frees_whoever_waits_for_an_item() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)

    def get() -> object:
        with pytest.raises(QueueClosedError):
            queue.get()
        return "freed"

    thread, results = in_thread(get)
    queue.close()
    thread.join(timeout=10)
    assert results == ["freed"]


def test_a_closed_queue_gives_what_it_has_and_takes_nothing() -> None:
    queue: BoundedQueue[int] = BoundedQueue(5)
    queue.put_many([1, 2])
    queue.close()
    assert not queue.put(3)
    assert not queue.put_now(3)
    assert queue.get_many(5) == [1, 2]
    with pytest.raises(QueueClosedError):
        queue.get(timeout=0.0)


def test_many_threads_lose_and_double_nothing() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3)
    hundreds = [range(n * 100, n * 100 + 100) for n in range(5)]
    writers = [in_thread(partial(queue.put_many, numbers)) for numbers in hundreds]
    got: list[int] = []

    def read() -> None:
        while True:
            try:
                got.extend(queue.get_many(7))
            except QueueClosedError:
                return

    readers = [in_thread(read) for _ in range(3)]
    for thread, _ in writers:
        thread.join(timeout=10)
    queue.close()
    for thread, _ in readers:
        thread.join(timeout=10)
    assert sorted(got) == list(range(500))
