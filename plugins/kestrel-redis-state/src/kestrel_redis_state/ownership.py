"""Who may write: one owner at a time, and none that was asleep."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

from kestrel_framework.errors import StateConflict, StateError
from kestrel_redis_state.connection import RedisConnection
from kestrel_redis_state.session import Session, fields, whole

_LONGEST_OWNER_BYTES: Final = 256
_LONGEST_SECONDS: Final = 24 * 60 * 60
_MICROSECONDS: Final = 1_000_000


class Lease:
    """The ownership of a store: `RedisStateStore.own` makes one.

    When others may own the store is measured by the server's clock. Has a connection of its own;
    safe between threads.

    Attributes:
        owner: Who has it.
        fence: The owner's number, greater than that of all owners before.

    Raises:
        StateConflict: somebody else has the store.
        StateError: the server cannot be reached or refuses; or it is no owner, or no time.
    """

    def __init__(self, session: Session, owner: str, seconds: float) -> None:
        if not 1 <= len(owner.encode()) <= _LONGEST_OWNER_BYTES:
            raise StateError(f"an owner has a name of 1 to {_LONGEST_OWNER_BYTES} bytes")
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise StateError(f"a lease is for more than 0 and at most {_LONGEST_SECONDS} seconds")
        self._session = session
        self._connection = RedisConnection(session.config)
        self._seconds = seconds
        self._lock = Lock()
        self._is_released = False
        self.owner = owner
        self._until = _now() + seconds
        try:
            self.fence = self._acquired()
        except StateError:
            self._connection.close()
            raise

    @property
    def seconds_left(self) -> float:
        """How long nobody else can own the store, at least.

        Of this host's clock, which need not agree with the server's in anything but its speed.
        """
        return max(0.0, self._until - _now())

    def renew(self) -> None:
        with self._lock:
            if self._is_released:
                raise StateConflict(f"{self._connection.place}: the lease was released")
            until = _now() + self._seconds
            self._prolong(self._seconds)
            self._until = until

    def release(self) -> None:
        with self._lock:
            if self._is_released:
                return
            self._is_released = True
            self._until = 0.0
            try:
                self._prolong(0)
            except StateConflict:
                pass
            finally:
                self._connection.close()

    def _acquired(self) -> int:
        answer = self._asked("acquire", [self.owner.encode(), _microseconds(self._seconds)])
        if answer[0] == b"owned":
            holder, rest = fields([b"done", *answer[1:]], 2)
            raise StateConflict(
                f"{self._connection.place}: `{_shown(holder)}` has it, for "
                f"{whole(rest) / _MICROSECONDS:.1f} s more if it does not renew"
            )
        return whole(fields(answer, 1)[0])

    def _prolong(self, seconds: float) -> None:
        arguments = [self.owner.encode(), b"%d" % self.fence, _microseconds(seconds)]
        answer = self._asked("renew", arguments)
        if answer[0] == b"fenced":
            self._until = 0.0
            holder = answer[1] if len(answer) > 1 else None
            now = f"`{_shown(holder)}` has it now" if holder else "nobody has it now"
            raise StateConflict(
                f"{self._connection.place}: the lease of `{self.owner}` is over, {now}"
            )

    def _asked(self, name: str, arguments: list[bytes]) -> list[bytes | None]:
        return self._session.run(self._connection, name, arguments)


def _shown(owner: bytes) -> str:
    """Return an owner's name, which somebody else wrote, so that it can stand in a message."""
    name = owner[:_LONGEST_OWNER_BYTES].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def _now() -> float:
    """Return seconds of a clock that goes on while the host is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _microseconds(seconds: float) -> bytes:
    return b"%d" % (seconds * _MICROSECONDS)
