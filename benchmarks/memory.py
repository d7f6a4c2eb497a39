"""How much memory this process has."""

from __future__ import annotations

from pathlib import Path


def resident_bytes() -> int:
    """Return the resident memory of this process now."""
    return _status("VmRSS")


def most_resident_bytes() -> int:
    """Return the most resident memory that this process has had."""
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {name}")
