"""How much memory this process has."""

from __future__ import annotations

import resource
from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory of this process now; elsewhere than on Linux, the most it had."""
    return _status(b"VmRSS:")


def most_resident_bytes() -> int:
    """Return the most resident memory that this process has had."""
    return _status(b"VmHWM:")


def _status(name: bytes) -> int:
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(name)[2].split(None, 1)[0]) * 1024
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
