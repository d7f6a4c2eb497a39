"""The state store itself."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Final

import attrs

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, Versioned
from kestrel_redis_state.config import LARGEST_COMMIT_BYTES, RedisStateConfig
from kestrel_redis_state.connection import RedisConnection
from kestrel_redis_state.entries import read_entry, scan_range
from kestrel_redis_state.failures import ServerAway
from kestrel_redis_state.ownership import Lease
from kestrel_redis_state.session import Session, fields, whole
from kestrel_redis_state.watch import RedisStateWatch

LARGEST_KEY_BYTES: Final = 64 * 1024
MOST_CHANGES: Final = 20_000
GREATEST_FENCE: Final = 2**53 - 1

_PAGE_BYTES: Final = 4 * 1024 * 1024
_PAGE_KEYS: Final = 128
_KEYS_AT_ONCE: Final = 1_000
_MOST_TOLD_KEYS: Final = 256
_MOST_TOLD_BYTES: Final = 16 * 1024
_COMMITS_FOR_WATCHES: Final = 1_024


@attrs.frozen
class _Unsettled:
    """A commit of which nobody knows whether it was made."""

    number: int
    digest: bytes


class RedisStateStore:
    """A state store in Redis.

    Connects with the first call, and again after an outage. A commit is one script in the server:
    what it expects is checked, and all is changed, or nothing is. Its time grows with what it
    changes and expects, and other clients of the server wait for it: some milliseconds for a
    thousand changes.

    An answer that was lost is asked for again, under the same number, so that a commit is made
    once. If the server stays away, the commit ends with a transient `StateError` that says that its
    outcome is not known: the same commit made again, next, returns the true outcome, and is not
    made twice; where the store is read instead, the lost commit can no longer arrive late.

    Safe between threads, one call at a time; a process that was forked has a store of its own.
    """

    def __init__(self, config: RedisStateConfig) -> None:
        self._config = config
        self._session = Session(config)
        self._lock = Lock()
        self._closed = False
        self._begin_as_writer()

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        with self._lock:
            self._prepare_to_read()
            return self._found(list(dict.fromkeys(keys)))

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        with self._lock:
            self._prepare_to_read()
        low, high = scan_range(prefix)
        more = True
        while more:
            with self._lock:
                self._check_open()
                answer = self._session.run(
                    self._connection,
                    "scan",
                    [b"%d" % _PAGE_BYTES, low, high, b"%d" % _PAGE_KEYS],
                )
            version, rest = fields(answer, 2)
            self._session.saw(whole(version))
            parts = answer[3:]
            for key, entry in zip(parts[::2], parts[1::2], strict=True):
                if key is None or entry is None:
                    raise StateError(f"{self._place}: an answer lacks a key")
                low = b"(" + key
                yield key, read_entry(entry, self._place)
            more = rest == b"1" and bool(parts)

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        arguments = self._arguments(changes, expected or {}, fence)
        with self._lock:
            self._check_open()
            version = self._committed(arguments)
        return {change.key: version for change in changes if change.value is not None}

    def watch(self, prefix: bytes) -> RedisStateWatch:
        """Return a watch, which has a connection of its own."""
        self._check_open()
        return RedisStateWatch(self._session, bytes(prefix))

    def own(self, owner: str, seconds: float) -> Lease:
        """Return the lease of the store, which has a connection of its own."""
        self._check_open()
        return Lease(self._session, owner, seconds)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._connection.close()

    @property
    def _place(self) -> str:
        return self._connection.place

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the store is closed")
        if self._process != os.getpid():
            self._begin_as_writer()

    def _begin_as_writer(self) -> None:
        """Be a writer that nobody else is, with a connection that nobody else uses."""
        self._process = os.getpid()
        self._connection = RedisConnection(self._config)
        self._writer = secrets.token_hex(16).encode("ascii")
        self._number = 0
        self._is_recorded = False  # the server knows a commit of this writer
        self._unsettled: _Unsettled | None = None

    # --- reading -----------------------------------------------------------------

    def _prepare_to_read(self) -> None:
        self._check_open()
        if self._unsettled is None:
            return
        self._session.run(
            self._connection, "settle", [self._writer, b"%d" % self._unsettled.number]
        )
        self._unsettled = None

    def _found(self, keys: list[bytes]) -> dict[bytes, Versioned]:
        found: dict[bytes, Versioned] = {}
        while True:
            block = keys[:_KEYS_AT_ONCE]
            answer = self._session.run(self._connection, "read", [b"%d" % _PAGE_BYTES, *block])
            self._session.saw(whole(fields(answer, 2)[0]))
            entries = answer[3:]
            if len(entries) > len(block) or (block and not entries):
                raise StateError(f"{self._place}: an answer has not what was asked for")
            for key, entry in zip(block, entries, strict=False):
                if entry is not None:
                    found[key] = read_entry(entry, self._place)
            keys = keys[len(entries) :]
            if not keys:
                return found

    # --- writing -----------------------------------------------------------------

    def _arguments(
        self, changes: Sequence[Change], expected: Mapping[bytes, int | None], fence: int | None
    ) -> list[bytes]:
        """Return what the script is told, without who tells it.

        Raises:
            StateError: it is more than a commit may have.
        """
        if len({change.key for change in changes}) < len(changes):
            raise StateError("a commit has two changes of one key")
        for what, count in (("changes", len(changes)), ("expected versions", len(expected))):
            if count > MOST_CHANGES:
                raise StateError(f"a commit has {count} {what}, and {MOST_CHANGES} are allowed")
        if fence is not None and not 0 <= fence <= GREATEST_FENCE:
            raise StateError(f"a fence is from 0 to {GREATEST_FENCE}, not {fence}")
        for key in (*expected, *(change.key for change in changes)):
            if len(key) > LARGEST_KEY_BYTES:
                raise StateError(f"a key has {len(key)} bytes, and {LARGEST_KEY_BYTES} are allowed")
        arguments = [
            b"" if fence is None else b"%d" % fence,
            b"%d" % len(expected),
            bytes(ord("d" if change.value is None else "w") for change in changes),
            b"%d" % _MOST_TOLD_KEYS,
            b"%d" % _MOST_TOLD_BYTES,
            b"%d" % _COMMITS_FOR_WATCHES,
        ]
        for key, version in expected.items():
            arguments += (bytes(key), b"" if version is None else b"%d" % version)
        for change in changes:
            value = b"" if change.value is None else bytes(change.value)
            if len(value) > self._config.max_value_bytes:
                raise StateError(
                    f"a value has {len(value)} bytes, and `max_value_bytes` allows "
                    f"{self._config.max_value_bytes}"
                )
            arguments += (bytes(change.key), value)
        size = sum(map(len, arguments))
        if size > LARGEST_COMMIT_BYTES:
            raise StateError(f"a commit has {size} bytes, and {LARGEST_COMMIT_BYTES} are allowed")
        return arguments

    def _committed(self, arguments: list[bytes]) -> int:
        asked = _Unsettled(self._number + 1, _digest(arguments))
        before, self._unsettled = self._unsettled, None
        again = before is not None and before.digest == asked.digest
        if before is not None and again:
            asked = before
        self._number = asked.number
        try:
            answer = self._sent(asked.number, arguments, again=again)
        except StateError as error:
            was_sent = isinstance(error, ServerAway) and error.was_sent
            if not (again or was_sent):
                raise
            self._unsettled = asked
            if not was_sent:
                raise _unknown(error) from error
            try:
                answer = self._sent(asked.number, arguments, again=True)
            except StateError as second:
                raise _unknown(second) from second
            self._unsettled = None
        return self._outcome(answer)

    def _sent(self, number: int, arguments: list[bytes], *, again: bool) -> list[bytes | None]:
        return self._session.run(
            self._connection,
            "commit",
            [
                self._writer,
                b"%d" % number,
                b"1" if again and self._is_recorded else b"0",
                *arguments,
            ],
        )

    def _outcome(self, answer: list[bytes | None]) -> int:
        match answer[0]:
            case b"conflict":
                keys = tuple(key for key in answer[1:] if key is not None)
                raise StateConflict(f"{len(keys)} keys were changed by somebody else", keys)
            case b"fenced":
                owner = (answer[1] or b"").decode("ascii", "replace") if len(answer) > 1 else "?"
                raise StateConflict(f"the caller was fenced off by owner {owner}")
            case b"forgotten":
                raise StateError(
                    f"{self._place}: whether the last commit was made cannot be known any more; "
                    "read the state again"
                )
            case b"late":
                raise StateError(f"{self._place}: somebody else writes under this store's name")
        version = whole(fields(answer, 1)[0])
        self._session.saw(version)
        self._is_recorded = True
        return version


def _digest(arguments: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for argument in arguments:
        digest.update(b"%d:" % len(argument))
        digest.update(argument)
    return digest.digest()


def _unknown(error: StateError) -> StateError:
    return StateError(
        f"{error.problem}; whether the commit was made is not known: make the same one again to "
        "learn it, or read",
        transient=error.transient,
    )
