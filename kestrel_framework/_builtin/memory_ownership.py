"""Who owns a state store in memory, where several engines of one process share it."""

from __future__ import annotations

import time
from threading import Lock

from kestrel_framework.errors import StateConflict, StateError


class MemoryOwners:
    """The owners of one store, the last of whom has it. Safe between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._newest: int | None = None
        self._owner: tuple[str, int] | None = None
        self._until = 0.0

    def own(self, owner: str, seconds: float) -> MemoryOwnership:
        """Make `owner` the owner.

        Raises:
            StateConflict: another one is.
            StateError: it is no owner, or no time.
        """
        if not owner:
            raise StateError("an owner has a name")
        if not seconds > 0:
            raise StateError("a store is owned for more than 0 seconds")
        with self._lock:
            rest = self._until - time.monotonic()
            if self._owner is not None and self._owner[0] != owner and rest > 0:
                raise StateConflict(
                    f"`{self._owner[0]}` has it, for {rest:.1f} s more if it does not renew"
                )
            self._newest = (self._newest or 0) + 1
            self._owner = owner, self._newest
            self._until = time.monotonic() + seconds
            return MemoryOwnership(self, owner, self._newest, seconds)

    def check(self, fence: int) -> None:
        """Say whether an owner may still commit.

        Raises:
            StateConflict: there was a newer one.
        """
        with self._lock:
            if self._newest is not None and fence < self._newest:
                raise StateConflict(f"owner {fence} was fenced off by owner {self._newest}")

    def committed(self, fence: int) -> None:
        """Hear of a commit by an owner: older ones cannot commit any more."""
        with self._lock:
            self._newest = max(fence, self._newest or 0)

    def prolong(self, owner: str, fence: int, seconds: float) -> None:
        """Have the store for so long from now on; 0 gives it up.

        Raises:
            StateConflict: it was given up, or there is another owner.
        """
        with self._lock:
            if self._owner != (owner, fence) or self._newest != fence:
                raise StateConflict(f"the store is not `{owner}`'s any more")
            if not seconds:
                self._owner = None
            self._until = time.monotonic() + seconds


class MemoryOwnership:
    """The ownership of a store in memory."""

    def __init__(self, owners: MemoryOwners, owner: str, fence: int, seconds: float) -> None:
        self._owners = owners
        self._owner = owner
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self.fence = fence

    @property
    def seconds_left(self) -> float:
        """How long nobody else can own the store."""
        return max(0.0, self._until - time.monotonic())

    def renew(self) -> None:
        until = time.monotonic() + self._seconds
        try:
            self._owners.prolong(self._owner, self.fence, self._seconds)
        except StateConflict:
            self._until = 0.0
            raise
        self._until = until

    def release(self) -> None:
        self._until = 0.0
        try:
            self._owners.prolong(self._owner, self.fence, 0)
        except StateConflict:
            return
