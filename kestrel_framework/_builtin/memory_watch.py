"""What a reader has still to be told about a state store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Condition
from typing import Final

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import KeyChanged, Resynchronize, StateChange, Versioned

_MOST_WAITING: Final = 1024


class MemoryStateWatch:
    """A watch of the keys with one prefix; at most `_MOST_WAITING` changes wait in it."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._waiting: dict[bytes, Versioned | None] = {}
        self._behind = True
        self._told = Condition()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it need not be told any more."""
        return self._closed

    def tell(self, changes: Mapping[bytes, Versioned | None]) -> None:
        """Hear of one commit. Called from the store's thread."""
        with self._told:
            if self._behind or self._closed:
                return
            for key, entry in changes.items():
                if key.startswith(self._prefix):
                    self._waiting.pop(key, None)  # told in the order of the last changes
                    self._waiting[key] = entry
            if len(self._waiting) > _MOST_WAITING:
                self._waiting.clear()
                self._behind = True
            self._told.notify_all()

    def next(self, timeout: float) -> Sequence[StateChange]:
        with self._told:
            self._told.wait_for(lambda: self._waiting or self._behind or self._closed, timeout)
            if self._closed:
                raise StateError("the watch is closed")
            if self._behind:
                self._behind = False
                return (Resynchronize(),)
            changes = [KeyChanged(key, entry) for key, entry in self._waiting.items()]
            self._waiting.clear()
            return changes

    def close(self) -> None:
        with self._told:
            self._closed = True
            self._waiting.clear()
            self._told.notify_all()
