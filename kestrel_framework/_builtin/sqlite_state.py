"""State that outlives its process: a SQLite file in a private folder."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from kestrel_framework._builtin.state_file import (
    StateFile,
    counter_checksum,
    damage,
    errors_told,
    open_state_file,
)
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, Versioned

MAX_ENTRY_BYTES: Final = 256 << 20

_SYNC_SECONDS: Final = 1.0
_PAGE_ROWS: Final = 256
_PAGE_BYTES: Final = 1 << 20
_GREATEST_INTEGER: Final = 2**63 - 1

_READ: Final = "SELECT value, version, checksum FROM entries WHERE key = ?"
_READ_FROM: Final = (
    "SELECT key, value, version, checksum FROM entries WHERE key >= ? ORDER BY key LIMIT ?"
)
_VERSION: Final = "SELECT version FROM entries WHERE key = ?"
_WRITE: Final = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)"
_DELETE: Final = "DELETE FROM entries WHERE key = ?"
_READ_COUNTERS: Final = "SELECT commits, fence, checksum FROM counters"
_WRITE_COUNTERS: Final = "INSERT OR REPLACE INTO counters VALUES (0, ?, ?, ?)"


class SqliteStateStore:
    """A state store in the file `state.sqlite` of a folder.

    The file is opened by the first call that needs it, and locked until `close`, or until the
    process ends in whatever way. One thread at a time may call, not always the same one; a
    process that is forked from this one cannot.

    A killed process loses no commit, and leaves no half of one. A power cut leaves the file as it
    was after some commit; later ones are gone, at most those of one second: a commit waits for
    the disk if none has for a second. Versions are numbers of commits.

    A scan reads as it goes, at most a megabyte (or one entry) ahead. It yields each key that is
    there all the while once; of one that comes or goes meanwhile, it may or may not.

    Args:
        folder: A private folder, such as `PluginContext.state_directory`. It belongs to this
            user, nobody else can write to it or replace it, and nothing else uses it.

    Raises:
        StateError: by every method, and with the path and what to do about it: the folder or the
            file is not private, is in use, damaged, or of a newer format, or the disk is full.
            Nothing is overwritten.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._file: StateFile | None = None
        self._closed = False
        self._synced = -_SYNC_SECONDS

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        """Return the values of those keys that exist, all as of one moment."""
        file = self._opened()
        found: dict[bytes, Versioned] = {}
        with _transaction(file, "BEGIN") as connection:
            for key in keys:
                row = connection.execute(_READ, (key,)).fetchone()
                if row is not None:
                    found[key] = _checked(file, key, *row)
        return found

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        """Yield every key that begins with `prefix`, in the order of the keys."""
        self._opened()
        return self._walk(prefix)

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        """Apply all changes, or none, and return the new versions of the written keys.

        A key and its value may be 256 MiB long together. Otherwise as `StateStore.commit`.
        """
        _check(changes, fence)
        file = self._opened()
        due = time.monotonic() - self._synced >= _SYNC_SECONDS
        with errors_told(file.path):
            file.connection.execute(f"PRAGMA synchronous = {'FULL' if due else 'NORMAL'}")
        with _transaction(file, "BEGIN IMMEDIATE") as connection:
            written = _apply(file, connection, changes, expected or {}, fence)
        if due:
            self._synced = time.monotonic()
        return written

    def close(self) -> None:
        """Bring everything into the one file, and unlock it. A second call does nothing."""
        self._closed = True
        file, self._file = self._file, None
        if file is not None:
            with errors_told(file.path):
                file.close()

    def _opened(self) -> StateFile:
        if self._closed:
            raise StateError(f"{self._folder}: the store is closed")
        if self._file is None:
            self._file = open_state_file(self._folder)
        return self._file

    def _walk(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        start = prefix
        while page := self._page(start):
            for key, entry in page:
                if not key.startswith(prefix):
                    return
                yield key, entry
            start = page[-1][0] + b"\0"  # no key lies between a key and this

    def _page(self, start: bytes) -> list[tuple[bytes, Versioned]]:
        """Return some entries from `start` on; none where there are no more."""
        file = self._opened()
        page: list[tuple[bytes, Versioned]] = []
        size = 0
        with errors_told(file.path), contextlib.closing(file.connection.cursor()) as cursor:
            for key, *row in cursor.execute(_READ_FROM, (start, _PAGE_ROWS)):
                entry = _checked(file, key, *row)
                page.append((key, entry))
                size += len(entry.value)
                if size >= _PAGE_BYTES:
                    break
        return page


def _check(changes: Sequence[Change], fence: int | None) -> None:
    if len({change.key for change in changes}) < len(changes):
        raise StateError("a commit has two changes of one key")
    for change in changes:
        size = len(change.key) + len(change.value or b"")
        if size > MAX_ENTRY_BYTES:
            raise StateError(
                f"the key {change.key[:60]!r} and its value are {size} bytes long, and may be "
                f"{MAX_ENTRY_BYTES}; divide the value among several keys"
            )
    if fence is not None and abs(fence) > _GREATEST_INTEGER:
        raise StateError(f"the fence {fence} is beyond 64 bits")


def _apply(
    file: StateFile,
    connection: sqlite3.Connection,
    changes: Sequence[Change],
    expected: Mapping[bytes, int | None],
    fence: int | None,
) -> dict[bytes, int]:
    commits, greatest = _counters(file, connection)
    if fence is not None and greatest is not None and fence < greatest:
        raise StateConflict(f"owner {fence} was fenced off by owner {greatest}")
    changed = tuple(
        key for key, version in expected.items() if _version(connection, key) != version
    )
    if changed:
        raise StateConflict(f"{len(changed)} keys were changed by somebody else", changed)
    fenced = fence is not None and fence != greatest
    if not changes and not fenced:
        return {}
    commits += 1
    greatest = fence if fenced else greatest
    connection.execute(_WRITE_COUNTERS, (commits, greatest, counter_checksum(commits, greatest)))
    written: dict[bytes, int] = {}
    for change in changes:
        if change.value is None:
            connection.execute(_DELETE, (change.key,))
        else:
            checksum = _checksum(change.key, change.value, commits)
            connection.execute(_WRITE, (change.key, change.value, commits, checksum))
            written[change.key] = commits
    return written


def _version(connection: sqlite3.Connection, key: bytes) -> int | None:
    row: tuple[int] | None = connection.execute(_VERSION, (key,)).fetchone()
    return None if row is None else row[0]


def _counters(file: StateFile, connection: sqlite3.Connection) -> tuple[int, int | None]:
    """Return the number of the last commit, and the greatest fence."""
    row: tuple[int, int | None, int] | None = connection.execute(_READ_COUNTERS).fetchone()
    if row is None or row[2] != counter_checksum(*row[:2]):
        raise damage(file.path, "its counters are not those that were written")
    return row[:2]


def _checked(
    file: StateFile, key: bytes, value: object, version: object, checksum: object
) -> Versioned:
    """Return an entry as it was written, whatever types a damaged one has."""
    if (
        isinstance(value, bytes)
        and isinstance(version, int)
        and checksum == _checksum(key, value, version)
    ):
        return Versioned(value, version)
    raise damage(file.path, f"the value of {key[:60]!r} is not the one that was written")


def _checksum(key: bytes, value: bytes, version: int) -> int:
    return zlib.crc32(value, zlib.crc32(key, zlib.crc32(struct.pack(">qq", version, len(key)))))


@contextlib.contextmanager
def _transaction(file: StateFile, begin: str) -> Iterator[sqlite3.Connection]:
    """Commit what is done inside, or nothing where that or the commit fails."""
    connection = file.connection
    with errors_told(file.path):
        connection.execute(begin)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
