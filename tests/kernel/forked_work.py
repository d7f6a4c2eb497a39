"""Work in a process forked from that of the test: quick, and free to die."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def start(work: Callable[[], None]) -> tuple[int, int]:
    """Run `work` in a child; return its pid, and a pipe with the traceback if it fails."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    try:
        os.close(reading)
        work()
    except BaseException:  # noqa: BLE001 - it is the parent's to judge
        os.write(writing, traceback.format_exc().encode()[-4000:])
    finally:
        os._exit(0)


def finish(pid: int, reading: int) -> None:
    """Wait for a child, and fail if it did not end well."""
    with os.fdopen(reading, "rb") as pipe:
        problem = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    assert not problem, problem
    assert os.waitstatus_to_exitcode(status) == 0


def in_child(work: Callable[[], None]) -> None:
    """Run `work` in a child, and fail if it does."""
    finish(*start(work))
