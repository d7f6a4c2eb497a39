"""SIGINT and SIGTERM as a request to finish, SIGHUP as one to read again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SAME_REQUEST_SECONDS: Final = 1.0


@contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM within the block.

    At a later one the process ends at once, so that nobody is held by what hangs. One that
    comes within a second is taken for the same request: a terminal and a program such as
    `timeout` both pass a signal on.
    """
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    asked_at: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        now = time.monotonic()
        if asked_at is None:
            asked_at = now
            stop()
        elif now - asked_at >= _SAME_REQUEST_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def on_hang_up(hear: Callable[[], None]) -> Iterator[None]:
    """Call `hear` at each SIGHUP within the block, unless the process was told to ignore it."""
    previous = signal.getsignal(signal.SIGHUP)
    if previous is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, lambda number, frame: hear())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)
