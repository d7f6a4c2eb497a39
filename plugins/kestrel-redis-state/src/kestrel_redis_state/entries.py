"""How entries and ranges of keys are written for the scripts."""

from __future__ import annotations

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Versioned


def read_entry(entry: bytes, place: str) -> Versioned:
    """Return an entry, which is written as its version, a colon and its value.

    Raises:
        StateError: it is not.
    """
    version, colon, value = entry.partition(b":")
    if not colon or not version.isdigit() or len(version) > 18:
        raise StateError(f"{place}: a value has no version: somebody else has changed it")
    return Versioned(value, int(version))


def scan_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Return the lowest and the highest key with a prefix, as a sorted set names them."""
    shortest = prefix.rstrip(b"\xff")
    if not shortest:
        return b"[" + prefix, b"+"
    return b"[" + prefix, b"(" + shortest[:-1] + bytes([shortest[-1] + 1])
