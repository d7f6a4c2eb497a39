"""Who may write: one owner at a time, and none that was asleep."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

from kestrel_framework.errors import StateConflict, StateError
from kestrel_redis_state.connection import RedisConnection
from kestrel_redis_state.session import Session, fields, whole
from kestrel_redis_state.store import RedisStateStore

_LONGEST_OWNER_BYTES: Final = 256
_LONGEST_SECONDS: Final = 24 * 60 * 60
_MICROSECONDS: Final = 1_000_000


class Lease:
    """The right to write to a store for some time, under a fence.

    Commit with `fence=lease.fence`. Whoever acquires the store next has a greater one, and the
    server refuses ours from that moment on, whether we know it or not: a process that was stopped
    for an hour and wakes up in the middle of a commit changes nothing. The time only says when
    somebody else may acquire; it is that of the server's clock, and safety does not hang on it.

    Has a connection of its own; safe between threads.

    Attributes:
        owner: Who has it.
        fence: The owner's number, greater than that of all owners before.
    """

    def __init__(
        self, session: Session, connection: RedisConnection, owner: str, seconds: float
    ) -> None:
        self._session = session
        self._connection = connection
        self._seconds = seconds
        self._lock = Lock()
        self.owner = owner
        self._until = time.monotonic() + seconds
        self.fence = self._acquired()

    @property
    def seconds_left(self) -> float:
        """How long nobody else can acquire, at least; 0 where somebody perhaps can.

        Of this host's clock, which need not agree with the server's in anything but its speed.
        """
        return max(0.0, self._until - time.monotonic())

    def renew(self) -> None:
        """Have the store for the whole time again, from now on.

        Works as well after the time has run out, as long as nobody else has acquired.

        Raises:
            StateConflict: somebody else has; this lease is over.
            StateError: the server cannot be reached or refuses; try again while time is left.
        """
        with self._lock:
            until = time.monotonic() + self._seconds
            self._prolong(self._seconds)
            self._until = until

    def release(self) -> None:
        """Let others acquire at once. A second call, or one when it is lost, does nothing.

        Raises:
            StateError: the server cannot be reached; others wait for the time to run out.
        """
        with self._lock:
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
                f"{self._connection.place}: `{holder.decode('utf-8', 'replace')}` has it, for "
                f"{whole(rest) / _MICROSECONDS:.1f} s more if it does not renew"
            )
        return whole(fields(answer, 1)[0])

    def _prolong(self, seconds: float) -> None:
        arguments = [self.owner.encode(), b"%d" % self.fence, _microseconds(seconds)]
        if self._asked("renew", arguments)[0] == b"fenced":
            self._until = 0.0
            raise StateConflict(
                f"{self._connection.place}: the lease of `{self.owner}` is over: it was released, "
                "or there is another owner"
            )

    def _asked(self, name: str, arguments: list[bytes]) -> list[bytes | None]:
        return self._session.run(self._connection, name, arguments)


def acquire(store: RedisStateStore, owner: str, seconds: float) -> Lease:
    """Return the lease of a store, which is free, or whose owner let the time run out.

    Args:
        store: What to own.
        owner: Names one process and those that follow it, such as a host's name: the same
            owner acquires again at once, and fences its former self off.
        seconds: How long others wait for an owner that does not renew. Renew after a third.

    Raises:
        StateConflict: somebody else has it.
        StateError: the server cannot be reached or refuses.
    """
    if not 1 <= len(owner.encode()) <= _LONGEST_OWNER_BYTES:
        raise StateError(f"an owner has a name of 1 to {_LONGEST_OWNER_BYTES} bytes")
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise StateError(f"a lease is for more than 0 and at most {_LONGEST_SECONDS} seconds")
    connection = RedisConnection(store.session.config)
    try:
        return Lease(store.session, connection, owner, seconds)
    except StateError:
        connection.close()
        raise


def _microseconds(seconds: float) -> bytes:
    return b"%d" % (seconds * _MICROSECONDS)
