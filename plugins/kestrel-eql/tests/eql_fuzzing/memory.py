"""How much memory the process holds, without what bounded caches hold."""

from __future__ import annotations

import functools
import gc
import os
from pathlib import Path


def resident_bytes() -> int:
    """Return the memory of this process that is in use, once the caches are empty."""
    for cache in _caches():
        cache.cache_clear()
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


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
