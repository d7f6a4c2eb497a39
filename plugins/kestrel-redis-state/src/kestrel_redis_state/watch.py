"""Tells what was committed, from the stream that each commit adds to."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from threading import Event, Lock
from typing import Final

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import KeyChanged, Resynchronize, StateChange
from kestrel_redis_state.connection import RedisConnection
from kestrel_redis_state.entries import read_entry
from kestrel_redis_state.session import Session, fields, whole

_COMMITS_AT_ONCE: Final = 64
_MOST_WAITING: Final = 4_096
_KEYS_AT_ONCE: Final = 256
_PAGE_BYTES: Final = 4 * 1024 * 1024
_LONGEST_WAIT_SECONDS: Final = 0.5
_RECONNECT_SECONDS: Final = 0.2
_COMMIT: Final = re.compile(rb"(\d{1,18})-0")


class RedisStateWatch:
    """A watch of the keys with one prefix, on a connection of its own.

    The stream has the keys of the last 1,024 commits, and their numbers: a number that is
    missing is a gap. Values are read when their change is told.
    """

    def __init__(self, session: Session, prefix: bytes) -> None:
        self._session = session
        self._prefix = prefix
        self._connection = RedisConnection(session.config)
        self._closed = Event()
        self._using = Lock()
        self._seen: int | None = None  # the last commit; None before a resynchronization
        self._waiting: dict[bytes, None] = {}

    def next(self, timeout: float) -> Sequence[StateChange]:
        try:
            with self._using:
                return self._next(timeout)
        finally:
            if self._closed.is_set():
                self._disconnect()

    def close(self) -> None:
        self._closed.set()
        self._disconnect()

    def _disconnect(self) -> None:
        """Let the connection go, unless a `next` uses it, which does it at its end."""
        if self._using.acquire(blocking=False):
            try:
                self._connection.close()
            finally:
                self._using.release()

    def _next(self, timeout: float) -> Sequence[StateChange]:
        deadline = time.monotonic() + timeout
        while True:
            if self._closed.is_set():
                raise StateError("the watch is closed")
            rest = deadline - time.monotonic()
            try:
                changes = self._changes(max(0.0, rest))
            except StateError as error:
                if not error.transient:
                    raise
                self._seen = None
                changes = ()
                self._closed.wait(max(0.0, min(_RECONNECT_SECONDS, rest)))
            if changes or (rest <= 0 and not self._closed.is_set()):
                return changes

    def _changes(self, timeout: float) -> Sequence[StateChange]:
        """Return changes, or nothing after some time that is at most `timeout`."""
        if self._seen is None:
            return self._resynchronized()
        if not self._waiting:
            commits = self._commits(self._seen, min(timeout, _LONGEST_WAIT_SECONDS))
            if not commits and self._position() == self._seen:
                return ()
            if not self._noted(commits):
                return self._resynchronized()
        return self._told()

    def _resynchronized(self) -> Sequence[StateChange]:
        self._waiting.clear()
        self._seen = self._position()
        return (Resynchronize(),)

    def _position(self) -> int:
        """Return the number of the last commit."""
        answer = self._session.run(self._connection, "read", [b"0"])
        return whole(fields(answer, 2)[1])

    def _commits(self, seen: int, timeout: float) -> list[object]:
        """Return the next entries of the stream, waiting for a first one."""
        milliseconds = math.ceil(timeout * 1000)
        blocking = (b"BLOCK", b"%d" % milliseconds) if milliseconds else ()
        answer = self._connection.command(
            *(b"XREAD", b"COUNT", b"%d" % _COMMITS_AT_ONCE, *blocking, b"STREAMS"),
            *(self._session.layout.changes, b"%d-0" % seen),
            waits=timeout,
        )
        match answer:
            case [[bytes(), list(commits)]]:
                return commits
            case _:
                return []

    def _noted(self, commits: Sequence[object]) -> bool:
        """Note the changed keys; return False where there is a gap.

        No commits at all, though the store had some, is a gap as well: the stream was lost.
        """
        for commit in commits:
            match commit:
                case [bytes(identity), list(parts)] if number := _COMMIT.fullmatch(identity):
                    pass
                case _:
                    return False
            if self._seen is None or int(number[1]) != self._seen + 1:
                return False
            self._seen += 1
            for name, key in zip(parts[::2], parts[1::2], strict=False):
                if name != b"key" or not isinstance(key, bytes):
                    return False
                if key.startswith(self._prefix):
                    self._waiting.pop(key, None)  # told in the order of the last changes
                    self._waiting[key] = None
        return bool(commits) and len(self._waiting) <= _MOST_WAITING

    def _told(self) -> Sequence[StateChange]:
        """Return what has become of the first keys that wait."""
        keys = list(self._waiting)[:_KEYS_AT_ONCE]
        if not keys:
            return ()
        answer = self._session.run(self._connection, "read", [b"%d" % _PAGE_BYTES, *keys])
        fields(answer, 2)
        changes: list[StateChange] = []
        for key, entry in zip(keys, answer[3:], strict=False):
            found = None if entry is None else read_entry(entry, self._connection.place)
            changes.append(KeyChanged(key, found))
            del self._waiting[key]
        return changes
