"""The file of the SQLite state store: made, locked, checked and opened, or refused.

What lies in the folder before it is opened may be an attacker's: each file must belong to this
user alone, and is looked at before SQLite sees it. After that nobody else can change it, because
nobody else can write to the folder, nor put another in its place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

from kestrel_framework.cache_folder import keeps_its_entries
from kestrel_framework.errors import StateError

FILE_NAME: Final = "state.sqlite"
_NEW_NAME: Final = "state.sqlite.new"
_JOURNALS: Final = tuple(f"{FILE_NAME}-{kind}" for kind in ("journal", "wal", "shm"))

_APPLICATION_ID: Final = 0x4B535452
_FORMAT_VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE entries (key BLOB PRIMARY KEY CHECK (typeof(key) = 'blob'), "
    "value BLOB NOT NULL CHECK (typeof(value) = 'blob'), "
    "version INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE counters (id INTEGER PRIMARY KEY CHECK (id = 0), "
    "commits INTEGER NOT NULL, fence INTEGER, checksum INTEGER NOT NULL)",
)
# One row, whose absence is damage: otherwise versions would come again.
_NO_COMMITS: Final = "INSERT INTO counters VALUES (0, 0, NULL, ?)"
# Where a SQLite file says what it is.
_MAGIC: Final = b"SQLite format 3\0"
_VERSION_AT: Final = 60
_APPLICATION_AT: Final = 68
_HEADER_BYTES: Final = 100

_JOURNAL_BYTES: Final = 64 << 20
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_START_ANEW: Final = (
    "put a copy in its place that was made before, or move it away to begin without a state"
)
_TRANSIENT: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_BUSY: "another program is using it; end that program",
    sqlite3.SQLITE_LOCKED: "another program is using it; end that program",
    sqlite3.SQLITE_READONLY: "it cannot be written; check its mode, and that of the file system",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check its mode, and that of its folder",
}


class StateFile:
    """An open state file that no other object, in this process or another, has open.

    The lock lies on the folder, dies with the process, and is not passed on to processes
    that are forked from this one: these cannot use the object.

    Args:
        path: The file.
        connection: In auto-commit mode; one thread at a time may use it.
        lock: The descriptor of the locked folder, which the object closes.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self._release = weakref.finalize(self, os.close, lock)
        _OPEN.add(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection.

        Raises:
            StateError: a process that opened the file was forked, and this is the child.
        """
        if self._connection is None:
            raise StateError(
                f"{self.path}: was opened by the process that this one was forked from; "
                "open the store after forking"
            )
        return self._connection

    def close(self) -> None:
        """Bring everything into the one file, and unlock it. A second call does nothing."""
        if self._release.alive:
            try:
                if self._connection is not None:
                    self._connection.close()
            finally:
                self._release()

    def let_go(self) -> None:
        """Leave lock and connection to the parent, in a forked process."""
        if self._release.alive and self._connection is not None:
            # Closing it could undo what the parent was doing just then.
            _THE_PARENTS.append(self._connection)
            self._connection = None
            self._release()


_OPEN: Final[weakref.WeakSet[StateFile]] = weakref.WeakSet()
_THE_PARENTS: Final[list[sqlite3.Connection]] = []


def _let_go_of_all() -> None:
    for file in list(_OPEN):
        file.let_go()


os.register_at_fork(after_in_child=_let_go_of_all)


def open_state_file(folder: Path) -> StateFile:
    """Open the file in a folder, and make it if there is none. Reads all of it once.

    Args:
        folder: Private: it belongs to this user, and nobody else can write to it or replace it.

    Raises:
        StateError: the folder or a file in it is not private, is in use, damaged, or not a state
            file of this version or an older one; nothing in it was changed.
    """
    named = folder.absolute()
    folder = _without_links_on_the_way(named)
    path = folder / FILE_NAME
    lock = _locked(folder, named)
    try:
        if not _is_there(folder, lock):
            with errors_told(path):
                _make(folder, lock)
        with errors_told(path):
            connection = _connected(path, lock)
    except BaseException:
        os.close(lock)
        raise
    return StateFile(path, connection, lock)


@contextlib.contextmanager
def errors_told(path: Path) -> Iterator[None]:
    """Raise what goes wrong with a file as a `StateError` that says what to do about it."""
    try:
        yield
    except sqlite3.Error as error:
        raise _failure(path, error) from error
    except UnicodeDecodeError as error:
        # Names of tables are texts, and stand in what SQLite says of them.
        raise damage(path, "its tables are not those of a state file") from error
    except OSError as error:
        _raise_for(path, error)


def damage(path: Path, problem: str) -> StateError:
    """Return the error that the content of a file is wrong."""
    return StateError(f"{path}: is damaged ({problem}); {_START_ANEW}")


def counter_checksum(commits: int, fence: int | None) -> int:
    """Return what guards the number of commits and the greatest fence."""
    return zlib.crc32(f"{commits} {fence}".encode())


# --- the folder ------------------------------------------------------------------


def _without_links_on_the_way(named: Path) -> Path:
    """Return the path to the same folder that no link can lead elsewhere a moment later."""
    try:
        return named.resolve() if named.name == ".." else named.parent.resolve() / named.name
    except (OSError, RuntimeError, ValueError) as error:
        raise StateError(f"{named}: cannot be opened: {error}; name a folder") from error


def _locked(folder: Path, named: Path) -> int:
    """Return a descriptor of the folder, which is private and locked; `named` leads to it."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(folder, flags)
    except (OSError, ValueError) as error:
        # With O_DIRECTORY a link is told as what is no directory.
        told = isinstance(error, OSError) and error.errno in (errno.ENOTDIR, errno.ELOOP)
        if told and folder.is_symlink():
            raise StateError(
                f"{folder}: is a symbolic link; name the folder that it leads to"
            ) from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise StateError(
            f"{folder}: cannot be opened: {reason}; make it a folder of this user alone (mode 0700)"
        ) from error
    try:
        _refuse_what_others_own(folder, os.fstat(descriptor), "0700")
        _refuse_replaceable(folder, named)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError(
            f"{folder / FILE_NAME}: another process uses it, or another store in this one; "
            "end that, or keep this state in another folder"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise StateError(
            f"{folder}: cannot be checked and locked: {error.strerror}; keep the state on a "
            "local disk"
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_replaceable(folder: Path, named: Path) -> None:
    for parent in dict.fromkeys((*folder.parents, *named.parents)):
        if not keeps_its_entries(parent):
            raise StateError(
                f"{parent}: other users can put a folder of theirs in the place of {named}; "
                "keep the state where only root or this user can write"
            )


def _refuse_what_others_own(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.geteuid():
        raise StateError(
            f"{path}: belongs to another user ({status.st_uid}), who can change the state; "
            "keep the state elsewhere, or remove it if nobody misses it"
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise StateError(
            f"{path}: other users can write to it (mode {stat.S_IMODE(status.st_mode):04o}), and "
            f"may have changed the state; if they have not, give it the mode {mode}"
        )


# --- the files in it ---------------------------------------------------------------


def _is_there(folder: Path, lock: int) -> bool:
    """Say whether there is a state file; refuse what should not be there."""
    found = [name for name in (FILE_NAME, *_JOURNALS) if _is_private_file(folder, lock, name)]
    if found and FILE_NAME not in found:
        raise StateError(
            f"{folder / FILE_NAME}: is missing, but {found[0]} is there, which belongs to it; "
            "put the file back, or move that away to begin without a state"
        )
    return bool(found)


def _is_private_file(folder: Path, lock: int, name: str) -> bool:
    path = folder / name
    try:
        status = os.stat(name, dir_fd=lock, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateError(f"{path}: cannot be looked at: {error.strerror}") from error
    if stat.S_ISLNK(status.st_mode):
        raise StateError(f"{path}: is a symbolic link; put the file in its place, or remove it")
    if not stat.S_ISREG(status.st_mode):
        raise StateError(f"{path}: is not a file; move it away")
    _refuse_what_others_own(path, status, "0600")
    if status.st_nlink > 1:
        raise StateError(
            f"{path}: is also a file elsewhere (a hard link); put a copy in its place, or remove it"
        )
    return True


def _make(folder: Path, lock: int) -> None:
    """Make the file under another name first, so that it is whole from its first moment."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NEW_NAME, dir_fd=lock)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(_NEW_NAME, flags, 0o600, dir_fd=lock)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        with contextlib.closing(_connection(folder / _NEW_NAME)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT_VERSION}")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(_NO_COMMITS, (counter_checksum(0, None),))
        os.fsync(descriptor)
        os.rename(_NEW_NAME, FILE_NAME, src_dir_fd=lock, dst_dir_fd=lock)
        os.fsync(lock)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(_NEW_NAME, dir_fd=lock)
        raise
    finally:
        os.close(descriptor)


def _connected(path: Path, lock: int) -> sqlite3.Connection:
    """Return a connection to the file, if it is right from one end to the other."""
    # SQLite would write what is in a journal into a file that it was not asked about yet.
    _refuse_other_formats(path, *_header(path, lock))
    connection = _connection(path)
    try:
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if journal != "wal":
            raise StateError(
                f"{path}: its file system cannot share memory; keep the state on a local disk"
            )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
        _refuse_other_formats(
            path,
            *connection.execute("PRAGMA application_id").fetchone(),
            *connection.execute("PRAGMA user_version").fetchone(),
        )
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise damage(path, found)
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        if tuple(sql for (sql,) in tables) != _SCHEMA:
            raise damage(path, "its tables are not those of a state file")
    except BaseException:
        connection.close()
        raise
    return connection


def _header(path: Path, lock: int) -> tuple[int, int]:
    """Return for which program a file was made, and in which version of its format."""
    # Closing this takes SQLite's own locks on the file from the whole process; the lock on the
    # folder says that nobody in it has any.
    descriptor = os.open(
        FILE_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=lock
    )
    try:
        header = os.pread(descriptor, _HEADER_BYTES, 0)
    finally:
        os.close(descriptor)
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise damage(path, "it does not begin as a SQLite file does")
    return (
        int.from_bytes(header[_APPLICATION_AT:][:4], "big", signed=True),
        int.from_bytes(header[_VERSION_AT:][:4], "big", signed=True),
    )


def _refuse_other_formats(path: Path, application: int, version: int) -> None:
    if application != _APPLICATION_ID:
        raise StateError(
            f"{path}: is the SQLite file of another program; move it away, or keep the state in "
            "another folder"
        )
    if version > _FORMAT_VERSION:
        raise StateError(
            f"{path}: has format {version}, and this version of Kestrel knows formats up to "
            f"{_FORMAT_VERSION}; use the version that wrote it or a newer one, or move it away to "
            "begin without a state"
        )
    if version < 1:
        raise damage(path, f"there is no format {version}")


def _connection(path: Path) -> sqlite3.Connection:
    # `mode=rw`: what is not there is not made by SQLite, which would follow links.
    return sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode=rw",
        uri=True,
        timeout=0.0,
        isolation_level=None,
        check_same_thread=False,
    )


def _failure(path: Path, error: sqlite3.Error) -> StateError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return damage(path, str(error))
    problem = _PROBLEMS.get(code, "it cannot be used; check the disk")
    return StateError(f"{path}: {problem} ({error})", transient=code in _TRANSIENT)


def _raise_for(path: Path, error: OSError) -> NoReturn:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room" if full else "check its mode, and that of the file system"
    raise StateError(
        f"{path}: cannot be written: {error.strerror}; {remedy}", transient=full
    ) from error
