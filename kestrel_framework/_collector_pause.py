"""Putting off Python's collection of cycles while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Have Python not look for cyclic garbage; also a decorator.

    Making a few hundred thousand objects that all stay would have it look at all of them several
    times, in vain: a third of the time. It is the whole process that waits, so this is for what
    takes a second at most. Nothing happens where collections are off already; where threads pause
    at the same time, collections begin again when the first of them is done.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
