"""A queue with a bound, that can be closed: what stands between the engine's threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class QueueClosedError(Exception):
    """Nothing more will come out of the queue."""


class BoundedQueue(Generic[ItemT]):
    """First in, first out, between threads. Whoever puts into a full one waits.

    Args:
        capacity: How many items may wait.
        ring: Called after an item was put, and after the queue was closed.
    """

    def __init__(self, capacity: int, ring: Callable[[], None] = lambda: None) -> None:
        self._capacity = capacity
        self._ring = ring
        self._items: deque[ItemT] = deque()
        self._closed = False
        self._lock = threading.Lock()
        self._has_items = threading.Condition(self._lock)
        self._has_space = threading.Condition(self._lock)

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: ItemT) -> bool:
        """Add an item, waiting for space; False where the queue is closed and it was not taken."""
        return self.put_many((item,)) == 1

    def put_many(self, items: Iterable[ItemT]) -> int:
        """Add items in order, waiting for space; return how many were taken before a close."""
        taken = 0
        with self._lock:
            for item in items:
                while len(self._items) >= self._capacity and not self._closed:
                    self._has_space.wait()
                if self._closed:
                    break
                self._items.append(item)
                taken += 1
                self._has_items.notify()
                self._ring()
        return taken

    def put_now(self, item: ItemT) -> bool:
        """Add an item if there is space for it at once, and say whether there was."""
        with self._lock:
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            self._has_items.notify()
            self._ring()
            return True

    def get(self, timeout: float | None = None) -> ItemT | None:
        """Remove the next item; None after `timeout` seconds without one.

        Raises:
            QueueClosedError: the queue is closed and empty.
        """
        items = self.get_many(1, timeout)
        return items[0] if items else None

    def get_many(self, greatest: int, timeout: float | None = None) -> list[ItemT]:
        """Remove up to `greatest` items that are there, waiting for the first.

        Returns none after `timeout` seconds without one.

        Raises:
            QueueClosedError: the queue is closed and empty.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            while not self._items:
                if self._closed:
                    raise QueueClosedError
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return []
                self._has_items.wait(remaining)
            count = min(greatest, len(self._items))
            items = [self._items.popleft() for _ in range(count)]
            self._has_space.notify(count)
            return items

    def close(self) -> None:
        """Take no more items, and wake everybody. What is in the queue can still be had."""
        with self._lock:
            self._closed = True
            self._has_items.notify_all()
            self._has_space.notify_all()
            self._ring()
