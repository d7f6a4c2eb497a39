"""When Python looks for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_postponed() -> Iterator[None]:
    """Look for no garbage inside, in the whole process.

    For making very many objects that stay: Python would look through them again and again, and
    find nothing. What becomes garbage in cycles meanwhile takes memory until the end, so what is
    done inside must be bounded. Where collecting is switched off already, it stays so.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
