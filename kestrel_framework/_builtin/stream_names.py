"""Names for the numberings of lines, by content; see `docs/decisions/0004-stream-names.md`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

REMEMBERED_STREAMS: Final = 256


class StreamNames:
    """Gives each input a name, and never the same name twice in one run.

    Args:
        seen: What `seen` was when an earlier run stopped.
    """

    def __init__(self, seen: Mapping[str, int] | None = None) -> None:
        self._seen = dict(seen or {})

    @property
    def seen(self) -> Mapping[str, int]:
        """How often each of the latest fingerprints came."""
        return self._seen

    def name(self, first_line: bytes) -> str:
        """Return the name of a stream that begins with `first_line`."""
        digest = fingerprint(first_line)
        times = self._seen.pop(digest, 0) + 1
        self._seen[digest] = times
        if len(self._seen) > REMEMBERED_STREAMS:
            del self._seen[next(iter(self._seen))]
        return f"jsonl:{digest}" if times == 1 else f"jsonl:{digest}~{times}"


def fingerprint(first_line: bytes) -> str:
    """Return what tells inputs apart: a digest of the first line that is not blank."""
    return hashlib.sha256(first_line).hexdigest()[:16]


def same_start(stream: str, other: str | None) -> bool:
    """Say whether two names are of inputs that begin with the same line."""
    return other is not None and stream.partition("~")[0] == other.partition("~")[0]
