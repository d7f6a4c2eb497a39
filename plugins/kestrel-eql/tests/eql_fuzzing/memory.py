"""How much memory the process holds, without what bounded caches hold."""

from __future__ import annotations

import functools
import gc
import os
import sys
import tracemalloc
from pathlib import Path


def resident_bytes() -> int:
    """Return the memory of this process that is in use, once the caches are empty."""
    _empty_caches()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def traced_blocks() -> int:
    """Return how many blocks of memory `tracemalloc` knows of, once the caches are empty.

    Their number, not their size: the tables of the interpreter itself, such as that of interned
    names, grow in one piece, and now and then.
    """
    _empty_caches()
    return len(tracemalloc.take_snapshot().traces)


def _empty_caches() -> None:
    for cache in _caches():
        cache.cache_clear()
    # The names of attributes that were looked up last, a few thousand.
    getattr(sys, "_clear_internal_caches", sys._clear_type_cache)()
    # A structure of views is held by the structure around it in a way the collector cannot see.
    while gc.collect():
        pass


def unbounded_caches() -> dict[str, int]:
    """Return how much the caches hold that have no limit, by name: there should be little."""
    return {
        cache.__wrapped__.__qualname__: cache.cache_info().currsize
        for cache in _caches()
        if cache.cache_info().maxsize is None
    }


def _caches() -> list[functools._lru_cache_wrapper[object]]:
    """Return the caches of Kestrel's functions."""
    return [
        found
        for found in gc.get_objects()
        if isinstance(found, functools._lru_cache_wrapper)
        and str(found.__module__).startswith("kestrel_")
    ]
